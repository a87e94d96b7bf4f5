//! Long work that several callers want at once: whoever comes while it is under way is served by the next one, together with all
//! others who came meanwhile. In comes the work, out goes its result, or that of one that began after the call.

use crate::error::Result;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Mutex;

/// The turns of one kind of work.
#[derive(Default)]
pub struct SharedTurn {
    /// How many turns have begun.
    begun: AtomicU64,
    /// Which of them succeeded last; held while one is under way.
    succeeded: Mutex<u64>,
}

impl SharedTurn {
    /// Returns when work that began after the call has succeeded, one's own or another caller's.
    pub async fn take(&self, work: impl Future<Output = Result<()>>) -> Result<()> {
        let before = self.begun.load(Ordering::SeqCst);
        let mut succeeded = self.succeeded.lock().await;
        if *succeeded > before {
            return Ok(());
        }
        let turn = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        work.await?;
        *succeeded = turn;
        Ok(())
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test owns its tasks")]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[tokio::test]
    async fn those_who_come_meanwhile_share_the_next_turn() {
        let (turns, done) = (Arc::new(SharedTurn::default()), Arc::new(AtomicU64::new(0)));
        let (go, gate) = tokio::sync::watch::channel(false);
        let caller = || {
            let (turns, done, mut gate) = (Arc::clone(&turns), Arc::clone(&done), gate.clone());
            tokio::spawn(async move {
                let work = async {
                    gate.wait_for(|go| *go).await.expect("the gate is there");
                    done.fetch_add(1, Ordering::SeqCst);
                    Ok(())
                };
                turns.take(work).await
            })
        };
        let first = caller();
        while turns.begun.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        let later = [caller(), caller(), caller()];
        // They have looked at what has begun, and wait.
        (0..10).for_each(|_| drop(tokio::task::yield_now()));
        tokio::task::yield_now().await;
        go.send_replace(true);
        first.await.expect("no panic").expect("it is done");
        for caller in later {
            caller.await.expect("no panic").expect("it is done");
        }
        assert!(done.load(Ordering::SeqCst) <= 2, "{done:?}");
    }
}
