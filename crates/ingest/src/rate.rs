//! How much one shopper may send: a token bucket for each, in bounded memory. In comes a shopper and the moment, out goes
//! whether one more event is within the limit. A shopper who was forgotten starts with a full bucket. And how much one caller may
//! send, whose bucket comes with the call.

use crate::error::Error;
use portrait_profile::{Timestamp, UserId};
use portrait_runtime::tokens::Caller;
use quick_cache::unsync::Cache;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tonic::Request;
use xxhash_rust::xxh64::xxh64;

/// How many shoppers' buckets are remembered.
const BUCKETS: usize = 100_000;

/// The limit of every shopper.
pub(crate) struct RateLimit {
    per_second: f64,
    burst: f64,
    buckets: Mutex<Cache<u64, Bucket>>,
}

#[derive(Clone, Copy)]
struct Bucket {
    left: f64,
    at: Timestamp,
}

impl RateLimit {
    /// At most `per_second` in the long run and `burst` at once; without limit if `per_second` is 0.
    pub(crate) fn new(per_second: u32, burst: u32) -> Option<Self> {
        let buckets = Mutex::new(Cache::new(BUCKETS));
        (per_second > 0).then(|| Self { per_second: per_second.into(), burst: burst.into(), buckets })
    }

    /// Takes one event's worth from the shopper's bucket. False: it is empty.
    pub(crate) fn allows(&self, user_id: &UserId, now: Timestamp) -> bool {
        let key = xxh64(user_id.as_str().as_bytes(), 0);
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = buckets.get(&key).copied().unwrap_or(Bucket { left: self.burst, at: now });
        let gained = now.since(bucket.at).as_secs_f64().max(0.0) * self.per_second;
        let left = (bucket.left + gained).min(self.burst);
        let allowed = left >= 1.0;
        buckets.insert(key, Bucket { left: if allowed { left - 1.0 } else { left }, at: now });
        allowed
    }
}

/// The request, if its caller may send what is in it.
pub(crate) fn within<T>(request: Request<T>, count: impl Fn(&T) -> usize) -> Result<T, Error> {
    if let Some(caller) = Caller::of(request.extensions()) {
        let taken = caller.take_events(count(request.get_ref()));
        taken.map_err(|retry_after| Error::TokenRate { retry_after })?;
    }
    Ok(request.into_inner())
}

/// Waits until the caller of a stream may send so many more, but no longer than `patience`.
pub(crate) async fn wait(
    caller: Option<&Arc<Caller>>,
    count: usize,
    patience: Duration,
) -> Result<(), Error> {
    let Some(caller) = caller else {
        return Ok(());
    };
    let mut left = patience;
    while let Err(retry_after) = caller.take_events(count) {
        left = left.checked_sub(retry_after).ok_or(Error::TokenRate { retry_after })?;
        tokio::time::sleep(retry_after).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use portrait_profile::Span;

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let limit = RateLimit::new(2, 3).expect("a limit");
        let (user, other) = (UserId::parse("u").expect("an id"), UserId::parse("v").expect("an id"));
        let now = Timestamp::from_millis(0);
        let taken = |now| (0..10).filter(|_| limit.allows(&user, now)).count();
        assert_eq!(taken(now), 3);
        assert_eq!(taken(now.plus(Span::from_secs(1))), 2);
        assert_eq!(taken(now.plus(Span::from_hours(1))), 3);
        assert!(limit.allows(&other, now));
        assert!(RateLimit::new(0, 5).is_none());
    }
}
