//! The models of the story: on one evening the server is asked for the first, and on every evening after it to look whether the
//! shoppers have changed; when they have for long enough it trains by itself. The narrator hears what has drifted, which
//! segments there are, which of them are the same as before, and who has moved and why. In go evenings on which everything
//! sent is in the profiles, out go lines; who is where is known from segment changes and held against the profiles each time.

use super::memberships::{BySegment, Memberships};
use super::narrator::Narrator;
use super::training;
use anyhow::{Context, Result};
use portrait_client::Line;
use portrait_client::text::words;
use portrait_profile::Timestamp;
use portrait_proto::time;
use portrait_proto::v1::feature_service_client::FeatureServiceClient;
use portrait_proto::v1::model_service_client::ModelServiceClient;
use portrait_proto::v1::query_service_client::QueryServiceClient;
use portrait_proto::v1::{
    BatchGetProfilesRequest, CheckDriftRequest, ExplainSegmentRequest, GetFeatureSchemaRequest,
    TrainModelRequest, TrainOutcome,
};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::{Duration, Instant};

mod lines;

/// Profiles of one read.
const READ_AT_ONCE: usize = 500;
/// How long segment changes may take when nothing is under way any more, and how often profiles are read meanwhile.
const SETTLE_PATIENCE: Duration = Duration::from_secs(5);
const SETTLE_EVERY: Duration = Duration::from_millis(500);
/// Contributions that explain a move.
const REASONS: usize = 3;

/// What the demo has learned of models so far.
pub(super) struct Learning {
    channel: Line,
    /// Fewer shoppers teach no model.
    least: usize,
    memberships: Memberships,
    /// The newest model; 0 before the first.
    version: u64,
    /// What each segment that was ever listed is called, by id: a move may lead out of one that is no more.
    names: BTreeMap<String, String>,
    /// The segments of that model.
    current: BTreeSet<String>,
    /// Who was where before habits changed.
    before_change: BySegment,
    /// Components in words, by their names.
    described: BTreeMap<String, String>,
    /// Whether it was said that the server learns no new model.
    refused: bool,
}

impl Learning {
    /// Subscribes to segment changes; there must be no model yet.
    pub(super) async fn begin(channel: Line, watching: Line, least: usize) -> Result<Self> {
        let memberships = Memberships::begin(watching).await?;
        let mut features = FeatureServiceClient::new(channel.clone());
        let schema = features.get_feature_schema(GetFeatureSchemaRequest {}).await?.into_inner();
        let described = schema.components.into_iter();
        let described = described.map(|component| (component.name, component.description)).collect();
        Ok(Self {
            channel,
            least,
            memberships,
            version: 0,
            names: BTreeMap::new(),
            current: BTreeSet::new(),
            before_change: BySegment::new(),
            described,
            refused: false,
        })
    }

    /// The newest model; 0 for none.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// What a segment is called.
    pub(super) fn name(&self, segment_id: &str) -> String {
        let name = self.names.get(segment_id).map_or("without a name", String::as_str);
        format!("{name} ({segment_id})")
    }

    /// How many segment changes were delivered.
    pub(super) fn changes(&self) -> u64 {
        self.memberships.changes()
    }

    /// Waits until segment changes have told what the profiles say.
    pub(super) async fn agree(&mut self, profiles: &BySegment) -> Result<()> {
        self.memberships.agree(profiles, SETTLE_PATIENCE).await
    }

    /// Remembers who is where on the evening before habits change.
    pub(super) fn remember(&mut self) {
        self.before_change = self.memberships.known();
    }

    /// Asks for the first model, and says what it is; `user_ids` is everybody.
    pub(super) async fn begin_models(
        &mut self,
        user_ids: &[String],
        narrator: &mut dyn Narrator,
    ) -> Result<()> {
        if user_ids.len() < self.least {
            let shoppers = words::counted(user_ids.len() as u64, "shopper");
            narrator.say(&format!("    no segments yet: {shoppers}, and a model needs {}", self.least));
            return Ok(());
        }
        let request = TrainModelRequest { choose_segments: true, ..Default::default() };
        let outcome = training::train(&self.channel, request, self.version).await?;
        self.take(&outcome, user_ids, narrator).await
    }

