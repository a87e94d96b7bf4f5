//! Life of a serving process: start, drain on a signal, exit if the store fails.

use crate::{Config, Node, NodeRole};
use anyhow::{Result, bail};
use portrait_runtime::server::DrainOutcome;
use portrait_runtime::{shutdown, telemetry};

/// Runs a node until SIGTERM or SIGINT. `ready` is called once it serves.
///
/// # Errors
/// If the node cannot be started or closed, or its store fails for good.
pub async fn serve(role: NodeRole, config: Config, ready: impl FnOnce(&Node)) -> Result<()> {
    let config = Config { store: config.store.with_url_read()?, ..config };
    telemetry::init_logging(&config.log)?;
    // Before the start of the node: a signal during a slow start must drain as well.
    let signalled = shutdown::signalled()?;
    let node = Node::start(role, config).await?;
    ready(&node);
    tokio::select! {
        () = signalled.cancelled() => {}
        () = node.broken() => {
            // A supervisor restarts the process, which recovers everything acknowledged. Closing a failed store fails too; that
            // error adds nothing.
            let _ = node.stop().await;
            bail!("the store refuses writes after an error, which is in the log: repair the disk and restart");
        }
    }
    match node.stop().await? {
        DrainOutcome::Graceful => tracing::info!("stopped; all calls were completed"),
        DrainOutcome::Aborted => tracing::warn!("stopped; calls beyond server.drain_grace were aborted"),
    }
    Ok(())
}
