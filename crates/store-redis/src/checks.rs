//! Start-up checks of the servers: their release, whether they evict data, and whether they keep what the acknowledgement level
//! promises, by the table in `promises.rs`. A problem names the setting and the remedy.

use super::cluster::ClusterClient;
use super::endpoint::Endpoint;
use super::failure::{Recovery, RedisFailure};
use super::options::RedisOptions;
use super::promises;
use super::server_info::ServerInfo;
use portrait_store::{AckLevel, Error, Result};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Oldest supported release, as major and minor number: the first one whose scripts can declare `allow-oom`.
const RELEASE_MIN: (u32, u32) = (7, 0);
/// Pause between two checks while a problem may still resolve itself.
const PAUSE: Duration = Duration::from_millis(50);

/// Problem with a server or its settings.
#[derive(Clone, Debug, PartialEq, Eq)]
struct ServerProblem {
    text: String,
    /// True if `store.accept_unsafe` accepts the problem.
    can_be_accepted: bool,
    /// True if the problem may resolve itself, such as a replica that is still connecting.
    is_transient: bool,
}

impl ServerProblem {
    /// Creates a problem that no setting accepts.
    fn fatal(text: String) -> Self {
        Self { text, can_be_accepted: false, is_transient: false }
    }

    /// Creates a problem that `store.accept_unsafe` accepts.
    fn accepted_as_unsafe(text: String) -> Self {
        Self { text, can_be_accepted: true, is_transient: false }
    }
}

