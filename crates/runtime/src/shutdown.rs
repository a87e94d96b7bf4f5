//! How a process is told to stop: SIGTERM or SIGINT asks it to drain, a second one ends it at once.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The exit code of a process that was told twice.
const TOLD_TWICE: i32 = 130;

/// A token that is cancelled by the first signal.
///
/// # Errors
/// If the process may not listen for signals.
pub fn signalled() -> std::io::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let token = CancellationToken::new();
    let told = token.clone();
    #[expect(clippy::disallowed_methods, reason = "signals are followed until the process ends")]
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if told.is_cancelled() {
                tracing::warn!("told twice to stop: ending at once");
                std::process::exit(TOLD_TWICE);
            }
            tracing::info!("told to stop: draining");
            told.cancel();
        }
    });
    Ok(token)
}
