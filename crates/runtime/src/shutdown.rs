//! Shutdown: signals that start it, and the drain of a service. The first SIGTERM or SIGINT starts the drain, a second one stops the
//! process immediately.

use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Exit code after a second signal: 128 + SIGINT, as of a shell.
const SECOND_SIGNAL: i32 = 130;

/// Returns a token that the first signal cancels.
///
/// # Errors
/// If signal handlers cannot be installed.
pub fn signalled() -> std::io::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let token = CancellationToken::new();
    let signalled = token.clone();
    #[expect(clippy::disallowed_methods, reason = "signals are handled until the process ends")]
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if signalled.is_cancelled() {
                tracing::warn!("second signal: stopping immediately");
                // Without destructors: a second signal means that the drain itself does not end.
                std::process::exit(SECOND_SIGNAL);
            }
            tracing::info!("signal received: draining");
            signalled.cancel();
        }
    });
    Ok(token)
}

/// Spawns the drain of a service: once `shutdown` is cancelled, it cancels `closing` and waits for all `tasks`.
///
/// The service's streams and loops end by `closing`, so that they can give their clients a final status. The handle ends when the
/// last task has ended.
pub fn drain(
    shutdown: &CancellationToken,
    closing: &CancellationToken,
    tasks: &TaskTracker,
) -> JoinHandle<()> {
    let shutdown = shutdown.clone();
    let closing = closing.clone();
    let tasks = tasks.clone();
    #[expect(clippy::disallowed_methods, reason = "the caller owns the handle")]
    tokio::spawn(async move {
        shutdown.cancelled().await;
        // Cancelled before the wait: the tasks end by this token.
        closing.cancel();
        tasks.close();
        tasks.wait().await;
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_drain_closes_the_service_and_waits_for_its_tasks() {
        let shutdown = CancellationToken::new();
        let closing = CancellationToken::new();
        let finish = CancellationToken::new();
        let tasks = TaskTracker::new();
        tasks.spawn(finish.clone().cancelled_owned());
        let drained = drain(&shutdown, &closing, &tasks);
        assert!(!closing.is_cancelled());
        shutdown.cancel();
        closing.cancelled().await;
        assert!(!drained.is_finished(), "a task is running");
        finish.cancel();
        drained.await.expect("no panic");
    }
}
