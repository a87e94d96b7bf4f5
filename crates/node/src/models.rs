//! The served model of this process. In come what the store has and what `ModelService.WatchModels` tells; out goes one watched
//! value that every room of the process reads. A version is checked whole before it is served and answered for; what is refused
//! changes nothing, and without a model service the newest model of the store goes on being served.

use anyhow::{Context, Result, bail};
use bytes::{Bytes, BytesMut};
use portrait_learning::{Model, ServedModel};
use portrait_model::manifest::{assembled, decoded, name_of_wire, name_to_wire, parts_of};
use portrait_profile::FeatureSchema;
use portrait_proto::v1::model_service_client::ModelServiceClient;
use portrait_proto::v1::watch_models_request::Kind as Said;
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

/// How often the store is read again, so that whatever was missed is made good.
const STORE_READ_INTERVAL: Duration = Duration::from_secs(10);
/// How long before a model service that does not answer is tried again, at first and at most.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// Answers that wait to be sent.
const MESSAGES_QUEUED_MAX: usize = 16;
/// The largest model that is taken, all its parts together.
const MODEL_BYTES_MAX: u64 = 1 << 30;

/// Follows the served model of a deployment.
pub struct ModelFollower {
    store: Arc<dyn Store>,
    /// To the model service.
    peer: Peer,
    /// This process, as people see it.
    node: String,
    served: watch::Sender<ServedModel>,
    /// The parts of the served model.
    parts: BTreeMap<PartName, Bytes>,
}

/// A model on its way.
struct IncomingModel {
    version: u64,
    manifest: Vec<u8>,
    parts: BTreeMap<PartName, BytesMut>,
    /// Bytes that may still come.
    bytes_left: u64,
}

impl ModelFollower {
    /// Serves what the store has, and gives the value that rooms read.
    pub async fn begin(
        store: Arc<dyn Store>,
        peer: Peer,
        node: String,
    ) -> (Self, watch::Receiver<ServedModel>) {
        let (served, receiver) = watch::channel(None);
        let mut follower = Self { store, peer, node, served, parts: BTreeMap::new() };
        follower.read_store().await;
        (follower, receiver)
    }

    /// Follows until `shutdown`.
    pub async fn run(mut self, shutdown: CancellationToken) {
        shutdown.run_until_cancelled(self.follow()).await;
    }

    async fn follow(&mut self) {
        let mut backoff = BACKOFF.0;
        loop {
            let before = self.version();
            if let Err(error) = self.watch().await {
                tracing::debug!(
                    error = format!("{error:#}"),
                    "the model service is not watched at the moment"
                );
            }
            self.read_store().await;
            backoff = if self.version() == before { (backoff * 2).min(BACKOFF.1) } else { BACKOFF.0 };
            tokio::time::sleep(backoff).await;
        }
    }

    fn version(&self) -> u64 {
        self.served.borrow().as_ref().map_or(0, |model| model.version.get())
    }

    /// Serves the active model of the store, if it is another than the one that is served.
    async fn read_store(&mut self) {
        if let Err(error) = self.try_read_store().await {
            tracing::warn!(error = format!("{error:#}"), "the store's model is not served");
        }
    }

