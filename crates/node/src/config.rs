//! Configuration of a node: all sections of the file, the roles of a process, and validation.

mod renamed;

use crate::cluster::ClusterConfig;
use crate::store::StoreConfig;
use anyhow::Result;
use portrait_runtime::config::{self, ByteSize, ConfigError, InvalidValue, Sources};
use portrait_runtime::peer::check_address;
use portrait_runtime::server::ServerConfig;
use portrait_runtime::telemetry::LogConfig;
use portrait_runtime::telemetry::trace::TraceConfig;
use portrait_store::{ProfileClock, Store};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::Arc;

/// Configuration of a node, with the sections of the file.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Ports, limits, TLS and drain.
    pub server: ServerConfig,
    /// Credentials for calls to other processes.
    pub cluster: ClusterConfig,
    /// Format and filter of the log.
    pub log: LogConfig,
    /// Sampling and export of traces.
    pub trace: TraceConfig,
    /// Address and options of the store.
    pub store: StoreConfig,
    /// Settings of all services that read profiles.
    pub profiles: ProfilesConfig,
    /// Settings of the ingest service.
    pub ingest: portrait_ingest::Config,
    /// Settings of the feature service.
    pub feature: portrait_feature::Config,
    /// Settings of the model service.
    pub model: portrait_model::Config,
    /// Settings of the query service.
    pub query: portrait_query::Config,
    /// Settings of sources of events.
    pub connect: ConnectConfig,
}

/// Section `[connect]`: settings of sources of events, such as imported files.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConnectConfig {
    /// Size of the ids of all rows that came from a source, 8 bytes each; they are kept for ever, so that a row counts once. Above it
    /// rows of a source are refused. Larger: more rows, and more space in the store.
    pub ledger_bytes: ByteSize,
}

/// Section `[profiles]`: settings of all services that read profiles.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProfilesConfig {
    /// Clock of decay. `wall`: the current time. `events`: the newest event, for replays of old logs.
    pub clock: ProfileClock,
    /// Address of `ModelService`, such as `http://models:50051`; empty: this process. Without an answer the active model of the
    /// store is served.
    pub models: String,
    /// Encoded size of recently served models that are kept in memory beside the served one. Larger: rollbacks and new versions with
    /// few changed parts are served sooner, by the time to read and decode a part (100 MB: about a second).
    pub models_kept: ByteSize,
    /// Name of this process in the status of models and partitions; empty: its address, or the host name if it listens on every
    /// address. No two processes of a role may share it: one that restarts under its name takes back its leases at once.
    pub node: String,
}

/// Role of a process: the services it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum NodeRole {
    /// All four services in one process.
    All,
    /// Only the ingest service.
    Ingest,
    /// Only the feature service.
    Feature,
    /// Only the model service.
    Model,
    /// Only the query service.
    Query,
}

impl Default for Config {
    fn default() -> Self {
        // At level info the embedded database logs its compactions, which mean nothing to an operator.
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
            connect: ConnectConfig::default(),
        }
    }
}

impl Default for ConnectConfig {
    fn default() -> Self {
        Self { ledger_bytes: ByteSize::mebibytes(1024) }
    }
}

impl Default for ProfilesConfig {
    fn default() -> Self {
        Self {
            clock: ProfileClock::default(),
            models: String::new(),
            models_kept: ByteSize::mebibytes(128),
            node: String::new(),
        }
    }
}

impl NodeRole {
    pub(crate) fn has(self, service: Self) -> bool {
        self == Self::All || self == service
    }

    /// Returns the service name of this role in traces.
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
                // The hint replaces the suggestion by similarity, which would often name another key.
                *remedy = format!("its new name is {new}");
            }
            error
        })
    }

    /// Validates all sections.
    ///
    /// # Errors
    /// The first key with an invalid value, with a remedy.
    pub fn validate(&self) -> Result<(), InvalidValue> {
        self.server.validate()?;
        self.cluster.credentials(&self.server)?;
        self.trace.validate()?;
        check_address("profiles.models", &self.profiles.models)?;
        check_address("model.features", &self.model.features)?;
        // The acknowledge level depends on the backend, so ingest is validated with the default level of the store.
        self.ingest.validate(self.store.default_level())?;
        self.feature.validate()?;
        self.model.validate()?;
        self.query.validate()?;
        Ok(())
    }

    /// Returns a configuration for tests and demos: free ports, and an embedded store in `directory`.
    pub fn on_free_ports(directory: &Path) -> Self {
        let mut config = Self::default();
        config.server.listen.set_port(0);
        config.server.http_listen.set_port(0);
        config.store = StoreConfig::embedded(directory);
        config
    }
}

/// Opens the store on Redis of a configuration with the checks of a node, for a look at it; none if there is none yet.
///
/// # Errors
/// If the configuration is invalid or the store cannot be opened, with a remedy.
pub async fn look_at_redis(config: &Config) -> Result<Option<Arc<dyn Store>>> {
    let level = config.ingest.acknowledge.level(config.store.default_level());
    config.store.look_at_redis(level).await
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
