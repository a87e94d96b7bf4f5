//! Services of a process by its role: construction, gRPC routes and background tasks.

use crate::{Config, NodeRole, access};
use anyhow::Result;
use portrait_feature::{FeatureService, Ownership};
use portrait_ingest::IngestService;
use portrait_learning::ServedModel;
use portrait_model::ModelService;
use portrait_proto::status;
use portrait_proto::v1::{
    feature_service_server, ingest_service_server, model_service_server, query_service_server,
};
use portrait_query::QueryService;
use portrait_runtime::SharedClock;
use portrait_runtime::health::Health;
use portrait_runtime::peer::Peer;
use portrait_runtime::server::Services;
use portrait_runtime::telemetry::Telemetry;
use portrait_store::Store;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

/// Dependencies of the services.
pub(crate) struct NodeDeps<'a> {
    pub(crate) store: &'a Arc<dyn Store>,
    pub(crate) clock: &'a SharedClock,
    pub(crate) telemetry: &'a Telemetry,
    /// Name of this process.
    pub(crate) node: String,
    /// Served model of this process.
    pub(crate) model: watch::Receiver<ServedModel>,
    /// Connection to the feature service, for trainings.
    pub(crate) features: Peer,
}

/// Limit of the library on the size of a message.
const DEFAULT_MESSAGE_MAX: usize = 4 << 20;

/// Services of one process.
pub(crate) struct RoleServices {
    ingest: Option<IngestService>,
    feature: Option<FeatureService>,
    model: Option<ModelService>,
    query: Option<QueryService>,
    /// Maximum size of a message of the service that takes the largest.
    message_max: usize,
}

impl RoleServices {
    pub(crate) fn build(role: NodeRole, deps: &NodeDeps<'_>, config: &Config) -> Result<Self> {
        let store = || Arc::clone(deps.store);
        let clock = || Arc::clone(deps.clock);
        let profile_clock = config.profiles.clock;
        let instruments = |component| deps.telemetry.of(component);
        // All sections are validated for every role: one file configures all processes, and an error should show at the first.
        let ingest = config.ingest.validate(config.store.default_level())?;
        let feature = config.feature.validate()?;
        let model = config.model.validate()?;
        let query = config.query.validate()?;
        let served = || deps.model.clone();
        let message_max = config.ingest.max_request.as_usize().max(config.feature.max_request.as_usize());
        Ok(Self {
            // The other services keep the limit of the library.
            message_max: message_max.max(DEFAULT_MESSAGE_MAX),
            ingest: role
                .has(NodeRole::Ingest)
                .then(|| {
                    let instruments = instruments("portrait-ingest");
                    let ledger_bytes = config.connect.ledger_bytes.bytes();
                    IngestService::build(store(), profile_clock, clock(), instruments, &ingest, ledger_bytes)
                })
                .transpose()?,
            feature: role.has(NodeRole::Feature).then(|| {
                FeatureService::build(
                    store(),
                    deps.node.clone(),
                    profile_clock,
                    clock(),
                    instruments("portrait-feature"),
                    served(),
                    feature,
                )
            }),
            model: role.has(NodeRole::Model).then(|| {
                let features = deps.features.clone();
                ModelService::build(
                    store(),
                    deps.node.clone(),
                    features,
                    clock(),
                    &instruments("portrait-model"),
                    model,
                )
            }),
            query: role.has(NodeRole::Query).then(|| {
                QueryService::build(
                    store(),
                    profile_clock,
                    clock(),
                    instruments("portrait-query"),
                    served(),
                    query,
                )
            }),
        })
    }

    /// Collects the gRPC routes for the server.
    pub(crate) fn grpc_services(&self, telemetry: Telemetry, health: Health) -> Services {
        let mut routes = Routes::builder();
        let mut names = Vec::new();
        if let Some(ingest) = &self.ingest {
            routes.add_service(ingest.grpc());
            names.push(ingest_service_server::SERVICE_NAME);
        }
        if let Some(feature) = &self.feature {
            routes.add_service(feature.grpc());
            names.push(feature_service_server::SERVICE_NAME);
        }
        if let Some(model) = &self.model {
            routes.add_service(model.grpc());
            names.push(model_service_server::SERVICE_NAME);
        }
        if let Some(query) = &self.query {
            routes.add_service(query.grpc());
            names.push(query_service_server::SERVICE_NAME);
        }
        Services {
            routes: routes.routes(),
            names,
            descriptors: portrait_proto::DESCRIPTOR_SET,
            health,
            telemetry,
            normalize_status: status::normalized,
            access_rules: access::rule,
            denial_to_status: access::denied,
            audited: access::is_audited,
            message_max: self.message_max,
        }
    }

    /// Spawns the background tasks. Services with long streams stop at `shutdown`. The workers run until the last call is
    /// answered (`drained`), because reads with `read_after` wait for the records they apply.
    pub(crate) fn run(
        self,
        health: &Health,
        shutdown: &CancellationToken,
        drained: &CancellationToken,
        model_follower: JoinHandle<()>,
    ) -> JoinHandle<()> {
        let mut tasks = vec![model_follower];
        if let Some(feature) = &self.feature {
            // Not awaited: it ends when the ownership channel closes.
            tokio::spawn(report_ownership(health.clone(), feature.ownership()));
            tasks.push(feature.run(drained));
        }
        tasks.extend(self.model.as_ref().map(|model| model.run(shutdown)));
        tasks.extend(self.ingest.as_ref().map(|ingest| ingest.run(shutdown)));
        tasks.extend(self.query.as_ref().map(|query| query.run(shutdown)));
        let services = self;
        tokio::spawn(async move {
            for task in tasks.into_iter().rev() {
                if let Err(error) = task.await {
                    tracing::error!(%error, "service stopped");
                }
            }
            // The services own the channels of their tasks, so they are dropped after the tasks.
            drop(services);
        })
    }
}

/// Reports readiness by ownership: ready once all assigned partitions are owned. Afterwards one owned partition is enough, so that
/// taking over partitions of a failed worker does not make this one unready.
async fn report_ownership(health: Health, mut ownership: watch::Receiver<Ownership>) {
    const COMPONENT: &str = "feature";
    let mut was_ready = false;
    loop {
        let Ownership { owned, assigned } = *ownership.borrow_and_update();
        // The first time all assigned partitions are required, so that a rolling update does not stop old workers too early.
        let owned_min = if was_ready { assigned.map(|assigned| assigned.min(1)) } else { assigned };
        was_ready = owned_min.is_some_and(|owned_min| owned >= owned_min);
        match (was_ready, assigned) {
            (true, _) => health.ready(COMPONENT),
            (false, Some(assigned)) => {
                health.not_ready(COMPONENT, format!("{owned} of {assigned} partitions are owned"));
            }
            (false, None) => {
                health.not_ready(COMPONENT, "membership is unknown");
            }
        }
        if ownership.changed().await.is_err() {
            return;
        }
    }
}
