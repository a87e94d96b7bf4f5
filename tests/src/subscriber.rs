//! What a subscriber knows: takes the answers of a subscription to all profiles one by one, and can be cut between any two. In come
//! answers, out goes the state of every shopper; what a resync did not name is forgotten.

use portrait_client::RoleRouter;
use portrait_proto::v1::query_service_client::QueryServiceClient;
use portrait_proto::v1::watch_profile_changes_response::Kind;
use portrait_proto::v1::{
    ResyncPhase, ResyncReason, WatchProfileChangesRequest, WatchProfileChangesResponse, WatchStart,
};
use std::collections::{BTreeMap, BTreeSet};
use tonic::Status;

/// A subscriber to everybody's profile.
#[derive(Debug, Default)]
pub struct Subscriber {
    /// Resumes after the last answer that was taken.
    pub token: Vec<u8>,
    /// User to (version, applied events, fingerprint, partition).
    pub known: BTreeMap<String, (u64, u64, u64, u32)>,
    /// How many answers in a row said that nothing waits.
    pub lags_of_none: usize,
    /// How many partitions were told anew because what was known of them was lost.
    pub resyncs: u64,
    /// The highest version that was told of each shopper, gone or not.
    highest: BTreeMap<String, u64>,
    /// How often a profile was told of whose version was below one before.
    pub gone_back: u64,
    /// How many deletions were told.
    pub deletions: u64,
    /// Who was named since the begin of a partition's resync.
    named: BTreeMap<u32, BTreeSet<String>>,
}

impl Subscriber {
    /// As [`Self::request`], after a cut: what it was in the middle of being told is told again.
    pub fn resume(&mut self) -> WatchProfileChangesRequest {
        self.named.clear();
        self.request()
    }

    /// What it asks for.
    pub fn request(&self) -> WatchProfileChangesRequest {
        WatchProfileChangesRequest {
            resume_token: self.token.clone(),
            start: WatchStart::Snapshot.into(),
            include_profile: true,
            ..Default::default()
        }
    }

    /// Begins a subscription, anew or after a cut.
    ///
    /// # Errors
    /// If the server refuses it or is not there.
    pub async fn subscribe(
        &mut self,
        line: RoleRouter,
    ) -> Result<tonic::Streaming<WatchProfileChangesResponse>, Status> {
        Self::request_stream(line, self.resume()).await
    }

    /// Asks a server for a subscription.
    ///
    /// # Errors
    /// If the server refuses it or is not there.
    pub async fn request_stream(
        line: RoleRouter,
        request: WatchProfileChangesRequest,
    ) -> Result<tonic::Streaming<WatchProfileChangesResponse>, Status> {
        Ok(QueryServiceClient::new(line).watch_profile_changes(request).await?.into_inner())
    }

    /// Takes one answer.
    ///
    /// # Panics
    /// If it is of no kind that is known.
    pub fn handle(&mut self, answer: WatchProfileChangesResponse) {
        self.token = answer.resume_token;
        match answer.kind.expect("a kind that is known") {
            Kind::Change(change) => {
                self.lags_of_none = 0;
                if let Some(named) = self.named.get_mut(&change.partition) {
                    named.insert(change.user_id.clone());
                }
                self.deletions += u64::from(change.deleted);
                match change.profile {
                    Some(profile) => {
                        let highest = self.highest.entry(change.user_id.clone()).or_default();
                        self.gone_back += u64::from(profile.version < *highest);
                        *highest = profile.version.max(*highest);
                        let state =
                            (profile.version, profile.applied_events, profile.fingerprint, change.partition);
                        self.known.insert(change.user_id, state);
                    }
                    None => drop(self.known.remove(&change.user_id)),
                }
            }
            Kind::Progress(progress) => self.lags_of_none += usize::from(progress.lag == 0),
            Kind::Resync(resync) if resync.phase() == ResyncPhase::Begin => {
                self.resyncs += u64::from(resync.reason() != ResyncReason::Snapshot);
                self.named.insert(resync.partition, BTreeSet::new());
            }
            Kind::Resync(resync) => {
                let named = self.named.remove(&resync.partition).unwrap_or_default();
                self.known.retain(|user, state| state.3 != resync.partition || named.contains(user));
            }
        }
    }

    /// Takes answers until `enough` says so, and then is cut.
    ///
    /// # Panics
    /// If the subscription ends by itself.
    pub async fn listen(&mut self, line: RoleRouter, mut enough: impl FnMut(&Self) -> bool) {
        let mut answers = self.subscribe(line).await.expect("a subscription");
        while !enough(self) {
            let answer = answers.message().await.expect("the subscription goes on");
            self.handle(answer.expect("a subscription never ends without a word"));
        }
    }
}
