//! What is looked at before a server is trusted: its release, whether it throws away what it should keep, and whether it keeps
//! what the acknowledgement level promises. In come the servers, out goes nothing, or what is wrong, which setting it is and
//! what to do.

use super::server_info::{ServerInfo, FsyncPolicy};
use super::endpoint::Endpoint;
use super::cluster::ClusterClient;
use super::options::RedisOptions;
use super::failure::{Recovery, RedisFailure};
use portrait_store::{AckLevel, Error, Result};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// The oldest release whose scripts can say that they may run while memory is used up.
const RELEASE_MIN: (u32, u32) = (7, 0);
/// Pause between two looks at what may still get well.
const PAUSE: Duration = Duration::from_millis(50);

/// What is wrong with a server.
#[derive(Clone, Debug, PartialEq, Eq)]
struct ServerProblem {
    text: String,
    /// Whether the operator may say that it is meant so.
    can_be_accepted: bool,
    /// Whether it may get well by itself: a replica that is on its way.
    is_transient: bool,
}

/// Looks at every server; waits a while for those that are still coming up.
///
/// # Errors
/// `Incompatible` with the first problem, `Unavailable` if a server does not answer.
pub(super) async fn check(nodes: &ClusterClient, options: &RedisOptions) -> Result<()> {
    let deadline = Instant::now() + options.start_timeout;
    loop {
        let last = Instant::now() >= deadline;
        match check_once(nodes, options).await {
            Ok(None) => return Ok(()),
            Ok(Some(problem)) if last || !problem.is_transient => {
                return Err(Error::Incompatible { detail: problem.text });
            }
            Err(trouble) if last || trouble.recovery() == Recovery::GiveUp => return Err(connection_error(trouble)),
            Ok(Some(_)) | Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// The first problem that the operator did not accept.
async fn check_once(nodes: &ClusterClient, options: &RedisOptions) -> Result<Option<ServerProblem>, RedisFailure> {
    let links = nodes.primaries().await?;
    if let Some(slot) = nodes.unassigned_slot() {
        return Err(RedisFailure::SlotUnassigned { slot: slot.0 });
    }
    for link in links {
        let facts = facts(&link, options).await?;
        for problem in problems(&facts, options) {
            let text = format!("redis at {} {}", link.address, problem.text);
            if problem.can_be_accepted && options.accept_unsafe {
                tracing::warn!(problem = text, "accepted, as store.accept_unsafe says");
            } else {
                return Ok(Some(ServerProblem { text, ..problem }));
            }
        }
    }
    Ok(None)
}

/// What a server says of itself now: replicas may have come since it was first asked.
async fn facts(link: &Arc<Endpoint>, options: &RedisOptions) -> Result<Arc<ServerInfo>, RedisFailure> {
    let live = link.connection().await?;
    if options.level == AckLevel::Replica && live.info.replicas < options.replicas {
        link.forget(&live);
        return Ok(Arc::clone(&link.connection().await?.info));
    }
    Ok(Arc::clone(&live.info))
}

/// A server that will not have us is not away: the settings are wrong.
fn connection_error(trouble: RedisFailure) -> Error {
    match &trouble {
        RedisFailure::Disconnected(said) if super::failure::is_refusal(said) => Error::Incompatible {
            detail: "redis refuses the user, the password or the connection of store.url: name those of a user that may run \
                     scripts, and rediss:// where TLS is wanted"
                .to_owned(),
        },
        RedisFailure::Server(said) if said.code() == Some("ERR") => Error::Incompatible {
            detail: "store.url says redis-cluster:// and the server is none of a cluster: use redis://, or start it with \
                     cluster-enabled yes"
                .to_owned(),
        },
        _ => trouble.into_error(),
    }
}

fn problems(facts: &ServerInfo, options: &RedisOptions) -> Vec<ServerProblem> {
    let never = |text: String| ServerProblem { text, can_be_accepted: false, is_transient: false };
    let unless_accepted = |text: String| ServerProblem { text, can_be_accepted: true, is_transient: false };
    let mut problems = Vec::new();
    let (major, minor) = RELEASE_MIN;
    if !facts.is_at_least(major, minor) {
        let text = format!("is of release {}: run {major}.{minor} or newer", facts.version);
        return vec![never(text)];
    }
    if facts.cluster && !options.target.cluster {
        return vec![never("is one of a cluster: write redis-cluster:// in store.url".to_owned())];
    }
    if !facts.primary {
        let text = "is a replica: name the primary in store.url".to_owned();
        problems.push(ServerProblem { is_transient: true, ..never(text) });
    }
    match facts.setting("maxmemory-policy") {
        Some("noeviction") => {}
        Some(policy) => problems.push(unless_accepted(format!(
            "has maxmemory-policy {policy}, which throws profiles away when memory is used up: set it to noeviction, or \
             set store.accept_unsafe if that is meant"
        ))),
        None => problems.push(unless_accepted(
            "does not tell its settings: allow CONFIG GET, or set store.accept_unsafe if maxmemory-policy is noeviction \
             and appendonly is as ingest.acknowledge needs it"
                .to_owned(),
        )),
    }
    if options.level == AckLevel::Disk && facts.setting("maxmemory-policy").is_some() {
        problems.extend(not_persistent(facts).map(unless_accepted));
    }
    if options.level == AckLevel::Replica {
        problems.extend(not_replicated(facts.replicas, options.replicas));
        if facts.setting("appendonly") == Some("no") {
            problems.push(unless_accepted(
                "has appendonly no, and ingest.acknowledge is replica: set it to yes, since a server that comes back with \
                 nothing before its replica takes over empties the replica too, or set store.accept_unsafe if it never comes \
                 back by itself"
                    .to_owned(),
            ));
        }
    }
    problems
}

/// Why the server does not keep what `disk` promises.
fn not_persistent(facts: &ServerInfo) -> Option<String> {
    let append_only = facts.setting("appendonly").unwrap_or("unknown");
    let fsync = facts.setting("appendfsync").unwrap_or("unknown");
    let remedy = "or set ingest.acknowledge to memory, or store.accept_unsafe if the loss is meant";
    match facts.fsync_policy() {
        FsyncPolicy::Always | FsyncPolicy::OnWaitAof => None,
        FsyncPolicy::Eventually => Some(format!(
            "has appendfsync {fsync}, and ingest.acknowledge is disk: set appendfsync to always, run 7.2 or newer, {remedy}"
        )),
        FsyncPolicy::Unknown => Some(format!(
            "has appendonly {append_only}, and ingest.acknowledge is disk: set appendonly to yes and appendfsync to always, \
             {remedy}"
        )),
    }
}

/// Why the server does not keep what `replica` promises: a later fail-over may pick any replica, so all have to have it.
fn not_replicated(replicas: usize, wanted: usize) -> Option<ServerProblem> {
    let problem = |text: String, may_pass: bool| Some(ServerProblem { text, can_be_accepted: true, is_transient: may_pass });
    if replicas < wanted {
        let text = format!(
            "has {replicas} replicas, and ingest.acknowledge is replica with store.replicas {wanted}: connect replicas, set \
             ingest.acknowledge to disk, or store.accept_unsafe if they come later"
        );
        return problem(text, true);
    }
    if replicas > wanted {
        let text = format!(
            "has {replicas} replicas, and store.replicas is {wanted}: set it to {replicas}, since any of them may take over, \
             or store.accept_unsafe if the loss is meant"
        );
        return problem(text, false);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::RedisTarget;
    use redis::Value;

    fn facts(info: &str) -> ServerInfo {
        let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let settings =
            [("maxmemory-policy", "noeviction"), ("appendonly", "yes"), ("appendfsync", "everysec")];
        let settings = settings.iter().map(|(name, value)| (text(name), text(value))).collect();
        ServerInfo::read(&text(info), Some(Value::Map(settings))).expect("it is of that form")
    }

    #[test]
    fn an_old_release_is_refused_whatever_is_accepted() {
        let target = RedisTarget::parse("redis://h").expect("a URL");
        let options = RedisOptions { level: AckLevel::Disk, ..RedisOptions::new(target) };
        let rows = [
            ("redis_version:6.2.14\r\nrole:master", Some("run 7.0 or newer"), false),
            ("redis_version:7.0.15\r\nrole:master", Some("appendfsync everysec"), true),
            ("redis_version:7.2.0\r\nrole:master", None, false),
            ("redis_version:7.2.0\r\nrole:slave", Some("is a replica"), false),
            ("redis_version:7.2.0\r\nrole:master\r\ncluster_enabled:1", Some("redis-cluster://"), false),
        ];
        for (info, said, can_be_accepted) in rows {
            let problems = problems(&facts(info), &options);
            let first = problems.first();
            assert_eq!(problems.len(), usize::from(said.is_some()), "{problems:?}");
            assert!(first.is_none_or(|problem| problem.can_be_accepted == can_be_accepted), "{first:?}");
            assert!(
                first.is_none_or(|problem| said.is_some_and(|said| problem.text.contains(said))),
                "{first:?}"
            );
        }
    }
}
