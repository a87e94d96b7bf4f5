//! A subscriber of the demo: counts the changes that arrive, remembers the newest version of each shopper, and measures on a
//! sample how old the news is on arrival. In goes a connection, out come figures; it never asks for a profile itself.

use super::probe;
use anyhow::{Context, Result, anyhow, bail};
use hdrhistogram::Histogram;
use portrait_client::Line;
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

/// Shoppers whose versions are remembered at most.
const SHOPPERS_MAX: usize = 1_000_000;
/// How long the newest changes may take when everything is applied.
const PATIENCE: Duration = Duration::from_secs(30);

/// Two subscriptions: one of all changes, one of a sample with profiles.
pub(super) struct Watcher {
    seen: Arc<Mutex<Seen>>,
    news: watch::Receiver<u64>,
    /// Aborted when the watcher is dropped.
    _listening: JoinSet<()>,
}

struct Seen {
    changes: u64,
    versions: HashMap<String, u64>,
    delivered_micros: Histogram<u64>,
    /// When the newest event of each shopper of the sample was accepted: a change without a newer one, as when a model puts
    /// the shopper elsewhere, says nothing of how old news is.
    accepted_at: HashMap<String, i64>,
    fault: Option<String>,
}

impl Watcher {
    /// Subscribes, and returns when the server has confirmed both subscriptions: no later change is missed.
    pub(super) async fn begin(channel: Line, sample: Vec<String>, clock: SharedClock) -> Result<Self> {
        let all = WatchProfileChangesRequest { start: WatchStart::Now.into(), ..Default::default() };
        let sampled = WatchProfileChangesRequest { user_ids: sample, include_profile: true, ..all.clone() };
        let seen = Seen {
            changes: 0,
            versions: HashMap::new(),
            delivered_micros: probe::micros()?,
            accepted_at: HashMap::new(),
            fault: None,
        };
        let seen = Arc::new(Mutex::new(seen));
        let (tell, news) = watch::channel(0);
        let mut listening = JoinSet::new();
        for (request, counted) in [(all, true), (sampled, false)] {
            let answers = subscribed(channel.clone(), request).await?;
            let (seen, tell, clock) = (Arc::clone(&seen), tell.clone(), Arc::clone(&clock));
            listening.spawn(async move {
                let fault = listen(answers, counted, &seen, &tell, &clock).await;
                lock(&seen).fault.get_or_insert(fault);
                tell.send_modify(|changes| *changes += 1);
            });
        }
        Ok(Self { seen, news, _listening: listening })
    }

    /// How many changes arrived.
    pub(super) fn changes(&self) -> u64 {
        lock(&self.seen).changes
    }

    /// From acceptance to delivery, in microseconds (to a millisecond), of the sample.
    pub(super) fn delivered_micros(&self) -> Histogram<u64> {
        lock(&self.seen).delivered_micros.clone()
    }

    /// Waits until the newest version of every profile has been delivered.
    pub(super) async fn caught_up(&mut self, versions: &BTreeMap<String, u64>) -> Result<()> {
        let waiting = async {
            loop {
                self.news.borrow_and_update();
                let behind = self.behind(versions)?;
                if behind == 0 {
                    return Ok(());
                }
                self.news.changed().await.context("nobody listens any more")?;
            }
        };
        match tokio::time::timeout(PATIENCE, waiting).await {
            Ok(caught_up) => caught_up,
            Err(_) => bail!("the newest changes did not arrive within {} s", PATIENCE.as_secs()),
        }
    }

    fn behind(&self, versions: &BTreeMap<String, u64>) -> Result<usize> {
        let seen = lock(&self.seen);
        if let Some(fault) = &seen.fault {
            return Err(anyhow!("the subscription ended: {fault}"));
        }
        let missing = |(user_id, version): &(&String, &u64)| {
            seen.versions.get(*user_id).is_none_or(|seen| seen < *version)
        };
        Ok(versions.iter().filter(missing).count())
    }
}

/// A subscription whose first answer, the confirmation, has arrived.
pub(super) async fn subscribed(
    channel: Line,
    request: WatchProfileChangesRequest,
) -> Result<Streaming<WatchProfileChangesResponse>> {
    let mut answers = QueryServiceClient::new(channel).watch_profile_changes(request).await?.into_inner();
    let first = answers.message().await?.context("the server ended the subscription")?;
    match first.kind {
        Some(Kind::Progress(_)) => Ok(answers),
        Some(Kind::Change(_) | Kind::Resync(_)) | None => {
            bail!("a subscription begins with its confirmation")
        }
    }
}

/// Takes answers until there are no more, and says why.
async fn listen(
    mut answers: Streaming<WatchProfileChangesResponse>,
    counted: bool,
    seen: &Mutex<Seen>,
    tell: &watch::Sender<u64>,
    clock: &SharedClock,
) -> String {
    loop {
        match answers.message().await {
            Ok(Some(WatchProfileChangesResponse { kind: Some(Kind::Change(change)), .. })) => {
                let mut seen = lock(seen);
                if counted {
                    seen.count(change);
                    tell.send_replace(seen.changes);
                } else {
                    seen.measure(&change, clock.now_ms());
                }
            }
            Ok(Some(_)) => {}
            Ok(None) => return "by the server".to_owned(),
            Err(status) => return status.message().to_owned(),
        }
    }
}

impl Seen {
    fn count(&mut self, change: ProfileChange) {
        self.changes += 1;
        if self.versions.len() < SHOPPERS_MAX || self.versions.contains_key(&change.user_id) {
            self.versions.insert(change.user_id, change.version);
        }
    }

    fn measure(&mut self, change: &ProfileChange, now_ms: i64) {
        let updated_at = change.profile.as_ref().and_then(|profile| profile.updated_at.as_ref());
        if let Some(accepted_at) = updated_at.and_then(|at| time::from_wire(at).ok()) {
            let before = self.accepted_at.insert(change.user_id.clone(), accepted_at.millis());
            if before.is_some_and(|before| before >= accepted_at.millis()) {
                return;
            }
            let millis = u64::try_from(now_ms - accepted_at.millis()).unwrap_or(0);
            self.delivered_micros.saturating_record(millis.max(1) * 1000);
        }
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}
