//! One process of Portrait: the store, the roles it plays, and the two ports. In comes a configuration, out goes a running
//! node that can be asked for its addresses and told to stop. The binary, the demo, the benchmarks and the tests start the
//! same node.

mod access;
mod cluster;
mod models;
mod store;

use anyhow::{Context, Result};
pub use cluster::ClusterConfig;
pub(crate) use models::Follower;
use portrait_feature::{FeatureService, Ownership};
use portrait_ingest::IngestService;
use portrait_learning::ServedModel;
use portrait_model::ModelService;
use portrait_proto::status;
use portrait_proto::v1::{
    feature_service_server, ingest_service_server, model_service_server, query_service_server,
};
use portrait_query::QueryService;
use portrait_runtime::config::Invalid;
use portrait_runtime::health::Health;
use portrait_runtime::peer::Peer;
use portrait_runtime::server::{Bound, DrainOutcome, ServeError, ServerConfig, Services};
use portrait_runtime::telemetry::trace::{TraceConfig, Tracing};
use portrait_runtime::telemetry::{LogConfig, Metrics, Telemetry};
use portrait_runtime::{SharedClock, SystemClock};
use portrait_store::{ProfileClock, Store};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use store::Opened;
pub use store::StoreConfig;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

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
    fn has(self, room: Self) -> bool {
        self == Self::All || self == room
    }

    /// What those who follow calls know processes of this role by.
    fn service(self) -> String {
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

/// A running node. Dropping it asks it to stop and does not wait; `stop` does.
pub struct Node {
    grpc_url: String,
    http_addr: SocketAddr,
    store: Opened,
    tracing: Tracing,
    /// Says that no more calls should come, some time before they are refused.
    health: Health,
    drain_delay: Duration,
    shutdown: CancellationToken,
    serving: JoinHandle<Result<DrainOutcome, ServeError>>,
    rooms: JoinHandle<()>,
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

impl Node {
    /// Takes the ports, opens the store and starts the rooms.
    ///
    /// # Errors
    /// If the configuration makes no sense, a port is taken, or the store cannot be opened; the error names the key.
    pub async fn start(role: Role, config: Config) -> Result<Self> {
        config.server.validate()?;
        config.cluster.credentials(&config.server)?;
        let bound = Bound::bind(config.server.clone()).await?;
        if role != Role::All && config.store.directory().is_some() {
            let remedy = "name a Redis that all of them use, or serve every role in one process";
            return Err(Invalid::new("store.url", "is embedded, and belongs to one process", remedy).into());
        }
        let usual = config.store.usual_level();
        let opened = config.store.open(config.ingest.acknowledge.level(usual)).await?;
        let store = opened.store();
        let clock: SharedClock = Arc::new(SystemClock);
        let (grpc_addr, http_addr) = (bound.grpc_addr(), bound.http_addr());
        let (grpc_url, door) = (bound.grpc_url(), bound.door());
        let (shutdown, drained) = (CancellationToken::new(), CancellationToken::new());
        let to = |url: &str| config.cluster.peer(url, &door, &config.server, &shutdown);
        let models = to(&config.profiles.models).context("profiles.models")?;
        let features = to(&config.model.features).context("model.features")?;
        let node = match config.profiles.node.as_str() {
            "" => called(grpc_addr),
            name => name.to_owned(),
        };
        let tracing = Tracing::begin(&config.trace, role.service(), node.clone())?;
        let telemetry = Telemetry { metrics: Metrics::new()?, tracing: tracing.clone() };
        let (follower, model) = Follower::begin(Arc::clone(&store), models, node.clone()).await;
        let with = With { store: &store, clock: &clock, telemetry: &telemetry, node, model, features };
        let rooms = Rooms::build(role, &with, &config)?;
        let following = tokio::spawn(follower.run(shutdown.clone()));
        let health = Health::default();
        let services = rooms.services(telemetry, health.clone());
        let rooms = rooms.run(&health, &shutdown, &drained, following);
        let drain_delay = config.server.drain_delay.duration();
        let serving = tokio::spawn({
            let shutdown = shutdown.clone();
            async move {
                let _drained = drained.drop_guard();
                bound.serve(services, shutdown).await
            }
        });
        Ok(Self {
            grpc_url,
            http_addr,
            store: opened,
            tracing,
            health,
            drain_delay,
            shutdown,
            serving,
            rooms,
        })
    }

    /// Where gRPC answers.
    pub fn grpc_url(&self) -> String {
        self.grpc_url.clone()
    }

    /// Where HTTP answers.
    pub fn http_url(&self) -> String {
        format!("http://{}", self.http_addr)
    }

    /// Returns when the store takes no writes any more: nothing but a new start helps.
    pub async fn broken(&self) {
        self.store.broken().await;
    }

    /// Says that it is not ready, drains after `server.drain_delay`, closes the store, and says whether every call was answered.
    ///
    /// # Errors
    /// If the server ended by itself before, or the store cannot be closed.
    pub async fn stop(mut self) -> Result<DrainOutcome> {
        self.health.not_ready("server", "the server is about to drain");
        tokio::time::sleep(self.drain_delay).await;
        self.shutdown.cancel();
        let outcome = (&mut self.serving).await?;
        (&mut self.rooms).await?;
        std::mem::take(&mut self.tracing).end().await;
        self.store.close().await?;
        Ok(outcome?)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// The store of a configuration, opened as a node would.
///
/// # Errors
/// If it makes no sense or cannot be opened, with what to do.
pub(crate) async fn open_store(config: &Config) -> Result<Arc<dyn Store>> {
    let level = config.ingest.acknowledge.level(config.store.usual_level());
    Ok(config.store.open(level).await?.store())
}

/// What a process that nobody has named is called: its address, or its machine's name if it listens on every address.
fn called(address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        let machine = rustix::system::uname();
        return format!("http://{}:{}", machine.nodename().to_string_lossy(), address.port());
    }
    format!("http://{address}")
}

/// What rooms are built with.
struct With<'a> {
    store: &'a Arc<dyn Store>,
    clock: &'a SharedClock,
    telemetry: &'a Telemetry,
    /// What this process is called.
    node: String,
    /// The served model.
    model: watch::Receiver<ServedModel>,
    /// To `FeatureService`.
    features: Peer,
}

/// The rooms of one process.
struct Rooms {
    ingest: Option<IngestService>,
    feature: Option<FeatureService>,
    model: Option<ModelService>,
    query: Option<QueryService>,
}

impl Rooms {
    fn build(role: Role, with: &With<'_>, config: &Config) -> Result<Self> {
        let store = || Arc::clone(with.store);
        let clock = || Arc::clone(with.clock);
        let profile_clock = config.profiles.clock;
        let instruments = |room| with.telemetry.of(room);
        // Every section is checked, whatever the role: one file serves all.
        let ingest = config.ingest.validate(config.store.usual_level())?;
        let (feature, model, query) =
            (config.feature.validate()?, config.model.validate()?, config.query.validate()?);
        let served = || with.model.clone();
        Ok(Self {
            ingest: role.has(Role::Ingest).then(|| {
                IngestService::build(store(), profile_clock, clock(), instruments("portrait-ingest"), &ingest)
            }),
            feature: role.has(Role::Feature).then(|| {
                FeatureService::build(
                    store(),
                    with.node.clone(),
                    profile_clock,
                    clock(),
                    instruments("portrait-feature"),
                    served(),
                    feature,
                )
            }),
            model: role.has(Role::Model).then(|| {
                let features = with.features.clone();
                ModelService::build(store(), features, clock(), &instruments("portrait-model"), model)
            }),
            query: role.has(Role::Query).then(|| {
                QueryService::build(
                    store(),
                    profile_clock,
                    clock(),
                    instruments("portrait-query"),
                    served(),
                    query,
                )
            }),
        })
    }

    /// What callers can ask these rooms.
    fn services(&self, telemetry: Telemetry, health: Health) -> Services {
        let mut routes = Routes::builder();
        let mut names = Vec::new();
        if let Some(ingest) = &self.ingest {
            routes.add_service(ingest.grpc());
            names.push(ingest_service_server::SERVICE_NAME);
        }
        if let Some(feature) = &self.feature {
            routes.add_service(feature.grpc());
            names.push(feature_service_server::SERVICE_NAME);
        }
        if let Some(model) = &self.model {
            routes.add_service(model.grpc());
            names.push(model_service_server::SERVICE_NAME);
        }
        if let Some(query) = &self.query {
            routes.add_service(query.grpc());
            names.push(query_service_server::SERVICE_NAME);
        }
        let (routes, descriptors) = (routes.routes(), portrait_proto::DESCRIPTOR_SET);
        let (clarify, needs, refuse) = (status::clarified, access::needs, access::refused);
        Services { routes, names, descriptors, health, telemetry, clarify, needs, refuse }
    }

    /// Runs the rooms. Those with streams of their own end with `shutdown`; the workers go on until the last call is answered,
    /// since somebody may wait for what they apply.
    fn run(
        self,
        health: &Health,
        shutdown: &CancellationToken,
        drained: &CancellationToken,
        following: JoinHandle<()>,
    ) -> JoinHandle<()> {
        let mut running = vec![following];
        if let Some(feature) = &self.feature {
            tokio::spawn(tell_ownership(health.clone(), feature.ownership()));
            running.push(feature.run(drained));
        }
        running.extend(self.model.as_ref().map(|model| model.run(shutdown)));
        running.extend(self.ingest.as_ref().map(|ingest| ingest.run(shutdown)));
        running.extend(self.query.as_ref().map(|query| query.run(shutdown)));
        let rooms = self;
        tokio::spawn(async move {
            for room in running.into_iter().rev() {
                if let Err(error) = room.await {
                    tracing::error!(%error, "a room ended");
                }
            }
            drop(rooms);
        })
    }
}

/// Says that the process is ready once it owns what it should: profiles of other partitions are other processes' work. That it
/// takes over for one that is gone does not make it less ready; that it owns nothing of its share does.
async fn tell_ownership(health: Health, mut ownership: watch::Receiver<Ownership>) {
    const COMPONENT: &str = "feature";
    let mut was_ready = false;
    loop {
        let Ownership { owned, share } = *ownership.borrow_and_update();
        let least = if was_ready { share.map(|share| share.min(1)) } else { share };
        was_ready = least.is_some_and(|least| owned >= least);
        match (was_ready, share) {
            (true, _) => health.ready(COMPONENT),
            (false, Some(share)) => {
                health.not_ready(COMPONENT, format!("{owned} of {share} partitions are owned"));
            }
            (false, None) => {
                health.not_ready(COMPONENT, "it is not known which workers are there");
            }
        }
        if ownership.changed().await.is_err() {
            return;
        }
    }
}
