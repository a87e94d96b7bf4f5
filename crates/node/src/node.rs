//! A running node: in comes a configuration, out go its addresses, and a way to stop it. The binary, the demo, the benchmarks and the
//! tests start the same node.

use crate::models::ModelFollower;
use crate::roles::{RoleServices, NodeDeps};
use crate::store::OpenedStore;
use crate::{Config, NodeRole};
use anyhow::{Context, Result};
use portrait_runtime::config::InvalidValue;
use portrait_runtime::health::Health;
use portrait_runtime::server::{BoundServer, DrainOutcome, ServeError};
use portrait_runtime::telemetry::trace::Tracing;
use portrait_runtime::telemetry::{Metrics, Telemetry};
use portrait_runtime::{SharedClock, SystemClock};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A running node. Dropping it asks it to stop and does not wait; `stop` does.
pub struct Node {
    grpc_url: String,
    http_addr: SocketAddr,
    store: OpenedStore,
    tracing: Tracing,
    /// Says that no more calls should come, some time before they are refused.
    health: Health,
    drain_delay: Duration,
    shutdown: CancellationToken,
    serving: JoinHandle<Result<DrainOutcome, ServeError>>,
    services: JoinHandle<()>,
}

impl Node {
    /// Takes the ports, opens the store and starts the rooms.
    ///
    /// # Errors
    /// If the configuration makes no sense, a port is taken, or the store cannot be opened; the error names the key.
    pub async fn start(role: NodeRole, config: Config) -> Result<Self> {
        config.server.validate()?;
        config.cluster.credentials(&config.server)?;
        let bound = BoundServer::bind(config.server.clone()).await?;
        if role != NodeRole::All && config.store.directory().is_some() {
            let remedy = "name a Redis that all of them use, or serve every role in one process";
            return Err(InvalidValue::new("store.url", "is embedded, and belongs to one process", remedy).into());
        }
        let usual = config.store.default_level();
        let opened = config.store.open(config.ingest.acknowledge.level(usual)).await?;
        let store = opened.store();
        let clock: SharedClock = Arc::new(SystemClock);
        let (grpc_addr, http_addr) = (bound.grpc_addr(), bound.http_addr());
        let (grpc_url, door) = (bound.grpc_url(), bound.connector());
        let (shutdown, drained) = (CancellationToken::new(), CancellationToken::new());
        let to = |url: &str| config.cluster.peer(url, &door, &config.server, &shutdown);
        let models = to(&config.profiles.models).context("profiles.models")?;
        let features = to(&config.model.features).context("model.features")?;
        let node = match config.profiles.node.as_str() {
            "" => default_node_name(grpc_addr),
            name => name.to_owned(),
        };
        let tracing = Tracing::begin(&config.trace, role.service(), node.clone())?;
        let telemetry = Telemetry { metrics: Metrics::new()?, tracing: tracing.clone() };
        let (follower, model) = ModelFollower::begin(Arc::clone(&store), models, node.clone()).await;
        let with = NodeDeps { store: &store, clock: &clock, telemetry: &telemetry, node, model, features };
        let rooms = RoleServices::build(role, &with, &config)?;
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
            services: rooms,
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
        (&mut self.services).await?;
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

/// What a process that nobody has named is called: its address, or its machine's name if it listens on every address.
fn default_node_name(address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        let machine = rustix::system::uname();
        return format!("http://{}:{}", machine.nodename().to_string_lossy(), address.port());
    }
    format!("http://{address}")
}
