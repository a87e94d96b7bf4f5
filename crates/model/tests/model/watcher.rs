//! Watching node as the .proto describes it: it says hello, takes announcements and chunks, and replies.

use super::sandbox::{PATIENCE, Sandbox};
use bytes::Bytes;
use portrait_learning::Model;
use portrait_model::{assembled, manifest};
use portrait_profile::FeatureSchema;
use portrait_proto::v1::watch_models_request::Kind as RequestKind;
use portrait_proto::v1::watch_models_response::Kind;
use portrait_proto::v1::{Ack, Announcement, Hello, Nack, WatchModelsRequest, WatchModelsResponse};
use portrait_store::PartName;
use std::collections::BTreeMap;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};
use xxhash_rust::xxh64::xxh64;

/// Watching node with everything it was sent.
pub(super) struct Watcher {
    requests: mpsc::Sender<WatchModelsRequest>,
    stream: Streaming<WatchModelsResponse>,
    /// Completely received versions, in order.
    pub(super) versions: Vec<u64>,
    /// Times of the heartbeats, in order.
    pub(super) heartbeats: Vec<prost_types::Timestamp>,
    /// Sizes of the chunks of the newest version.
    pub(super) chunks: Vec<usize>,
    /// Parts that the node has.
    pub(super) parts: BTreeMap<PartName, Bytes>,
    announced: Option<Announcement>,
    incomplete_parts: BTreeMap<Vec<u8>, Vec<u8>>,
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
        Ok(Self {
            requests,
            stream,
            versions: Vec::new(),
            heartbeats: Vec::new(),
            chunks: Vec::new(),
            parts: BTreeMap::new(),
            announced: None,
            incomplete_parts: BTreeMap::new(),
        })
    }

    /// Receives messages until a version is complete, and returns it.
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

    /// Assembles the newest version.
    pub(super) fn model(&self) -> Model {
        let announced = self.announced.as_ref().expect("a version came");
        assembled(&announced.manifest, &self.parts, FeatureSchema::current()).expect("it can be served")
    }

    async fn send(&self, kind: RequestKind) {
        self.requests.send(WatchModelsRequest { kind: Some(kind) }).await.expect("the watch continues");
    }

    async fn receive(&mut self) -> Result<(), Status> {
        let message = timeout(PATIENCE, self.stream.message()).await.expect("no message in time")?;
        match message.expect("a watch ends with a status").kind.expect("a kind") {
            Kind::Announcement(announced) => {
                assert_eq!(announced.checksum, xxh64(&announced.manifest, 0));
                self.announced = Some(announced);
                self.chunks.clear();
            }
            Kind::Chunk(chunk) => {
                let part = self.incomplete_parts.entry(chunk.name).or_default();
                assert_eq!(chunk.offset, part.len() as u64, "the pieces of a part come in order");
                part.extend(&chunk.data);
                self.chunks.push(chunk.data.len());
            }
            Kind::Complete(complete) => {
                let announced = self.announced.as_ref().map(|announced| announced.version);
                assert_eq!(announced, Some(complete.version));
                for (name, bytes) in std::mem::take(&mut self.incomplete_parts) {
                    let bytes = Bytes::from(bytes);
                    assert_eq!(manifest::name_of_wire(&name), Some(PartName::of(&bytes)));
                    self.parts.insert(PartName::of(&bytes), bytes);
                }
                self.versions.push(complete.version);
            }
            Kind::Heartbeat(heartbeat) => self.heartbeats.push(heartbeat.at.expect("a clock")),
        }
        Ok(())
    }
}
