//! Running node: start, addresses and drain. The binary, the demo, the benchmarks and the tests start the same node.

use crate::models::{ModelFollower, ModelStatus};
use crate::roles::{NodeDeps, RoleServices};
use crate::store::OpenedStore;
use crate::{Config, NodeRole};
use anyhow::{Context, Result};
use portrait_runtime::certificates::CertificateWatch;
use portrait_runtime::config::InvalidValue;
use portrait_runtime::health::Health;
use portrait_runtime::peer::check_address;
use portrait_runtime::server::{BoundServer, DrainOutcome, ServeError};
use portrait_runtime::telemetry::trace::Tracing;
use portrait_runtime::telemetry::{Metrics, Telemetry};
use portrait_runtime::{SharedClock, SystemClock};
use portrait_store::Store;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Running node. Dropping it starts the shutdown without waiting; [`stop`](Self::stop) waits.
pub struct Node {
    grpc_url: String,
    http_addr: SocketAddr,
    store: OpenedStore,
    tracing: Tracing,
    /// Reports not ready before calls are refused.
    health: Health,
    drain_delay: Duration,
    shutdown: CancellationToken,
    serving: JoinHandle<Result<DrainOutcome, ServeError>>,
    services: JoinHandle<()>,
}

impl Node {
    /// Binds the ports, opens the store and starts the services of `role`.
    ///
    /// # Errors
    /// If the configuration is invalid, a port is in use, or the store cannot be opened; the error names the key.
    pub async fn start(role: NodeRole, config: Config) -> Result<Self> {
        check_connections(&config)?;
        // Ports first: a port in use should fail before the store is opened and locked.
        let bound = BoundServer::bind(config.server.clone()).await?;
        // The embedded backend locks its directory, so other roles could not open it.
        if role != NodeRole::All && config.store.directory().is_some() {
            let remedy = "name a Redis that all of them use, or serve every role in one process";
            return Err(
                InvalidValue::new("store.url", "is embedded, and belongs to one process", remedy).into()
            );
        }
        let default_level = config.store.default_level();
        let opened = config.store.open(config.ingest.acknowledge.level(default_level)).await?;
        let store = opened.store();
        let clock: SharedClock = Arc::new(SystemClock);
        let grpc_addr = bound.grpc_addr();
        let http_addr = bound.http_addr();
        let grpc_url = bound.grpc_url();
        let connector = bound.connector();
        let shutdown = CancellationToken::new();
        let drained = CancellationToken::new();
        let peer = |url: &str| config.cluster.peer(url, &connector, &config.server, &shutdown);
        let models = peer(&config.profiles.models).context("profiles.models")?;
        let features = peer(&config.model.features).context("model.features")?;
        let node = node_name(&config, grpc_addr);
        let tracing = Tracing::begin(&config.trace, role.service(), node.clone())?;
        let telemetry = Telemetry::new(Metrics::new()?, tracing.clone());
        watch_certificates(&config, &telemetry, Arc::clone(&clock), &shutdown);
        let health = Health::default();
        opened.report(&telemetry.of("portrait-node").meter, &health, &shutdown);
        let model_status = ModelStatus::new(&telemetry.of("portrait-node").meter, health.clone());
        let kept_bytes = config.profiles.models_kept.bytes();
        let (follower, model) =
            ModelFollower::start(Arc::clone(&store), models, node.clone(), kept_bytes, model_status).await;
        let deps = NodeDeps { store: &store, clock: &clock, telemetry: &telemetry, node, model, features };
        let services = RoleServices::build(role, &deps, &config)?;
        let model_follower = tokio::spawn(follower.run(shutdown.clone()));
        let served = services.grpc_services(telemetry, health.clone());
        let services = services.run(&health, &shutdown, &drained, model_follower);
        let drain_delay = config.server.drain_delay.duration();
        let serving = tokio::spawn({
            let shutdown = shutdown.clone();
            async move {
                // Cancelled when the server has ended, even by a panic: only then may the workers stop.
                let _drained = drained.drop_guard();
                bound.serve(served, shutdown).await
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
            services,
        })
    }

    /// Returns the URL of the gRPC port.
    pub fn grpc_url(&self) -> String {
        self.grpc_url.clone()
    }

    /// Returns the URL of the HTTP port.
    pub fn http_url(&self) -> String {
        format!("http://{}", self.http_addr)
    }

    /// Returns the store, for more readers in the same process: an embedded store can be opened once.
    pub fn store(&self) -> Arc<dyn Store> {
        self.store.store()
    }

    /// Waits until the store has failed for good; returns the problem and the remedy. Only a restart helps.
    pub async fn broken(&self) -> String {
        self.store.broken().await
    }

    /// Waits until a store that was opened for reads only, on a full disk, has room for writes. Never returns for any other.
    pub async fn has_room(&self) {
        self.store.has_room().await;
    }

    /// Reports not ready, drains after `server.drain_delay`, and closes the store. Returns the outcome of the drain.
    ///
    /// # Errors
    /// If a port failed before, or the store cannot be closed.
    pub async fn stop(mut self) -> Result<DrainOutcome> {
        // Load balancers read readiness at intervals; the delay lets them notice before calls are refused.
        self.health.not_ready("server", "the server is about to drain");
        tokio::time::sleep(self.drain_delay).await;
        self.shutdown.cancel();
        // The server drains first: calls in flight may need the workers, and the workers need the store.
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

/// Checks what is needed before the ports are bound and the store is opened.
fn check_connections(config: &Config) -> Result<(), InvalidValue> {
    config.server.validate()?;
    config.trace.validate()?;
    check_address("profiles.models", &config.profiles.models)?;
    check_address("model.features", &config.model.features)?;
    config.cluster.credentials(&config.server).map(drop)
}

/// Watches the ends of certificates until `shutdown` is cancelled.
fn watch_certificates(
    config: &Config,
    telemetry: &Telemetry,
    clock: SharedClock,
    shutdown: &CancellationToken,
) {
    let meter = telemetry.metrics.meter("portrait-node");
    let watch = CertificateWatch::start(certificate_files(config), &meter, clock);
    tokio::spawn(watch.run(config.server.reload_interval.duration(), shutdown.clone()));
}

/// Returns the configured name of the process, or its default.
fn node_name(config: &Config, address: SocketAddr) -> String {
    match config.profiles.node.as_str() {
        "" => default_node_name(address),
        name => name.to_owned(),
    }
}

/// Returns the files with certificates, each with its key.
fn certificate_files(config: &Config) -> [(&'static str, &Path); 6] {
    [
        ("server.tls_certificate", &config.server.tls_certificate),
        ("server.tls_client_ca", &config.server.tls_client_ca),
        ("cluster.ca", &config.cluster.ca),
        ("cluster.certificate", &config.cluster.certificate),
        ("store.certificate_authority", &config.store.certificate_authority),
        ("store.certificate", &config.store.certificate),
    ]
}

/// Returns the name of a process without a configured one: its address, or its host name if it listens on every address.
fn default_node_name(address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        // An unspecified address such as 0.0.0.0 names no process; the host name of a pod is unique.
        let host = rustix::system::uname();
        return format!("http://{}:{}", host.nodename().to_string_lossy(), address.port());
    }
    format!("http://{address}")
}
