//! Retries of idempotent reads: bounded attempts with exponential backoff and jitter.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;
use tonic::{Code, Status};

/// Retry policy for idempotent reads. Only UNAVAILABLE is retried: every other status would come again, or the call may have had
/// an effect.
///
/// The default makes at most 5 attempts, with delays from 50 ms to 2 s. A retry with the same request must be harmless: use it for
/// reads, and for writes only if all their events have ids.
///
/// ```
/// # async fn read() -> Result<(), tonic::Status> {
/// use portrait_client::RetryPolicy;
/// use std::time::Duration;
///
/// let policy = RetryPolicy { attempts_max: 3, ..RetryPolicy::default() };
/// let mut attempts = 0;
/// let value = policy
///     .run(|| {
///         attempts += 1;
///         let attempt = attempts;
///         async move { if attempt < 2 { Err(tonic::Status::unavailable("restarting")) } else { Ok(attempt) } }
///     })
///     .await?;
/// assert_eq!(value, 2);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Maximum number of attempts, the first included; 0 counts as 1.
    pub attempts_max: u32,
    /// Delay after the first attempt; doubled after each further one.
    pub backoff_min: Duration,
    /// Maximum delay between two attempts.
    pub backoff_max: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { attempts_max: 5, backoff_min: Duration::from_millis(50), backoff_max: Duration::from_secs(2) }
    }
}

impl RetryPolicy {
    /// Runs `call` until it succeeds, fails with a status other than UNAVAILABLE, or has used all attempts.
    ///
    /// # Errors
    /// The status of the last attempt.
    pub async fn run<T, F>(&self, mut call: impl FnMut() -> F) -> Result<T, Status>
    where
        F: Future<Output = Result<T, Status>>,
    {
        let mut backoff = self.backoff_min;
        // All attempts but the last may be followed by a delay; the last one returns its status.
        for _ in 1..self.attempts_max {
            match call().await {
                Err(status) if status.code() == Code::Unavailable => {}
                result => return result,
            }
            tokio::time::sleep(jittered(backoff)).await;
            backoff = (backoff * 2).min(self.backoff_max);
        }
        call().await
    }
}

/// Returns a random duration between half of `backoff` and all of it: clients of a restarted server must not all retry at once.
fn jittered(backoff: Duration) -> Duration {
    // Each `RandomState` has new random keys, which is enough randomness for a delay and needs no generator.
    let fraction = RandomState::new().hash_one(()) as f64 / u64::MAX as f64;
    backoff.mul_f64(0.5 + fraction / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a policy without delays over calls with these outcomes; returns the number of calls and the last code.
    async fn run(attempts_max: u32, outcomes: &[Code]) -> (usize, Code) {
        let policy = RetryPolicy { attempts_max, backoff_min: Duration::ZERO, backoff_max: Duration::ZERO };
        let mut calls = 0;
        let result = policy
            .run(|| {
                let code = outcomes[calls];
                calls += 1;
                async move { if code == Code::Ok { Ok(()) } else { Err(Status::new(code, "")) } }
            })
            .await;
        (calls, result.map_or_else(|status| status.code(), |()| Code::Ok))
    }

    #[tokio::test]
    async fn only_unavailable_is_retried_and_attempts_are_bounded() {
        use Code::{DeadlineExceeded, InvalidArgument, Ok, Unavailable};
        let rows: [(u32, &[Code], (usize, Code)); 6] = [
            (3, &[Ok], (1, Ok)),
            (3, &[Unavailable, Unavailable, Ok], (3, Ok)),
            (3, &[Unavailable, Unavailable, Unavailable], (3, Unavailable)),
            (3, &[InvalidArgument], (1, InvalidArgument)),
            (3, &[Unavailable, DeadlineExceeded], (2, DeadlineExceeded)),
            (0, &[Unavailable], (1, Unavailable)),
        ];
        for (attempts_max, outcomes, expected) in rows {
            assert_eq!(run(attempts_max, outcomes).await, expected, "{attempts_max} {outcomes:?}");
        }
    }

    #[test]
    fn jitter_keeps_at_least_half_of_the_backoff() {
        let backoff = Duration::from_millis(100);
        for _ in 0..100 {
            let delay = jittered(backoff);
            assert!((backoff / 2..=backoff).contains(&delay), "{delay:?}");
        }
    }
}
