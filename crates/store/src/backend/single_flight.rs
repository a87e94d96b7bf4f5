//! Single flight for long work that several callers request at once: callers that arrive during a run share the next run.

use crate::error::Result;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Mutex;

/// Runs of one kind of work, at most one at a time.
#[derive(Default)]
pub struct SingleFlight {
    /// Number of runs that have begun.
    begun: AtomicU64,
    /// Number of the newest run that succeeded; locked during a run.
    succeeded: Mutex<u64>,
}

impl SingleFlight {
    /// Returns when a run that began after the call has succeeded, this caller's or another's.
    ///
    /// # Errors
    /// The error of the caller's own run. After a failure the next caller runs the work itself.
    pub async fn run(&self, work: impl Future<Output = Result<()>>) -> Result<()> {
        // A run that began before the call may have missed what the caller wants done, so only a later one counts.
        let before = self.begun.load(Ordering::SeqCst);
        let mut succeeded = self.succeeded.lock().await;
        if *succeeded > before {
            return Ok(());
        }
        let run = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        // A failed run leaves `succeeded` as it was, so the next waiting caller runs the work again.
        work.await?;
        *succeeded = run;
        Ok(())
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test owns its tasks")]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[tokio::test]
    async fn callers_that_arrive_during_a_run_share_the_next_run() {
        let flight = Arc::new(SingleFlight::default());
        let done = Arc::new(AtomicU64::new(0));
        let (go, gate) = tokio::sync::watch::channel(false);
        let caller = || {
            let flight = Arc::clone(&flight);
            let done = Arc::clone(&done);
            let mut gate = gate.clone();
            tokio::spawn(async move {
                let work = async {
                    gate.wait_for(|go| *go).await.expect("the gate is there");
                    done.fetch_add(1, Ordering::SeqCst);
                    Ok(())
                };
                flight.run(work).await
            })
        };
        let first = caller();
        while flight.begun.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        let later = [caller(), caller(), caller()];
        // They have read the number of runs, and wait for the first one.
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
