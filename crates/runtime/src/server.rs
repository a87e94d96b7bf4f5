//! The two ports of a process. In come services, out goes a server that answers until it is told to stop and then drains:
//! it says that it is not ready, stops accepting, waits for the calls under way, and cuts what is left after the grace.
//! What a single call passes through is `stack.rs`.

use crate::config::{Interval, Invalid};
use crate::connections::Connections;
use crate::health::{Health, Reporter};
use crate::methods::Methods;
use crate::stack::{Clarify, Stack};
use crate::telemetry::Metrics;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::Server;

/// HTTP is for a few machines that look after the process; no configuration is worth having.
const HTTP_CONNECTIONS_MAX: usize = 64;

/// How long an HTTP connection may say nothing.
const HTTP_IDLE_LIMIT: Duration = Duration::from_secs(120);

/// How long what was cut may take to notice.
const CUT_GRACE: Duration = Duration::from_secs(1);

/// How the process listens.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerConfig {
    /// Where gRPC listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where HTTP listens, for /metrics, /livez and /readyz.
    pub http_listen: SocketAddr,
    /// Unary calls that may wait for their answer at once. More: fewer refusals in a burst, and longer waits.
    pub max_calls: usize,
    /// gRPC connections that may be open at once; one more waits until another ends. More: more callers, and more memory and
    /// open files.
    pub max_connections: usize,
    /// Streams and calls of one connection.
    pub max_streams_per_connection: u32,
    /// How long a call may wait for the beginning of its answer if the caller sets no deadline.
    pub call_timeout: Interval,
    /// How often an idle connection is asked whether somebody is there.
    pub keepalive: Interval,
    /// How long a process that was told to stop says that it is not ready and still takes calls, before it drains. Longer: who
    /// spreads calls over processes has heard of it before a call is refused, and a stop takes longer.
    pub drain_delay: Interval,
    /// How long calls under way may take after that. Kubernetes must wait longer than both.
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
    /// The descriptors of the services cannot be read.
    #[error("the descriptors of the services cannot be read")]
    Descriptors(#[source] prost::DecodeError),
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
    grpc: TcpListener,
    http: TcpListener,
    grpc_addr: SocketAddr,
    http_addr: SocketAddr,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 50051)),
            http_listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            max_calls: 1024,
            max_connections: 1024,
            max_streams_per_connection: 256,
            call_timeout: Interval::from_secs(30),
            keepalive: Interval::from_secs(30),
            drain_delay: Interval::from_millis(0),
            drain_grace: Interval::from_secs(10),
        }
    }
}

impl ServerConfig {
    /// Checks what types cannot.
    ///
    /// # Errors
    /// The first key whose value makes no sense.
    pub fn validate(&self) -> Result<(), Invalid> {
        if self.max_calls == 0 {
            return Err(Invalid::new("server.max_calls", "is 0", "give it at least 1"));
        }
        if self.max_connections == 0 {
            return Err(Invalid::new("server.max_connections", "is 0", "give it at least 1"));
        }
        if self.max_streams_per_connection == 0 {
            return Err(Invalid::new("server.max_streams_per_connection", "is 0", "give it at least 1"));
        }
        if self.call_timeout.as_millis() == 0 {
            return Err(Invalid::new("server.call_timeout", "is 0", "give it at least 1s"));
        }
        Ok(())
    }
}

