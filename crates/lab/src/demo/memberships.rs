//! Who is in which segment, as a subscriber to segment changes alone knows it. In goes a connection, out come the memberships
//! and how many changes made them; it never asks for a profile, so that what it knows can be held against the profiles.

use super::watcher;
use anyhow::{Context, Result, anyhow, bail};
use portrait_client::Line;
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

/// Shoppers that are remembered at most.
const SHOPPERS_MAX: usize = 1_000_000;

/// The segment of each shopper who is in one, by id.
pub(super) type BySegment = BTreeMap<String, String>;

/// A subscription to segment changes.
pub(super) struct Memberships {
    seen: Arc<Mutex<Seen>>,
    news: watch::Receiver<u64>,
    /// Aborted when this is dropped.
    _listening: JoinSet<()>,
}

#[derive(Default)]
struct Seen {
    changes: u64,
    /// One entry for each shopper in a segment, at most [`SHOPPERS_MAX`].
    segments: BySegment,
    fault: Option<String>,
}

impl Memberships {
    /// Subscribes, and returns when the server has confirmed it: no later change is missed.
    pub(super) async fn begin(channel: Line) -> Result<Self> {
        let request = WatchProfileChangesRequest {
            start: WatchStart::Now.into(),
            segment_changes_only: true,
            ..Default::default()
        };
        let answers = watcher::subscribed(channel, request).await?;
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (tell, news) = watch::channel(0);
        let mut listening = JoinSet::new();
        listening.spawn({
            let seen = Arc::clone(&seen);
            async move {
                let fault = listen(answers, &seen, &tell).await;
                lock(&seen).fault = Some(fault);
                tell.send_modify(|changes| *changes += 1);
            }
        });
        Ok(Self { seen, news, _listening: listening })
    }

    /// How many changes arrived.
    pub(super) fn changes(&self) -> u64 {
        lock(&self.seen).changes
    }

    /// Who is where, as far as changes have arrived.
    pub(super) fn known(&self) -> BySegment {
        lock(&self.seen).segments.clone()
    }

    /// Waits until what changes have told is what the profiles say.
    ///
    /// # Errors
    /// If it is not within `patience`, or the subscription has ended.
    pub(super) async fn agree(&mut self, profiles: &BySegment, patience: Duration) -> Result<()> {
        let waiting = async {
            loop {
                self.news.borrow_and_update();
                if self.difference(profiles)?.is_none() {
                    return Ok(());
                }
                self.news.changed().await.context("nobody listens any more")?;
            }
        };
        match tokio::time::timeout(patience, waiting).await {
            Ok(agreed) => agreed,
            Err(_) => match self.difference(profiles)? {
                Some(difference) => bail!("segment changes and profiles disagree: {difference}"),
                None => Ok(()),
            },
        }
    }

    /// What is wrong, with the first shopper of whom it is.
    fn difference(&self, profiles: &BySegment) -> Result<Option<String>> {
        let seen = lock(&self.seen);
        if let Some(fault) = &seen.fault {
            return Err(anyhow!("the subscription to segment changes ended: {fault}"));
        }
        if seen.segments == *profiles {
            return Ok(None);
        }
        let mut everybody: Vec<&String> = seen.segments.keys().chain(profiles.keys()).collect();
        everybody.sort_unstable();
        everybody.dedup();
        everybody.retain(|user_id| seen.segments.get(*user_id) != profiles.get(*user_id));
        let place = |segments: &BySegment| {
            let segment = everybody.first().and_then(|user_id| segments.get(*user_id));
            segment.cloned().unwrap_or_else(|| "no segment".to_owned())
        };
        Ok(everybody.first().map(|user_id| {
            let (told, read) = (place(&seen.segments), place(profiles));
            format!("of {} shoppers, {user_id} among them: {told} was told, {read} is read", everybody.len())
        }))
    }
}

/// Takes answers until there are no more, and says why.
async fn listen(
    mut answers: Streaming<WatchProfileChangesResponse>,
    seen: &Mutex<Seen>,
    tell: &watch::Sender<u64>,
) -> String {
    loop {
        match answers.message().await {
            Ok(Some(WatchProfileChangesResponse { kind: Some(Kind::Change(change)), .. })) => {
                let mut seen = lock(seen);
                seen.take(change);
                tell.send_replace(seen.changes);
            }
            Ok(Some(_)) => {}
            Ok(None) => return "by the server".to_owned(),
            Err(status) => return status.message().to_owned(),
        }
    }
}

impl Seen {
    fn take(&mut self, change: ProfileChange) {
        self.changes += 1;
        if change.deleted || change.segment_id_after.is_empty() {
            self.segments.remove(&change.user_id);
        } else if self.segments.len() < SHOPPERS_MAX || self.segments.contains_key(&change.user_id) {
            self.segments.insert(change.user_id, change.segment_id_after);
        }
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}
