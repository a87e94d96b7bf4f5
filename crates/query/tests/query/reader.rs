//! Reference subscriber as the .proto describes it: it keeps the version of every user, drops users that a resync did
//! not name, and remembers the token of the last response it handled.

use super::fixture::{PATIENCE, QueryFixture};
use portrait_proto::status;
use portrait_proto::v1::watch_profile_changes_response::Kind;
use portrait_proto::v1::{
    ErrorReason, ProfileChange, ResyncPhase, ResyncReason, WatchProfileChangesRequest,
    WatchProfileChangesResponse, WatchStart,
};
use std::collections::{BTreeMap, BTreeSet};
use tokio::time::{Instant, timeout};
use tonic::{Status, Streaming};

/// Subscriber that checks and records every response.
pub(super) struct Reader {
    stream: Streaming<WatchProfileChangesResponse>,
    /// Version of every known user.
    pub(super) known: BTreeMap<String, u64>,
    /// Token of the last response.
    pub(super) token: Vec<u8>,
    /// Every change in arrival order.
    pub(super) changes: Vec<ProfileChange>,
    /// Every BEGIN and END in arrival order.
    pub(super) resyncs: Vec<(u32, ResyncPhase, ResyncReason)>,
    /// Lag of every progress message.
    pub(super) lags: Vec<u64>,
    /// Partition of every known user, and the users named since a BEGIN.
    partitions: BTreeMap<String, u32>,
    named: BTreeMap<u32, BTreeSet<String>>,
}

/// Returns a request that begins at `start`.
pub(super) fn from(start: WatchStart) -> WatchProfileChangesRequest {
    WatchProfileChangesRequest { start: start.into(), ..Default::default() }
}

/// Returns a request that resumes after `token`.
pub(super) fn after(token: &[u8]) -> WatchProfileChangesRequest {
    WatchProfileChangesRequest { resume_token: token.to_vec(), ..Default::default() }
}

pub(super) fn reason(status: &Status) -> ErrorReason {
    status::reason_of(status).unwrap_or_else(|| panic!("no reason in {status:?}"))
}

impl Reader {
    /// Starts a subscription.
    pub(super) async fn try_begin(
        fixture: &QueryFixture,
        request: WatchProfileChangesRequest,
    ) -> Result<Self, Status> {
        let stream = fixture.client().watch_profile_changes(request).await?.into_inner();
        Ok(Self::of(stream))
    }

    /// Starts a subscription that must succeed.
    pub(super) async fn begin(fixture: &QueryFixture, request: WatchProfileChangesRequest) -> Self {
        Self::try_begin(fixture, request).await.expect("a subscription")
    }

    pub(super) fn of(stream: Streaming<WatchProfileChangesResponse>) -> Self {
        Self {
            stream,
            known: BTreeMap::new(),
            token: Vec::new(),
            changes: Vec::new(),
            resyncs: Vec::new(),
            lags: Vec::new(),
            partitions: BTreeMap::new(),
            named: BTreeMap::new(),
        }
    }

    /// Resumes after a disconnect with its last token and its state.
    pub(super) async fn resume(&mut self, fixture: &QueryFixture) {
        let stream = fixture.client().watch_profile_changes(after(&self.token)).await;
        self.stream = stream.expect("its own token").into_inner();
        self.named.clear();
    }

    /// Restores the state of an earlier subscriber: versions and partitions.
    pub(super) fn remember(&mut self, known: &BTreeMap<String, u64>, fixture: &QueryFixture) {
        self.known = known.clone();
        self.partitions =
            known.keys().map(|user| (user.clone(), u32::from(fixture.partition(user).get()))).collect();
    }

    /// Handles responses until `done`.
    pub(super) async fn until(&mut self, done: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !done(self) {
            // Progress messages never stop, so a timeout of single messages would not end the wait.
            assert!(begun.elapsed() < PATIENCE, "timed out; the last lags are {:?}", self.newest_lags());
            self.step().await.expect("the subscription continues");
        }
    }

    fn newest_lags(&self) -> &[u64] {
        &self.lags[self.lags.len().saturating_sub(3)..]
    }

    /// Handles responses until the lag is 0.
    pub(super) async fn until_current(&mut self) {
        // A progress message can be older than the last commit: only the second one proves that everything was read.
        for _ in 0..2 {
            let seen = self.lags.len();
            self.until(|reader| reader.lags.len() > seen && reader.lags.last() == Some(&0)).await;
        }
    }

    /// Handles responses until the subscription ends.
    pub(super) async fn end(&mut self) -> Status {
        loop {
            if let Err(status) = self.step().await {
                return status;
            }
        }
    }

    /// Handles one response.
    pub(super) async fn step(&mut self) -> Result<(), Status> {
        let response = timeout(PATIENCE, self.stream.message()).await.expect("no response in time");
        let response = response?.expect("a subscription never ends without a status");
        assert!(!response.resume_token.is_empty());
        self.token = response.resume_token;
        match response.kind.expect("a kind that is known") {
            Kind::Progress(progress) => self.lags.push(progress.lag),
            Kind::Resync(resync) => {
                self.handle_resync(resync.partition, resync.phase(), resync.reason());
            }
            Kind::Change(change) => self.handle_change(change),
        }
        Ok(())
    }

    fn handle_change(&mut self, change: ProfileChange) {
        if let Some(profile) = &change.profile {
            assert_eq!(
                (profile.version, profile.user_id.as_str()),
                (change.version, change.user_id.as_str())
            );
            assert!(!change.deleted);
        }
        if change.deleted {
            self.known.remove(&change.user_id);
        } else {
            self.known.insert(change.user_id.clone(), change.version);
            self.partitions.insert(change.user_id.clone(), change.partition);
        }
        if let Some(named) = self.named.get_mut(&change.partition) {
            named.insert(change.user_id.clone());
        }
        self.changes.push(change);
    }

    fn handle_resync(&mut self, partition: u32, phase: ResyncPhase, reason: ResyncReason) {
        self.resyncs.push((partition, phase, reason));
        match phase {
            ResyncPhase::Begin => {
                self.named.insert(partition, BTreeSet::new());
            }
            ResyncPhase::End => {
                let named = self.named.remove(&partition).expect("an end has a beginning");
                let partitions = &self.partitions;
                self.known.retain(|user, _| partitions[user] != partition || named.contains(user));
            }
            ResyncPhase::Unspecified => panic!("a resync has a phase"),
        }
    }
}
