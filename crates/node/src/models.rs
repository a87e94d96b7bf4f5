//! Served model of this process: one watched value that all its services read. Versions come from `ModelService.WatchModels` and,
//! as a fallback, from the registry of the store.
//!
//! Invariant: a version is verified completely (schema, checksums, values) before it is served and acknowledged. A refused version
//! changes nothing.

use anyhow::{Context, Result, bail};
use bytes::{Bytes, BytesMut};
use portrait_learning::{Model, ServedModel};
use portrait_model::manifest::{assembled, decoded, name_of_wire, name_to_wire, parts_of};
use portrait_profile::FeatureSchema;
use portrait_proto::v1::model_service_client::ModelServiceClient;
use portrait_proto::v1::watch_models_request::Kind as Reply;
use portrait_proto::v1::watch_models_response::Kind;
use portrait_proto::v1::{
    Ack, Announcement, Hello, Nack, PartChunk, WatchModelsRequest, WatchModelsResponse,
};
use portrait_runtime::peer::Peer;
use portrait_store::{PartName, Store};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use xxhash_rust::xxh64::xxh64;

/// Interval of reads of the store's registry, which repair missed announcements.
const STORE_READ_INTERVAL: Duration = Duration::from_secs(10);
/// First delay before reconnecting to the model service.
const BACKOFF_MIN: Duration = Duration::from_millis(100);
/// Maximum delay before reconnecting to the model service.
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// Capacity of the queue of acks and nacks to send.
const MESSAGES_QUEUED_MAX: usize = 16;
/// Maximum total size of the parts of a model, in bytes.
const MODEL_BYTES_MAX: u64 = 1 << 30;

/// Task that keeps the served model up to date.
pub struct ModelFollower {
    store: Arc<dyn Store>,
    /// Connection to the model service.
    peer: Peer,
    /// Name of this process.
    node: String,
    served: watch::Sender<ServedModel>,
    /// Parts of the served model, offered to avoid repeated transfers.
    parts: BTreeMap<PartName, Bytes>,
}

/// Announced model whose chunks are arriving.
struct IncomingModel {
    version: u64,
    manifest: Vec<u8>,
    parts: BTreeMap<PartName, BytesMut>,
    /// Bytes that may still arrive.
    bytes_left: u64,
}

impl ModelFollower {
    /// Serves the active model of the store; returns the follower and the watched value.
    pub async fn start(
        store: Arc<dyn Store>,
        peer: Peer,
        node: String,
    ) -> (Self, watch::Receiver<ServedModel>) {
        let (served, receiver) = watch::channel(None);
        let mut follower = Self { store, peer, node, served, parts: BTreeMap::new() };
        follower.read_store().await;
        (follower, receiver)
    }

    /// Runs until `shutdown` is cancelled.
    pub async fn run(mut self, shutdown: CancellationToken) {
        shutdown.run_until_cancelled(self.follow()).await;
    }

    async fn follow(&mut self) {
        let mut backoff = BACKOFF_MIN;
        loop {
            let version_before = self.version();
            if let Err(error) = self.watch().await {
                tracing::debug!(error = format!("{error:#}"), "model service disconnected");
            }
            self.read_store().await;
            // A new version shows that the service works: its next disconnection is retried quickly.
            backoff =
                if self.version() == version_before { (backoff * 2).min(BACKOFF_MAX) } else { BACKOFF_MIN };
            tokio::time::sleep(backoff).await;
        }
    }

    fn version(&self) -> u64 {
        self.served.borrow().as_ref().map_or(0, |model| model.version.get())
    }

    /// Serves the active model of the store if it differs from the served one.
    async fn read_store(&mut self) {
        if let Err(error) = self.try_read_store().await {
            tracing::warn!(error = format!("{error:#}"), "stored model cannot be served");
        }
    }

    async fn try_read_store(&mut self) -> Result<()> {
        let registry = self.store.registry(None, Duration::ZERO).await?;
        // Compared by version for equality, not order: a rollback activates an older version.
        let Some(active) = registry.active_model().filter(|active| active.version.get() != self.version())
        else {
            return Ok(());
        };
        let mut parts = BTreeMap::new();
        for (_, name) in parts_of(&decoded(&active.manifest)?)? {
            // A missing part is not skipped silently: `assembled` fails and names it.
            if let Some(bytes) = self.store.part(name).await? {
                parts.insert(name, bytes);
            }
        }
        let model = assembled(&active.manifest, &parts, FeatureSchema::current())?;
        self.serve(model, parts);
        Ok(())
    }

    fn serve(&mut self, model: Model, parts: BTreeMap<PartName, Bytes>) {
        tracing::info!(version = model.version.get(), segments = model.segments.len(), "model served");
        self.parts = parts;
        // One swap of the watched value: no call sees parts of two versions.
        self.served.send_replace(Some(Arc::new(model)));
    }

