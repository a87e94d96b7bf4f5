//! Broadcast of the active model to every watching node. Input: a node's hello and its acks. Output: announcements and
//! heartbeats. Parts do not travel here: a node reads those that it lacks from the store, by the hashes in the manifest.
//! A node that joins late is announced the newest version at once.
//!
//! ```text
//! node ── hello ──> announcement ──> parts from the store ──> ack, or nack with the reason
//!                        ▲────── another model activated ──────┘
//! ```

use crate::context::ModelContext;
use crate::error::Error;
use crate::nodes::NodeEntry;
use portrait_proto::request::ValidationError;
use portrait_proto::time;
use portrait_proto::v1::watch_models_request::Kind as RequestKind;
use portrait_proto::v1::watch_models_response::Kind;
use portrait_proto::v1::{
    Announcement, ErrorReason, Heartbeat, Hello, WatchModelsRequest, WatchModelsResponse,
};
use portrait_store::PublishedModel;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};
use xxhash_rust::xxh64::xxh64;

/// Response stream of one watching node.
pub(crate) type ModelStream = ReceiverStream<Result<WatchModelsResponse, Status>>;

/// Messages queued for a slow node. Few: a version that waits here may be outdated when it is taken.
const MESSAGES_QUEUED_MAX: usize = 4;
/// Time limit for a node's hello, and for a queued message to be taken.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);

/// Reason that a watch ended.
enum StreamEnd {
    /// The node has closed the stream.
    Disconnected,
    /// The stream ends with this error as its status.
    Reported(Error),
}

impl<E: Into<Error>> From<E> for StreamEnd {
    fn from(error: E) -> Self {
        Self::Reported(error.into())
    }
}

/// State of one watching node.
struct ModelWatcher {
    shared: Arc<ModelContext>,
    entry: NodeEntry,
    /// Version that the node serves or was announced last; 0 before the first.
    version: u64,
    out: mpsc::Sender<Result<WatchModelsResponse, Status>>,
}

/// Starts the stream of a node after its hello.
///
/// # Errors
/// `MissingField` if the first message is no hello in time, `TooManyWatchers` above `model.max_watchers`.
pub(crate) async fn begin(
    shared: &Arc<ModelContext>,
    mut requests: Streaming<WatchModelsRequest>,
) -> Result<ModelStream, Error> {
    let first = tokio::time::timeout(SEND_TIMEOUT, requests.message()).await;
    let first = first.ok().and_then(Result::ok).flatten().and_then(|request| request.kind);
    // A node that never says hello would hold a task and a stream; the timeout frees both.
    let Some(RequestKind::Hello(hello)) = first else {
        let message = "is missing: the first message of a watch must be a hello";
        return Err(ValidationError::new(ErrorReason::MissingField, "hello", message).into());
    };
    let (out, receiver) = mpsc::channel(MESSAGES_QUEUED_MAX);
    let watcher = ModelWatcher::of(shared, &hello, out)?;
    shared.tasks.spawn(watcher.run(requests));
    Ok(ReceiverStream::new(receiver))
}

impl ModelWatcher {
    fn of(
        shared: &Arc<ModelContext>,
        hello: &Hello,
        out: mpsc::Sender<Result<WatchModelsResponse, Status>>,
    ) -> Result<Self, Error> {
        let limit = shared.config.max_watchers;
        // The name comes from outside and ends in listings: bounded.
        let node: String = hello.node.chars().take(128).collect();
        let entry = shared.nodes.register(node, hello.serving_version, shared.now(), limit);
        let entry = entry.ok_or(Error::TooManyWatchers { limit })?;
        Ok(Self { shared: Arc::clone(shared), entry, version: hello.serving_version, out })
    }

    async fn run(mut self, requests: Streaming<WatchModelsRequest>) {
        if let Err(StreamEnd::Reported(error)) = self.serve(requests).await {
            let _ = tokio::time::timeout(SEND_TIMEOUT, self.out.send(Err(error.into()))).await;
        }
    }

    async fn serve(&mut self, mut requests: Streaming<WatchModelsRequest>) -> Result<(), StreamEnd> {
        let shared = Arc::clone(&self.shared);
        let mut registry = shared.registry.subscribe();
        // Heartbeats let a node tell an idle service from a dead connection.
        let mut heartbeat = tokio::time::interval(shared.config.heartbeat);
        loop {
            // Only the newest version matters: versions published while one is being sent are skipped.
            let active = registry.borrow_and_update().active_model().cloned();
            if let Some(active) = active.filter(|active| active.version.get() != self.version) {
                self.announce(&active).await?;
            }
            tokio::select! {
                changed = registry.changed() => changed.map_err(|_| Error::ShuttingDown)?,
                request = requests.message() => match request {
                    Ok(Some(request)) => self.handle_message(request),
                    Ok(None) | Err(_) => return Err(StreamEnd::Disconnected),
                },
                _ = heartbeat.tick() => {
                    let at = Some(time::to_wire(shared.now()));
                    self.send(Kind::Heartbeat(Heartbeat { at })).await?;
                }
                () = shared.closing.cancelled() => return Err(Error::ShuttingDown.into()),
            }
        }
    }

    async fn announce(&mut self, model: &PublishedModel) -> Result<(), StreamEnd> {
        let version = model.version.get();
        // Lets the node detect a damaged manifest before it reads any part.
        let checksum = xxh64(&model.manifest, 0);
        let announcement = Announcement { version, manifest: model.manifest.to_vec(), checksum };
        self.send(Kind::Announcement(announcement)).await?;
        self.version = version;
        Ok(())
    }

    fn handle_message(&mut self, request: WatchModelsRequest) {
        match request.kind {
            Some(RequestKind::Ack(ack)) => self.entry.set_serving(ack.version, self.shared.now()),
            Some(RequestKind::Nack(nack)) => {
                // The reason comes from outside and ends in the log: bounded like the name.
                let message: String = nack.message.chars().take(1000).collect();
                tracing::warn!(version = nack.version, message, "node refused the model");
                self.shared.metrics.refused();
                self.entry.set_refused(nack.version, message);
            }
            // A second hello changes nothing, and unknown kinds come from newer nodes.
            Some(RequestKind::Hello(_)) | None => {}
        }
    }

    async fn send(&self, kind: Kind) -> Result<(), StreamEnd> {
        let response = Ok(WatchModelsResponse { kind: Some(kind) });
        match tokio::time::timeout(SEND_TIMEOUT, self.out.send(response)).await {
            Ok(Ok(())) => Ok(()),
            // A stalled node is cut rather than waited for: it reconnects and gets the newest version.
            Ok(Err(_)) | Err(_) => Err(StreamEnd::Disconnected),
        }
    }
}
