//! Signals: the first SIGTERM or SIGINT starts the drain, a second one stops the process immediately.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

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
                std::process::exit(SECOND_SIGNAL);
            }
            tracing::info!("signal received: draining");
            signalled.cancel();
        }
    });
    Ok(token)
}
