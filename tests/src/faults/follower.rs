//! A subscriber that lives as long as a deployment, and resumes whenever it is cut. In comes the address of a deployment, out goes what
//! it knows now.

use super::PAUSE;
use crate::{Census, Subscriber};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::task::JoinHandle;

/// A subscriber in the background; it ends with this value.
pub struct Follower {
    subscriber: Arc<Mutex<Subscriber>>,
    following: JoinHandle<()>,
}

impl Follower {
    /// Follows the deployment whose query role is at `url`.
    pub fn start(url: String) -> Self {
        let subscriber = Arc::new(Mutex::new(Subscriber::default()));
        let following = tokio::spawn(follow(Arc::clone(&subscriber), url));
        Self { subscriber, following }
    }

    /// What it knows of everybody.
    pub fn known(&self) -> Census {
        let states = &lock(&self.subscriber).known;
        states.iter().map(|(user, state)| (user.clone(), (state.1, state.2))).collect()
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

async fn follow(subscriber: Arc<Mutex<Subscriber>>, url: String) {
    loop {
        if let Ok(line) = portrait::client::connect(&url).await {
            // The lock is not held while the server is asked.
            let mut resuming = std::mem::take(&mut *lock(&subscriber));
            let answers = resuming.subscribe(line).await;
            *lock(&subscriber) = resuming;
            if let Ok(mut answers) = answers {
                while let Ok(Some(answer)) = answers.message().await {
                    lock(&subscriber).handle(answer);
                }
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn lock(subscriber: &Mutex<Subscriber>) -> MutexGuard<'_, Subscriber> {
    subscriber.lock().unwrap_or_else(PoisonError::into_inner)
}
