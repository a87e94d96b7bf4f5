//! The two ports of a process. In come services, out goes a server that answers until it is told to stop and then drains:
//! it says that it is not ready, stops accepting, waits for the calls under way, and cuts what is left after the grace.

use crate::config::{ByteSize, Interval, Invalid};
use crate::health::Health;
use crate::stack::{Clarify, Stack};
use crate::telemetry::Metrics;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

/// How the process listens.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerConfig {
    /// Where gRPC listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where HTTP listens, for /metrics, /livez and /readyz.
    pub http_listen: SocketAddr,
    /// The largest message a caller may send. Larger: bigger batches, and more memory for each call.
    pub max_message: ByteSize,
    /// Unary calls that may wait for their answer at once. More: fewer refusals in a burst, and longer waits.
    pub max_calls: usize,
    /// Streams and calls of one connection.
    pub max_streams_per_connection: u32,
    /// How long a call may wait for the beginning of its answer if the caller sets no deadline.
    pub call_timeout: Interval,
    /// How often an idle connection is asked whether somebody is there.
    pub keepalive: Interval,
    /// How long calls under way may take when the process was told to stop. Kubernetes must wait longer.
    pub drain_grace: Interval,
}

/// Whether everything under way was answered when a server stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrainOutcome {
    /// It was.
    Graceful,
    /// Some calls were cut after the grace.
    Cut,
}

/// Why a server could not run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A port is taken.
    #[error("{address} is in use by another process: stop it, or name another address by {flag} ({key})")]
    InUse {
        /// Where.
        address: SocketAddr,
        /// The configuration key.
        key: &'static str,
        /// The flag.
        flag: &'static str,
    },
    /// An address cannot be listened on.
    #[error("cannot listen on {address} ({key})")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// The configuration key.
        key: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The descriptors of the services cannot be served.
    #[error("reflection cannot be served")]
    Reflection(#[source] tonic_reflection::server::Error),
    /// gRPC ended.
    #[error("gRPC ended")]
    Grpc(#[source] tonic::transport::Error),
    /// HTTP ended.
    #[error("HTTP ended")]
    Http(#[source] std::io::Error),
}

/// What is served.
pub struct Services {
    /// The gRPC services.
    pub routes: Routes,
    /// Their full names, for the health service.
    pub names: Vec<&'static str>,
    /// Their encoded descriptors, for reflection.
    pub descriptors: &'static [u8],
    /// Whether they can do their work.
    pub health: Health,
    /// What is measured.
    pub metrics: Metrics,
    /// The last word on a status.
    pub clarify: Clarify,
}

/// Both ports, taken and not yet answering.
pub struct Bound {
    config: ServerConfig,
    grpc: TcpIncoming,
    http: TcpListener,
    grpc_addr: SocketAddr,
    http_addr: SocketAddr,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 50051)),
            http_listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            max_message: ByteSize::mebibytes(4),
            max_calls: 1024,
            max_streams_per_connection: 256,
            call_timeout: Interval::from_secs(30),
            keepalive: Interval::from_secs(30),
            drain_grace: Interval::from_secs(10),
        }
    }
}

impl ServerConfig {
    /// Checks what types cannot.
    pub fn validate(&self) -> Result<(), Invalid> {
        if self.max_calls == 0 {
            return Err(Invalid::new("server.max_calls", "is 0", "give it at least 1"));
        }
        if self.max_streams_per_connection == 0 {
            return Err(Invalid::new("server.max_streams_per_connection", "is 0", "give it at least 1"));
        }
        if self.call_timeout.as_millis() == 0 {
            return Err(Invalid::new("server.call_timeout", "is 0", "give it at least 1s"));
        }
        if self.max_message < ByteSize::kibibytes(64) {
            return Err(Invalid::new("server.max_message", "is below 64KiB", "give it at least 64KiB"));
        }
        Ok(())
    }
}

impl Bound {
    /// Takes both ports.
    pub async fn bind(config: ServerConfig) -> Result<Self, ServeError> {
        let grpc = listen(config.listen, "server.listen", "--listen").await?;
        let http = listen(config.http_listen, "server.http_listen", "--http-listen").await?;
        let local = |listener: &TcpListener, key, address| {
            listener.local_addr().map_err(|source| ServeError::Listen { address, key, source })
        };
        let grpc_addr = local(&grpc, "server.listen", config.listen)?;
        let http_addr = local(&http, "server.http_listen", config.http_listen)?;
        let grpc = TcpIncoming::from(grpc).with_nodelay(Some(true));
        Ok(Self { config, grpc, http, grpc_addr, http_addr })
    }

    /// Where gRPC listens.
    pub fn grpc_addr(&self) -> SocketAddr {
        self.grpc_addr
    }

    /// Where HTTP listens.
    pub fn http_addr(&self) -> SocketAddr {
        self.http_addr
    }

