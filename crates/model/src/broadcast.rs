//! Tells every node that watches of the served model. In come a node's hello and its answers, out go announcements, the parts
//! that it lacks, and heartbeats. A node that joins late gets the newest at once, and none gets an older one after a newer one.
//!
//! ```text
//! node ── hello ──> announcement ── chunks ── complete ──> ack, or nack with the reason
//!                        ▲────────── another model is active ──────────┘
//! ```

use crate::context::Shared;
use crate::error::Error;
use crate::manifest::{self, name_of_wire, name_to_wire};
use crate::nodes::Place;
use bytes::Bytes;
use portrait_proto::request::Refusal;
use portrait_proto::time;
use portrait_proto::v1::watch_models_request::Kind as Said;
use portrait_proto::v1::watch_models_response::Kind;
use portrait_proto::v1::{
    Announcement, Complete, ErrorReason, Heartbeat, Hello, PartChunk, WatchModelsRequest, WatchModelsResponse,
};
use portrait_store::{PartName, PublishedModel};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};
use xxhash_rust::xxh64::xxh64;

/// What a node is sent.
pub(crate) type Told = ReceiverStream<Result<WatchModelsResponse, Status>>;

/// Bytes of one chunk.
const CHUNK_BYTES: usize = 1 << 20;
/// Messages that wait for a slow node.
const WAITING: usize = 16;
/// How long a node may take to say hello, and to take what waits for it.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why a watch ended.
enum Ended {
    /// The node is gone.
    Gone,
    /// The node is told why.
    Told(Error),
}

impl<E: Into<Error>> From<E> for Ended {
    fn from(error: E) -> Self {
        Self::Told(error.into())
    }
}

/// One node that watches.
struct Watcher {
    shared: Arc<Shared>,
    place: Place,
    /// The version that it serves or was sent last.
    version: u64,
    /// The parts that it has.
    known: BTreeSet<PartName>,
    out: mpsc::Sender<Result<WatchModelsResponse, Status>>,
}

/// Begins to tell a node.
pub(crate) async fn begin(
    shared: &Arc<Shared>,
    mut said: Streaming<WatchModelsRequest>,
) -> Result<Told, Error> {
    let first = tokio::time::timeout(PATIENCE, said.message()).await;
    let first = first.ok().and_then(Result::ok).flatten().and_then(|request| request.kind);
    let Some(Said::Hello(hello)) = first else {
        let message = "is missing: the first message of a watch says who watches";
        return Err(Refusal::new(ErrorReason::MissingField, "hello", message).into());
    };
    let (out, receiver) = mpsc::channel(WAITING);
    let watcher = Watcher::of(shared, &hello, out)?;
    shared.tasks.spawn(watcher.run(said));
    Ok(ReceiverStream::new(receiver))
}

impl Watcher {
    fn of(
        shared: &Arc<Shared>,
        hello: &Hello,
        out: mpsc::Sender<Result<WatchModelsResponse, Status>>,
    ) -> Result<Self, Error> {
        let limit = shared.config.max_watchers;
        let node: String = hello.node.chars().take(128).collect();
        let place = shared.nodes.enter(node, hello.serving_version, shared.now(), limit);
        let place = place.ok_or(Error::TooManyWatchers { limit })?;
        let known = hello.known_parts.iter().filter_map(|name| name_of_wire(name)).collect();
        Ok(Self { shared: Arc::clone(shared), place, version: hello.serving_version, known, out })
    }

    async fn run(mut self, said: Streaming<WatchModelsRequest>) {
        if let Err(Ended::Told(error)) = self.tell(said).await {
            let _ = tokio::time::timeout(PATIENCE, self.out.send(Err(error.into()))).await;
        }
    }

    async fn tell(&mut self, mut said: Streaming<WatchModelsRequest>) -> Result<(), Ended> {
        let shared = Arc::clone(&self.shared);
        let mut registry = shared.registry.subscribe();
        let mut heartbeat = tokio::time::interval(shared.config.heartbeat);
        loop {
            let active = registry.borrow_and_update().active_model().cloned();
            if let Some(active) = active.filter(|active| active.version.get() != self.version) {
                self.announce(&active).await?;
            }
            tokio::select! {
                changed = registry.changed() => changed.map_err(|_| Error::ShuttingDown)?,
                request = said.message() => match request {
                    Ok(Some(request)) => self.hear(request),
                    Ok(None) | Err(_) => return Err(Ended::Gone),
                },
                _ = heartbeat.tick() => {
                    let at = Some(time::to_wire(shared.now()));
                    self.send(Kind::Heartbeat(Heartbeat { at })).await?;
                }
                () = shared.closing.cancelled() => return Err(Error::ShuttingDown.into()),
            }
        }
    }

    /// Sends a model: what it is, the parts that the node lacks, and that this was all.
    async fn announce(&mut self, model: &PublishedModel) -> Result<(), Ended> {
        let version = model.version.get();
        let manifest = manifest::decoded(&model.manifest).and_then(|manifest| manifest::parts_of(&manifest));
        let parts = manifest.map_err(|bad| Error::stored(model.version, &bad))?;
        let checksum = xxh64(&model.manifest, 0);
        let announcement = Announcement { version, manifest: model.manifest.to_vec(), checksum };
        self.send(Kind::Announcement(announcement)).await?;
        for (_, name) in &parts {
            if !self.known.contains(name)
                && let Some(part) = self.shared.store.part(*name).await?
            {
                self.send_part(*name, &part).await?;
            }
        }
        self.send(Kind::Complete(Complete { version })).await?;
        self.version = version;
        self.known = parts.into_iter().map(|(_, name)| name).collect();
        Ok(())
    }

    async fn send_part(&self, name: PartName, part: &Bytes) -> Result<(), Ended> {
        for (number, data) in part.chunks(CHUNK_BYTES).enumerate() {
            let offset = (number * CHUNK_BYTES) as u64;
            self.send(Kind::Chunk(PartChunk { name: name_to_wire(name), offset, data: data.to_vec() }))
                .await?;
        }
        Ok(())
    }

    fn hear(&mut self, request: WatchModelsRequest) {
        match request.kind {
            Some(Said::Ack(ack)) => self.place.serves(ack.version, self.shared.now()),
            Some(Said::Nack(nack)) => {
                let message: String = nack.message.chars().take(1000).collect();
                tracing::warn!(version = nack.version, message, "a node refuses a model");
                // What it was sent is not what it has.
                self.known.clear();
                self.shared.metrics.refused();
                self.place.refuses(nack.version, message);
            }
            // A second hello changes nothing; what later versions say is for them.
            Some(Said::Hello(_)) | None => {}
        }
    }

    async fn send(&self, kind: Kind) -> Result<(), Ended> {
        let answer = Ok(WatchModelsResponse { kind: Some(kind) });
        match tokio::time::timeout(PATIENCE, self.out.send(answer)).await {
            Ok(Ok(())) => Ok(()),
            // It takes nothing, or is gone.
            Ok(Err(_)) | Err(_) => Err(Ended::Gone),
        }
    }
}
