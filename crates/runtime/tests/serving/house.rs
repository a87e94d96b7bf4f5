//! A small service, `test.Room`, and the server around it. In come the test's wishes, out go addresses and channels.

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::post;
use portrait_runtime::config::Interval;
use portrait_runtime::guard::{Need, Refusal};
use portrait_runtime::health::Health;
use portrait_runtime::server::{Bound, DrainOutcome, ServeError, ServerConfig, Services};
use portrait_runtime::telemetry::trace::Tracing;
use portrait_runtime::telemetry::{Metrics, Telemetry};
use portrait_runtime::tokens::Role;
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

/// How long a test waits for what must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The largest message of `test.Room`.
pub(crate) const MESSAGE_MAX: usize = 64 << 10;

/// What the handlers share with the test.
#[derive(Clone)]
pub(crate) struct Room {
    /// Calls of `Wait` that began and did not end: an answered one leaves, and so does one that was dropped.
    pub(crate) inside: watch::Sender<usize>,
    /// Opened by the test: `Wait` answers.
    pub(crate) open: CancellationToken,
    /// Calls of `Wait` that were answered.
    pub(crate) answered: Arc<AtomicUsize>,
}

/// A running server.
pub(crate) struct House {
    pub(crate) grpc: SocketAddr,
    pub(crate) http: SocketAddr,
    pub(crate) room: Room,
    pub(crate) health: Health,
    pub(crate) shutdown: CancellationToken,
    pub(crate) serving: JoinHandle<Result<DrainOutcome, ServeError>>,
}

/// Counts a call for as long as it is not dropped.
struct Inside(Room);

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.inside.send_modify(|inside| *inside -= 1);
    }
}

impl Room {
    fn new() -> Self {
        Self { inside: watch::Sender::new(0), open: CancellationToken::new(), answered: Arc::default() }
    }

    /// Waits until `count` calls of `Wait` are under way.
    pub(crate) async fn holds(&self, count: usize) {
        let mut inside = self.inside.subscribe();
        let reached = inside.wait_for(|inside| *inside == count);
        tokio::time::timeout(PATIENCE, reached)
            .await
            .expect("the calls never came")
            .expect("a sender is held");
    }

    async fn wait(self) -> String {
        self.inside.send_modify(|inside| *inside += 1);
        let inside = Inside(self);
        inside.0.open.cancelled().await;
        inside.0.answered.fetch_add(1, Ordering::SeqCst);
        "waited".to_owned()
    }
}

async fn unary<F>(request: Request, answer: impl Fn(String) -> F + Clone) -> Response
where
    F: Future<Output = Result<String, Status>>,
{
    let codec = ProstCodec::<String, String>::default();
    let mut grpc = tonic::server::Grpc::new(codec).apply_max_message_size_config(Some(MESSAGE_MAX), None);
    let service = service_fn(move |request: tonic::Request<String>| {
        let answer = answer(request.into_inner());
        async move { Ok(tonic::Response::new(answer.await?)) }
    });
    grpc.unary(service, request).await.map(Body::new)
}

/// A stream that begins at once and never ends.
async fn stream(request: Request) -> Response {
    let mut grpc = tonic::server::Grpc::new(ProstCodec::<String, String>::default());
    let service = service_fn(|_: tonic::Request<String>| async {
        Ok::<_, Status>(tonic::Response::new(futures::stream::pending::<Result<String, Status>>()))
    });
    grpc.server_streaming(service, request).await.map(Body::new)
}

fn routes(room: &Room) -> Routes {
    let room = room.clone();
    let say = |text: String| async move { Ok(format!("said {text}")) };
    let panic = |text: String| async move { panic!("planted: {text}") };
    let wait = move |_: String| {
        let room = room.clone();
        async move { Ok(room.wait().await) }
    };
    let router = Router::new()
        .route("/test.Room/Say", post(move |request: Request| unary(request, say)))
        .route("/test.Room/Panic", post(move |request: Request| unary(request, panic)))
        .route("/test.Room/Wait", post(move |request: Request| unary(request, wait)))
        .route("/test.Room/Stream", post(stream))
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
        name: Some("Room".to_owned()),
        method: ["Say", "Panic", "Wait", "Stream"].map(method).to_vec(),
        ..ServiceDescriptorProto::default()
    };
    let file = FileDescriptorProto {
        name: Some("test/room.proto".to_owned()),
        package: Some("test".to_owned()),
        service: vec![service],
        ..FileDescriptorProto::default()
    };
    // A server has its descriptors for as long as the process lives.
    Box::leak(FileDescriptorSet { file: vec![file] }.encode_to_vec().into_boxed_slice())
}