/// Checks every server, and waits up to `start_timeout` for those that are still starting.
///
/// # Errors
/// `Incompatible` with the first problem, `Unavailable` if a server does not answer.
pub(super) async fn check(cluster: &ClusterClient, options: &RedisOptions) -> Result<()> {
    let deadline = Instant::now() + options.start_timeout;
    loop {
        let last = Instant::now() >= deadline;
        match check_once(cluster, options).await {
            Ok(None) => return Ok(()),
            Ok(Some(problem)) if last || !problem.is_transient => {
                return Err(Error::Incompatible { detail: problem.text });
            }
            // A wrong password stays wrong: no reason to wait for the deadline.
            Err(failure) if last || failure.recovery() == Recovery::GiveUp => {
                return Err(connection_error(failure));
            }
            Ok(Some(_)) | Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// Returns the first problem that is not accepted.
async fn check_once(
    cluster: &ClusterClient,
    options: &RedisOptions,
) -> Result<Option<ServerProblem>, RedisFailure> {
    let endpoints = cluster.primaries().await?;
    // A cluster that is still forming has slots without a server, and every partition needs one.
    if let Some(slot) = cluster.unassigned_slot() {
        return Err(RedisFailure::SlotUnassigned { slot: slot.0 });
    }
    for endpoint in endpoints {
        let info = server_info(&endpoint, options).await?;
        for problem in problems(&info, options) {
            let text = format!("redis at {} {}", endpoint.address, problem.text);
            if problem.can_be_accepted && options.accept_unsafe {
                endpoint.dialer().health.accepted(text);
            } else {
                return Ok(Some(ServerProblem { text, ..problem }));
            }
        }
    }
    Ok(None)
}

/// Returns the current information of a server.
async fn server_info(
    endpoint: &Arc<Endpoint>,
    options: &RedisOptions,
) -> Result<Arc<ServerInfo>, RedisFailure> {
    let connection = endpoint.connection().await?;
    // Information is read at connect; replicas may have connected since, so connect again.
    if options.level == AckLevel::Replica && connection.info.replicas < options.replicas {
        endpoint.forget(&connection);
        return Ok(Arc::clone(&endpoint.connection().await?.info));
    }
    Ok(Arc::clone(&connection.info))
}

/// Returns the error of a server that refused the connection: that is a wrong setting, not an outage.
fn connection_error(failure: RedisFailure) -> Error {
    match &failure {
        RedisFailure::Refused { class, remedy, source } => Error::Incompatible {
            detail: format!("redis refuses the {class} commands of the user of store.url ({source}): {remedy}"),
        },
        RedisFailure::Server(error) if error.code() == Some("ERR") => Error::Incompatible {
            detail: "store.url is redis-cluster:// and the server is not part of a cluster: use redis://, or start it with \
                     cluster-enabled yes"
                .to_owned(),
        },
        _ => failure.into_error(),
    }
}

fn problems(info: &ServerInfo, options: &RedisOptions) -> Vec<ServerProblem> {
    let mut problems = Vec::new();
    let (major, minor) = RELEASE_MIN;
    if !info.is_at_least(major, minor) {
        let text = format!("has release {}: run {major}.{minor} or newer", info.version);
        // Nothing else can be checked on a release without the needed commands.
        return vec![ServerProblem::fatal(text)];
    }
    if info.cluster && !options.target.cluster {
        return vec![ServerProblem::fatal(
            "is part of a cluster: use redis-cluster:// in store.url".to_owned(),
        )];
    }
    if !info.primary {
        let text = "is a replica: use the primary in store.url".to_owned();
        problems.push(ServerProblem { is_transient: true, ..ServerProblem::fatal(text) });
    }
    let settings = promises::problems(info, options.level);
    problems.extend(settings.into_iter().map(ServerProblem::accepted_as_unsafe));
    if options.level == AckLevel::Replica {
        problems.extend(not_replicated(info.replicas, options.replicas));
    }
    problems
}

/// Returns the problem of a server that does not provide the level `replica`. A fail-over may promote any replica, so every one
/// must have each write.
fn not_replicated(replicas: usize, wanted: usize) -> Option<ServerProblem> {
    if replicas < wanted {
        let text = format!(
            "has {replicas} replicas, and ingest.acknowledge is replica with store.replicas {wanted}: connect replicas, set \
             ingest.acknowledge to disk, or store.accept_unsafe if they connect later"
        );
        // It may still be connecting.
        return Some(ServerProblem { is_transient: true, ..ServerProblem::accepted_as_unsafe(text) });
    }
    if replicas > wanted {
        let text = format!(
            "has {replicas} replicas, and store.replicas is {wanted}: set it to {replicas}, since any of them may be promoted, \
             or store.accept_unsafe if the loss is accepted"
        );
        return Some(ServerProblem::accepted_as_unsafe(text));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::RedisTarget;
    use redis::Value;

    fn info_of(lines: &str) -> ServerInfo {
        let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let settings = [
            ("maxmemory-policy", "noeviction"),
            ("appendonly", "yes"),
            ("appendfsync", "everysec"),
            ("no-appendfsync-on-rewrite", "no"),
        ];
        let settings = settings.iter().map(|(name, value)| (text(name), text(value))).collect();
        ServerInfo::read(&text(lines), Some(Value::Map(settings))).expect("valid INFO")
    }

    #[test]
    fn an_old_release_is_refused_even_if_unsafe_settings_are_accepted() {
        let target = RedisTarget::parse("redis://h").expect("a URL");
        let options = RedisOptions { level: AckLevel::Disk, ..RedisOptions::new(target) };
        let rows = [
            ("redis_version:6.2.14\r\nrole:master", Some("run 7.0 or newer"), false),
            ("redis_version:7.0.15\r\nrole:master", Some("appendfsync everysec"), true),
            ("redis_version:7.2.0\r\nrole:master", None, false),
            ("redis_version:7.2.0\r\nrole:slave", Some("is a replica"), false),
            ("redis_version:7.2.0\r\nrole:master\r\ncluster_enabled:1", Some("redis-cluster://"), false),
        ];
        for (lines, expected, can_be_accepted) in rows {
            let problems = problems(&info_of(lines), &options);
            let first = problems.first();
            assert_eq!(problems.len(), usize::from(expected.is_some()), "{problems:?}");
            assert!(first.is_none_or(|problem| problem.can_be_accepted == can_be_accepted), "{first:?}");
            assert!(
                first.is_none_or(|problem| expected.is_some_and(|expected| problem.text.contains(expected))),
                "{first:?}"
            );
        }
    }
}
