//! Served model of this process: one watched value that all its services read. Versions are announced by `ModelService.WatchModels`
//! and, as a fallback, found in the registry of the store. Parts come from the store in both cases, by the hashes of their bytes; parts
//! of recent versions are kept.
//!
//! Invariant: a version is verified completely (schema, checksums, values, a probe) before it is served and acknowledged. A refused
//! version changes nothing, and is listed in `/readyz` and the metrics until another one is served.

mod kept;
mod status;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use kept::KeptModels;
use portrait_learning::{Model, ServedModel};
use portrait_model::{Assembly, InvalidManifest};
use portrait_profile::FeatureSchema;
use portrait_proto::v1::model_service_client::ModelServiceClient;
use portrait_proto::v1::watch_models_request::Kind as Reply;
use portrait_proto::v1::watch_models_response::Kind;
use portrait_proto::v1::{Ack, Announcement, Hello, Nack, WatchModelsRequest, WatchModelsResponse};
use portrait_runtime::peer::Peer;
use portrait_store::Store;
pub use status::ModelStatus;
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

/// Task that keeps the served model up to date.
pub struct ModelFollower {
    store: Arc<dyn Store>,
    /// Connection to the model service.
    peer: Peer,
    /// Name of this process.
    node: String,
    served: watch::Sender<ServedModel>,
    /// Recently served models, whose parts need not be read again.
    kept: KeptModels,
    status: ModelStatus,
}

/// Reason that a version is not served.
#[derive(Debug, thiserror::Error)]
enum LoadError {
    /// The version can never be served by this release.
    #[error(transparent)]
    Refused(#[from] InvalidManifest),
    /// The decoder panicked, or the runtime ends.
    #[error("the decoder stopped without a result")]
    Aborted,
    /// The parts cannot be read now.
    #[error("the parts cannot be read")]
    Store(#[from] portrait_store::Error),
}

impl ModelFollower {
    /// Serves the active model of the store; returns the follower and the watched value. Parts of recently served models are kept up
    /// to `kept_bytes` of encoded size, beside the served model.
    pub async fn start(
        store: Arc<dyn Store>,
        peer: Peer,
        node: String,
        kept_bytes: u64,
        status: ModelStatus,
    ) -> (Self, watch::Receiver<ServedModel>) {
        let (served, receiver) = watch::channel(None);
        let mut follower = Self { store, peer, node, served, kept: KeptModels::new(kept_bytes), status };
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

    /// Serves the active model of the store if it differs from the served one. Returns the message for the model service, if the
    /// served version has changed or was refused.
    async fn read_store(&mut self) -> Option<Reply> {
        let registry = match self.store.registry(None, Duration::ZERO).await {
            Ok(registry) => registry,
            Err(error) => {
                tracing::warn!(%error, "model registry cannot be read; retrying");
                return None;
            }
        };
        // Compared by version for equality, not order: a rollback activates an older version.
        let active = registry.active_model().filter(|active| active.version.get() != self.version())?;
        let version = active.version.get();
        match self.load(version, active.manifest.clone()).await {
            Ok(()) => Some(Reply::Ack(Ack { version })),
            Err(error @ (LoadError::Refused(_) | LoadError::Aborted)) => {
                Some(self.refuse(version, &error.to_string()))
            }
            Err(error @ LoadError::Store(_)) => {
                tracing::warn!(
                    version,
                    error = format!("{:#}", anyhow::Error::from(error)),
                    "model cannot be read; retrying"
                );
                None
            }
        }
    }

    /// Loads a version and serves it.
    async fn load(&mut self, version: u64, manifest: Bytes) -> Result<(), LoadError> {
        let model = match self.kept.model(version, &manifest) {
            Some(model) => model,
            None => Arc::new(self.assemble(&manifest).await?),
        };
        self.kept.keep(version, manifest, &model);
        tracing::info!(version, segments = model.segments.len(), "model served");
        // One swap of the watched value: no call sees parts of two versions.
        self.served.send_replace(Some(model));
        self.status.served(version);
        Ok(())
    }

    /// Assembles a model from kept parts and parts of the store.
    async fn assemble(&self, manifest: &Bytes) -> Result<Model, LoadError> {
        let mut assembly = Assembly::begin(manifest)?;
        for (kind, name) in assembly.parts().to_vec() {
            if let Some(model) = self.kept.with_part(&kind, name) {
                assembly.share(&kind, &model);
                continue;
            }
            // One part after the other: the bytes of a part are dropped before the next one is read.
            let bytes = self.store.part(name).await?;
            assembly = on_blocking_thread(move || {
                assembly.add(&kind, name, bytes.as_deref())?;
                Ok(assembly)
            })
            .await?;
        }
        on_blocking_thread(move || assembly.finish()).await
    }

    /// Watches the model service over one connection, from `Hello` to its end.
    async fn watch(&mut self) -> Result<()> {
        let (replies, receiver) = mpsc::channel(MESSAGES_QUEUED_MAX);
        replies.send(reply_request(Reply::Hello(self.hello()))).await?;
        let mut client = ModelServiceClient::new(self.peer.clone()).max_decoding_message_size(16 << 20);
        let mut messages = client.watch_models(ReceiverStream::new(receiver)).await?.into_inner();
        let mut store_poll = tokio::time::interval(STORE_READ_INTERVAL);
        loop {
            let reply = tokio::select! {
                message = messages.message() => {
                    let message = message?.context("the model service ended the watch")?;
                    self.handle_message(message).await?
                }
                _ = store_poll.tick() => self.read_store().await,
            };
            if let Some(reply) = reply {
                replies.send(reply_request(reply)).await?;
            }
        }
    }

    fn hello(&self) -> Hello {
        Hello {
            node: self.node.clone(),
            serving_version: self.version(),
            schema_hash: FeatureSchema::current().hash(),
        }
    }

    /// Handles a message; returns the ack or nack to send, if any.
    ///
    /// # Errors
    /// If the store cannot be read: the next watch is announced the version again.
    async fn handle_message(&mut self, message: WatchModelsResponse) -> Result<Option<Reply>> {
        let Some(Kind::Announcement(announcement)) = message.kind else { return Ok(None) };
        let Announcement { version, manifest, checksum } = announcement;
        if xxh64(&manifest, 0) != checksum {
            // Damaged in transit: the manifest itself has no hash, its parts do.
            return Ok(Some(self.refuse(version, "the manifest's checksum differs")));
        }
        match self.load(version, manifest.into()).await {
            Ok(()) => Ok(Some(Reply::Ack(Ack { version }))),
            Err(error @ (LoadError::Refused(_) | LoadError::Aborted)) => {
                Ok(Some(self.refuse(version, &error.to_string())))
            }
            Err(error @ LoadError::Store(_)) => bail!(error),
        }
    }

    fn refuse(&self, version: u64, message: &str) -> Reply {
        tracing::error!(version, message, "model refused; previous version stays in service");
        self.status.refused(version, self.version(), message);
        Reply::Nack(Nack { version, message: message.to_owned() })
    }
}

/// Runs `work` on a thread that may block: decoding 100 MB takes half a second.
async fn on_blocking_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, InvalidManifest> + Send + 'static,
) -> Result<T, LoadError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| LoadError::Aborted)?.map_err(LoadError::Refused)
}

fn reply_request(kind: Reply) -> WatchModelsRequest {
    WatchModelsRequest { kind: Some(kind) }
}

#[cfg(test)]
mod tests;
