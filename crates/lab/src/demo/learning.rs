//! Models of the demo. The first training is requested on one evening; on every evening after it a drift check is
//! requested, and the server trains by itself after consecutive checks with drift. The narration reports what has
//! drifted, the segments, which of them are retained, and who moved and why. Memberships are known from segment
//! changes and compared with the profiles after each training.

use super::memberships::{BySegment, Memberships};
use super::narrator::Narrator;
use super::training;
use anyhow::{Context, Result};
use portrait_client::RoleRouter;
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

/// Profiles of one batch read.
const READ_AT_ONCE: usize = 500;
/// Time limit for segment changes to arrive after a training.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(5);
/// Interval of reading the profiles again while segment changes arrive.
const SETTLE_EVERY: Duration = Duration::from_millis(500);
/// Contributions that explain a move, at most.
const REASONS: usize = 3;

/// State of the narration about models.
pub(super) struct LearningNarration {
    channel: RoleRouter,
    /// Users below which no model is trained.
    users_min: usize,
    memberships: Memberships,
    /// Version of the newest model; 0 before the first.
    version: u64,
    /// Names of all segments ever listed, by id: a move may start from a retired one.
    names: BTreeMap<String, String>,
    /// Segment ids of the newest model.
    current: BTreeSet<String>,
    /// Memberships on the evening before habits changed.
    before_change: BySegment,
    /// Descriptions of the feature components, by name.
    described: BTreeMap<String, String>,
    /// True once a refused training was reported.
    refused: bool,
}

impl LearningNarration {
    /// Subscribes to segment changes. The server must have no model yet.
    pub(super) async fn begin(channel: RoleRouter, watching: RoleRouter, users_min: usize) -> Result<Self> {
        let memberships = Memberships::begin(watching).await?;
        let mut features = FeatureServiceClient::new(channel.clone());
        let schema = features.get_feature_schema(GetFeatureSchemaRequest {}).await?.into_inner();
        let described = schema.components.into_iter();
        let described = described.map(|component| (component.name, component.description)).collect();
        Ok(Self {
            channel,
            users_min,
            memberships,
            version: 0,
            names: BTreeMap::new(),
            current: BTreeSet::new(),
            before_change: BySegment::new(),
            described,
            refused: false,
        })
    }

    /// Version of the newest model; 0 for none.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// Name of a segment with its id.
    pub(super) fn name(&self, segment_id: &str) -> String {
        let name = self.names.get(segment_id).map_or("without a name", String::as_str);
        format!("{name} ({segment_id})")
    }

    /// Number of segment changes delivered.
    pub(super) fn changes(&self) -> u64 {
        self.memberships.changes()
    }

    /// Waits until the memberships from segment changes equal those of the profiles.
    pub(super) async fn wait_until_consistent(&mut self, profiles: &BySegment) -> Result<()> {
        self.memberships.wait_until_equal(profiles, SETTLE_TIMEOUT).await
    }

    /// Records the memberships on the evening before habits change.
    pub(super) fn record_memberships(&mut self) {
        self.before_change = self.memberships.known();
    }

    /// Requests the first training and narrates the result; `user_ids` are all users.
    pub(super) async fn begin_models(
        &mut self,
        user_ids: &[String],
        narrator: &mut dyn Narrator,
    ) -> Result<()> {
        if user_ids.len() < self.users_min {
            let shoppers = words::counted(user_ids.len() as u64, "shopper");
            narrator.line(&format!("    no segments yet: {shoppers}, and a model needs {}", self.users_min));
            return Ok(());
        }
        // The planted number of types is not given away.
        let request = TrainModelRequest { choose_segments: true, ..Default::default() };
        let outcome = training::train(&self.channel, request, self.version).await?;
        self.narrate_training(&outcome, user_ids, narrator).await
    }

