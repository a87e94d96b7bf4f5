//! Watching node as the .proto describes it: it says hello, takes announcements, and replies.

use super::sandbox::{PATIENCE, Sandbox};
use portrait_model::manifest;
use portrait_proto::v1::watch_models_request::Kind as RequestKind;
use portrait_proto::v1::watch_models_response::Kind;
use portrait_proto::v1::{
    Ack, Announcement, Hello, ModelManifest, Nack, WatchModelsRequest, WatchModelsResponse,
};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};
use xxhash_rust::xxh64::xxh64;

/// Watching node with everything it was sent.
pub(super) struct Watcher {
    requests: mpsc::Sender<WatchModelsRequest>,
    stream: Streaming<WatchModelsResponse>,
    /// Announced versions, in order.
    pub(super) versions: Vec<u64>,
    /// Times of the heartbeats, in order.
    pub(super) heartbeats: Vec<prost_types::Timestamp>,
    announced: Option<Announcement>,
}

impl Watcher {
    pub(super) async fn of(sandbox: &Sandbox, node: &str) -> Self {
        let hello = Hello { node: node.to_owned(), ..Default::default() };
        Self::begin(sandbox, RequestKind::Hello(hello)).await.expect("a watcher slot")
    }

    pub(super) async fn begin(sandbox: &Sandbox, first: RequestKind) -> Result<Self, Status> {
        let (requests, receiver) = mpsc::channel(8);
        requests.send(WatchModelsRequest { kind: Some(first) }).await.expect("the receiver is here");
        let stream = sandbox.client().watch_models(ReceiverStream::new(receiver)).await?.into_inner();
        Ok(Self { requests, stream, versions: Vec::new(), heartbeats: Vec::new(), announced: None })
    }

    /// Receives messages until a version is announced, and returns it.
    pub(super) async fn next_version(&mut self) -> u64 {
        let before = self.versions.len();
        while self.versions.len() == before {
            self.receive().await.expect("the watch continues");
        }
        self.versions[before]
    }

    /// Receives messages until `count` more heartbeats have arrived: that much time has passed.
    pub(super) async fn wait_heartbeats(&mut self, count: usize) {
        let before = self.heartbeats.len();
        while self.heartbeats.len() < before + count {
            self.receive().await.expect("the watch continues");
        }
    }

    /// Receives messages until the watch ends, and returns its status.
    pub(super) async fn end(&mut self) -> Status {
        loop {
            if let Err(status) = self.receive().await {
                return status;
            }
        }
    }

    pub(super) async fn ack(&self, version: u64) {
        self.send(RequestKind::Ack(Ack { version })).await;
    }

    pub(super) async fn nack(&self, version: u64, message: &str) {
        self.send(RequestKind::Nack(Nack { version, message: message.to_owned() })).await;
    }

    /// Manifest of the newest version.
    pub(super) fn manifest(&self) -> ModelManifest {
        let announced = self.announced.as_ref().expect("a version came");
        manifest::decoded(&announced.manifest).expect("a manifest")
    }

    async fn send(&self, kind: RequestKind) {
        self.requests.send(WatchModelsRequest { kind: Some(kind) }).await.expect("the watch continues");
    }

    async fn receive(&mut self) -> Result<(), Status> {
        let message = timeout(PATIENCE, self.stream.message()).await.expect("no message in time")?;
        match message.expect("a watch ends with a status").kind.expect("a kind") {
            Kind::Announcement(announced) => {
                assert_eq!(announced.checksum, xxh64(&announced.manifest, 0));
                self.versions.push(announced.version);
                self.announced = Some(announced);
            }
            Kind::Heartbeat(heartbeat) => self.heartbeats.push(heartbeat.at.expect("a clock")),
        }
        Ok(())
    }
}
