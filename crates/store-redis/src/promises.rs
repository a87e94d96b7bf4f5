//! Settings of the servers that the acknowledgement levels rest on, in one table. They are checked at the start and on every new
//! connection, since `CONFIG SET` and a restart change them.
//!
//! `min-replicas-to-write` and `save` are no rows: `WAIT` counts the copies of each write, and a snapshot is never what a level
//! promises.

use super::server_info::ServerInfo;
use portrait_store::AckLevel;

/// First release with `WAITAOF`, which reports when a write is on disk.
const WAITAOF_RELEASE: (u32, u32) = (7, 2);

/// Setting that an acknowledgement level rests on.
struct RequiredSetting {
    /// Name of the setting.
    name: &'static str,
    /// Levels that rest on it.
    levels: &'static [AckLevel],
    /// Value that keeps the promise.
    value: &'static str,
    /// Returns whether another value keeps the promise on this server, too.
    may_differ: fn(&ServerInfo) -> bool,
    /// Consequence of another value, as a clause.
    risk: &'static str,
    /// Other remedy than the value; empty for none.
    alternative: &'static str,
}

/// Settings of all levels, the most general first.
static REQUIRED: [RequiredSetting; 4] = [
    RequiredSetting {
        name: "maxmemory-policy",
        levels: &[AckLevel::Memory, AckLevel::Disk, AckLevel::Replica],
        value: "noeviction",
        may_differ: |_| false,
        risk: "which evicts profiles when memory is used up",
        alternative: "",
    },
    RequiredSetting {
        name: "appendonly",
        // A primary that restarts empty before its replica is promoted empties the replica too.
        levels: &[AckLevel::Disk, AckLevel::Replica],
        value: "yes",
        may_differ: |_| false,
        risk: "which loses everything in a restart, also on the replicas that copy the restarted server",
        alternative: "",
    },
    RequiredSetting {
        name: "appendfsync",
        levels: &[AckLevel::Disk],
        value: "always",
        may_differ: |info| info.is_at_least(WAITAOF_RELEASE.0, WAITAOF_RELEASE.1),
        risk: "which acknowledges writes before they are on disk",
        alternative: ", or run 7.2 or newer",
    },
    RequiredSetting {
        name: "no-appendfsync-on-rewrite",
        levels: &[AckLevel::Disk],
        value: "no",
        may_differ: |_| false,
        risk: "which does not sync writes while the server saves or rewrites its files",
        alternative: "",
    },
];

/// Problem of a server for each level; none where the server keeps the promise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct UnmetPromises {
    memory: Option<String>,
    disk: Option<String>,
    replica: Option<String>,
}

impl UnmetPromises {
    /// Returns the problems of a server at `address`.
    pub(super) fn of_server(address: impl std::fmt::Display, info: &ServerInfo) -> Self {
        let [memory, disk, replica] = [AckLevel::Memory, AckLevel::Disk, AckLevel::Replica]
            .map(|level| problems(info, level).into_iter().next())
            .map(|problem| problem.map(|problem| format!("redis at {address} {problem}")));
        Self { memory, disk, replica }
    }

    /// Returns the first problem for a level.
    pub(super) fn of(&self, level: AckLevel) -> Option<&str> {
        match level {
            AckLevel::Memory => self.memory.as_deref(),
            AckLevel::Disk => self.disk.as_deref(),
            AckLevel::Replica => self.replica.as_deref(),
        }
    }
}

/// Returns the names of all settings of the table.
pub(super) fn setting_names() -> Vec<&'static str> {
    REQUIRED.iter().map(|required| required.name).collect()
}

/// Returns the settings that do not keep the promise of a level, as predicates with the remedy.
pub(super) fn problems(info: &ServerInfo, level: AckLevel) -> Vec<String> {
    let of_level = REQUIRED.iter().filter(|required| required.levels.contains(&level));
    let mut unknown: Vec<String> = Vec::new();
    let mut problems: Vec<String> = Vec::new();
    for required in of_level {
        match info.setting(required.name) {
            Some(value) if value == required.value => {}
            _ if (required.may_differ)(info) => {}
            Some(value) => problems.push(required.problem(value, level)),
            None => unknown.push(format!("{} is {}", required.name, required.value)),
        }
    }
    if !unknown.is_empty() {
        problems.push(format!(
            "does not report settings that ingest.acknowledge = {} rests on: allow CONFIG GET, or set store.accept_unsafe if {}",
            name_of(level),
            unknown.join(" and ")
        ));
    }
    problems
}

