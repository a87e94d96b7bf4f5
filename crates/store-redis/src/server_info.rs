//! What a server says of itself when a connection is made: who it is, and what it keeps when it dies. Decides how an append
//! reaches the disk, and what the start-up checks look at.

use super::reply;
use super::failure::UnexpectedReply;
use redis::Value;
use std::collections::HashMap;

/// What a server said.
#[derive(Clone, Debug, Default)]
pub(super) struct ServerInfo {
    /// Its release, as it writes it.
    pub(super) version: String,
    /// Which life of which server this is; as the scripts name it.
    pub(super) run_id: String,
    /// Whether it takes writes.
    pub(super) primary: bool,
    /// Whether it is one of a cluster.
    pub(super) cluster: bool,
    /// How many replicas are connected to it and in step.
    pub(super) replicas: usize,
    /// Its settings; empty if it does not tell them.
    settings: HashMap<String, String>,
}

/// How what was written gets to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FsyncPolicy {
    /// Before the server answers.
    Always,
    /// Soon, and the server can be asked to say when.
    OnWaitAof,
    /// Soon, and nobody knows when.
    Eventually,
    /// Not, or the server does not tell.
    Unknown,
}

impl ServerInfo {
    /// Reads what `INFO` and `CONFIG GET` answered; the latter may be refused.
    pub(super) fn read(info: &Value, settings: Option<Value>) -> Result<Self, UnexpectedReply> {
        let info = reply::text(info).ok_or(UnexpectedReply("INFO"))?;
        let fields: HashMap<&str, &str> = info.lines().filter_map(|line| line.split_once(':')).collect();
        let field = |name: &str| fields.get(name).copied().unwrap_or_default().trim();
        let start = |name: &str| field(name).get(..16).unwrap_or_default().to_owned();
        let settings = match settings {
            Some(settings) => reply::pairs(settings, "CONFIG GET")?
                .iter()
                .filter_map(|(name, value)| {
                    Some((reply::text(name)?.to_owned(), reply::text(value)?.to_owned()))
                })
                .collect(),
            None => HashMap::new(),
        };
        Ok(Self {
            version: field("redis_version").to_owned(),
            run_id: start("run_id") + &start("master_replid"),
            primary: field("role") == "master",
            cluster: field("cluster_enabled") == "1",
            replicas: fields.iter().filter(|(name, value)| is_replica_in_step(name, value)).count(),
            settings,
        })
    }

    /// One of its settings, if it told it.
    pub(super) fn setting(&self, name: &str) -> Option<&str> {
        self.settings.get(name).map(String::as_str)
    }

    /// Whether its release is at least that.
    pub(super) fn is_at_least(&self, major: u32, minor: u32) -> bool {
        let mut numbers = self.version.split('.').map(|number| number.parse::<u32>().unwrap_or_default());
        (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default()) >= (major, minor)
    }

    /// How what was written gets to the disk.
    pub(super) fn fsync_policy(&self) -> FsyncPolicy {
        match (self.setting("appendonly"), self.setting("appendfsync")) {
            (Some("yes"), Some("always")) => FsyncPolicy::Always,
            (Some("yes"), _) if self.is_at_least(7, 2) => FsyncPolicy::OnWaitAof,
            (Some("yes"), _) => FsyncPolicy::Eventually,
            _ => FsyncPolicy::Unknown,
        }
    }
}

/// Whether a line tells of a replica, `slave0:ip=...,port=...,state=online,...`, that has all and follows.
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
        ServerInfo::read(&info, Some(Value::Map(settings))).expect("it is of that form")
    }

    #[test]
    fn releases_are_compared_by_number() {
        for (version, seven, seven_two) in
            [("6.2.14", false, false), ("7.0.15", true, false), ("7.2.0", true, true), ("10.0.0", true, true)]
        {
            let facts = server_info(version, &[]);
            assert_eq!((facts.is_at_least(7, 0), facts.is_at_least(7, 2)), (seven, seven_two), "{version}");
        }
    }

    #[test]
    fn the_way_to_the_disk_follows_from_settings_and_release() {
        let rows = [
            ("7.0.0", "yes", "always", FsyncPolicy::Always),
            ("7.0.0", "yes", "everysec", FsyncPolicy::Eventually),
            ("7.2.0", "yes", "everysec", FsyncPolicy::OnWaitAof),
            ("7.2.0", "no", "always", FsyncPolicy::Unknown),
        ];
        for (version, append_only, fsync, expected) in rows {
            let facts = server_info(version, &[("appendonly", append_only), ("appendfsync", fsync)]);
            assert_eq!(facts.fsync_policy(), expected, "{version} {append_only} {fsync}");
            assert!(facts.primary && facts.replicas == 2);
        }
    }
}
