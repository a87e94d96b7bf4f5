//! Pauses between connections. After a failed attempt the next one waits, longer after each further failure, and later callers get
//! the known failure at once. Without it every request of every task would open a connection of its own to a server that refuses
//! all of them.

use super::failure::{FailureKind, RedisFailure};
use super::target::Address;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Shortest time between two connections that succeed, as while replies are lost again and again.
const GAP: Duration = Duration::from_millis(20);
/// Pause after the first failed attempt; it doubles with each further one.
const PAUSE_FIRST: Duration = Duration::from_millis(20);
/// Longest pause after failed attempts: a server that comes back is found within it.
const PAUSE_MAX: Duration = Duration::from_millis(500);
/// Pause after a refused attempt. Three uses of one server make up to three connections in it.
const PAUSE_REFUSED: Duration = Duration::from_secs(1);
/// Largest number of remembered addresses. Addresses come from the map of the slots and from redirects, so they are few.
const ADDRESSES_MAX: usize = 1024;

/// Use of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum ConnectionUse {
    /// Requests of all callers.
    Requests,
    /// Writes that wait for replicas or the disk.
    Waits,
    /// Subscriptions.
    Notifications,
}

/// Times of the connections to each server.
#[derive(Default)]
pub(super) struct Pacer(Mutex<HashMap<(Address, ConnectionUse), LastAttempt>>);

struct LastAttempt {
    at: Instant,
    /// Number of failures since the last success.
    failures: u32,
    /// Failure of the attempt; none if it succeeded.
    failure: Option<RedisFailure>,
}

impl LastAttempt {
    fn pause(&self) -> Duration {
        match &self.failure {
            None => GAP,
            Some(failure) if failure.kind() == FailureKind::Refused => PAUSE_REFUSED,
            Some(_) => PAUSE_MAX.min(PAUSE_FIRST * 2_u32.pow(self.failures.saturating_sub(1).min(8))),
        }
    }
}

impl Pacer {
    /// Makes an attempt to connect when it is due.
    ///
    /// # Errors
    /// The failure of the last attempt while the next one is not due; otherwise that of this attempt.
    pub(super) async fn attempt<T>(
        &self,
        address: &Address,
        purpose: ConnectionUse,
        connecting: impl Future<Output = Result<T, RedisFailure>>,
    ) -> Result<T, RedisFailure> {
        let key = (address.clone(), purpose);
        if let Some(due_at) = self.due_at(&key)? {
            tokio::time::sleep_until(due_at).await;
        }
        let connected = connecting.await;
        self.note(key, connected.as_ref().err().cloned());
        connected
    }

    /// Returns the time before which no attempt may begin; none if one is due now.
    fn due_at(&self, key: &(Address, ConnectionUse)) -> Result<Option<Instant>, RedisFailure> {
        let attempts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(last) = attempts.get(key) else { return Ok(None) };
        let due_at = last.at + last.pause();
        if due_at <= Instant::now() {
            return Ok(None);
        }
        last.failure.clone().map_or(Ok(Some(due_at)), Err)
    }

    fn note(&self, key: (Address, ConnectionUse), failure: Option<RedisFailure>) {
        let mut attempts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if attempts.len() >= ADDRESSES_MAX {
            attempts.clear();
        }
        let before = attempts.get(&key).map_or(0, |last| last.failures);
        let failures = if failure.is_some() { before.saturating_add(1) } else { 0 };
        attempts.insert(key, LastAttempt { at: Instant::now(), failures, failure });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use redis::{ErrorKind, RedisError};
    use std::sync::atomic::{AtomicU32, Ordering};

    /// Returns the number of attempts that callers make in ten seconds, each as soon as the one before has ended.
    async fn attempts_in_ten_seconds(failure: Option<RedisFailure>) -> u32 {
        let pacer = Pacer::default();
        let address = Address { host: "h".to_owned(), port: 1 };
        let attempts = AtomicU32::new(0);
        let end = Instant::now() + Duration::from_secs(10);
        while Instant::now() < end {
            let connecting = async {
                attempts.fetch_add(1, Ordering::SeqCst);
                failure.clone().map_or(Ok(()), Err)
            };
            if pacer.attempt(&address, ConnectionUse::Requests, connecting).await.is_err() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        attempts.into_inner()
    }

    #[tokio::test(start_paused = true)]
    async fn refused_attempts_are_rarer_than_failed_ones() {
        let io = |kind: std::io::ErrorKind| {
            RedisFailure::disconnected(RedisError::from(std::io::Error::from(kind)))
        };
        let refused = RedisFailure::disconnected(RedisError::from((ErrorKind::AuthenticationFailed, "no")));
        let rows = [
            (None, 400..=505),
            (Some(refused), 9..=11),
            (Some(io(std::io::ErrorKind::ConnectionRefused)), 20..=30),
            (Some(io(std::io::ErrorKind::TimedOut)), 20..=30),
        ];
        for (failure, expected) in rows {
            let attempts = attempts_in_ten_seconds(failure.clone()).await;
            assert!(expected.contains(&attempts), "{failure:?}: {attempts}");
        }
    }
}
