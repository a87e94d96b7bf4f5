//! Server of a process: a gRPC port and an HTTP port. On shutdown it drains: it reports not ready, stops accepting, waits for
//! calls in flight, and closes the remaining connections after the grace period. The layers of a call are in `stack.rs`.

mod callers;
mod config;
mod http;
mod security;

use crate::admission::{Admission, CallLimits};
use crate::config::InvalidValue;
use crate::connections::{self, ConnectionLimits, Connections, InProcessAcceptor, InProcessConnector};
use crate::guard::{DenialToStatus, Guard};
use crate::health::{Health, HealthPublisher};
use crate::message::MessageMemory;
use crate::methods::{AccessRule, MethodTable, MethodsError};
use crate::stack::{ServerStack, StatusNormalizer};
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

/// Time for closed connections to end after the drain grace.
const CUT_GRACE: Duration = Duration::from_secs(1);

/// Outcome of a drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrainOutcome {
    /// All calls in flight were completed.
    Graceful,
    /// Calls beyond the grace period were aborted.
    Aborted,
}

/// Failure to bind or run a server.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The port is in use.
    #[error("{address} is in use by another process: stop it, or name another address by {flag} ({key})")]
    InUse {
        /// Address of the port.
        address: SocketAddr,
        /// Configuration key of the address.
        key: &'static str,
        /// Command-line flag of the address.
        flag: &'static str,
    },
    /// The address cannot be bound.
    #[error("cannot listen on {address} ({key})")]
    Listen {
        /// Address of the port.
        address: SocketAddr,
        /// Configuration key of the address.
        key: &'static str,
        /// Error of the operating system.
        #[source]
        source: std::io::Error,
    },
    /// The table of methods cannot be built.
    #[error("the table of methods cannot be built")]
    Methods(#[source] MethodsError),
    /// A TLS or tokens file is invalid.
    #[error(transparent)]
    Security(#[from] InvalidValue),
    /// Reflection cannot serve the descriptors.
    #[error("reflection cannot be served")]
    Reflection(#[source] tonic_reflection::server::Error),
    /// The gRPC port failed.
    #[error("the gRPC port failed")]
    Grpc(#[source] tonic::transport::Error),
    /// The HTTP port failed.
    #[error("the HTTP port failed")]
    Http(#[source] std::io::Error),
}

/// Services of a process, with everything the stack needs to serve them.
pub struct Services {
    /// Routes of the gRPC services.
    pub routes: Routes,
    /// Full names of the services, for the health service.
    pub names: Vec<&'static str>,
    /// Encoded descriptor set, for reflection and the table of methods.
    pub descriptors: &'static [u8],
    /// Readiness of the components.
    pub health: Health,
    /// Metrics and traces of the process.
    pub telemetry: Telemetry,
    /// Conversion of every status that is not OK to its documented form.
    pub normalize_status: StatusNormalizer,
    /// Access rule of each method in `descriptors`, by path. A method without a rule is a [`ServeError::Methods`].
    pub access_rules: fn(&str) -> Option<AccessRule>,
    /// Conversion of denied calls to statuses.
    pub denial_to_status: DenialToStatus,
    /// Whether the calls of a method are written to the audit log, by its path.
    pub audited: fn(&str) -> bool,
    /// Maximum size of a message after decompression, of the service with the largest.
    pub message_max: usize,
}

/// Server with both ports bound, before it serves.
pub struct BoundServer {
    config: ServerConfig,
    grpc: TcpListener,
    http: TcpListener,
    grpc_addr: SocketAddr,
    http_addr: SocketAddr,
    security: Security,
    connector: InProcessConnector,
    acceptor: InProcessAcceptor,
}

impl BoundServer {
    /// Binds both ports and reads the TLS and tokens files.
    ///
    /// # Errors
    /// [`ServeError::InUse`] or [`ServeError::Listen`] with address and key, [`ServeError::Security`] for an invalid file.
    pub async fn bind(config: ServerConfig) -> Result<Self, ServeError> {
        let security = Security::read(&config)?;
        let grpc = listen(config.listen, "server.listen", "--listen").await?;
        let http = listen(config.http_listen, "server.http_listen", "--http-listen").await?;
        let local = |listener: &TcpListener, key, address| {
            listener.local_addr().map_err(|source| ServeError::Listen { address, key, source })
        };
        let grpc_addr = local(&grpc, "server.listen", config.listen)?;
        let http_addr = local(&http, "server.http_listen", config.http_listen)?;
        let (connector, acceptor) = connections::in_process_pair();
        Ok(Self { config, grpc, http, grpc_addr, http_addr, security, connector, acceptor })
    }

    /// Returns the bound address of the gRPC port.
    pub fn grpc_addr(&self) -> SocketAddr {
        self.grpc_addr
    }

    /// Returns the URL of the gRPC port.
    pub fn grpc_url(&self) -> String {
        let scheme = if self.security.handshakes.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.grpc_addr)
    }

    /// Returns the in-process connector.
    pub fn connector(&self) -> InProcessConnector {
        self.connector.clone()
    }

    /// Returns the bound address of the HTTP port.
    pub fn http_addr(&self) -> SocketAddr {
        self.http_addr
    }

    /// Serves until `shutdown` is cancelled, then drains. Services end their own long streams by watching the same token;
    /// remaining streams are aborted after the grace period.
    ///
    /// # Errors
    /// If the descriptors are invalid or a port fails.
    pub async fn serve(
        self,
        services: Services,
        shutdown: CancellationToken,
    ) -> Result<DrainOutcome, ServeError> {
        let Self { config, grpc, http, mut security, acceptor, .. } = self;
        let Services {
            routes,
            names,
            descriptors,
            health,
            telemetry,
            normalize_status,
            access_rules,
            denial_to_status,
            audited,
            message_max,
        } = services;
        security.log_listening(&config);
        let methods = methods(descriptors, access_rules)?;
        // Readiness is published before the first call can arrive, and withdrawn before the port closes.
        let (reporter, health_service) = tonic_health::server::health_reporter();
        let drain_health = health.clone();
        let publisher = HealthPublisher::start(reporter, names, health.clone()).await;
        let guard = Guard {
            tokens: security.tokens.clone(),
            methods: Arc::clone(&methods),
            to_status: denial_to_status,
            audited,
        };
        callers::observe(&telemetry, security.tokens.clone());
        let memory = MessageMemory::new(config.request_memory.bytes(), message_max);
        let stack = ServerStack {
            telemetry: telemetry.clone(),
            guard,
            admission: Admission::new(call_limits(&config), Arc::clone(&methods), memory, denial_to_status),
            methods,
            normalize_status,
            draining: shutdown.clone(),
        };
        let routes = with_reflection(routes.add_service(health_service), descriptors)?;

        let stopped = CancellationToken::new();
        let _stops_http = stopped.clone().drop_guard();
        security.follow(&config, &stopped);
        #[expect(clippy::disallowed_methods, reason = "awaited below, after the gRPC port has drained")]
        let http = tokio::spawn(http::serve(http, health, telemetry.metrics, stopped.clone()));
        let close = CancellationToken::new();
        // Dropping this future aborts everything at once.
        let _closes_on_drop = close.clone().drop_guard();
        let incoming = Connections::new(grpc, limits(&config), close.clone()).with_tls(security.handshakes);
        let draining = shutdown.clone();
        let grpc = builder(&config)
            .layer(tonic_web::GrpcWebLayer::new())
            .add_routes(Routes::from(stack.around(routes)))
            .serve_with_incoming_shutdown(incoming.into_stream(acceptor), async move {
                draining.cancelled().await;
                drain_health.not_ready("server", "the server is draining");
                publisher.end().await;
            });
        let outcome = drained(grpc, shutdown, config.drain_grace.duration(), close).await;
        // The HTTP port ends last: /readyz reports the drain to its end.
        stopped.cancel();
        match http.await {
            // The outcome of the gRPC port has precedence; an HTTP error is reported only without another.
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
        // The most frequent failure of a start gets its own message with the flag.
        std::io::ErrorKind::AddrInUse => ServeError::InUse { address, key, flag },
        _ => ServeError::Listen { address, key, source },
    })
}

/// Runs a server to its end, at most `grace` after `shutdown`; then closes its connections.
async fn drained(
    server: impl Future<Output = Result<(), tonic::transport::Error>>,
    shutdown: CancellationToken,
    grace: Duration,
    close: CancellationToken,
) -> Result<DrainOutcome, ServeError> {
    let too_late = async {
        shutdown.cancelled().await;
        tokio::time::sleep(grace).await;
    };
    let mut server = pin!(server);
    tokio::select! {
        result = &mut server => return result.map(|()| DrainOutcome::Graceful).map_err(ServeError::Grpc),
        () = too_late => {}
    }
    close.cancel();
    // An aborted call is dropped at its next await point. A call that never awaits holds its thread, so this wait is bounded too.
    match tokio::time::timeout(CUT_GRACE, server).await {
        Ok(Err(error)) => Err(ServeError::Grpc(error)),
        Ok(Ok(())) | Err(_) => Ok(DrainOutcome::Aborted),
    }
}

/// Limits of the connections of the gRPC port.
fn limits(config: &ServerConfig) -> ConnectionLimits {
    let age = Some(config.connection_age.duration()).filter(|age| !age.is_zero());
    ConnectionLimits {
        max: config.max_connections,
        handshake: config.handshake_timeout.duration(),
        idle: None,
        age: age.map(|age| age + config.connection_grace.duration()),
        admits_requests: false,
    }
}

/// Limits of the calls of the gRPC port.
fn call_limits(config: &ServerConfig) -> CallLimits {
    CallLimits {
        calls_max: config.max_calls,
        streams_max: config.max_streams,
        timeout: config.call_timeout.duration(),
        timeout_max: config.call_timeout_max.duration(),
    }
}

fn builder(config: &ServerConfig) -> Server {
    let header = u32::try_from(config.max_header.bytes()).unwrap_or(u32::MAX);
    let builder = Server::builder()
        // Browsers may send gRPC-web over HTTP/1.1.
        .accept_http1(true)
        .max_concurrent_streams(config.max_streams_per_connection)
        .http2_max_header_list_size(header)
        .http2_keepalive_interval(Some(config.keepalive.duration()).filter(|every| !every.is_zero()));
    match config.connection_age.duration() {
        Duration::ZERO => builder,
        // Only the age is set here: the grace of the library would replace GOAWAY. `ConnectionLimits::age` enforces ours.
        age => builder.max_connection_age(age),
    }
}

/// Builds the table of all methods with their access rules.
fn methods(
    descriptors: &'static [u8],
    access_rules: fn(&str) -> Option<AccessRule>,
) -> Result<Arc<MethodTable>, ServeError> {
    use tonic_health::pb::FILE_DESCRIPTOR_SET as HEALTH;
    use tonic_reflection::pb::{v1, v1alpha};

    let reflection_rule = |_: &str| Some(AccessRule::Token);
    let methods = MethodTable::default()
        .with_descriptors(descriptors, access_rules)
        // Load balancers check health without a token.
        .and_then(|methods| methods.with_descriptors(HEALTH, |_| Some(AccessRule::Public)))
        .and_then(|methods| methods.with_descriptors(v1::FILE_DESCRIPTOR_SET, reflection_rule))
        .and_then(|methods| methods.with_descriptors(v1alpha::FILE_DESCRIPTOR_SET, reflection_rule));
    methods.map(Arc::new).map_err(ServeError::Methods)
}

/// Adds both versions of the reflection service, since tools differ in the one they use.
fn with_reflection(routes: Routes, descriptors: &'static [u8]) -> Result<Routes, ServeError> {
    let builder = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(descriptors)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let routes = routes.add_service(builder().build_v1().map_err(ServeError::Reflection)?);
    Ok(routes.add_service(builder().build_v1alpha().map_err(ServeError::Reflection)?))
}