    /// Requests a drift check and narrates the result, with the training it led to; `user_ids` are all users.
    pub(super) async fn check_drift(
        &mut self,
        user_ids: &[String],
        narrator: &mut dyn Narrator,
    ) -> Result<()> {
        if self.version == 0 {
            return Ok(());
        }
        let mut models = ModelServiceClient::new(self.channel.clone());
        let response = models.check_drift(CheckDriftRequest {}).await?.into_inner();
        let drift = response.drift.unwrap_or_default();
        // Lasting drift is reported once, on its first evening.
        if drift.consecutive_checks == 1 {
            narrator.line(&lines::drift(&drift, self.version, &self.described).join("\n"));
        }
        match response.training {
            Some(outcome) => {
                if outcome.published {
                    training::swept(&self.channel, outcome.version).await?;
                }
                self.narrate_training(&outcome, user_ids, narrator).await
            }
            None => Ok(()),
        }
    }

    /// Narrates a training and waits until the segment changes of all users have arrived.
    async fn narrate_training(
        &mut self,
        outcome: &TrainOutcome,
        user_ids: &[String],
        narrator: &mut dyn Narrator,
    ) -> Result<()> {
        if !outcome.published {
            // A refusal repeats every evening until something changes: one line is enough.
            if !std::mem::replace(&mut self.refused, true) {
                narrator.line(&format!("    no new model: {}", outcome.refusal));
            }
            return Ok(());
        }
        let listed = training::segments(&self.channel).await?.context("the new model is not served")?;
        let lines = match self.version {
            0 => lines::first_model(outcome, &listed),
            _ => lines::next_model(outcome, &listed, &self.current),
        };
        narrator.line(&lines.join("\n"));
        let names = listed.segments.into_iter().map(|segment| (segment.segment_id, segment.name));
        let names: BTreeMap<String, String> = names.collect();
        self.version = outcome.version;
        self.refused = false;
        self.current = names.keys().cloned().collect();
        self.names.extend(names);
        self.wait_until_settled(user_ids).await
    }

    /// Waits until memberships from segment changes equal those of the profiles. Profiles are read again each time,
    /// because the last users of a large shop may still move.
    async fn wait_until_settled(&mut self, user_ids: &[String]) -> Result<()> {
        let started = Instant::now();
        loop {
            let profiles = self.read(user_ids).await?;
            let agreed = self.memberships.wait_until_equal(&profiles, SETTLE_EVERY).await;
            if agreed.is_ok() || started.elapsed() > SETTLE_TIMEOUT {
                return agreed;
            }
        }
    }

    /// Narrates the share of users with new habits, and of the others, who changed their segment, and explains the
    /// first move.
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
        let changing_ids: HashSet<&String> = changing.iter().collect();
        let (new, old): (Vec<&String>, Vec<&String>) =
            self.before_change.keys().partition(|user_id| changing_ids.contains(user_id));
        let moved_share = |user_ids: &[&String]| {
            let moved = user_ids.iter().copied().filter(has_moved).count();
            words::percent(moved as f64 / user_ids.len().max(1) as f64)
        };
        narrator.line(&format!(
            "    in another segment than before the change: {} of those with new habits, {} of the others",
            moved_share(&new),
            moved_share(&old)
        ));
        // The caller lists the personas first, so that the example is a known user.
        let mut known = changing.iter().filter(|user_id| self.before_change.contains_key(*user_id));
        let Some(user_id) = known.find(has_moved) else { return Ok(()) };
        let segment =
            |segments: &BySegment| segments.get(user_id).map(|id| self.name(id)).unwrap_or_default();
        narrator.line(&format!(
            "    {user_id}: {} -> {}; because of:",
            segment(&self.before_change),
            segment(&now)
        ));
        let read_at = Some(time::to_wire(read_at));
        let request = ExplainSegmentRequest { user_id: user_id.clone(), read_at, ..Default::default() };
        let response =
            QueryServiceClient::new(self.channel.clone()).explain_segment(request).await?.into_inner();
        let reasons = response.contributions.iter().filter(|contribution| contribution.contribution > 0.0);
        for contribution in reasons.take(REASONS) {
            narrator.line(&format!("      {}", lines::reason(contribution)));
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