    /// Answers until `shutdown`, and then drains.
    pub async fn serve(
        self,
        services: Services,
        shutdown: CancellationToken,
    ) -> Result<DrainOutcome, ServeError> {
        let health = services.health.clone();
        let ended = CancellationToken::new();
        let stop_http = ended.clone().cancelled_owned();
        let http = axum::serve(self.http, http_router(services.health.clone(), services.metrics.clone()))
            .with_graceful_shutdown(stop_http);
        let http = tokio::spawn(async move { http.await });

        let (reporter, health_service) = tonic_health::server::health_reporter();
        let reporting = tokio::spawn(report(reporter, services.names, health.clone()));
        let routes =
            services.routes.add_service(health_service).add_service(reflection_v1(services.descriptors)?);
        let routes = routes.add_service(reflection_v1alpha(services.descriptors)?);
        let stack = Stack {
            metrics: services.metrics,
            calls_max: self.config.max_calls,
            call_timeout: self.config.call_timeout.duration(),
            clarify: services.clarify,
        };
        let routes = Routes::from(stack.around(routes));
        let keepalive = Some(self.config.keepalive.duration()).filter(|interval| !interval.is_zero());
        let draining = shutdown.clone();
        let grpc = Server::builder()
            .accept_http1(true)
            .max_concurrent_streams(self.config.max_streams_per_connection)
            .http2_keepalive_interval(keepalive)
            .layer(tonic_web::GrpcWebLayer::new())
            .add_routes(routes)
            .serve_with_incoming_shutdown(self.grpc, async move {
                draining.cancelled().await;
                health.not_ready("server", "the server is draining");
            });
        let outcome = drained(grpc, shutdown, self.config.drain_grace.duration()).await;
        ended.cancel();
        reporting.abort();
        // An idle keep-alive connection of a metrics reader must not hold the process.
        if let Ok(Ok(Err(source))) = tokio::time::timeout(Duration::from_secs(1), http).await {
            return Err(ServeError::Http(source));
        }
        outcome
    }
}

async fn listen(
    address: SocketAddr,
    key: &'static str,
    flag: &'static str,
) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address).await.map_err(|source| match source.kind() {
        std::io::ErrorKind::AddrInUse => ServeError::InUse { address, key, flag },
        _ => ServeError::Listen { address, key, source },
    })
}

/// Runs a server to its end, but no longer than `grace` after `shutdown`.
async fn drained(
    server: impl Future<Output = Result<(), tonic::transport::Error>>,
    shutdown: CancellationToken,
    grace: Duration,
) -> Result<DrainOutcome, ServeError> {
    let too_late = async {
        shutdown.cancelled().await;
        tokio::time::sleep(grace).await;
    };
    tokio::select! {
        ended = server => ended.map(|()| DrainOutcome::Graceful).map_err(ServeError::Grpc),
        () = too_late => Ok(DrainOutcome::Cut),
    }
}

/// Keeps the gRPC health service at what [`Health`] says.
async fn report(reporter: HealthReporter, names: Vec<&'static str>, health: Health) {
    let mut ready = health.watch();
    loop {
        let status = match *ready.borrow_and_update() {
            true => ServingStatus::Serving,
            false => ServingStatus::NotServing,
        };
        reporter.set_service_status("", status).await;
        for name in &names {
            reporter.set_service_status(*name, status).await;
        }
        if ready.changed().await.is_err() {
            return;
        }
    }
}

type Reflection<T> = Result<T, ServeError>;

fn reflection_v1(
    descriptors: &'static [u8],
) -> Reflection<
    tonic_reflection::server::v1::ServerReflectionServer<impl tonic_reflection::server::v1::ServerReflection>,
> {
    let builder = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(descriptors)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET);
    builder.build_v1().map_err(ServeError::Reflection)
}

fn reflection_v1alpha(
    descriptors: &'static [u8],
) -> Reflection<
    tonic_reflection::server::v1alpha::ServerReflectionServer<
        impl tonic_reflection::server::v1alpha::ServerReflection,
    >,
> {
    let builder = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(descriptors)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET);
    builder.build_v1alpha().map_err(ServeError::Reflection)
}

fn http_router(health: Health, metrics: Metrics) -> Router {
    Router::new()
        .route("/livez", get(|| async { "alive\n" }))
        .route("/readyz", get(readyz).with_state(health))
        .route("/metrics", get(rendered).with_state(metrics))
}

async fn rendered(State(metrics): State<Metrics>) -> ([(&'static str, &'static str); 1], String) {
    ([("content-type", "text/plain; version=0.0.4")], metrics.render())
}

async fn readyz(State(health): State<Health>) -> (StatusCode, Json<Vec<(&'static str, String)>>) {
    let waiting_for = health.waiting_for();
    let code = if waiting_for.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(waiting_for))
}
