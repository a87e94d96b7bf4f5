//! Construction and lifecycle of the model service: registry task, trainer, and drain.

use crate::command::{COMMANDS_QUEUED_MAX, TrainerCommand};
use crate::config::ValidConfig;
use crate::context::ModelContext;
use crate::grpc::Grpc;
use crate::metrics::Metrics;
use crate::nodes::NodeRegistry;
use crate::schedule::Trainer;
use portrait_proto::v1::model_service_server::{self, ModelServiceServer};
use portrait_runtime::peer::Peer;
use portrait_runtime::telemetry::Instruments;
use portrait_runtime::{SharedClock, shutdown};
use portrait_store::{Nonce, Registry, TrainingStore};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Longest wait of one registry read; also the delay after a lost notification.
const REGISTRY_WAIT: Duration = Duration::from_secs(1);
/// Delay before retrying a failed registry read.
const RETRY: Duration = Duration::from_millis(500);

/// Model service: trainer, watchers and gRPC edge.
pub struct ModelService {
    shared: Arc<ModelContext>,
    /// Receiver of the trainer, taken by the first `run`.
    commands: Mutex<Option<mpsc::Receiver<TrainerCommand>>>,
}

impl ModelService {
    /// Builds the service without starting tasks. Vectors come from the `FeatureService` behind `features`; `name`
    /// identifies this process, which takes back the training lease of an earlier one of that name.
    pub fn build(
        store: Arc<dyn TrainingStore>,
        name: String,
        features: Peer,
        clock: SharedClock,
        with: &Instruments,
        config: ValidConfig,
    ) -> Self {
        let (demands, receiver) = mpsc::channel(COMMANDS_QUEUED_MAX);
        let shared = ModelContext {
            store,
            features,
            clock,
            config,
            metrics: Metrics::new(&with.meter),
            nonce: Nonce::random(),
            name: name.into(),
            registry: watch::Sender::new(Registry::default()),
            drift: watch::Sender::new(None),
            nodes: NodeRegistry::default(),
            commands: demands,
            closing: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        Self { shared: Arc::new(shared), commands: Mutex::new(Some(receiver)) }
    }

    /// Returns the gRPC service.
    pub fn grpc(&self) -> ModelServiceServer<impl model_service_server::ModelService + use<>> {
        ModelServiceServer::new(Grpc { shared: Arc::clone(&self.shared) })
            .max_decoding_message_size(self.shared.config.max_request)
            .max_encoding_message_size(self.shared.config.max_response)
    }

    /// Starts the tasks and runs them until `shutdown`; the handle ends when every watcher has its final status and
    /// the trainer has ended.
    pub fn run(&self, shutdown: &CancellationToken) -> JoinHandle<()> {
        self.shared.tasks.spawn(follow_registry(Arc::clone(&self.shared)));
        let demands = self.commands.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(demands) = demands {
            self.shared.tasks.spawn(Trainer::new(Arc::clone(&self.shared), demands).run());
        }
        shutdown::drain(shutdown, &self.shared.closing, &self.shared.tasks)
    }
}

/// Keeps the cached registry equal to the stored one.
async fn follow_registry(shared: Arc<ModelContext>) {
    let closing = shared.closing.clone();
    let following = async {
        let mut after = None;
        loop {
            match shared.store.registry(after, REGISTRY_WAIT).await {
                Ok(registry) => {
                    after = Some(registry.registry_no);
                    // Watchers wake on every send: only real changes are sent.
                    shared.registry.send_if_modified(|known| {
                        let changed = *known != registry;
                        *known = registry;
                        changed
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "model registry cannot be read; retrying");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    };
    closing.run_until_cancelled(following).await;
}
