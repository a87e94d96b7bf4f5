//! Services of the roles that a process has. In come a store, clocks and connections, out go routes of gRPC and running tasks.

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

/// What rooms are built with.
pub(crate) struct NodeDeps<'a> {
    pub(crate) store: &'a Arc<dyn Store>,
    pub(crate) clock: &'a SharedClock,
    pub(crate) telemetry: &'a Telemetry,
    /// What this process is called.
    pub(crate) node: String,
    /// The served model.
    pub(crate) model: watch::Receiver<ServedModel>,
    /// To `FeatureService`.
    pub(crate) features: Peer,
}

/// The rooms of one process.
pub(crate) struct RoleServices {
    ingest: Option<IngestService>,
    feature: Option<FeatureService>,
    model: Option<ModelService>,
    query: Option<QueryService>,
}

impl RoleServices {
    pub(crate) fn build(role: NodeRole, with: &NodeDeps<'_>, config: &Config) -> Result<Self> {
        let store = || Arc::clone(with.store);
        let clock = || Arc::clone(with.clock);
        let profile_clock = config.profiles.clock;
        let instruments = |room| with.telemetry.of(room);
        // Every section is checked, whatever the role: one file serves all.
        let ingest = config.ingest.validate(config.store.default_level())?;
        let (feature, model, query) =
            (config.feature.validate()?, config.model.validate()?, config.query.validate()?);
        let served = || with.model.clone();
        Ok(Self {
            ingest: role.has(NodeRole::Ingest).then(|| {
                IngestService::build(store(), profile_clock, clock(), instruments("portrait-ingest"), &ingest)
            }),
            feature: role.has(NodeRole::Feature).then(|| {
                FeatureService::build(
                    store(),
                    with.node.clone(),
                    profile_clock,
                    clock(),
                    instruments("portrait-feature"),
                    served(),
                    feature,
                )
            }),
            model: role.has(NodeRole::Model).then(|| {
                let features = with.features.clone();
                ModelService::build(store(), features, clock(), &instruments("portrait-model"), model)
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

    /// What callers can ask these rooms.
    pub(crate) fn services(&self, telemetry: Telemetry, health: Health) -> Services {
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
        let (routes, descriptors) = (routes.routes(), portrait_proto::DESCRIPTOR_SET);
        let (clarify, needs, refuse) = (status::normalized, access::needs, access::refused);
        Services { routes, names, descriptors, health, telemetry, normalize_status: clarify, access_rules: needs, denial_to_status: refuse }
    }

    /// Runs the rooms. Those with streams of their own end with `shutdown`; the workers go on until the last call is answered,
    /// since somebody may wait for what they apply.
    pub(crate) fn run(
        self,
        health: &Health,
        shutdown: &CancellationToken,
        drained: &CancellationToken,
        following: JoinHandle<()>,
    ) -> JoinHandle<()> {
        let mut running = vec![following];
        if let Some(feature) = &self.feature {
            tokio::spawn(report_ownership(health.clone(), feature.ownership()));
            running.push(feature.run(drained));
        }
        running.extend(self.model.as_ref().map(|model| model.run(shutdown)));
        running.extend(self.ingest.as_ref().map(|ingest| ingest.run(shutdown)));
        running.extend(self.query.as_ref().map(|query| query.run(shutdown)));
        let rooms = self;
        tokio::spawn(async move {
            for room in running.into_iter().rev() {
                if let Err(error) = room.await {
                    tracing::error!(%error, "a room ended");
                }
            }
            drop(rooms);
        })
    }
}

/// Says that the process is ready once it owns what it should: profiles of other partitions are other processes' work. That it
/// takes over for one that is gone does not make it less ready; that it owns nothing of its share does.
async fn report_ownership(health: Health, mut ownership: watch::Receiver<Ownership>) {
    const COMPONENT: &str = "feature";
    let mut was_ready = false;
    loop {
        let Ownership { owned, assigned: share } = *ownership.borrow_and_update();
        let least = if was_ready { share.map(|share| share.min(1)) } else { share };
        was_ready = least.is_some_and(|least| owned >= least);
        match (was_ready, share) {
            (true, _) => health.ready(COMPONENT),
            (false, Some(share)) => {
                health.not_ready(COMPONENT, format!("{owned} of {share} partitions are owned"));
            }
            (false, None) => {
                health.not_ready(COMPONENT, "it is not known which workers are there");
            }
        }
        if ownership.changed().await.is_err() {
            return;
        }
    }
}
