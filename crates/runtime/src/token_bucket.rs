//! Token bucket: a rate a second, with a burst of one second. A batch passes whole if there is at least one token; the overdraft
//! delays the calls after it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Rate limiter whose capacity is one second of its rate.
#[derive(Debug)]
pub(crate) struct TokenBucket {
    per_second: u32,
    state: Mutex<BucketState>,
}

#[derive(Clone, Copy, Debug)]
struct BucketState {
    /// Negative after a batch that took more than there were.
    tokens: f64,
    refilled_at: Instant,
}

impl TokenBucket {
    /// Creates a full bucket. Returns `None` for a rate of 0, which means no limit.
    pub(crate) fn new(per_second: u32, now: Instant) -> Option<Self> {
        let state = Mutex::new(BucketState { tokens: per_second.into(), refilled_at: now });
        (per_second > 0).then_some(Self { per_second, state })
    }

    /// Returns the rate in tokens a second.
    pub(crate) fn per_second(&self) -> u32 {
        self.per_second
    }

    /// Takes `count` tokens.
    ///
    /// # Errors
    /// The time until the next token, if there is none.
    pub(crate) fn take(&self, count: u32, now: Instant) -> Result<(), Duration> {
        let mut state = self.refilled(now);
        // An overdraft keeps batches whole: splitting one would reject events of a request that others of it passed.
        if state.tokens >= 1.0 {
            state.tokens -= f64::from(count);
            return Ok(());
        }
        Err(Duration::from_secs_f64((1.0 - state.tokens) / f64::from(self.per_second)))
    }

    /// Takes `count` tokens whether or not there are any; the overdraft delays what follows.
    pub(crate) fn charge(&self, count: u32, now: Instant) {
        self.refilled(now).tokens -= f64::from(count);
    }

    /// Returns the state with the tokens gained by `now`.
    fn refilled(&self, now: Instant) -> MutexGuard<'_, BucketState> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let per_second = f64::from(self.per_second);
        // Refilled on use, so an idle bucket needs no timer.
        let gained = now.saturating_duration_since(state.refilled_at).as_secs_f64() * per_second;
        *state = BucketState { tokens: (state.tokens + gained).min(per_second), refilled_at: now };
        state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_passes_whole_and_later_calls_wait_for_its_overdraft() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let bucket = TokenBucket::new(100, start).expect("a limit");
        assert_eq!(bucket.take(60, at(0)), Ok(()));
        assert_eq!(bucket.take(1000, at(0)), Ok(()));
        let wait = bucket.take(1, at(0)).expect_err("960 too many were taken");
        assert!((9600..9620).contains(&wait.as_millis()), "{wait:?}");
        assert!(bucket.take(1, at(9600)).is_err());
        assert_eq!(bucket.take(1, at(9620)), Ok(()));
        let taken = (0..300).filter(|_| bucket.take(1, at(60_000)).is_ok()).count();
        assert_eq!(taken, 100, "unused tokens do not accumulate beyond the burst");
        assert!(TokenBucket::new(0, start).is_none());
    }
}
