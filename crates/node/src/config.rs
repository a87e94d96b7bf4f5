//! Configuration of a node: every section of the file, the roles that a process can have, and the checks that types cannot make.

use crate::{ClusterConfig, StoreConfig};
use portrait_runtime::config::Invalid;
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
pub enum Role {
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

impl Role {
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
    /// Checks what types cannot, of every section.
    ///
    /// # Errors
    /// The first key whose value makes no sense, and what to give instead.
    pub fn validate(&self) -> Result<(), Invalid> {
        self.server.validate()?;
        self.cluster.credentials(&self.server)?;
        self.trace.validate()?;
        self.ingest.validate(self.store.usual_level())?;
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
