//! How often something may be done: so many times a second, and as many at once. In come how many and the moment, out goes whether
//! they may, or when. A batch is let through whole if anything is left, and what follows waits for what it took too much.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// What is left of a rate.
#[derive(Debug)]
pub(crate) struct Bucket {
    per_second: u32,
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug)]
struct State {
    /// Below zero after a batch that took more than was left.
    left: f64,
    at: Instant,
}

impl Bucket {
    /// A full one; none for a rate of 0, which is no limit.
    pub(crate) fn new(per_second: u32, now: Instant) -> Option<Self> {
        let state = Mutex::new(State { left: per_second.into(), at: now });
        (per_second > 0).then_some(Self { per_second, state })
    }

    /// The rate.
    pub(crate) fn per_second(&self) -> u32 {
        self.per_second
    }

    /// Takes so many.
    ///
    /// # Errors
    /// If nothing is left, with the time until something is.
    pub(crate) fn take(&self, count: u32, now: Instant) -> Result<(), Duration> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let per_second = f64::from(self.per_second);
        let gained = now.saturating_duration_since(state.at).as_secs_f64() * per_second;
        let left = (state.left + gained).min(per_second);
        let taken = left >= 1.0;
        *state = State { left: if taken { left - f64::from(count) } else { left }, at: now };
        if taken { Ok(()) } else { Err(Duration::from_secs_f64((1.0 - left) / per_second)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_passes_whole_and_what_follows_waits_for_it() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let bucket = Bucket::new(100, start).expect("a limit");
        assert_eq!(bucket.take(60, at(0)), Ok(()));
        assert_eq!(bucket.take(1000, at(0)), Ok(()));
        let wait = bucket.take(1, at(0)).expect_err("960 too many were taken");
        assert!((9600..9620).contains(&wait.as_millis()), "{wait:?}");
        assert!(bucket.take(1, at(9600)).is_err());
        assert_eq!(bucket.take(1, at(9620)), Ok(()));
        let taken = (0..300).filter(|_| bucket.take(1, at(60_000)).is_ok()).count();
        assert_eq!(taken, 100, "what was not used for long is not kept");
        assert!(Bucket::new(0, start).is_none());
    }
}