    async fn try_read_store(&mut self) -> Result<()> {
        let registry = self.store.registry(None, Duration::ZERO).await?;
        let Some(active) = registry.active_model().filter(|active| active.version.get() != self.version())
        else {
            return Ok(());
        };
        let mut parts = BTreeMap::new();
        for (_, name) in parts_of(&decoded(&active.manifest)?)? {
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
        self.served.send_replace(Some(Arc::new(model)));
    }

    /// One watch of the model service, from hello to its end.
    async fn watch(&mut self) -> Result<()> {
        let (answers, receiver) = mpsc::channel(MESSAGES_QUEUED_MAX);
        answers.send(describe(Said::Hello(self.hello()))).await?;
        let mut client = ModelServiceClient::new(self.peer.clone()).max_decoding_message_size(16 << 20);
        let mut told = client.watch_models(ReceiverStream::new(receiver)).await?.into_inner();
        let mut read_again = tokio::time::interval(STORE_READ_INTERVAL);
        let mut incoming = None;
        loop {
            tokio::select! {
                message = told.message() => {
                    let message = message?.context("the model service ended the watch")?;
                    if let Some(answer) = self.handle_message(message, &mut incoming) {
                        answers.send(describe(answer)).await?;
                    }
                }
                _ = read_again.tick() => self.read_store().await,
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

    /// Takes a message, and says what is to be answered.
    fn handle_message(&mut self, message: WatchModelsResponse, incoming: &mut Option<IncomingModel>) -> Option<Said> {
        match message.kind? {
            Kind::Announcement(announcement) => {
                let version = announcement.version;
                match self.begin_incoming(announcement) {
                    Ok(begun) => *incoming = Some(begun),
                    Err(error) => return Some(nack(version, &error)),
                }
            }
            Kind::Chunk(chunk) => {
                let Some(begun) = incoming else { return None };
                if let Err(error) = begun.add(&chunk) {
                    let version = begun.version;
                    *incoming = None;
                    return Some(nack(version, &error));
                }
            }
            Kind::Complete(complete) => {
                let begun = incoming.take().filter(|begun| begun.version == complete.version)?;
                return Some(match self.take(begun) {
                    Ok(()) => Said::Ack(Ack { version: complete.version }),
                    Err(error) => nack(complete.version, &error),
                });
            }
            Kind::Heartbeat(_) => {}
        }
        None
    }

    /// A model that is announced, with the parts of it that are here already.
    fn begin_incoming(&self, announcement: Announcement) -> Result<IncomingModel> {
        let Announcement { version, manifest, checksum } = announcement;
        if xxh64(&manifest, 0) != checksum {
            bail!("the manifest's checksum differs");
        }
        let announced = decoded(&manifest)?;
        let room = announced.parts.iter().map(|part| part.size).fold(0, u64::saturating_add);
        if room > MODEL_BYTES_MAX {
            bail!("the model has {room} bytes, {MODEL_BYTES_MAX} are allowed");
        }
        let mut parts = BTreeMap::new();
        for (_, name) in parts_of(&announced)? {
            let known = self.parts.get(&name).map_or_else(BytesMut::new, |bytes| BytesMut::from(&bytes[..]));
            parts.insert(name, known);
        }
        Ok(IncomingModel { version, manifest, parts, bytes_left: room })
    }

    /// Serves a model that has come whole, if it is what it says.
    fn take(&mut self, incoming: IncomingModel) -> Result<()> {
        let parts: BTreeMap<PartName, Bytes> =
            incoming.parts.into_iter().map(|(name, bytes)| (name, bytes.freeze())).collect();
        let model = assembled(&incoming.manifest, &parts, FeatureSchema::current())?;
        self.serve(model, parts);
        Ok(())
    }
}

impl IncomingModel {
    fn add(&mut self, chunk: &PartChunk) -> Result<()> {
        let name = name_of_wire(&chunk.name).context("a part's name has not 16 bytes")?;
        let part = self.parts.get_mut(&name).context("a chunk is of no part that the manifest names")?;
        if part.len() as u64 != chunk.offset {
            bail!("a chunk begins at {} and {} bytes are there", chunk.offset, part.len());
        }
        let left = self.bytes_left.checked_sub(chunk.data.len() as u64);
        self.bytes_left = left.context("the parts are larger than the manifest says")?;
        part.extend_from_slice(&chunk.data);
        Ok(())
    }
}

fn nack(version: u64, error: &anyhow::Error) -> Said {
    let message = format!("{error:#}");
    tracing::error!(version, message, "a model is refused; the one before goes on being served");
    Said::Nack(Nack { version, message })
}

fn describe(kind: Said) -> WatchModelsRequest {
    WatchModelsRequest { kind: Some(kind) }
}

#[cfg(test)]
mod tests;
