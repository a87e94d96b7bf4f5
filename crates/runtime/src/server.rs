//! The two ports of a process. In come services, out goes a server that answers until it is told to stop and then drains:
//! it says that it is not ready, stops accepting, waits for the calls under way, and cuts what is left after the grace.
//! What a single call passes through is `stack.rs`.

mod config;
mod http;
mod security;

use crate::config::Invalid;
use crate::connections::{self, Connections, Door, Limits, Visitors};
use crate::guard::{Guard, Refuse};
use crate::health::{Health, Reporter};
use crate::methods::{Methods, MethodsError, Need};
use crate::stack::{Clarify, Stack};
use crate::telemetry::Telemetry;
pub use config::ServerConfig;
use security::Security;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::Server;

/// How long what was cut may take to notice.
const CUT_GRACE: Duration = Duration::from_secs(1);

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
    #[error("the methods of the services cannot be told")]
    Methods(#[source] MethodsError),
    /// What secures the gRPC port is not as it should be.
    #[error(transparent)]
    Security(#[from] Invalid),
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
    /// What is measured and followed.
    pub telemetry: Telemetry,
    /// The last word on a status.
    pub clarify: Clarify,
    /// What each method of `descriptors` asks of its caller, by its path. One that it does not know is not served.
    pub needs: fn(&str) -> Option<Need>,
    /// The last word on a call that is not let in.
    pub refuse: Refuse,
}

/// Both ports, taken and not yet answering.
pub struct Bound {
    config: ServerConfig,
    grpc: TcpListener,
    http: TcpListener,
    grpc_addr: SocketAddr,
    http_addr: SocketAddr,
    security: Security,
    door: Door,
    visitors: Visitors,
}

impl Bound {
    /// Takes both ports.
    ///
    /// # Errors
    /// If one of them is taken or may not be, the error names the address and its configuration key; if a file that secures
    /// them is not as it should be, the file and its key.
    pub async fn bind(config: ServerConfig) -> Result<Self, ServeError> {
        let security = Security::read(&config)?;
        let grpc = listen(config.listen, "server.listen", "--listen").await?;
        let http = listen(config.http_listen, "server.http_listen", "--http-listen").await?;
        let local = |listener: &TcpListener, key, address| {
            listener.local_addr().map_err(|source| ServeError::Listen { address, key, source })
        };
        let grpc_addr = local(&grpc, "server.listen", config.listen)?;
        let http_addr = local(&http, "server.http_listen", config.http_listen)?;
        let (door, visitors) = connections::door();
        Ok(Self { config, grpc, http, grpc_addr, http_addr, security, door, visitors })
    }

    /// Where gRPC listens.
    pub fn grpc_addr(&self) -> SocketAddr {
        self.grpc_addr
    }

    /// Where gRPC listens, as an address to call.
    pub fn grpc_url(&self) -> String {
        let scheme = if self.security.handshakes.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.grpc_addr)
    }

    /// The way of this process to itself.
    pub fn door(&self) -> Door {
        self.door.clone()
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
        let Self { config, grpc, http, mut security, visitors, .. } = self;
        let Services { routes, names, descriptors, health, telemetry, clarify, needs, refuse } = services;
        security.say(&config);
        let methods = methods(descriptors, needs)?;
        // Readiness is told before the first call can come, and drops before the port closes.
        let (reporter, health_service) = tonic_health::server::health_reporter();
        let told = health.clone();
        let reporting = Reporter::begin(reporter, names, health.clone()).await;
        let guard = Guard { tokens: security.tokens.clone(), methods: Arc::clone(&methods), refuse };
        let stack = Stack {
            telemetry: telemetry.clone(),
            methods,
            guard,
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
        security.follow(&config, &ended);
        let http = Connections::new(http, http::LIMITS, ended.clone());
        let http = tokio::spawn(
            axum::serve(http, http::router(health, telemetry.metrics))
                .with_graceful_shutdown(ended.clone().cancelled_owned())
                .into_future(),
        );
        let cut = CancellationToken::new();
        // Whoever drops this future wants an end now.
        let _cuts = cut.clone().drop_guard();
        let incoming = Connections::new(grpc, limits(&config), cut.clone()).secured(security.handshakes);
        let draining = shutdown.clone();
        let grpc = builder(&config)
            .layer(tonic_web::GrpcWebLayer::new())
            .add_routes(routes)
            .serve_with_incoming_shutdown(incoming.into_stream(visitors), async move {
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

/// What every connection of the gRPC port must keep to.
fn limits(config: &ServerConfig) -> Limits {
    let age = Some(config.connection_age.duration()).filter(|age| !age.is_zero());
    Limits {
        max: config.max_connections,
        opening: config.handshake_timeout.duration(),
        idle: None,
        age: age.map(|age| age + config.connection_grace.duration()),
    }
}

fn builder(config: &ServerConfig) -> Server {
    let header = u32::try_from(config.max_header.bytes()).unwrap_or(u32::MAX);
    let builder = Server::builder()
        // gRPC-web comes by HTTP/1.1 as well.
        .accept_http1(true)
        .max_concurrent_streams(config.max_streams_per_connection)
        .http2_max_header_list_size(header)
        .http2_keepalive_interval(Some(config.keepalive.duration()).filter(|every| !every.is_zero()));
    match config.connection_age.duration() {
        Duration::ZERO => builder,
        // The library's own grace would take the place of asking: what is left after ours is cut by the connection.
        age => builder.max_connection_age(age),
    }
}

/// Every method, with what it asks of its caller.
fn methods(descriptors: &'static [u8], needs: fn(&str) -> Option<Need>) -> Result<Arc<Methods>, ServeError> {
    let open = |_: &str| Some(Need::Nothing);
    let known = |_: &str| Some(Need::Token);
    let methods = Methods::default()
        .with(descriptors, needs)
        // Whoever spreads calls asks after health before it has a token.
        .and_then(|methods| methods.with(tonic_health::pb::FILE_DESCRIPTOR_SET, open))
        .and_then(|methods| methods.with(tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET, known))
        .and_then(|methods| methods.with(tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET, known));
    methods.map(Arc::new).map_err(ServeError::Methods)
}

/// Both versions, since tools differ in which one they ask for.
fn reflection(descriptors: &'static [u8]) -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(descriptors)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}
