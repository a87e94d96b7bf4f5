//! Turns at something that serves one after the other. In come those who want a turn; out they go, so many at once. Whoever waits
//! gathers more work meanwhile, so that a busy server gets few, large requests; an idle one gets each at once. A turn is never
//! refused: who waited long enough goes without, so that somebody who is stuck holds up nobody else.

use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};

/// So many turns at once.
pub struct Turns {
    free: Semaphore,
    /// How long anybody waits at most.
    patience: Duration,
}

/// A turn; it ends with this value.
pub struct Turn<'a>(#[expect(dead_code, reason = "kept for its drop")] Option<SemaphorePermit<'a>>);

impl Turns {
    /// `at_once` turns at once, for which nobody waits longer than `patience`.
    pub fn new(at_once: usize, patience: Duration) -> Self {
        Self { free: Semaphore::new(at_once.min(Semaphore::MAX_PERMITS)), patience }
    }

    /// A turn, in the order in which they are asked for.
    pub async fn take(&self) -> Turn<'_> {
        if let Ok(permit) = self.free.try_acquire() {
            return Turn(Some(permit));
        }
        let permit = tokio::time::timeout(self.patience, self.free.acquire()).await;
        Turn(permit.ok().and_then(Result::ok))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::Instant;

    #[tokio::test(start_paused = true)]
    async fn a_turn_is_waited_for_but_not_for_ever() {
        let turns = Turns::new(1, Duration::from_millis(20));
        let begun = Instant::now();
        let first = turns.take().await;
        assert_eq!(begun.elapsed(), Duration::ZERO, "the first is free");
        let second = turns.take().await;
        assert_eq!(begun.elapsed(), Duration::from_millis(20), "whoever is stuck holds up nobody");
        drop(second);
        drop(first);
        let _third = turns.take().await;
        assert_eq!(begun.elapsed(), Duration::from_millis(20), "a turn that ended is free");
    }
}
