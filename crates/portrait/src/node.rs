//! One process of Portrait: the store, the roles it plays, and the two ports. In comes a configuration, out goes a running
//! node that can be asked for its addresses and told to stop. The binary, the demo, the benchmarks and the tests start the
//! same node.

use anyhow::{Context, Result};
use portrait_feature::FeatureService;
use portrait_ingest::IngestService;
use portrait_profile::{PartitionCount, Span};
use portrait_query::QueryService;
use portrait_runtime::config::{ByteSize, Interval, Invalid};
use portrait_runtime::health::Health;
use portrait_runtime::server::{Bound, DrainOutcome, ServerConfig};
use portrait_runtime::telemetry::{LogConfig, Metrics};
use portrait_runtime::{SharedClock, SystemClock};
use portrait_store::embedded::{Embedded, Options};
use portrait_store::{ProfileClock, Store};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Everything a node can be told, as the configuration file has it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The two ports and their limits.
    pub server: ServerConfig,
    /// What is logged, and how.
    pub log: LogConfig,
    /// Where everything is remembered.
    pub store: StoreConfig,
    /// What holds for profiles wherever they are read.
    pub profiles: ProfilesConfig,
    /// Room 1.
    pub ingest: portrait_ingest::Config,
    /// Room 2.
    pub feature: portrait_feature::Config,
    /// Room 4.
    pub query: portrait_query::Config,
}

/// Where everything is remembered.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreConfig {
    /// `embedded:DIRECTORY`: a store in this process, on a disk of this machine.
    pub url: String,
    /// How many partitions a new store gets; 0 takes 16 for a new one and what is there for an old one. It can never be
    /// changed: more partitions spread over more workers, and cost memory and open files each.
    pub partitions: u16,
    /// For how long a record's id is remembered. Longer: later retries are recognised, and the store is bigger.
    pub dedup_window: Interval,
    /// How much of the disk is left free. Events are refused before the disk is full, so that what was accepted can still be
    /// applied and old data forgotten.
    pub reserve: ByteSize,
}

/// What holds for profiles wherever they are read.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProfilesConfig {
    /// `wall`: profiles decay by the time of day. `events`: by the newest event, for replays of old logs.
    pub clock: ProfileClock,
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
    /// Room 4 alone.
    Query,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            url: "embedded:./portrait-data".to_owned(),
            partitions: 0,
            dedup_window: Interval::from_hours(24),
            reserve: ByteSize::mebibytes(256),
        }
    }
}

impl Role {
    fn has(self, room: Self) -> bool {
        self == Self::All || self == room
    }
}

/// A running node.
pub struct Node {
    grpc_addr: SocketAddr,
    http_addr: SocketAddr,
    store: Arc<Embedded>,
    health: Health,
    shutdown: CancellationToken,
    serving: JoinHandle<Result<DrainOutcome>>,
}

/// The rooms of one process.
struct Rooms {
    ingest: Option<IngestService>,
    feature: Option<FeatureService>,
    query: Option<QueryService>,
}

impl Rooms {
    fn build(role: Role, store: &Arc<Embedded>, clock: &SharedClock, metrics: &Metrics, config: &Config) -> Result<Self> {
        let store = || Arc::clone(store) as Arc<dyn Store>;
        let profile_clock = config.profiles.clock;
        let ingest = match role.has(Role::Ingest) {
            true => {
                let meter = metrics.meter("portrait-ingest");
                Some(IngestService::build(store(), Arc::clone(clock), &meter, config.ingest.validate()?))
            }
            false => None,
        };
        let feature = match role.has(Role::Feature) {
            true => {
                let meter = metrics.meter("portrait-feature");
                let config = config.feature.validate()?;
                Some(FeatureService::build(store(), profile_clock, Arc::clone(clock), &meter, config))
            }
            false => None,
        };
        let query = match role.has(Role::Query) {
            true => {
                let meter = metrics.meter("portrait-query");
                let config = config.query.validate()?;
                Some(QueryService::build(store(), profile_clock, Arc::clone(clock), &meter, config))
            }
            false => None,
        };
        Ok(Self { ingest, feature, query })
    }
}
