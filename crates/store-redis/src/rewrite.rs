//! Having the servers write their files anew: what was deleted stays in an append-only file until it is rewritten, and in a snapshot
//! until the next one is made. In come all servers that have the data, replicas too; out goes that each has made new files
//! of what it then had. It never touches a setting.

use super::dialer::{RedisConnection, Request};
use super::endpoint::Endpoint;
use super::reply;
use super::store::RedisStore;
use super::target::Address;
use super::failure::RedisFailure;
use portrait_store::{Error, Result};
use redis::Value;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long one file of one server may take.
const REWRITE_TIMEOUT: Duration = Duration::from_secs(30 * 60);
/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// One kind of file, and how a server tells of it.
struct PersistenceFile {
    /// What makes it anew.
    command: &'static str,
    /// Whether that is under way, or will be.
    in_progress: [&'static str; 2],
    /// How it went last.
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
    /// Lets every server write its files anew.
    pub(super) async fn rewrite(&self) -> Result<()> {
        self.rewrites.run(self.rewrite_all()).await
    }

    async fn rewrite_all(&self) -> Result<()> {
        let mut links = self.cluster.primaries().await?;
        for primary in links.clone() {
            let live = primary.connection().await?;
            let dialer = Arc::clone(primary.dialer());
            let replicas = replicas(&info(&live, "replication").await?);
            links.extend(
                replicas.into_iter().map(|address| Arc::new(Endpoint::new(address, Arc::clone(&dialer)))),
            );
        }
        for link in links {
            let live = link.connection().await?;
            let told = info(&live, "persistence").await?;
            if told.get("aof_enabled").is_some_and(|enabled| enabled == "1") {
                rewrite_file(&live, &link.address, &APPEND_ONLY).await?;
            }
            // One that never made a snapshot has none, unless it is told to make them.
            let saves = live.info.setting("save").is_none_or(|save| !save.is_empty());
            if saves || told.get("rdb_saves").is_none_or(|saves| saves != "0") {
                rewrite_file(&live, &link.address, &SNAPSHOT).await?;
            }
        }
        Ok(())
    }
}

/// Has a file made anew. One that is under way may have begun too early: its end is waited for first.
async fn rewrite_file(live: &RedisConnection, address: &Address, file: &PersistenceFile) -> Result<()> {
    wait(live, file).await?;
    let asked = live.request(&Request::Command(redis::cmd(file.command))).await;
    asked.map_err(|trouble| refusal(trouble, address, file))?;
    let told = wait(live, file).await?;
    match told.get(file.status).map(String::as_str) {
        Some("ok") => Ok(()),
        status => {
            tracing::warn!(server = %address, command = file.command, status, "redis could not write its file anew");
            Err(Error::Unavailable(None))
        }
    }
}

/// Waits until nothing is under way, and gives what the server then says.
async fn wait(live: &RedisConnection, file: &PersistenceFile) -> Result<HashMap<String, String>> {
    let deadline = Instant::now() + REWRITE_TIMEOUT;
    loop {
        let told = info(live, "persistence").await?;
        let busy = |field: &str| told.get(field).is_some_and(|value| value != "0");
        if !file.in_progress.iter().any(|field| busy(field)) {
            return Ok(told);
        }
        if Instant::now() > deadline {
            return Err(Error::Unavailable(None));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn refusal(trouble: RedisFailure, address: &Address, file: &PersistenceFile) -> Error {
    match &trouble {
        RedisFailure::Server(said)
            if matches!(said.code(), Some("NOPERM")) || said.to_string().contains("unknown command") =>
        {
            Error::Incompatible {
                detail: format!(
                    "redis at {address} does not let {} be asked of it: allow it, or what was erased stays in its files until \
                     it writes them anew by itself",
                    file.command
                ),
            }
        }
        _ => trouble.into_error(),
    }
}

/// What a server says of itself.
async fn info(live: &RedisConnection, section: &str) -> Result<HashMap<String, String>> {
    let mut command = redis::cmd("INFO");
    command.arg(section);
    let answer = live.request(&Request::Command(command)).await?;
    Ok(fields(&answer))
}

fn fields(answer: &Value) -> HashMap<String, String> {
    let lines = reply::text(answer).unwrap_or_default().lines();
    let pairs = lines.filter_map(|line| line.split_once(':'));
    pairs.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect()
}

/// Where a primary's replicas are, by what it says: `slave0:ip=...,port=...,state=online,...`.
fn replicas(told: &HashMap<String, String>) -> Vec<Address> {
    let replica = |(name, value): (&String, &String)| {
        name.strip_prefix("slave")?.parse::<u32>().ok()?;
        let field = |wanted: &str| {
            let mut fields = value.split(',').filter_map(|field| field.split_once('='));
            fields.find(|(name, _)| *name == wanted).map(|(_, value)| value)
        };
        Some(Address { host: field("ip")?.to_owned(), port: field("port")?.parse().ok()? })
    };
    told.iter().filter_map(replica).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_are_read_from_what_a_primary_says() {
        let said = "role:master\r\nconnected_slaves:1\r\nslave0:ip=10.0.0.7,port=6380,state=online,offset=1,lag=0\r\nslave_x:1\r\n";
        let told = fields(&Value::BulkString(said.as_bytes().to_vec()));
        let found: Vec<String> = replicas(&told).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["10.0.0.7:6380"]);
    }
}
