//! Configuration of a node: every section of the file, the roles that a process can have, and the checks that types cannot make.

mod renamed;

use crate::{ClusterConfig, StoreConfig};
use portrait_runtime::config::{self, ConfigError, InvalidValue, Sources};
use portrait_runtime::server::ServerConfig;
use portrait_runtime::telemetry::LogConfig;
use portrait_runtime::telemetry::trace::TraceConfig;
use portrait_store::ProfileClock;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Everything a node can be told, as the configuration file has it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The two ports and their limits.
    pub server: ServerConfig,
    /// How the processes of a deployment call each other.
    pub cluster: ClusterConfig,
    /// What is logged, and how.
    pub log: LogConfig,
    /// Whether calls are followed through the rooms, and who is told.
    pub trace: TraceConfig,
    /// Where everything is remembered.
    pub store: StoreConfig,
    /// What holds for profiles wherever they are read.
    pub profiles: ProfilesConfig,
    /// Room 1.
    pub ingest: portrait_ingest::Config,
    /// Room 2.
    pub feature: portrait_feature::Config,
    /// Room 3.
    pub model: portrait_model::Config,
    /// Room 4.
    pub query: portrait_query::Config,
}

/// What holds for profiles wherever they are read.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProfilesConfig {
    /// `wall`: profiles decay by the time of day. `events`: by the newest event, for replays of old logs.
    pub clock: ProfileClock,
    /// Where `ModelService` answers, as `http://models:50051`; empty: in this process. The newest model of the store is served
    /// whether it answers or not.
    pub models: String,
    /// What this process is called where it is told which node serves which model and who owns which partition; empty: its
    /// address, or the machine's name if it listens on every address.
    pub node: String,
}

/// Which rooms a process has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum NodeRole {
    /// All of them.
    All,
    /// Room 1 alone.
    Ingest,
    /// Room 2 alone.
    Feature,
    /// Room 3 alone.
    Model,
    /// Room 4 alone.
    Query,
}

impl Default for Config {
    fn default() -> Self {
        // What the database tells of its own housekeeping is for its authors.
        let filter = "info,fjall=warn,lsm_tree=warn".to_owned();
        Self {
            server: ServerConfig::default(),
            cluster: ClusterConfig::default(),
            log: LogConfig { filter, ..LogConfig::default() },
            trace: TraceConfig::default(),
            store: StoreConfig::default(),
            profiles: ProfilesConfig::default(),
            ingest: portrait_ingest::Config::default(),
            feature: portrait_feature::Config::default(),
            model: portrait_model::Config::default(),
            query: portrait_query::Config::default(),
        }
    }
}

impl NodeRole {
    pub(crate) fn has(self, room: Self) -> bool {
        self == Self::All || self == room
    }

    /// What those who follow calls know processes of this role by.
    pub(crate) fn service(self) -> String {
        match self {
            Self::All => "portrait",
            Self::Ingest => "portrait-ingest",
            Self::Feature => "portrait-feature",
            Self::Model => "portrait-model",
            Self::Query => "portrait-query",
        }
        .to_owned()
    }
}

impl Config {
    /// Loads a configuration. Keys that no source sets have their defaults.
    ///
    /// # Errors
    /// Fails if the file cannot be read, a key is unknown, or a value is not of its key's type. The error of a renamed key
    /// has the new name.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        config::load(sources).map_err(|mut error| {
            if let ConfigError::UnknownKey { key, remedy, .. } = &mut error
                && let Some(new) = renamed::new_name(key)
            {
                *remedy = format!("its new name is {new}");
            }
            error
        })
    }

    /// Checks what types cannot, of every section.
    ///
    /// # Errors
    /// The first key whose value makes no sense, and what to give instead.
    pub fn validate(&self) -> Result<(), InvalidValue> {
        self.server.validate()?;
        self.cluster.credentials(&self.server)?;
        self.trace.validate()?;
        self.ingest.validate(self.store.default_level())?;
        self.feature.validate()?;
        self.model.validate()?;
        self.query.validate()?;
        Ok(())
    }

    /// What a test or a demo needs: free ports, and the store in `directory`.
    pub fn on_free_ports(directory: &Path) -> Self {
        let mut config = Self::default();
        config.server.listen.set_port(0);
        config.server.http_listen.set_port(0);
        config.store = StoreConfig::embedded(directory);
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_renamed_key_is_refused_with_its_new_name() {
        for (old, new) in renamed::RENAMED {
            let flags = vec![((*old).to_owned(), config::value_of("1"))];
            let error = Config::load(&Sources { flags, ..Sources::default() }).expect_err("an unknown key");
            assert!(error.to_string().contains(new), "{old}: {error}");
        }
        assert_eq!(renamed::new_name("feature.gap_one_in"), Some("feature.shadow_one_in"));
    }

    #[test]
    fn every_new_name_is_a_key_and_no_old_one_is() {
        let dump = config::dump(&Config::default()).expect("the defaults have a form in TOML");
        let keys: toml::Table = dump.parse().expect("TOML");
        for (old, new) in renamed::RENAMED {
            let is_key = |name: &str| {
                let (section, key) = name.split_once('.').expect("a section and a key");
                keys[section].get(key).is_some()
            };
            assert!(is_key(new) && !is_key(old), "{old} -> {new}");
        }
    }
}
