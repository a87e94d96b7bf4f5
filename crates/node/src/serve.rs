//! Life of a process that serves: a node is started, drained when a signal comes, and given up when its store takes no writes.

use crate::{Config, Node, NodeRole};
use anyhow::{Result, bail};
use portrait_runtime::server::DrainOutcome;
use portrait_runtime::{shutdown, telemetry};

/// Runs a node until SIGTERM or SIGINT. `ready` gets it as soon as it answers.
///
/// # Errors
/// If the node cannot be started or closed, or its store takes no writes any more.
pub async fn serve(role: NodeRole, config: Config, ready: impl FnOnce(&Node)) -> Result<()> {
    let config = Config { store: config.store.with_url_read()?, ..config };
    telemetry::init_logging(&config.log)?;
    let signalled = shutdown::signalled()?;
    let node = Node::start(role, config).await?;
    ready(&node);
    tokio::select! {
        () = signalled.cancelled() => {}
        () = node.broken() => {
            // A supervisor starts a new process, which has everything that was acknowledged. That the store cannot be closed in
            // order is known.
            let _ = node.stop().await;
            bail!("the store takes no writes any more, its last error is in the log: start again when the disk is well");
        }
    }
    match node.stop().await? {
        DrainOutcome::Graceful => tracing::info!("stopped; every call was answered"),
        DrainOutcome::Cut => tracing::warn!("stopped; calls that outlasted server.drain_grace were cut"),
    }
    Ok(())
}
