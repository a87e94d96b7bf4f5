//! A subscriber that lives as long as a deployment, and resumes whenever it is cut. In comes the address of a deployment, out goes what
//! it knows now. It may be slow: then it takes one answer, rests, and takes the next.

use super::PAUSE;
use crate::{Census, Subscriber};
use portrait_client::RoleRouter;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;
use tonic::transport::Endpoint;

/// What may be under way to a narrow line without being taken.
const NARROW_BYTES: u32 = 64 << 10;

/// A subscriber in the background; it ends with this value.
pub struct Follower {
    subscriber: Arc<Mutex<Subscriber>>,
    /// How long it rests after each answer.
    rest_ms: Arc<AtomicU64>,
    following: JoinHandle<()>,
}

impl Follower {
    /// Follows the deployment whose query role is at `url`.
    pub fn start(url: String) -> Self {
        Self::resume(url, Subscriber::default())
    }

    /// As [`Self::start`], from where `subscriber` is.
    pub fn resume(url: String, subscriber: Subscriber) -> Self {
        let subscriber = Arc::new(Mutex::new(subscriber));
        let rest_ms = Arc::default();
        let following = tokio::spawn(follow(Arc::clone(&subscriber), Arc::clone(&rest_ms), url));
        Self { subscriber, rest_ms, following }
    }

    /// Ends it, and gives the subscriber as it is then.
    pub async fn stop(mut self) -> Subscriber {
        self.following.abort();
        // What it was at is over when this is.
        let _ = (&mut self.following).await;
        std::mem::take(&mut *lock(&self.subscriber))
    }

    /// Lets it rest that long after each answer from now on.
    pub fn rest(&self, rest: Duration) {
        let millis = u64::try_from(rest.as_millis()).unwrap_or(u64::MAX);
        self.rest_ms.store(millis, Ordering::Relaxed);
    }

    /// What it knows of everybody.
    pub fn known(&self) -> Census {
        let states = &lock(&self.subscriber).known;
        states.iter().map(|(user, state)| (user.clone(), (state.1, state.2))).collect()
    }

    /// How often a version went back, and how many deletions were told.
    pub fn versions_back_and_deletions(&self) -> (u64, u64) {
        let subscriber = lock(&self.subscriber);
        (subscriber.gone_back, subscriber.deletions)
    }

    /// How many partitions it was told anew because what it knew was lost.
    pub fn resyncs(&self) -> u64 {
        lock(&self.subscriber).resyncs
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.following.abort();
    }
}

/// A line to the server at `url` on which little can be under way: who takes nothing is soon sent nothing.
///
/// # Errors
/// If nobody answers there.
pub async fn narrow_line(url: &str) -> Result<RoleRouter, tonic::transport::Error> {
    let endpoint = Endpoint::from_shared(url.to_owned())?;
    let narrow =
        endpoint.initial_stream_window_size(NARROW_BYTES).initial_connection_window_size(NARROW_BYTES);
    Ok(RoleRouter::from(narrow.connect().await?))
}

async fn follow(subscriber: Arc<Mutex<Subscriber>>, rest_ms: Arc<AtomicU64>, url: String) {
    loop {
        if let Ok(line) = narrow_line(&url).await {
            let request = lock(&subscriber).resume();
            // The lock is not held while the server is asked.
            if let Ok(mut answers) = Subscriber::request_stream(line, request).await {
                while let Ok(Some(answer)) = answers.message().await {
                    lock(&subscriber).handle(answer);
                    let rest = Duration::from_millis(rest_ms.load(Ordering::Relaxed));
                    if !rest.is_zero() {
                        tokio::time::sleep(rest).await;
                    }
                }
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn lock(subscriber: &Mutex<Subscriber>) -> MutexGuard<'_, Subscriber> {
    subscriber.lock().unwrap_or_else(PoisonError::into_inner)
}