    /// Watches the model service over one connection, from `Hello` to its end.
    async fn watch(&mut self) -> Result<()> {
        let (replies, receiver) = mpsc::channel(MESSAGES_QUEUED_MAX);
        replies.send(reply_request(Reply::Hello(self.hello()))).await?;
        let mut client = ModelServiceClient::new(self.peer.clone()).max_decoding_message_size(16 << 20);
        let mut messages = client.watch_models(ReceiverStream::new(receiver)).await?.into_inner();
        let mut store_poll = tokio::time::interval(STORE_READ_INTERVAL);
        let mut incoming = None;
        loop {
            tokio::select! {
                message = messages.message() => {
                    let message = message?.context("the model service ended the watch")?;
                    if let Some(reply) = self.handle_message(message, &mut incoming) {
                        replies.send(reply_request(reply)).await?;
                    }
                }
                _ = store_poll.tick() => self.read_store().await,
            }
        }
    }

    fn hello(&self) -> Hello {
        Hello {
            node: self.node.clone(),
            serving_version: self.version(),
            schema_hash: FeatureSchema::current().hash(),
            known_parts: self.parts.keys().map(|name| name_to_wire(*name)).collect(),
        }
    }

    /// Handles a message; returns the ack or nack to send, if any.
    fn handle_message(
        &mut self,
        message: WatchModelsResponse,
        incoming: &mut Option<IncomingModel>,
    ) -> Option<Reply> {
        match message.kind? {
            Kind::Announcement(announcement) => {
                let version = announcement.version;
                match self.start_incoming(announcement) {
                    Ok(incoming_model) => *incoming = Some(incoming_model),
                    Err(error) => return Some(nack(version, &error)),
                }
            }
            Kind::Chunk(chunk) => {
                let Some(incoming_model) = incoming else { return None };
                if let Err(error) = incoming_model.add(&chunk) {
                    let version = incoming_model.version;
                    // The rest of a refused model is dropped, also its later chunks.
                    *incoming = None;
                    return Some(nack(version, &error));
                }
            }
            Kind::Complete(complete) => {
                let incoming_model =
                    incoming.take().filter(|incoming_model| incoming_model.version == complete.version)?;
                return Some(match self.finish(incoming_model) {
                    Ok(()) => Reply::Ack(Ack { version: complete.version }),
                    Err(error) => nack(complete.version, &error),
                });
            }
            Kind::Heartbeat(_) => {}
        }
        None
    }

    /// Starts receiving an announced model, with the parts that this node has already.
    fn start_incoming(&self, announcement: Announcement) -> Result<IncomingModel> {
        let Announcement { version, manifest, checksum } = announcement;
        if xxh64(&manifest, 0) != checksum {
            // Damaged in transit: the manifest itself has no hash, its parts do.
            bail!("the manifest's checksum differs");
        }
        let announced = decoded(&manifest)?;
        let size_bytes = announced.parts.iter().map(|part| part.size).fold(0, u64::saturating_add);
        // Checked before anything is allocated, since the sizes come from another process.
        if size_bytes > MODEL_BYTES_MAX {
            bail!("the model has {size_bytes} bytes, at most {MODEL_BYTES_MAX} are allowed");
        }
        let mut parts = BTreeMap::new();
        for (_, name) in parts_of(&announced)? {
            // Parts are content-addressed: an equal name means equal bytes, so only missing parts are sent.
            let known = self.parts.get(&name).map_or_else(BytesMut::new, |bytes| BytesMut::from(&bytes[..]));
            parts.insert(name, known);
        }
        Ok(IncomingModel { version, manifest, parts, bytes_left: size_bytes })
    }

    /// Verifies a completely received model and serves it.
    fn finish(&mut self, incoming: IncomingModel) -> Result<()> {
        let parts: BTreeMap<PartName, Bytes> =
            incoming.parts.into_iter().map(|(name, bytes)| (name, bytes.freeze())).collect();
        let model = assembled(&incoming.manifest, &parts, FeatureSchema::current())?;
        self.serve(model, parts);
        Ok(())
    }
}

impl IncomingModel {
    fn add(&mut self, chunk: &PartChunk) -> Result<()> {
        let name = name_of_wire(&chunk.name).context("the name of a part is not 16 bytes long")?;
        let part = self.parts.get_mut(&name).context("a chunk belongs to no part of the manifest")?;
        // Chunks of a part arrive in order; a gap means a lost message.
        if part.len() as u64 != chunk.offset {
            bail!("a chunk starts at offset {}, expected {}", chunk.offset, part.len());
        }
        let left = self.bytes_left.checked_sub(chunk.data.len() as u64);
        self.bytes_left = left.context("the parts are larger than the manifest says")?;
        part.extend_from_slice(&chunk.data);
        Ok(())
    }
}

fn nack(version: u64, error: &anyhow::Error) -> Reply {
    let message = format!("{error:#}");
    tracing::error!(version, message, "model refused; previous version stays in service");
    Reply::Nack(Nack { version, message })
}

fn reply_request(kind: Reply) -> WatchModelsRequest {
    WatchModelsRequest { kind: Some(kind) }
}

#[cfg(test)]
mod tests;
