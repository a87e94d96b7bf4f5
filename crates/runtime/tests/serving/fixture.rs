//! Test service `test.Echo` behind the full stack, on free ports.

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::post;
use portrait_runtime::config::DurationSetting;
use portrait_runtime::guard::{AccessDenied, AccessRule};
use portrait_runtime::health::Health;
use portrait_runtime::server::{BoundServer, DrainOutcome, ServeError, ServerConfig, Services};
use portrait_runtime::telemetry::trace::Tracing;
use portrait_runtime::telemetry::{Metrics, Telemetry};
use portrait_runtime::tokens::AccessRole;
use prost::Message;
use prost_types::{FileDescriptorProto, FileDescriptorSet, MethodDescriptorProto, ServiceDescriptorProto};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::service::Routes;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tonic_prost::ProstCodec;
use tower::service_fn;

/// Time limit for expected events.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(20);

/// Maximum message size of `test.Echo`, in bytes.
pub(crate) const MESSAGE_MAX: usize = 64 << 10;

/// State that the handlers share with the test.
#[derive(Clone)]
pub(crate) struct TestService {
    /// Calls of `Wait` in flight; completed and dropped calls are subtracted.
    pub(crate) calls: watch::Sender<usize>,
    /// Cancelled by the test to complete the calls of `Wait`.
    pub(crate) open: CancellationToken,
    /// Completed calls of `Wait`.
    pub(crate) completed: Arc<AtomicUsize>,
}

/// Running server with its addresses.
pub(crate) struct TestServer {
    pub(crate) grpc: SocketAddr,
    pub(crate) http: SocketAddr,
    pub(crate) service: TestService,
    pub(crate) health: Health,
    pub(crate) shutdown: CancellationToken,
    pub(crate) serving: JoinHandle<Result<DrainOutcome, ServeError>>,
}

/// Guard that counts one call in flight.
struct InProcessClient(TestService);

impl Drop for InProcessClient {
    fn drop(&mut self) {
        self.0.calls.send_modify(|calls| *calls -= 1);
    }
}

impl TestService {
    fn new() -> Self {
        Self { calls: watch::Sender::new(0), open: CancellationToken::new(), completed: Arc::default() }
    }

    /// Waits until `count` calls of `Wait` are in flight.
    pub(crate) async fn wait_for_calls(&self, count: usize) {
        let mut calls = self.calls.subscribe();
        let reached = calls.wait_for(|calls| *calls == count);
        tokio::time::timeout(TIMEOUT, reached)
            .await
            .expect("the calls never came")
            .expect("a sender is held");
    }

    async fn wait(self) -> String {
        self.calls.send_modify(|calls| *calls += 1);
        let calls = InProcessClient(self);
        calls.0.open.cancelled().await;
        calls.0.completed.fetch_add(1, Ordering::SeqCst);
        "waited".to_owned()
    }
}

async fn unary<F>(request: Request, response: impl Fn(String) -> F + Clone) -> Response
where
    F: Future<Output = Result<String, Status>>,
{
    let codec = ProstCodec::<String, String>::default();
    let mut grpc = tonic::server::Grpc::new(codec).apply_max_message_size_config(Some(MESSAGE_MAX), None);
    let service = service_fn(move |request: tonic::Request<String>| {
        let response = response(request.into_inner());
        async move { Ok(tonic::Response::new(response.await?)) }
    });
    grpc.unary(service, request).await.map(Body::new)
}

/// Serves a stream that starts at once and never ends.
async fn stream(request: Request) -> Response {
    let mut grpc = tonic::server::Grpc::new(ProstCodec::<String, String>::default());
    let service = service_fn(|_: tonic::Request<String>| async {
        Ok::<_, Status>(tonic::Response::new(futures::stream::pending::<Result<String, Status>>()))
    });
    grpc.server_streaming(service, request).await.map(Body::new)
}

fn routes(service: &TestService) -> Routes {
    let service = service.clone();
    let say = |text: String| async move { Ok(format!("echo {text}")) };
    let panic = |text: String| async move { panic!("planted: {text}") };
    let wait = move |_: String| {
        let service = service.clone();
        async move { Ok(service.wait().await) }
    };
    let router = Router::new()
        .route("/test.Echo/Say", post(move |request: Request| unary(request, say)))
        .route("/test.Echo/Panic", post(move |request: Request| unary(request, panic)))
        .route("/test.Echo/Wait", post(move |request: Request| unary(request, wait)))
        .route("/test.Echo/Stream", post(stream))
        .fallback(|| async { Status::unimplemented("no such method").into_http::<Body>() });
    Routes::from(router)
}

fn descriptors() -> &'static [u8] {
    let method = |name: &str| MethodDescriptorProto {
        name: Some(name.to_owned()),
        input_type: Some(".test.Text".to_owned()),
        output_type: Some(".test.Text".to_owned()),
        ..MethodDescriptorProto::default()
    };
    let service = ServiceDescriptorProto {
        name: Some("Echo".to_owned()),
        method: ["Say", "Panic", "Wait", "Stream"].map(method).to_vec(),
        ..ServiceDescriptorProto::default()
    };
    let file = FileDescriptorProto {
        name: Some("test/service.proto".to_owned()),
        package: Some("test".to_owned()),
        service: vec![service],
        ..FileDescriptorProto::default()
    };
    // A server requires descriptors with a static lifetime.
    Box::leak(FileDescriptorSet { file: vec![file] }.encode_to_vec().into_boxed_slice())
}

