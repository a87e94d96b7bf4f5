//! A subscriber as the .proto asks it to be: it keeps the version of every user it was told of, drops whom a resync did not
//! name, and remembers the token of the last answer it handled.

use super::shop::{PATIENCE, Shop};
use portrait_proto::status;
use portrait_proto::v1::watch_profile_changes_response::Kind;
use portrait_proto::v1::{
    ErrorReason, ProfileChange, ResyncPhase, ResyncReason, WatchProfileChangesRequest,
    WatchProfileChangesResponse, WatchStart,
};
use std::collections::{BTreeMap, BTreeSet};
use tokio::time::{Instant, timeout};
use tonic::{Status, Streaming};

/// A subscriber.
pub(super) struct Reader {
    stream: Streaming<WatchProfileChangesResponse>,
    /// Whom it knows, in which version.
    pub(super) known: BTreeMap<String, u64>,
    /// The token of the last answer.
    pub(super) token: Vec<u8>,
    /// Every change in the order it came.
    pub(super) changes: Vec<ProfileChange>,
    /// Every BEGIN and END in the order they came.
    pub(super) resyncs: Vec<(u32, ResyncPhase, ResyncReason)>,
    /// The lag of every progress.
    pub(super) lags: Vec<u64>,
    /// Where each of them belongs, and who was named since a BEGIN.
    homes: BTreeMap<String, u32>,
    named: BTreeMap<u32, BTreeSet<String>>,
}

/// A request that begins at `start`.
pub(super) fn from(start: WatchStart) -> WatchProfileChangesRequest {
    WatchProfileChangesRequest { start: start.into(), ..Default::default() }
}

/// A request that resumes after `token`.
pub(super) fn after(token: &[u8]) -> WatchProfileChangesRequest {
    WatchProfileChangesRequest { resume_token: token.to_vec(), ..Default::default() }
}

pub(super) fn reason(status: &Status) -> ErrorReason {
    status::reason_of(status).unwrap_or_else(|| panic!("no reason in {status:?}"))
}

impl Reader {
    /// A subscription, positioned.
    pub(super) async fn try_begin(shop: &Shop, request: WatchProfileChangesRequest) -> Result<Self, Status> {
        let stream = shop.client().watch_profile_changes(request).await?.into_inner();
        Ok(Self::of(stream))
    }

    /// One that must succeed.
    pub(super) async fn begin(shop: &Shop, request: WatchProfileChangesRequest) -> Self {
        Self::try_begin(shop, request).await.expect("a subscription")
    }

    pub(super) fn of(stream: Streaming<WatchProfileChangesResponse>) -> Self {
        Self {
            stream,
            known: BTreeMap::new(),
            token: Vec::new(),
            changes: Vec::new(),
            resyncs: Vec::new(),
            lags: Vec::new(),
            homes: BTreeMap::new(),
            named: BTreeMap::new(),
        }
    }

    /// Goes on after a cut with what it knows.
    pub(super) async fn resume(&mut self, shop: &Shop) {
        let stream = shop.client().watch_profile_changes(after(&self.token)).await;
        self.stream = stream.expect("its own token").into_inner();
        self.named.clear();
    }

    /// Knows from an earlier life whom it was told of: their versions and where they belong.
    pub(super) fn remember(&mut self, known: &BTreeMap<String, u64>, shop: &Shop) {
        self.known = known.clone();
        self.homes = known.keys().map(|user| (user.clone(), u32::from(shop.partition(user).get()))).collect();
    }

    /// Handles answers until `done`.
    pub(super) async fn until(&mut self, done: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !done(self) {
            // Progress comes for ever: silence alone does not tell that what is waited for never comes.
            assert!(begun.elapsed() < PATIENCE, "waited in vain; the last lags are {:?}", self.newest_lags());
            self.step().await.expect("the subscription goes on");
        }
    }

    fn newest_lags(&self) -> &[u64] {
        &self.lags[self.lags.len().saturating_sub(3)..]
    }

    /// Handles answers until it is told that nothing waits.
    pub(super) async fn until_current(&mut self) {
        // A progress can be older than what the test did just now: only one that follows another says that all was read.
        for _ in 0..2 {
            let told = self.lags.len();
            self.until(|reader| reader.lags.len() > told && reader.lags.last() == Some(&0)).await;
        }
    }

    /// Handles answers until the subscription ends.
    pub(super) async fn end(&mut self) -> Status {
        loop {
            if let Err(status) = self.step().await {
                return status;
            }
        }
    }

    /// Handles one answer.
    pub(super) async fn step(&mut self) -> Result<(), Status> {
        let answer = timeout(PATIENCE, self.stream.message()).await.expect("silence");
        let answer = answer?.expect("a subscription never ends without a word");
        assert!(!answer.resume_token.is_empty());
        self.token = answer.resume_token;
        match answer.kind.expect("a kind that is known") {
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
            self.homes.insert(change.user_id.clone(), change.partition);
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
                let homes = &self.homes;
                self.known.retain(|user, _| homes[user] != partition || named.contains(user));
            }
            ResyncPhase::Unspecified => panic!("a resync has a phase"),
        }
    }
}
