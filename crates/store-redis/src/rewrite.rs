//! Rewrite of the servers' persistence files: deleted data stays in an append-only file until it is rewritten, and in a snapshot until
//! the next one. The rewrite covers all servers with the data, replicas included, and never changes a setting.
//!
//! A managed server may forbid the commands. Then a person or the provider rewrites the files, and the counters of `INFO` tell when
//! that is done.

use super::command_class::CommandClass;
use super::dialer::{RedisConnection, Request};
use super::endpoint::Endpoint;
use super::failure::FailureKind;
use super::health::ProblemKind;
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
/// Longest wait for a rewrite that the server does not do for us. The caller begins another one after that, for later erasures too.
const FOREIGN_REWRITE_TIMEOUT: Duration = Duration::from_secs(24 * 3600);
/// Longest pause between two polls for such a rewrite, which takes a person minutes to hours.
const FOREIGN_PAUSE_MAX: Duration = Duration::from_secs(30);

/// Kind of persistence file, with its command and its fields in `INFO`.
struct PersistenceFile {
    /// Command that rewrites the file.
    command: &'static str,
    /// Fields that are not 0 while a rewrite runs or is scheduled.
    in_progress: [&'static str; 2],
    /// Field with the result of the last rewrite.
    status: &'static str,
    /// Field with the number of rewrites since the server started.
    count: &'static str,
}

const APPEND_ONLY: PersistenceFile = PersistenceFile {
    command: "BGREWRITEAOF",
    in_progress: ["aof_rewrite_in_progress", "aof_rewrite_scheduled"],
    status: "aof_last_bgrewrite_status",
    count: "aof_rewrites",
};
const SNAPSHOT: PersistenceFile = PersistenceFile {
    command: "BGSAVE",
    in_progress: ["rdb_bgsave_in_progress", "rdb_bgsave_in_progress"],
    status: "rdb_last_bgsave_status",
    count: "rdb_saves",
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
                rewrite_file(&endpoint, &APPEND_ONLY).await?;
            }
            // A server that never saved and has no `save` setting has no snapshot.
            let saves = connection.info.setting("save").is_none_or(|save| !save.is_empty());
            if saves || info.get("rdb_saves").is_none_or(|saves| saves != "0") {
                rewrite_file(&endpoint, &SNAPSHOT).await?;
            }
        }
        Ok(())
    }
}

/// Rewrites one file of a server.
async fn rewrite_file(endpoint: &Arc<Endpoint>, file: &PersistenceFile) -> Result<()> {
    let connection = endpoint.connection().await?;
    // A rewrite that already runs may have begun before the deletion, so it is awaited first.
    let before = wait(&connection, file).await?;
    if let Err(failure) = connection.request(&Request::Command(redis::cmd(file.command))).await {
        if failure.kind() != FailureKind::Refused {
            return Err(failure.into());
        }
        return wait_for_foreign_rewrite(endpoint, file, &connection, before).await;
    }
    let info = wait(&connection, file).await?;
    match info.get(file.status).map(String::as_str) {
        Some("ok") => Ok(()),
        status => {
            tracing::warn!(server = %endpoint.address, command = file.command, status, "redis could not rewrite its persistence file");
            Err(Error::Unavailable(None))
        }
    }
}

/// Waits until a server that refuses the command has rewritten a file on behalf of somebody else. `before` is its information from
/// before, and was read without a running rewrite: a higher count is a rewrite that began later.
async fn wait_for_foreign_rewrite(
    endpoint: &Arc<Endpoint>,
    file: &PersistenceFile,
    connection: &RedisConnection,
    before: HashMap<String, String>,
) -> Result<()> {
    let count =
        |info: &HashMap<String, String>| info.get(file.count).and_then(|count| count.parse::<u64>().ok());
    let health = &endpoint.dialer().health;
    let text = format!(
        "erasures wait for redis at {} to rewrite its files, and its user may not do that: run {} there as an administrator, have \
         the provider take a snapshot, or grant +{}; completion is noticed within {FOREIGN_PAUSE_MAX:?}",
        endpoint.address,
        file.command,
        file.command.to_lowercase()
    );
    health.refused(CommandClass::Rewrite, &text);
    let deadline = Instant::now() + FOREIGN_REWRITE_TIMEOUT;
    let mut incarnation = connection.info.run_id.clone();
    let mut counted = count(&before);
    let mut pause = PAUSE;
    while Instant::now() < deadline {
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(FOREIGN_PAUSE_MAX);
        health.report(ProblemKind::Refused(CommandClass::Rewrite), &text, false);
        // An outage is no reason to give up.
        let Ok(connection) = endpoint.connection().await else { continue };
        let Ok(now) = info(&connection, "persistence").await else { continue };
        if connection.info.run_id != incarnation {
            // The count begins anew with a restart, and everything that it counts is later than the deletion.
            incarnation.clone_from(&connection.info.run_id);
            counted = Some(0);
        }
        let succeeded = now.get(file.status).is_some_and(|status| status == "ok");
        if count(&now) > counted && !is_running(&now, file) && succeeded {
            health.resolved(ProblemKind::Refused(CommandClass::Rewrite));
            return Ok(());
        }
    }
    Err(Error::Incompatible { detail: text })
}

fn is_running(info: &HashMap<String, String>, file: &PersistenceFile) -> bool {
    file.in_progress.iter().any(|field| info.get(*field).is_some_and(|value| value != "0"))
}

/// Waits until no rewrite runs, and returns the server's information after that.
async fn wait(connection: &RedisConnection, file: &PersistenceFile) -> Result<HashMap<String, String>> {
    let deadline = Instant::now() + REWRITE_TIMEOUT;
    loop {
        let info = info(connection, "persistence").await?;
        if !is_running(&info, file) {
            return Ok(info);
        }
        if Instant::now() > deadline {
            return Err(Error::Unavailable(None));
        }
        tokio::time::sleep(PAUSE).await;
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
