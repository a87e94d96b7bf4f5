//! Life of a serving process: start, drain on a signal, exit if the store fails, and a new start once a full disk has room.

use crate::{Config, Node, NodeRole};
use anyhow::{Result, bail};
use portrait_runtime::server::DrainOutcome;
use portrait_runtime::{shutdown, telemetry};
use portrait_store::Error;
use std::time::Duration;

/// Attempts to open the store again; its former user may take a moment to let go of the directory.
const REOPENS_MAX: u32 = 20;
/// Delay before another attempt.
const REOPEN_DELAY: Duration = Duration::from_millis(250);

/// Runs a node until SIGTERM or SIGINT. `ready` is called once it serves, and again after the store was opened anew.
///
/// # Errors
/// If the node cannot be started or closed, or its store fails for good.
pub async fn serve(role: NodeRole, config: Config, ready: impl Fn(&Node)) -> Result<()> {
    let config = Config { store: config.store.with_url_read()?, ..config };
    telemetry::init_logging(&config.log)?;
    // Before the start of the node: a signal during a slow start must drain as well.
    let signalled = shutdown::signalled()?;
    let mut node = Box::pin(Node::start(role, config.clone())).await?;
    loop {
        ready(&node);
        tokio::select! {
            () = signalled.cancelled() => break,
            () = node.has_room() => {
                tracing::info!("the disk has room again: the store is opened for writes");
                node.stop().await?;
                node = restart(role, &config).await?;
            }
            problem = node.broken() => {
                // A supervisor restarts the process, which recovers everything acknowledged. Closing a failed store fails too; that
                // error adds nothing.
                let _ = node.stop().await;
                bail!(problem);
            }
        }
    }
    match node.stop().await? {
        DrainOutcome::Graceful => tracing::info!("stopped; all calls were completed"),
        DrainOutcome::Aborted => tracing::warn!("stopped; calls beyond server.drain_grace were aborted"),
    }
    Ok(())
}

/// Starts the node again in a process that has just stopped it.
async fn restart(role: NodeRole, config: &Config) -> Result<Node> {
    for _ in 1..REOPENS_MAX {
        match Box::pin(Node::start(role, config.clone())).await {
            Err(error) if matches!(error.downcast_ref(), Some(Error::InUse { .. })) => {
                tokio::time::sleep(REOPEN_DELAY).await;
            }
            started => return started,
        }
    }
    Box::pin(Node::start(role, config.clone())).await
}