    /// Has the server look whether the shoppers have changed, and says what it found and did; `user_ids` is everybody.
    pub(super) async fn look(&mut self, user_ids: &[String], narrator: &mut dyn Narrator) -> Result<()> {
        if self.version == 0 {
            return Ok(());
        }
        let mut models = ModelServiceClient::new(self.channel.clone());
        let answer = models.check_drift(CheckDriftRequest {}).await?.into_inner();
        let found = answer.drift.unwrap_or_default();
        if found.windows == 1 {
            narrator.say(&lines::drift(&found, self.version, &self.described).join("\n"));
        }
        match answer.training {
            Some(outcome) => {
                if outcome.published {
                    training::swept(&self.channel, outcome.version).await?;
                }
                self.take(&outcome, user_ids, narrator).await
            }
            None => Ok(()),
        }
    }

    /// Says what a training gave, and waits until segment changes have told it of everybody.
    async fn take(
        &mut self,
        outcome: &TrainOutcome,
        user_ids: &[String],
        narrator: &mut dyn Narrator,
    ) -> Result<()> {
        if !outcome.published {
            if !std::mem::replace(&mut self.refused, true) {
                narrator.say(&format!("    no new model: {}", outcome.refusal));
            }
            return Ok(());
        }
        let listed = training::segments(&self.channel).await?.context("the new model is not served")?;
        let said = match self.version {
            0 => lines::first_model(outcome, &listed),
            _ => lines::next_model(outcome, &listed, &self.current),
        };
        narrator.say(&said.join("\n"));
        let names = listed.segments.into_iter().map(|segment| (segment.segment_id, segment.name));
        let names: BTreeMap<String, String> = names.collect();
        (self.version, self.refused) = (outcome.version, false);
        self.current = names.keys().cloned().collect();
        self.names.extend(names);
        self.settle(user_ids).await
    }

    /// Waits until segment changes have told what the profiles say; read anew, as the last of a large shop may still move.
    async fn settle(&mut self, user_ids: &[String]) -> Result<()> {
        let begun = Instant::now();
        loop {
            let profiles = self.read(user_ids).await?;
            let agreed = self.memberships.agree(&profiles, SETTLE_EVERY).await;
            if agreed.is_ok() || begun.elapsed() > SETTLE_PATIENCE {
                return agreed;
            }
        }
    }

    /// Says how many of those with new habits have moved since all were remembered, and of the first of them why.
    pub(super) async fn explain_moves(
        &mut self,
        changing: &[String],
        read_at: Timestamp,
        narrator: &mut dyn Narrator,
    ) -> Result<()> {
        if self.version == 0 || self.before_change.is_empty() {
            return Ok(());
        }
        let now = self.memberships.known();
        let has_moved = |user_id: &&String| now.get(*user_id) != self.before_change.get(*user_id);
        let of_new_habits: HashSet<&String> = changing.iter().collect();
        let (new, old): (Vec<&String>, Vec<&String>) =
            self.before_change.keys().partition(|user_id| of_new_habits.contains(user_id));
        let share = |of: &[&String]| {
            let moved = of.iter().copied().filter(has_moved).count();
            words::percent(moved as f64 / of.len().max(1) as f64)
        };
        narrator.say(&format!(
            "    in another segment than before the change: {} of those with new habits, {} of the others",
            share(&new),
            share(&old)
        ));
        // The caller names those first whom the story follows.
        let mut moved = changing.iter().filter(|user_id| self.before_change.contains_key(*user_id));
        let Some(user_id) = moved.find(has_moved) else { return Ok(()) };
        let place = |segments: &BySegment| segments.get(user_id).map(|id| self.name(id)).unwrap_or_default();
        narrator.say(&format!(
            "    {user_id}: {} -> {}; what speaks for it:",
            place(&self.before_change),
            place(&now)
        ));
        let read_at = Some(time::to_wire(read_at));
        let request = ExplainSegmentRequest { user_id: user_id.clone(), read_at, ..Default::default() };
        let answer =
            QueryServiceClient::new(self.channel.clone()).explain_segment(request).await?.into_inner();
        for one in answer.contributions.iter().filter(|one| one.contribution > 0.0).take(REASONS) {
            narrator.say(&format!("      {}", lines::reason(one)));
        }
        Ok(())
    }

    async fn read(&self, user_ids: &[String]) -> Result<BySegment> {
        let mut segments = BySegment::new();
        let mut query = QueryServiceClient::new(self.channel.clone());
        for user_ids in user_ids.chunks(READ_AT_ONCE) {
            let request = BatchGetProfilesRequest { user_ids: user_ids.to_vec(), ..Default::default() };
            let profiles = query.batch_get_profiles(request).await?.into_inner().profiles;
            segments.extend(profiles.into_iter().filter_map(|profile| {
                profile.segment.map(|membership| (profile.user_id, membership.segment_id))
            }));
        }
        Ok(segments)
    }
}
