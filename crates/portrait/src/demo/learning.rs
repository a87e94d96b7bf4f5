//! The models of the story: on some evenings the server is asked for one, and the narrator hears what has drifted, which
//! segments there are, which of them are the same as before, and who has moved and why. In go evenings on which everything
//! sent is in the profiles, out go lines; who is where is known from segment changes and held against the profiles each time.

use super::memberships::{BySegment, Memberships};
use super::narrator::Narrator;
use super::training;
use crate::card::words;
use anyhow::{Context, Result};
use portrait_profile::Timestamp;
use portrait_proto::time;
use portrait_proto::v1::feature_service_client::FeatureServiceClient;
use portrait_proto::v1::model_service_client::ModelServiceClient;
use portrait_proto::v1::query_service_client::QueryServiceClient;
use portrait_proto::v1::{
    BatchGetProfilesRequest, DriftStatus, ExplainSegmentRequest, GetFeatureSchemaRequest, ListModelsRequest,
    TrainModelRequest,
};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::{Duration, Instant};
use tonic::transport::Channel;

mod lines;

/// Profiles of one read.
const READ_AT_ONCE: usize = 500;
/// How long the model service's next look at drift is waited for, and how often it is asked.
const LOOK_PATIENCE: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long segment changes may take when nothing is under way any more, and how often profiles are read meanwhile.
const SETTLE_PATIENCE: Duration = Duration::from_secs(5);
const SETTLE_EVERY: Duration = Duration::from_millis(500);
/// Contributions that explain a move.
const REASONS: usize = 3;

/// What the demo has learned of models so far.
pub(super) struct Learning {
    channel: Channel,
    /// Fewer shoppers teach no model.
    least: usize,
    memberships: Memberships,
    /// The newest model that the demo asked for; 0 before the first.
    version: u64,
    /// What each segment that was ever listed is called, by id: a move may lead out of one that is no more.
    names: BTreeMap<String, String>,
    /// The segments of that model.
    current: BTreeSet<String>,
    /// Who was where before habits changed.
    before_change: BySegment,
    /// Whether it was said why the demo asks.
    said_why: bool,
}

impl Learning {
    /// Subscribes to segment changes; there must be no model yet.
    pub(super) async fn begin(channel: Channel, watching: Channel, least: usize) -> Result<Self> {
        let memberships = Memberships::begin(watching).await?;
        Ok(Self {
            channel,
            least,
            memberships,
            version: 0,
            names: BTreeMap::new(),
            current: BTreeSet::new(),
            before_change: BySegment::new(),
            said_why: false,
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

    /// Asks for the next model, and says what it is; `user_ids` is everybody.
    pub(super) async fn learn(&mut self, user_ids: &[String], narrator: &mut dyn Narrator) -> Result<()> {
        if user_ids.len() < self.least {
            let shoppers = words::counted(user_ids.len() as u64, "shopper");
            narrator.say(&format!("    no segments yet: {shoppers}, and a model needs {}", self.least));
            return Ok(());
        }
        let first = self.version == 0;
        if !first && let Some(said) = self.drift().await? {
            narrator.say(&said.join("\n"));
        }
        // A server that has learned one by itself meanwhile chose its number of segments from less.
        let request = TrainModelRequest { choose_segments: first, ..Default::default() };
        let outcome = training::train(&self.channel, request, self.version).await?;
        if !outcome.published {
            narrator.say(&format!("    no new model: {}", outcome.refusal));
            return Ok(());
        }
        let listed = training::segments(&self.channel).await?.context("the new model is not served")?;
        let said = if first {
            lines::first_model(&outcome, &listed)
        } else {
            let remark =
                if self.said_why { "" } else { " (the demo asks for it, as its days pass in milliseconds)" };
            self.said_why = true;
            lines::next_model(&outcome, &listed, &self.current, remark)
        };
        narrator.say(&said.join("\n"));
        let names = listed.segments.into_iter().map(|segment| (segment.segment_id, segment.name));
        let names: BTreeMap<String, String> = names.collect();
        self.version = outcome.version;
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

    /// What the model service has seen of drift; none if it has not looked.
    async fn drift(&self) -> Result<Option<Vec<String>>> {
        let before = self.newest_look().await?;
        let begun = Instant::now();
        let mut look = before.clone();
        // One more look sees all that was applied; none comes if the newest has seen it.
        while look.as_ref().map(|look| look.at) == before.as_ref().map(|look| look.at)
            && begun.elapsed() < LOOK_PATIENCE
        {
            tokio::time::sleep(LOOK_EVERY).await;
            look = self.newest_look().await?;
        }
        let Some(look) = look else { return Ok(None) };
        let schema = FeatureServiceClient::new(self.channel.clone())
            .get_feature_schema(GetFeatureSchemaRequest {})
            .await?
            .into_inner();
        let described =
            schema.components.into_iter().map(|component| (component.name, component.description));
        Ok(Some(lines::drift(&look, self.version, &described.collect())))
    }

    async fn newest_look(&self) -> Result<Option<DriftStatus>> {
        let mut models = ModelServiceClient::new(self.channel.clone());
        Ok(models.list_models(ListModelsRequest {}).await?.into_inner().drift)
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
