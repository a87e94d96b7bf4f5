//! Subscriber of the demo: counts the changes that arrive, tracks the newest version of each user, and measures on a
//! sample how old a change is on delivery. It reads no profiles.

use super::probe;
use anyhow::{Context, Result, anyhow, bail};
use hdrhistogram::Histogram;
use portrait_client::RoleRouter;
use portrait_proto::time;
use portrait_proto::v1::query_service_client::QueryServiceClient;
use portrait_proto::v1::watch_profile_changes_response::Kind;
use portrait_proto::v1::{
    ProfileChange, WatchProfileChangesRequest, WatchProfileChangesResponse, WatchStart,
};
use portrait_runtime::SharedClock;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tonic::Streaming;

/// Users whose versions are tracked, at most.
const USERS_MAX: usize = 1_000_000;
/// Time limit for the newest changes after all events are applied.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(30);

/// Two subscriptions: one to all changes, one to a sample with profiles.
pub(super) struct ChangeWatcher {
    state: Arc<Mutex<DeliveryState>>,
    changed: watch::Receiver<u64>,
    /// Tasks that are aborted when this is dropped.
    _listening: JoinSet<()>,
}

struct DeliveryState {
    changes: u64,
    versions: HashMap<String, u64>,
    delivered_micros: Histogram<u64>,
    /// Acceptance time of the newest event of each sampled user, in milliseconds. A change without a newer event,
    /// such as a new segment after a training, says nothing about delivery.
    accepted_at: HashMap<String, i64>,
    error: Option<String>,
}

impl ChangeWatcher {
    /// Subscribes, and returns after the server's confirmation of both subscriptions: no later change is missed.
    pub(super) async fn begin(channel: RoleRouter, sample: Vec<String>, clock: SharedClock) -> Result<Self> {
        let all = WatchProfileChangesRequest { start: WatchStart::Now.into(), ..Default::default() };
        let sampled = WatchProfileChangesRequest { user_ids: sample, include_profile: true, ..all.clone() };
        let state = DeliveryState {
            changes: 0,
            versions: HashMap::new(),
            delivered_micros: probe::micros()?,
            accepted_at: HashMap::new(),
            error: None,
        };
        let state = Arc::new(Mutex::new(state));
        let (changes_tx, changed) = watch::channel(0);
        let mut listening = JoinSet::new();
        for (request, counted) in [(all, true), (sampled, false)] {
            let responses = subscribed(channel.clone(), request).await?;
            let state = Arc::clone(&state);
            let changes_tx = changes_tx.clone();
            let clock = Arc::clone(&clock);
            listening.spawn(async move {
                let error = listen(responses, counted, &state, &changes_tx, &clock).await;
                lock(&state).error.get_or_insert(error);
                // Wakes a waiter, which then finds the error.
                changes_tx.send_modify(|changes| *changes += 1);
            });
        }
        Ok(Self { state, changed, _listening: listening })
    }

    /// Number of changes received.
    pub(super) fn changes(&self) -> u64 {
        lock(&self.state).changes
    }

    /// Time from acceptance to delivery of the sample, in microseconds with a resolution of a millisecond.
    pub(super) fn delivered_micros(&self) -> Histogram<u64> {
        lock(&self.state).delivered_micros.clone()
    }

    /// Waits until the newest version of every profile has been delivered.
    ///
    /// # Errors
    /// If a version does not arrive in time, or a subscription has ended.
    pub(super) async fn caught_up(&mut self, versions: &BTreeMap<String, u64>) -> Result<()> {
        let waiting = async {
            loop {
                // Marked as seen before the count: a change during it ends the wait below at once.
                self.changed.borrow_and_update();
                let behind = self.behind(versions)?;
                if behind == 0 {
                    return Ok(());
                }
                self.changed.changed().await.context("the subscription task has ended")?;
            }
        };
        match tokio::time::timeout(DELIVERY_TIMEOUT, waiting).await {
            Ok(caught_up) => caught_up,
            Err(_) => bail!("the newest changes did not arrive within {} s", DELIVERY_TIMEOUT.as_secs()),
        }
    }

    fn behind(&self, versions: &BTreeMap<String, u64>) -> Result<usize> {
        let state = lock(&self.state);
        if let Some(error) = &state.error {
            return Err(anyhow!("the subscription ended: {error}"));
        }
        Ok(versions
            .iter()
            .filter(|(user_id, version)| {
                state.versions.get(*user_id).is_none_or(|delivered| delivered < *version)
            })
            .count())
    }
}

/// Subscribes and waits for the first response, the confirmation.
pub(super) async fn subscribed(
    channel: RoleRouter,
    request: WatchProfileChangesRequest,
) -> Result<Streaming<WatchProfileChangesResponse>> {
    let mut responses = QueryServiceClient::new(channel).watch_profile_changes(request).await?.into_inner();
    let first = responses.message().await?.context("the server ended the subscription")?;
    match first.kind {
        Some(Kind::Progress(_)) => Ok(responses),
        Some(Kind::Change(_) | Kind::Resync(_)) | None => {
            bail!("a subscription begins with its confirmation")
        }
    }
}

/// Receives responses until the stream ends; returns the reason.
async fn listen(
    mut responses: Streaming<WatchProfileChangesResponse>,
    counted: bool,
    state: &Mutex<DeliveryState>,
    changes_tx: &watch::Sender<u64>,
    clock: &SharedClock,
) -> String {
    loop {
        match responses.message().await {
            Ok(Some(WatchProfileChangesResponse { kind: Some(Kind::Change(change)), .. })) => {
                let mut state = lock(state);
                // The two subscriptions overlap: only one of them counts changes.
                if counted {
                    state.count(change);
                    changes_tx.send_replace(state.changes);
                } else {
                    state.measure(&change, clock.now_ms());
                }
            }
            Ok(Some(_)) => {}
            Ok(None) => return "by the server".to_owned(),
            Err(status) => return status.message().to_owned(),
        }
    }
}

impl DeliveryState {
    fn count(&mut self, change: ProfileChange) {
        self.changes += 1;
        // A bound on memory for logs with many users; known users stay up to date.
        if self.versions.len() < USERS_MAX || self.versions.contains_key(&change.user_id) {
            self.versions.insert(change.user_id, change.version);
        }
    }

    fn measure(&mut self, change: &ProfileChange, now_ms: i64) {
        let updated_at = change.profile.as_ref().and_then(|profile| profile.updated_at.as_ref());
        if let Some(accepted_at) = updated_at.and_then(|at| time::from_wire(at).ok()) {
            let before = self.accepted_at.insert(change.user_id.clone(), accepted_at.millis());
            // The acceptance time did not advance: the change has another cause than an event.
            if before.is_some_and(|before| before >= accepted_at.millis()) {
                return;
            }
            // Acceptance times are in milliseconds, and delivery within the same one counts as one.
            let millis = u64::try_from(now_ms - accepted_at.millis()).unwrap_or(0);
            self.delivered_micros.saturating_record(millis.max(1) * 1000);
        }
    }
}

fn lock(state: &Mutex<DeliveryState>) -> MutexGuard<'_, DeliveryState> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
