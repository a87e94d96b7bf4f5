//! Information that a server reports at connect: its identity and its persistence. It decides how an append reaches the disk, and
//! the start-up checks read it.

use super::failure::UnexpectedReply;
use super::reply;
use redis::Value;
use std::collections::HashMap;

/// Information of a server.
#[derive(Clone, Debug, Default)]
pub(super) struct ServerInfo {
    /// Release as the server writes it.
    pub(super) version: String,
    /// Incarnation of the server in the form that the scripts compute: run id and replication id, 16 digits each.
    pub(super) run_id: String,
    /// True if the server accepts writes.
    pub(super) primary: bool,
    /// True if the server is part of a cluster.
    pub(super) cluster: bool,
    /// Number of connected replicas that are in sync.
    pub(super) replicas: usize,
    /// Settings that the server reports. Without the right for `CONFIG GET` those that `INFO` has.
    settings: HashMap<String, String>,
}

/// Time at which writes reach the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FsyncPolicy {
    /// Before the reply of each write.
    Always,
    /// Soon after the reply; `WAITAOF` reports when.
    OnWaitAof,
    /// Soon after the reply, without a report.
    Eventually,
    /// Never, or the server does not report its settings.
    Unknown,
}

impl ServerInfo {
    /// Parses the replies of `INFO` and of `CONFIG GET`; the latter may be absent.
    pub(super) fn read(info: &Value, settings: Option<Value>) -> Result<Self, UnexpectedReply> {
        let info = reply::text(info).ok_or(UnexpectedReply("INFO"))?;
        let fields: HashMap<&str, &str> = info.lines().filter_map(|line| line.split_once(':')).collect();
        let field = |name: &str| fields.get(name).copied().unwrap_or_default().trim();
        let mut known = settings_in_info(&fields);
        if let Some(reported) = settings {
            let reported = reply::pairs(reported, "CONFIG GET")?;
            known.extend(reported.iter().filter_map(|(name, value)| {
                Some((reply::text(name)?.to_owned(), reply::text(value)?.to_owned()))
            }));
        }
        Ok(Self {
            version: field("redis_version").to_owned(),
            // Cut as in the prelude of the scripts, which compares this text with its own.
            run_id: beginning(field("run_id")) + &beginning(field("master_replid")),
            primary: field("role") == "master",
            cluster: field("cluster_enabled") == "1",
            replicas: fields.iter().filter(|(name, value)| is_replica_in_step(name, value)).count(),
            settings: known,
        })
    }

    /// Returns a setting, if the server reported it.
    pub(super) fn setting(&self, name: &str) -> Option<&str> {
        self.settings.get(name).map(String::as_str)
    }

    /// Returns whether the release is at least `major.minor`.
    pub(super) fn is_at_least(&self, major: u32, minor: u32) -> bool {
        // Compared as numbers: as text, 10.0 would be older than 7.2.
        let mut numbers = self.version.split('.').map(|number| number.parse::<u32>().unwrap_or_default());
        (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default()) >= (major, minor)
    }

    /// Returns the time at which writes reach the disk.
    pub(super) fn fsync_policy(&self) -> FsyncPolicy {
        // During a save or a rewrite such a server replies before it syncs, also with `appendfsync always`.
        let pauses = self.setting("no-appendfsync-on-rewrite") == Some("yes");
        match (self.setting("appendonly"), self.setting("appendfsync")) {
            (Some("yes"), Some("always")) if !pauses => FsyncPolicy::Always,
            // `WAITAOF` exists since 7.2.
            (Some("yes"), _) if self.is_at_least(7, 2) => FsyncPolicy::OnWaitAof,
            (Some("yes"), _) => FsyncPolicy::Eventually,
            _ => FsyncPolicy::Unknown,
        }
    }
}

/// Returns the settings that `INFO` reports: a managed server may forbid `CONFIG`.
fn settings_in_info(fields: &HashMap<&str, &str>) -> HashMap<String, String> {
    let field = |name: &str| fields.get(name).map(|value| value.trim());
    let policy = field("maxmemory_policy").map(|policy| ("maxmemory-policy", policy));
    let append_only = field("aof_enabled").map(|flag| ("appendonly", if flag == "1" { "yes" } else { "no" }));
    let known = policy.into_iter().chain(append_only);
    known.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Returns the first 16 characters of an id of 40; nothing for a shorter one.
fn beginning(id: &str) -> String {
    id.get(..16).unwrap_or_default().to_owned()
}

/// Returns whether a line of `INFO` describes a replica in sync: `slave0:ip=...,port=...,state=online,...`.
fn is_replica_in_step(name: &str, value: &str) -> bool {
    let number = name.strip_prefix("slave").unwrap_or_default();
    number.parse::<u32>().is_ok() && value.split(',').any(|part| part == "state=online")
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPLICAS: &str = "connected_slaves:3\r\nslave0:ip=h,port=1,state=online,offset=14,lag=0\r\n\
        slave1:ip=h,port=2,state=wait_bgsave,offset=0,lag=0\r\nslave2:ip=h,port=3,state=online,offset=14,lag=1\r\n";

    fn server_info(version: &str, settings: &[(&str, &str)]) -> ServerInfo {
        let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let info = text(&format!("# Server\r\nredis_version:{version}\r\nrole:master\r\n{REPLICAS}"));
        let settings = settings.iter().map(|(name, value)| (text(name), text(value))).collect();
        ServerInfo::read(&info, Some(Value::Map(settings))).expect("valid INFO")
    }

    #[test]
    fn releases_are_compared_by_number() {
        for (version, seven, seven_two) in
            [("6.2.14", false, false), ("7.0.15", true, false), ("7.2.0", true, true), ("10.0.0", true, true)]
        {
            let info = server_info(version, &[]);
            assert_eq!((info.is_at_least(7, 0), info.is_at_least(7, 2)), (seven, seven_two), "{version}");
        }
    }

    #[test]
    fn settings_come_from_info_where_config_is_forbidden() {
        let text = "redis_version:7.0.0\r\nrole:master\r\nmaxmemory_policy:allkeys-lru\r\naof_enabled:1\r\n";
        let text = Value::BulkString(text.as_bytes().to_vec());
        let info = ServerInfo::read(&text, None).expect("valid INFO");
        let settings = ["maxmemory-policy", "appendonly", "appendfsync"].map(|name| info.setting(name));
        assert_eq!(settings, [Some("allkeys-lru"), Some("yes"), None]);
    }

    #[test]
    fn the_fsync_policy_follows_from_settings_and_release() {
        let rows = [
            ("7.0.0", "yes", "always", FsyncPolicy::Always),
            ("7.0.0", "yes", "everysec", FsyncPolicy::Eventually),
            ("7.2.0", "yes", "everysec", FsyncPolicy::OnWaitAof),
            ("7.2.0", "no", "always", FsyncPolicy::Unknown),
        ];
        for (version, append_only, fsync, expected) in rows {
            let info = server_info(version, &[("appendonly", append_only), ("appendfsync", fsync)]);
            assert_eq!(info.fsync_policy(), expected, "{version} {append_only} {fsync}");
            assert!(info.primary && info.replicas == 2);
        }
        for (version, expected) in [("7.0.0", FsyncPolicy::Eventually), ("7.2.0", FsyncPolicy::OnWaitAof)] {
            let settings =
                [("appendonly", "yes"), ("appendfsync", "always"), ("no-appendfsync-on-rewrite", "yes")];
            assert_eq!(server_info(version, &settings).fsync_policy(), expected, "{version}");
        }
    }
}
