//! Background subscriber that resumes after every disconnection. It may be slow: then it pauses after each response.

use super::PAUSE;
use crate::{Census, Subscriber};
use portrait_client::RoleRouter;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;
use tonic::transport::Endpoint;

/// HTTP/2 window sizes of a narrow connection, in bytes.
const NARROW_BYTES: u32 = 64 << 10;

/// Background subscriber; stops when dropped.
pub struct Follower {
    subscriber: Arc<Mutex<Subscriber>>,
    /// Pause after each response, in milliseconds.
    delay_ms: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Follower {
    /// Subscribes to the deployment whose query role is at `url`.
    pub fn start(url: String) -> Self {
        Self::resume(url, Subscriber::default())
    }

    /// Subscribes with the state and the token of `subscriber`.
    pub fn resume(url: String, subscriber: Subscriber) -> Self {
        let subscriber = Arc::new(Mutex::new(subscriber));
        let delay_ms = Arc::default();
        let task = tokio::spawn(follow(Arc::clone(&subscriber), Arc::clone(&delay_ms), url));
        Self { subscriber, delay_ms, task }
    }

    /// Stops the subscription and returns its state.
    pub async fn stop(mut self) -> Subscriber {
        self.task.abort();
        // The lock is free only after the aborted task has ended.
        let _ = (&mut self.task).await;
        std::mem::take(&mut *lock(&self.subscriber))
    }

    /// Sets the pause after each response.
    pub fn set_delay(&self, delay: Duration) {
        let millis = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        self.delay_ms.store(millis, Ordering::Relaxed);
    }

    /// Known state of all users.
    pub fn known(&self) -> Census {
        let states = &lock(&self.subscriber).known;
        states.iter().map(|(user, state)| (user.clone(), (state.1, state.2))).collect()
    }

    /// Number of version regressions and of received deletions.
    pub fn version_regressions_and_deletions(&self) -> (u64, u64) {
        let subscriber = lock(&self.subscriber);
        (subscriber.version_regressions, subscriber.deletions)
    }

    /// Number of partition resyncs, without those of the initial snapshot.
    pub fn resyncs(&self) -> u64 {
        lock(&self.subscriber).resyncs
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Connects to the server at `url` with small HTTP/2 windows, so that a client that reads nothing soon blocks the server.
///
/// # Errors
/// If no server responds.
pub async fn narrow_connection(url: &str) -> Result<RoleRouter, tonic::transport::Error> {
    let endpoint = Endpoint::from_shared(url.to_owned())?;
    let narrow =
        endpoint.initial_stream_window_size(NARROW_BYTES).initial_connection_window_size(NARROW_BYTES);
    Ok(RoleRouter::from(narrow.connect().await?))
}

async fn follow(subscriber: Arc<Mutex<Subscriber>>, delay_ms: Arc<AtomicU64>, url: String) {
    loop {
        if let Ok(channel) = narrow_connection(&url).await {
            let request = lock(&subscriber).resume();
            // The lock is released before the call, so that readers never wait for the server.
            if let Ok(mut responses) = Subscriber::request_stream(channel, request).await {
                while let Ok(Some(response)) = responses.message().await {
                    lock(&subscriber).handle(response);
                    let delay = Duration::from_millis(delay_ms.load(Ordering::Relaxed));
                    if !delay.is_zero() {
                        tokio::time::sleep(delay).await;
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