/// Marks every status, to show that the stack converts all of them.
#[expect(clippy::needless_pass_by_value, reason = "the signature is given by the stack")]
fn normalize_status(status: Status) -> Status {
    let code = if status.code() == Code::OutOfRange { Code::ResourceExhausted } else { status.code() };
    Status::new(code, format!("normalized: {}", status.message()))
}

/// Access rule of each method.
fn access_rules(path: &str) -> Option<AccessRule> {
    match path {
        "/test.Echo/Panic" => Some(AccessRule::Role(AccessRole::Admin)),
        "/test.Echo/Say" => Some(AccessRule::Role(AccessRole::Read)),
        _ => Some(AccessRule::Role(AccessRole::Write)),
    }
}

/// Converts a denial to a status.
fn denial_to_status(refusal: &AccessDenied) -> Status {
    let code = match refusal {
        AccessDenied::NoToken | AccessDenied::UnknownToken => Code::Unauthenticated,
        AccessDenied::MissingRole(_) => Code::PermissionDenied,
        AccessDenied::RateLimited { .. } | AccessDenied::ShareTaken(_) | AccessDenied::TooManyPublicCalls => {
            Code::ResourceExhausted
        }
    };
    Status::new(code, refusal.to_string())
}

/// Configuration with free ports and a drain grace beyond the test's time limit.
pub(crate) fn config() -> ServerConfig {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    ServerConfig {
        listen: any,
        http_listen: any,
        drain_grace: DurationSetting::from_secs(30),
        ..ServerConfig::default()
    }
}

impl TestServer {
    pub(crate) async fn start(config: ServerConfig) -> Self {
        let service = TestService::new();
        let health = Health::default();
        let shutdown = CancellationToken::new();
        let services = Services {
            routes: routes(&service),
            names: vec!["test.Echo"],
            descriptors: descriptors(),
            health: health.clone(),
            telemetry: Telemetry {
                metrics: Metrics::new().expect("nothing to clash with"),
                tracing: Tracing::default(),
            },
            normalize_status,
            access_rules,
            denial_to_status,
            audited: |path| path == "/test.Echo/Panic",
            message_max: 4 << 20,
        };
        let bound = BoundServer::bind(config).await.expect("free ports");
        let (grpc, http) = (bound.grpc_addr(), bound.http_addr());
        let serving = tokio::spawn(bound.serve(services, shutdown.clone()));
        Self { grpc, http, service, health, shutdown, serving }
    }

    /// Opens a new connection.
    pub(crate) fn channel(&self) -> Channel {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.grpc)).expect("an address of ours");
        endpoint.connect_lazy()
    }

    /// Sends an HTTP request; returns the status line and the whole response.
    pub(crate) async fn get(&self, path: &str) -> (String, String) {
        let text = format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
        let text = String::from_utf8(exchange(self.http, text.as_bytes()).await).expect("text");
        (text.lines().next().unwrap_or_default().to_owned(), text)
    }

    /// Stops the server and returns the outcome of the drain.
    pub(crate) async fn stopped(self) -> DrainOutcome {
        self.shutdown.cancel();
        let ended = tokio::time::timeout(TIMEOUT * 2, self.serving).await.expect("it never stopped");
        ended.expect("it did not panic").expect("it did not fail")
    }
}

/// Sends bytes and reads the response to its end.
pub(crate) async fn exchange(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.expect("a server listens");
    stream.write_all(bytes).await.expect("it takes a request");
    let mut response = Vec::new();
    let read = tokio::time::timeout(TIMEOUT, stream.read_to_end(&mut response)).await;
    read.expect("it never responded").expect("it answers");
    response
}

/// Calls a unary method with a text.
pub(crate) async fn call(channel: &Channel, method: &'static str, text: &str) -> Result<String, Status> {
    send(channel, method, tonic::Request::new(text.to_owned())).await
}

/// Calls a unary method with a prepared request. Bytes and text have the same encoding on the wire.
pub(crate) async fn send<T: Message + 'static>(
    channel: &Channel,
    method: &'static str,
    request: tonic::Request<T>,
) -> Result<String, Status> {
    let mut client = tonic::client::Grpc::new(channel.clone());
    client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let codec = ProstCodec::<T, String>::default();
    Ok(client.unary(request, PathAndQuery::from_static(method), codec).await?.into_inner())
}

/// Opens a stream that never sends a message.
pub(crate) async fn open_stream(channel: &Channel) -> Result<tonic::Streaming<String>, Status> {
    let mut client = tonic::client::Grpc::new(channel.clone());
    client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let path = PathAndQuery::from_static("/test.Echo/Stream");
    let codec = ProstCodec::<String, String>::default();
    Ok(client.server_streaming(tonic::Request::new(String::new()), path, codec).await?.into_inner())
}
