//! Rate limits: per user, as token buckets in bounded memory, and per caller, whose bucket comes with the call. An evicted user
//! starts again with a full bucket.

use crate::error::Error;
use portrait_profile::{Timestamp, UserId};
use portrait_runtime::tokens::Caller;
use quick_cache::unsync::Cache;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tonic::Request;
use xxhash_rust::xxh64::xxh64;

/// Users with a bucket. An evicted bucket only allows a burst again, so the bound trades memory for exactness.
const BUCKETS: usize = 100_000;

/// Rate limit of every user.
pub(crate) struct RateLimit {
    per_second: f64,
    burst: f64,
    buckets: Mutex<Cache<u64, UserBucket>>,
}

#[derive(Clone, Copy)]
struct UserBucket {
    tokens: f64,
    refilled_at: Timestamp,
}

impl RateLimit {
    /// Creates a limit of `per_second` events in the long run and `burst` at once; none if `per_second` is 0.
    pub(crate) fn new(per_second: u32, burst: u32) -> Option<Self> {
        let buckets = Mutex::new(Cache::new(BUCKETS));
        (per_second > 0).then(|| Self { per_second: per_second.into(), burst: burst.into(), buckets })
    }

    /// Takes one event from the user's bucket. False: it is empty.
    pub(crate) fn allows(&self, user_id: &UserId, now: Timestamp) -> bool {
        // The hash bounds the memory of a bucket; users with the same one share a limit, which is rare and harmless.
        let key = xxh64(user_id.as_str().as_bytes(), 0);
        // Held for a few instructions and never across an await, so one lock serves all calls.
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket =
            buckets.get(&key).copied().unwrap_or(UserBucket { tokens: self.burst, refilled_at: now });
        // A clock that goes back refills nothing, and never drains a bucket.
        let refill = now.since(bucket.refilled_at).as_secs_f64().max(0.0) * self.per_second;
        let available = (bucket.tokens + refill).min(self.burst);
        let is_allowed = available >= 1.0;
        let tokens = if is_allowed { available - 1.0 } else { available };
        buckets.insert(key, UserBucket { tokens, refilled_at: now });
        is_allowed
    }
}

/// Returns the message if the caller's rate allows its items.
///
/// # Errors
/// Fails with the time until the rate allows them.
pub(crate) fn take<T>(request: Request<T>, count: impl Fn(&T) -> usize) -> Result<T, Error> {
    if let Some(caller) = Caller::of(request.extensions()) {
        let events = count(request.get_ref());
        caller.take_events(events).map_err(|retry_after| Error::TokenRate { retry_after })?;
    }
    Ok(request.into_inner())
}

/// Waits until the caller of a stream may send `count` more items, for `wait_max` in total.
///
/// # Errors
/// Fails with the remaining delay if it is longer than the remaining wait.
pub(crate) async fn wait(
    caller: Option<&Arc<Caller>>,
    count: usize,
    wait_max: Duration,
) -> Result<(), Error> {
    let Some(caller) = caller else {
        return Ok(());
    };
    let mut remaining = wait_max;
    while let Err(retry_after) = caller.take_events(count) {
        // Fails at once if the wait would be too long: the sender learns it before it has waited in vain.
        remaining = remaining.checked_sub(retry_after).ok_or(Error::TokenRate { retry_after })?;
        tokio::time::sleep(retry_after).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use portrait_profile::TimeDelta;

    #[test]
    fn a_burst_passes_and_then_the_rate_applies() {
        let limit = RateLimit::new(2, 3).expect("a limit");
        let user = UserId::parse("u").expect("an id");
        let other = UserId::parse("v").expect("an id");
        let now = Timestamp::from_millis(0);
        let allowed_count = |now| (0..10).filter(|_| limit.allows(&user, now)).count();
        assert_eq!(allowed_count(now), 3);
        assert_eq!(allowed_count(now.plus(TimeDelta::from_secs(1))), 2);
        assert_eq!(allowed_count(now.plus(TimeDelta::from_hours(1))), 3);
        assert!(limit.allows(&other, now));
        assert!(RateLimit::new(0, 5).is_none());
    }
}
