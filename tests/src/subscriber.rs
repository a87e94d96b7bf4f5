//! Subscriber state machine: handles the responses of a subscription to all profiles one by one and may be disconnected between any
//! two. Keeps the state of every user; a resync removes the users that it does not name.

use portrait_client::RoleRouter;
use portrait_proto::v1::query_service_client::QueryServiceClient;
use portrait_proto::v1::watch_profile_changes_response::Kind;
use portrait_proto::v1::{
    ResyncPhase, ResyncReason, WatchProfileChangesRequest, WatchProfileChangesResponse, WatchStart,
};
use std::collections::{BTreeMap, BTreeSet};
use tonic::Status;

/// Subscriber to all profiles.
#[derive(Debug, Default)]
pub struct Subscriber {
    /// Resume token of the last handled response.
    pub token: Vec<u8>,
    /// Known state by user: (version, applied events, fingerprint, partition).
    pub known: BTreeMap<String, (u64, u64, u64, u32)>,
    /// Consecutive progress responses with a lag of 0.
    pub caught_up_count: usize,
    /// Number of partition resyncs, without those of the initial snapshot.
    pub resyncs: u64,
    /// Highest received version by user, kept after a deletion.
    max_versions: BTreeMap<String, u64>,
    /// Number of received profiles with a version below an earlier one of the same user.
    pub version_regressions: u64,
    /// Number of received deletions.
    pub deletions: u64,
    /// Users named since the begin of the resync, by partition.
    named: BTreeMap<u32, BTreeSet<String>>,
}

impl Subscriber {
    /// Request after a disconnection: an unfinished resync starts again.
    pub fn resume(&mut self) -> WatchProfileChangesRequest {
        self.named.clear();
        self.request()
    }

    /// Request for a subscription to all profiles from the current token.
    pub fn request(&self) -> WatchProfileChangesRequest {
        WatchProfileChangesRequest {
            resume_token: self.token.clone(),
            start: WatchStart::Snapshot.into(),
            include_profile: true,
            ..Default::default()
        }
    }

    /// Subscribes, initially or after a disconnection.
    ///
    /// # Errors
    /// If the server refuses the subscription or is unreachable.
    pub async fn subscribe(
        &mut self,
        channel: RoleRouter,
    ) -> Result<tonic::Streaming<WatchProfileChangesResponse>, Status> {
        Self::request_stream(channel, self.resume()).await
    }

    /// Opens a subscription with `request`.
    ///
    /// # Errors
    /// If the server refuses the subscription or is unreachable.
    pub async fn request_stream(
        channel: RoleRouter,
        request: WatchProfileChangesRequest,
    ) -> Result<tonic::Streaming<WatchProfileChangesResponse>, Status> {
        Ok(QueryServiceClient::new(channel).watch_profile_changes(request).await?.into_inner())
    }

    /// Handles one response.
    ///
    /// # Panics
    /// If the response has no known kind.
    pub fn handle(&mut self, response: WatchProfileChangesResponse) {
        self.token = response.resume_token;
        match response.kind.expect("a known kind") {
            Kind::Change(change) => {
                self.caught_up_count = 0;
                if let Some(named) = self.named.get_mut(&change.partition) {
                    named.insert(change.user_id.clone());
                }
                self.deletions += u64::from(change.deleted);
                match change.profile {
                    Some(profile) => {
                        let highest = self.max_versions.entry(change.user_id.clone()).or_default();
                        self.version_regressions += u64::from(profile.version < *highest);
                        *highest = profile.version.max(*highest);
                        let state =
                            (profile.version, profile.applied_events, profile.fingerprint, change.partition);
                        self.known.insert(change.user_id, state);
                    }
                    None => drop(self.known.remove(&change.user_id)),
                }
            }
            Kind::Progress(progress) => self.caught_up_count += usize::from(progress.lag == 0),
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

    /// Handles responses until `enough` holds, then disconnects.
    ///
    /// # Panics
    /// If the subscription ends before.
    pub async fn listen(&mut self, channel: RoleRouter, mut enough: impl FnMut(&Self) -> bool) {
        let mut responses = self.subscribe(channel).await.expect("a subscription");
        while !enough(self) {
            let response = responses.message().await.expect("the subscription stays open");
            self.handle(response.expect("a subscription ends with a status"));
        }
    }
}