impl RequiredSetting {
    fn problem(&self, value: &str, level: AckLevel) -> String {
        let Self { name, value: required, risk, alternative, .. } = self;
        // A lower level is an alternative only if it does not rest on the setting.
        let lower = match level {
            AckLevel::Disk if !self.levels.contains(&AckLevel::Memory) => {
                ", set ingest.acknowledge to memory"
            }
            _ => "",
        };
        format!(
            "has {name} {value}, {risk}, and ingest.acknowledge is {}: set {name} to {required}{alternative}{lower}, or set \
             store.accept_unsafe if the loss is accepted",
            name_of(level)
        )
    }
}

/// Returns the value of `ingest.acknowledge` for a level.
fn name_of(level: AckLevel) -> &'static str {
    match level {
        AckLevel::Memory => "memory",
        AckLevel::Disk => "disk",
        AckLevel::Replica => "replica",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use redis::Value;

    const KEPT: [(&str, &str); 4] = [
        ("maxmemory-policy", "noeviction"),
        ("appendonly", "yes"),
        ("appendfsync", "always"),
        ("no-appendfsync-on-rewrite", "no"),
    ];

    fn server(release: &str, settings: &[(&str, &str)]) -> ServerInfo {
        let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let settings = settings.iter().map(|(name, value)| (text(name), text(value))).collect();
        let info = text(&format!("redis_version:{release}\r\nrole:master"));
        ServerInfo::read(&info, Some(Value::Map(settings))).expect("valid INFO")
    }

    #[test]
    fn each_level_rests_on_its_settings_and_names_the_one_that_breaks_it() {
        use AckLevel::{Disk, Memory, Replica};
        let rows: [(&str, &str, &[AckLevel]); 8] = [
            ("maxmemory-policy", "allkeys-lru", &[Memory, Disk, Replica]),
            ("maxmemory-policy", "volatile-ttl", &[Memory, Disk, Replica]),
            ("appendonly", "no", &[Disk, Replica]),
            ("appendfsync", "everysec", &[Disk]),
            ("appendfsync", "no", &[Disk]),
            ("no-appendfsync-on-rewrite", "yes", &[Disk]),
            ("maxmemory-policy", "noeviction", &[]),
            ("no-appendfsync-on-rewrite", "no", &[]),
        ];
        for (name, value, broken) in rows {
            let settings =
                KEPT.map(|(known, kept)| if known == name { (known, value) } else { (known, kept) });
            let info = server("7.0.15", &settings);
            for level in [Memory, Disk, Replica] {
                let unmet = UnmetPromises::of_server("h:1", &info);
                assert_eq!(unmet.of(level).is_some(), broken.contains(&level), "{name} {value} {level:?}");
                if let Some(problem) = unmet.of(level) {
                    let parts = [
                        format!("{name} {value}"),
                        format!("set {name} to"),
                        "store.accept_unsafe".to_owned(),
                    ];
                    assert!(parts.iter().all(|part| problem.contains(part)), "{problem}");
                }
            }
        }
    }

    #[test]
    fn a_release_that_reports_fsyncs_may_sync_later_but_must_not_stop_syncing() {
        let with = |name: &str, value| {
            KEPT.map(|(known, kept)| if known == name { (known, value) } else { (known, kept) })
        };
        assert!(problems(&server("7.2.0", &with("appendfsync", "everysec")), AckLevel::Disk).is_empty());
        let stops = problems(&server("7.2.0", &with("no-appendfsync-on-rewrite", "yes")), AckLevel::Disk);
        assert!(stops.iter().any(|problem| problem.contains("no-appendfsync-on-rewrite yes")), "{stops:?}");
    }

    #[test]
    fn settings_that_are_not_reported_are_named_with_the_values_to_check() {
        let [problem] = &problems(&server("7.0.15", &KEPT[..2]), AckLevel::Disk)[..] else {
            panic!("one problem")
        };
        for part in
            ["CONFIG GET", "appendfsync is always", "no-appendfsync-on-rewrite is no", "store.accept_unsafe"]
        {
            assert!(problem.contains(part), "{problem}");
        }
        assert!(problems(&server("7.0.15", &KEPT[..1]), AckLevel::Memory).is_empty());
    }
}