/// Says of every status that it went by.
#[expect(clippy::needless_pass_by_value, reason = "the form of the last word")]
fn clarify(status: Status) -> Status {
    let code = if status.code() == Code::OutOfRange { Code::ResourceExhausted } else { status.code() };
    Status::new(code, format!("clarified: {}", status.message()))
}

/// What each method asks of its caller.
fn needs(path: &str) -> Option<Need> {
    match path {
        "/test.Room/Panic" => Some(Need::Role(Role::Admin)),
        "/test.Room/Say" => Some(Need::Role(Role::Read)),
        _ => Some(Need::Role(Role::Write)),
    }
}

/// Says why a call was not let in.
fn refuse(refusal: &Refusal) -> Status {
    let code = match refusal {
        Refusal::NoToken | Refusal::UnknownToken => Code::Unauthenticated,
        Refusal::Lacks(_) => Code::PermissionDenied,
        Refusal::TooMany { .. } => Code::ResourceExhausted,
    };
    Status::new(code, refusal.to_string())
}

/// Free ports, and limits that a test does not meet by accident.
pub(crate) fn config() -> ServerConfig {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    ServerConfig {
        listen: any,
        http_listen: any,
        drain_grace: Interval::from_secs(30),
        ..ServerConfig::default()
    }
}

impl House {
    pub(crate) async fn start(config: ServerConfig) -> Self {
        let room = Room::new();
        let health = Health::default();
        let shutdown = CancellationToken::new();
        let services = Services {
            routes: routes(&room),
            names: vec!["test.Room"],
            descriptors: descriptors(),
            health: health.clone(),
            telemetry: Telemetry {
                metrics: Metrics::new().expect("nothing to clash with"),
                tracing: Tracing::default(),
            },
            clarify,
            needs,
            refuse,
        };
        let bound = Bound::bind(config).await.expect("free ports");
        let (grpc, http) = (bound.grpc_addr(), bound.http_addr());
        let serving = tokio::spawn(bound.serve(services, shutdown.clone()));
        Self { grpc, http, room, health, shutdown, serving }
    }

    /// A connection of its own.
    pub(crate) fn channel(&self) -> Channel {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.grpc)).expect("an address of ours");
        endpoint.connect_lazy()
    }

    /// What HTTP answers: the first line, and all of it.
    pub(crate) async fn get(&self, path: &str) -> (String, String) {
        let text = format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
        let text = String::from_utf8(exchange(self.http, text.as_bytes()).await).expect("text");
        (text.lines().next().unwrap_or_default().to_owned(), text)
    }

    /// Tells the server to stop, and how that went.
    pub(crate) async fn stopped(self) -> DrainOutcome {
        self.shutdown.cancel();
        let ended = tokio::time::timeout(PATIENCE * 2, self.serving).await.expect("it never stopped");
        ended.expect("it did not panic").expect("it did not fail")
    }
}

/// Sends bytes and reads all that comes.
pub(crate) async fn exchange(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.expect("a server listens");
    stream.write_all(bytes).await.expect("it takes a request");
    let mut answer = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    read.expect("it never answered").expect("it answers");
    answer
}

/// Calls a method that answers once.
pub(crate) async fn call(channel: &Channel, method: &'static str, text: &str) -> Result<String, Status> {
    ask(channel, method, tonic::Request::new(text.to_owned())).await
}

/// Calls a method with a request of one's own making. The wire cannot tell bytes from text.
pub(crate) async fn ask<T: Message + 'static>(
    channel: &Channel,
    method: &'static str,
    request: tonic::Request<T>,
) -> Result<String, Status> {
    let mut client = tonic::client::Grpc::new(channel.clone());
    client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let codec = ProstCodec::<T, String>::default();
    Ok(client.unary(request, PathAndQuery::from_static(method), codec).await?.into_inner())
}

/// Opens a stream that never says anything.
pub(crate) async fn open_stream(channel: &Channel) -> Result<tonic::Streaming<String>, Status> {
    let mut client = tonic::client::Grpc::new(channel.clone());
    client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let path = PathAndQuery::from_static("/test.Room/Stream");
    let codec = ProstCodec::<String, String>::default();
    Ok(client.server_streaming(tonic::Request::new(String::new()), path, codec).await?.into_inner())
}
