//! Memberships of users in segments, from segment changes alone. No profile is read, so that the result is an
//! independent check of the profiles.

use super::watcher;
use anyhow::{Context, Result, anyhow, bail};
use portrait_client::RoleRouter;
use portrait_proto::v1::watch_profile_changes_response::Kind;
use portrait_proto::v1::{
    ProfileChange, WatchProfileChangesRequest, WatchProfileChangesResponse, WatchStart,
};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tonic::Streaming;

/// Users that are tracked, at most.
const USERS_MAX: usize = 1_000_000;

/// Segment id of each user that has one, by user id.
pub(super) type BySegment = BTreeMap<String, String>;

/// Subscription to segment changes.
pub(super) struct Memberships {
    state: Arc<Mutex<MembershipState>>,
    changed: watch::Receiver<u64>,
    /// Tasks that are aborted when this is dropped.
    _listening: JoinSet<()>,
}

#[derive(Default)]
struct MembershipState {
    changes: u64,
    /// Memberships by user, at most [`USERS_MAX`].
    segments: BySegment,
    error: Option<String>,
}

impl Memberships {
    /// Subscribes, and returns after the server's confirmation: no later change is missed.
    pub(super) async fn begin(channel: RoleRouter) -> Result<Self> {
        let request = WatchProfileChangesRequest {
            start: WatchStart::Now.into(),
            segment_changes_only: true,
            ..Default::default()
        };
        let responses = watcher::subscribed(channel, request).await?;
        let state = Arc::new(Mutex::new(MembershipState::default()));
        let (changes_tx, changed) = watch::channel(0);
        let mut listening = JoinSet::new();
        listening.spawn({
            let state = Arc::clone(&state);
            async move {
                let error = listen(responses, &state, &changes_tx).await;
                lock(&state).error = Some(error);
                // Wakes a waiter, which then finds the error.
                changes_tx.send_modify(|changes| *changes += 1);
            }
        });
        Ok(Self { state, changed, _listening: listening })
    }

    /// Number of changes received.
    pub(super) fn changes(&self) -> u64 {
        lock(&self.state).changes
    }

    /// Memberships according to the changes received so far.
    pub(super) fn known(&self) -> BySegment {
        lock(&self.state).segments.clone()
    }

    /// Waits until the memberships from changes equal `profiles`.
    ///
    /// # Errors
    /// If they differ after `timeout`, or the subscription has ended.
    pub(super) async fn wait_until_equal(&mut self, profiles: &BySegment, timeout: Duration) -> Result<()> {
        let waiting = async {
            loop {
                // Marked as seen before the comparison: a change during it ends the wait below at once.
                self.changed.borrow_and_update();
                if self.difference(profiles)?.is_none() {
                    return Ok(());
                }
                self.changed.changed().await.context("the subscription task has ended")?;
            }
        };
        // A timeout may race with the last change: the difference is computed once more.
        match tokio::time::timeout(timeout, waiting).await {
            Ok(result) => result,
            Err(_) => match self.difference(profiles)? {
                Some(difference) => bail!("segment changes and profiles disagree: {difference}"),
                None => Ok(()),
            },
        }
    }

    /// Description of the difference, with the first user as an example.
    fn difference(&self, profiles: &BySegment) -> Result<Option<String>> {
        let state = lock(&self.state);
        if let Some(error) = &state.error {
            return Err(anyhow!("the subscription to segment changes ended: {error}"));
        }
        if state.segments == *profiles {
            return Ok(None);
        }
        let mut user_ids: Vec<&String> = state.segments.keys().chain(profiles.keys()).collect();
        user_ids.sort_unstable();
        user_ids.dedup();
        user_ids.retain(|user_id| state.segments.get(*user_id) != profiles.get(*user_id));
        Ok(user_ids.first().map(|user_id| {
            let received = state.segments.get(*user_id).map_or("no segment", String::as_str);
            let read = profiles.get(*user_id).map_or("no segment", String::as_str);
            format!(
                "users that differ: {}, {user_id} among them: {received} by changes, {read} by the profile",
                user_ids.len()
            )
        }))
    }
}

/// Receives responses until the stream ends; returns the reason.
async fn listen(
    mut responses: Streaming<WatchProfileChangesResponse>,
    state: &Mutex<MembershipState>,
    changes_tx: &watch::Sender<u64>,
) -> String {
    loop {
        match responses.message().await {
            Ok(Some(WatchProfileChangesResponse { kind: Some(Kind::Change(change)), .. })) => {
                let mut state = lock(state);
                state.take(change);
                changes_tx.send_replace(state.changes);
            }
            Ok(Some(_)) => {}
            Ok(None) => return "by the server".to_owned(),
            Err(status) => return status.message().to_owned(),
        }
    }
}

impl MembershipState {
    fn take(&mut self, change: ProfileChange) {
        self.changes += 1;
        // An erased user leaves the segment as well.
        if change.deleted || change.segment_id_after.is_empty() {
            self.segments.remove(&change.user_id);
        } else if self.segments.len() < USERS_MAX || self.segments.contains_key(&change.user_id) {
            self.segments.insert(change.user_id, change.segment_id_after);
        }
    }
}

fn lock(state: &Mutex<MembershipState>) -> MutexGuard<'_, MembershipState> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
