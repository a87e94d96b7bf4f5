//! Rewrite of the servers' persistence files: deleted data stays in an append-only file until it is rewritten, and in a snapshot until
//! the next one. The rewrite covers all servers with the data, replicas included, and never changes a setting.

use super::dialer::{RedisConnection, Request};
use super::endpoint::Endpoint;
use super::failure::RedisFailure;
use super::reply;
use super::store::RedisStore;
use super::target::Address;
use portrait_store::{Error, Result};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Longest rewrite of one file of one server.
const REWRITE_TIMEOUT: Duration = Duration::from_secs(30 * 60);
/// Pause between two polls of a server.
const PAUSE: Duration = Duration::from_millis(50);

/// Kind of persistence file, with its command and its fields in `INFO`.
struct PersistenceFile {
    /// Command that rewrites the file.
    command: &'static str,
    /// Fields that are not 0 while a rewrite runs or is scheduled.
    in_progress: [&'static str; 2],
    /// Field with the result of the last rewrite.
    status: &'static str,
}

const APPEND_ONLY: PersistenceFile = PersistenceFile {
    command: "BGREWRITEAOF",
    in_progress: ["aof_rewrite_in_progress", "aof_rewrite_scheduled"],
    status: "aof_last_bgrewrite_status",
};
const SNAPSHOT: PersistenceFile = PersistenceFile {
    command: "BGSAVE",
    in_progress: ["rdb_bgsave_in_progress", "rdb_bgsave_in_progress"],
    status: "rdb_last_bgsave_status",
};

impl RedisStore {
    /// Rewrites the files of every server.
    pub(super) async fn rewrite(&self) -> Result<()> {
        self.rewrites.run(self.rewrite_all()).await
    }

    async fn rewrite_all(&self) -> Result<()> {
        // Replicas hold the same data in files of their own.
        let mut endpoints = self.cluster.primaries().await?;
        for primary in endpoints.clone() {
            let connection = primary.connection().await?;
            let dialer = Arc::clone(primary.dialer());
            let replicas = replicas(&info(&connection, "replication").await?);
            endpoints.extend(
                replicas.into_iter().map(|address| Arc::new(Endpoint::new(address, Arc::clone(&dialer)))),
            );
        }
        for endpoint in endpoints {
            let connection = endpoint.connection().await?;
            let info = info(&connection, "persistence").await?;
            if info.get("aof_enabled").is_some_and(|enabled| enabled == "1") {
                rewrite_file(&connection, &endpoint.address, &APPEND_ONLY).await?;
            }
            // A server that never saved and has no `save` setting has no snapshot.
            let saves = connection.info.setting("save").is_none_or(|save| !save.is_empty());
            if saves || info.get("rdb_saves").is_none_or(|saves| saves != "0") {
                rewrite_file(&connection, &endpoint.address, &SNAPSHOT).await?;
            }
        }
        Ok(())
    }
}

/// Rewrites one file of a server.
async fn rewrite_file(connection: &RedisConnection, address: &Address, file: &PersistenceFile) -> Result<()> {
    // A rewrite that already runs may have begun before the deletion, so it is awaited first.
    wait(connection, file).await?;
    let started = connection.request(&Request::Command(redis::cmd(file.command))).await;
    started.map_err(|failure| rewrite_error(failure, address, file))?;
    let info = wait(connection, file).await?;
    match info.get(file.status).map(String::as_str) {
        Some("ok") => Ok(()),
        status => {
            tracing::warn!(server = %address, command = file.command, status, "redis could not rewrite its persistence file");
            Err(Error::Unavailable(None))
        }
    }
}

/// Waits until no rewrite runs, and returns the server's information after that.
async fn wait(connection: &RedisConnection, file: &PersistenceFile) -> Result<HashMap<String, String>> {
    let deadline = Instant::now() + REWRITE_TIMEOUT;
    loop {
        let info = info(connection, "persistence").await?;
        if !file.in_progress.iter().any(|field| info.get(*field).is_some_and(|value| value != "0")) {
            return Ok(info);
        }
        if Instant::now() > deadline {
            return Err(Error::Unavailable(None));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn rewrite_error(failure: RedisFailure, address: &Address, file: &PersistenceFile) -> Error {
    match &failure {
        RedisFailure::Server(error)
            if matches!(error.code(), Some("NOPERM")) || error.to_string().contains("unknown command") =>
        {
            Error::Incompatible {
                detail: format!(
                    "redis at {address} does not allow {}: allow it, or erased data stays in its files until the server \
                     rewrites them by itself",
                    file.command
                ),
            }
        }
        _ => failure.into_error(),
    }
}

/// Reads a section of a server's `INFO`.
pub(super) async fn info(connection: &RedisConnection, section: &str) -> Result<HashMap<String, String>> {
    let mut command = redis::cmd("INFO");
    command.arg(section);
    let reply = connection.request(&Request::Command(command)).await?;
    Ok(reply::info_fields(reply::text(&reply).unwrap_or_default()))
}

/// Returns the addresses of a primary's replicas from its information: `slave0:ip=...,port=...,state=online,...`.
fn replicas(info: &HashMap<String, String>) -> Vec<Address> {
    info.iter().filter_map(|(name, value)| replica(name, value)).collect()
}

fn replica(name: &str, value: &str) -> Option<Address> {
    // Only a number follows: `INFO` has other lines that begin with the same letters.
    name.strip_prefix("slave")?.parse::<u32>().ok()?;
    let fields: HashMap<&str, &str> = value.split(',').filter_map(|field| field.split_once('=')).collect();
    let host = (*fields.get("ip")?).to_owned();
    Some(Address { host, port: fields.get("port")?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_are_read_from_the_information_of_a_primary() {
        let error = "role:master\r\nconnected_slaves:1\r\nslave0:ip=10.0.0.7,port=6380,state=online,offset=1,lag=0\r\nslave_x:1\r\n";
        let info = reply::info_fields(error);
        let found: Vec<String> = replicas(&info).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["10.0.0.7:6380"]);
    }
}