impl Bound {
    /// Takes both ports.
    ///
    /// # Errors
    /// If one of them is taken or may not be: the error names the address and its configuration key.
    pub async fn bind(config: ServerConfig) -> Result<Self, ServeError> {
        let grpc = listen(config.listen, "server.listen", "--listen").await?;
        let http = listen(config.http_listen, "server.http_listen", "--http-listen").await?;
        let local = |listener: &TcpListener, key, address| {
            listener.local_addr().map_err(|source| ServeError::Listen { address, key, source })
        };
        let grpc_addr = local(&grpc, "server.listen", config.listen)?;
        let http_addr = local(&http, "server.http_listen", config.http_listen)?;
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

    /// Answers until `shutdown`, and then drains. Long streams are the services' own: they watch the same token and end
    /// them, or they are cut after the grace.
    ///
    /// # Errors
    /// If the descriptors cannot be read, or a port ends by itself.
    pub async fn serve(
        self,
        services: Services,
        shutdown: CancellationToken,
    ) -> Result<DrainOutcome, ServeError> {
        let Self { config, grpc, http, .. } = self;
        let Services { routes, names, descriptors, health, metrics, clarify } = services;
        // Readiness is told before the first call can come, and drops before the port closes.
        let (reporter, health_service) = tonic_health::server::health_reporter();
        let told = health.clone();
        let reporting = Reporter::begin(reporter, names, health.clone()).await;
        let stack = Stack {
            metrics: metrics.clone(),
            methods: methods(descriptors)?,
            calls_max: config.max_calls,
            call_timeout: config.call_timeout.duration(),
            clarify,
            draining: shutdown.clone(),
        };
        let routes = routes
            .add_service(health_service)
            .add_service(reflection(descriptors).build_v1().map_err(ServeError::Reflection)?)
            .add_service(reflection(descriptors).build_v1alpha().map_err(ServeError::Reflection)?);
        let routes = Routes::from(stack.around(routes));

        let ended = CancellationToken::new();
        let _ends_http = ended.clone().drop_guard();
        let http = Connections::new(http, HTTP_CONNECTIONS_MAX, Some(HTTP_IDLE_LIMIT), ended.clone());
        let http = tokio::spawn(
            axum::serve(http, http_router(health, metrics))
                .with_graceful_shutdown(ended.clone().cancelled_owned())
                .into_future(),
        );
        let cut = CancellationToken::new();
        // Whoever drops this future wants an end now.
        let _cuts = cut.clone().drop_guard();
        let incoming = Connections::new(grpc, config.max_connections, None, cut.clone());
        let draining = shutdown.clone();
        let grpc = Server::builder()
            // gRPC-web comes by HTTP/1.1 as well.
            .accept_http1(true)
            .max_concurrent_streams(config.max_streams_per_connection)
            .http2_keepalive_interval(Some(config.keepalive.duration()).filter(|every| !every.is_zero()))
            .layer(tonic_web::GrpcWebLayer::new())
            .add_routes(routes)
            .serve_with_incoming_shutdown(incoming.into_stream(), async move {
                draining.cancelled().await;
                told.not_ready("server", "the server is draining");
                reporting.end().await;
            });
        let outcome = drained(grpc, shutdown, config.drain_grace.duration(), cut).await;
        // /readyz says to the last that the process drains.
        ended.cancel();
        let http_outcome = http.await;
        match http_outcome {
            Ok(Err(source)) if outcome.is_ok() => Err(ServeError::Http(source)),
            _ => outcome,
        }
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

/// Runs a server to its end, but no longer than `grace` after `shutdown`; then cuts its connections.
async fn drained(
    server: impl Future<Output = Result<(), tonic::transport::Error>>,
    shutdown: CancellationToken,
    grace: Duration,
    cut: CancellationToken,
) -> Result<DrainOutcome, ServeError> {
    let too_late = async {
        shutdown.cancelled().await;
        tokio::time::sleep(grace).await;
    };
    let mut server = pin!(server);
    tokio::select! {
        ended = &mut server => return ended.map(|()| DrainOutcome::Graceful).map_err(ServeError::Grpc),
        () = too_late => {}
    }
    cut.cancel();
    // A call that is cut is dropped where it waits next. One that never waits holds a thread, not the process.
    match tokio::time::timeout(CUT_GRACE, server).await {
        Ok(Err(error)) => Err(ServeError::Grpc(error)),
        Ok(Ok(())) | Err(_) => Ok(DrainOutcome::Cut),
    }
}

fn methods(descriptors: &'static [u8]) -> Result<Methods, ServeError> {
    let ours = [
        descriptors,
        tonic_health::pb::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
    ];
    Methods::of(&ours).map_err(ServeError::Descriptors)
}

/// Both versions, since tools differ in which one they ask for.
fn reflection(descriptors: &'static [u8]) -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(descriptors)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
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
