//! Rights of the user of `store.url`, tried out at open: those for the wait that the acknowledgement level needs, without which no
//! write is acknowledged, and those for channels, without which readers poll. What a script needs is tried by the layout.

use super::cluster::ClusterClient;
use super::command_class::CommandClass;
use super::dialer::{Dialer, Request, into_result};
use super::failure::RedisFailure;
use super::keys::RedisKeys;
use super::replication_wait::Durability;
use super::server_info::{FsyncPolicy, ServerInfo};
use portrait_store::{AckLevel, Result};
use std::time::Duration;

/// Payload that no reader knows.
const PROBE: &str = "probe";

/// Tries the rights out.
///
/// # Errors
/// `Unavailable` with the missing right if a server refuses the wait of `level`. Missing channels are reported as a problem.
pub(super) async fn check(
    cluster: &ClusterClient,
    dialer: &Dialer,
    keys: &RedisKeys,
    level: AckLevel,
) -> Result<()> {
    for endpoint in cluster.primaries().await? {
        let connection = endpoint.connection().await?;
        if let Some(wait) = wait_of(level, &connection.info) {
            let waited = connection.request(&Request::Command(wait)).await;
            let waited = waited.map_err(|failure| dialer.explained(failure, CommandClass::Wait));
            // Anything but a refusal is met by the first write.
            if let Err(refused @ RedisFailure::Refused { .. }) = waited {
                return Err(refused.into());
            }
        }
    }
    if let Err(failure) = try_channels(cluster, dialer, keys).await {
        // Reported as a problem if it is a refusal; the listener meets everything else.
        let _ = dialer.explained(failure, CommandClass::Channel);
    }
    Ok(())
}

/// Returns a wait of the kind that a level needs and that ends at once; none without one.
fn wait_of(level: AckLevel, info: &ServerInfo) -> Option<redis::Cmd> {
    let replicas = match level {
        AckLevel::Replica => 1,
        AckLevel::Disk if info.fsync_policy() == FsyncPolicy::OnWaitAof => 0,
        AckLevel::Disk | AckLevel::Memory => return None,
    };
    // Nothing was written on the connection, so that the wait is over as soon as the server has read it, or after a millisecond.
    Some(Durability { replicas, timeout: Duration::from_millis(1) }.command())
}

/// Publishes and subscribes on the channel of the models, as processes of all roles do.
async fn try_channels(
    cluster: &ClusterClient,
    dialer: &Dialer,
    keys: &RedisKeys,
) -> Result<(), RedisFailure> {
    let models = keys.models();
    let Some(address) = cluster.address(models.slot) else { return Ok(()) };
    let mut connection = dialer.subscribe(&address, |_| {}).await?;
    let channel = models.channel();
    let mut publish = redis::cmd("SPUBLISH");
    publish.arg(&channel[..]).arg(PROBE);
    let mut subscribe = redis::cmd("SSUBSCRIBE");
    subscribe.arg(&channel[..]);
    for command in [publish, subscribe] {
        let reply = connection.send_packed_command(&command).await;
        reply.and_then(into_result).map_err(RedisFailure::of_server)?;
    }
    Ok(())
}
