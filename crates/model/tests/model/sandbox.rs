//! Sandbox: a process with the model service over a store in a temporary folder, a manual clock, and vectors set by
//! the test. Clients call it without a network.

use super::features::Features;
use bytes::Bytes;
use portrait_learning::Model;
use portrait_model::{Config, ModelService, assembled, manifest};
use portrait_profile::{ModelVersion, PartitionCount, PartitionLedger, TimeDelta, Timestamp};
use portrait_proto::status;
use portrait_proto::v1::model_service_client::ModelServiceClient;
use portrait_proto::v1::model_service_server::{ModelService as Handlers, ModelServiceServer};
use portrait_proto::v1::train_model_response::Kind;
use portrait_proto::v1::{
    ErrorReason, FeatureVector, ListModelsRequest, ListModelsResponse, ModelManifest, ModelPart,
    TrainModelRequest, TrainOutcome,
};
use portrait_runtime::config::DurationSetting;
use portrait_runtime::telemetry::Instruments;
use portrait_runtime::{Clock, ManualClock};
use portrait_store::{
    AckLevel, Commit, Counters, LeaseClaim, LeaseToken, LogStore, Nonce, OwnerStore, PartName,
    PublishedModel, Registry, RegistryChange, RegistryStore, Store, StoreInfo,
};
use portrait_store_embedded::{Embedded, EmbeddedOptions};
use prost::Message;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic_types::StatusExt;

/// 2026-01-01T00:00:00Z, the start time of every test.
pub(super) const NEW_YEAR: i64 = 1_767_225_600_000;
/// Longest wait for an event that must happen.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// Process under test with its dependencies.
pub(super) struct Sandbox {
    pub(super) store: Arc<Embedded>,
    pub(super) clock: ManualClock,
    pub(super) features: Features,
    pub(super) service: ModelService,
    pub(super) shutdown: CancellationToken,
    folder: Arc<tempfile::TempDir>,
}

/// Settings of the tests: few users suffice, and no training starts by itself.
pub(super) fn config() -> Config {
    Config {
        automatic: false,
        drift_rows_min: 100,
        rows_min: 60,
        segments_min: 2,
        segments_max: 4,
        heartbeat: DurationSetting::from_millis(100),
        // The watchers of most tests never reply; the tests of acknowledgements have a longer time.
        acknowledge_timeout: DurationSetting::from_millis(0),
        threads: 1,
        ..Config::default()
    }
}

/// Name of the first process.
pub(super) const TRAINER: &str = "trainer";

/// Settings of the tests with automatic trainings.
pub(super) fn automatic() -> Config {
    Config { automatic: true, ..config() }
}

impl Sandbox {
    /// Opens a process over a new store without running its trainer.
    pub(super) async fn idle(config: Config) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let options = EmbeddedOptions {
            partitions: PartitionCount::new(2),
            reserve_bytes: 0,
            ..EmbeddedOptions::default()
        };
        let store = Arc::new(Embedded::open(folder.path(), options).expect("a new store"));
        Self::over(store, TRAINER, ManualClock::new(NEW_YEAR), Arc::new(folder), config).await
    }

    /// Opens and runs a process over a new store.
    pub(super) async fn running(config: Config) -> Self {
        let sandbox = Self::idle(config).await;
        // It runs as long as the sandbox; only the drain tests wait for it.
        drop(sandbox.run());
        sandbox
    }

    /// Opens and runs another process over the same store and clock, with vectors of its own.
    pub(super) async fn another(&self, config: Config) -> Self {
        self.another_named("second trainer", config).await
    }

    /// Opens and runs another process of that name over the same store and clock, with vectors of its own.
    pub(super) async fn another_named(&self, name: &str, config: Config) -> Self {
        let (store, folder) = (Arc::clone(&self.store), Arc::clone(&self.folder));
        let sandbox = Self::over(store, name, self.clock.clone(), folder, config).await;
        drop(sandbox.run());
        sandbox
    }

    async fn over(
        store: Arc<Embedded>,
        name: &str,
        clock: ManualClock,
        folder: Arc<tempfile::TempDir>,
        config: Config,
    ) -> Self {
        let shutdown = CancellationToken::new();
        let (features, peer) = Features::serve(clock.clone(), shutdown.clone()).await;
        let service = ModelService::build(
            Arc::clone(&store) as Arc<dyn Store>,
            name.to_owned(),
            peer,
            Arc::new(clock.clone()),
            &Instruments::disabled(),
            config.validate().expect("settings that make sense"),
        );
        Self { store, clock, features, service, shutdown, folder }
    }

    pub(super) fn run(&self) -> JoinHandle<()> {
        self.service.run(&self.shutdown)
    }

    /// Returns a client that calls the service in process.
    pub(super) fn client(&self) -> ModelServiceClient<ModelServiceServer<impl Handlers + use<>>> {
        ModelServiceClient::new(self.service.grpc())
    }

    /// Trains and returns the reported stages and the outcome.
    pub(super) async fn train_in_stages(
        &self,
        request: TrainModelRequest,
    ) -> Result<(Vec<String>, TrainOutcome), Status> {
        let mut stream = self.client().train_model(request).await?.into_inner();
        let mut stages = Vec::new();
        while let Some(message) = stream.message().await? {
            match message.kind.expect("a kind") {
                Kind::Progress(progress) => stages.push(progress.stage),
                Kind::Outcome(outcome) => {
                    assert_eq!(stream.message().await?, None, "the outcome comes last");
                    return Ok((stages, outcome));
                }
            }
        }
        panic!("a training without an outcome")
    }

    pub(super) async fn train(&self, request: TrainModelRequest) -> Result<TrainOutcome, Status> {
        Ok(self.train_in_stages(request).await?.1)
    }

    /// Trains a model that must be published.
    pub(super) async fn published(&self, request: TrainModelRequest) -> ModelManifest {
        let outcome = self.train(request).await.expect("a training");
        assert_eq!((outcome.published, &*outcome.refusal), (true, ""));
        outcome.manifest.expect("a published model has one")
    }

    /// Trains with the current number of segments, or the best one.
    pub(super) async fn first(&self) -> ModelManifest {
        self.published(TrainModelRequest::default()).await
    }

    pub(super) async fn list(&self) -> ListModelsResponse {
        self.client().list_models(ListModelsRequest {}).await.expect("the models").into_inner()
    }

    /// Returns the kept versions.
    pub(super) async fn versions(&self) -> Vec<u64> {
        self.registry().await.models.iter().map(|model| model.version.get()).collect()
    }

    pub(super) async fn registry(&self) -> Registry {
        self.store.registry(None, Duration::ZERO).await.expect("the store is there")
    }

    /// Returns a stored part.
    pub(super) async fn part(&self, part: &ModelPart) -> Option<Bytes> {
        let name = manifest::name_of_wire(&part.name).expect("a name");
        self.store.part(name).await.expect("the store is there")
    }

    /// Assembles the model of a manifest, as a node does.
    pub(super) async fn model(&self, manifest: &ModelManifest) -> Model {
        let mut parts = BTreeMap::new();
        for part in &manifest.parts {
            let bytes = self.part(part).await.expect("every part is stored");
            parts.insert(PartName::of(&bytes), bytes);
        }
        let bytes = manifest.encode_to_vec();
        assembled(&bytes, &parts).expect("a model that can be served")
    }

    /// Assigns every user to a segment of a model, as the workers do.
    pub(super) async fn assign(&self, manifest: &ModelManifest) {
        let model = self.model(manifest).await;
        self.features.change(|vector| {
            vector.segment_id = segment_of(&model, vector);
        });
    }

    /// Acquires the training lease for another process.
    pub(super) async fn take_training(&self, nonce: u128) -> LeaseToken {
        let after_expiry = self.now().plus(TimeDelta::from_days(1));
        let claim = LeaseClaim::new(Nonce::new(nonce), "another trainer");
        let lease = self.store.acquire_training(&claim, TimeDelta::from_secs(10), after_expiry).await;
        lease.expect("the store is there").token().expect("every lease has expired")
    }

    /// Publishes a manifest as another release might have, and activates it.
    pub(super) async fn publish(&self, version: u64, manifest: Vec<u8>) {
        let version = ModelVersion::new(version).expect("a version");
        let token = self.take_training(9).await;
        let change = RegistryChange {
            trainer: Some(token),
            publish: Some(PublishedModel { version, at: self.now(), manifest: manifest.into() }),
            activate: Some(version),
            ..RegistryChange::of(self.registry().await.registry_no)
        };
        self.store.change_registry(change).await.expect("the only trainer");
        self.store.release_training(token).await.expect("the store is there");
    }

    /// Counts applied records, as committing workers do.
    pub(super) async fn apply(&self, records: u64) {
        self.commit(records, None).await;
    }

    /// Appends records to the log of the first partition, which the next commit applies.
    pub(super) async fn log(&self, records: usize) {
        let partition = self.store.layout().partitions.all().next().expect("a partition");
        let records = vec![Bytes::from_static(b"record"); records];
        self.store.append(partition, records, self.now(), AckLevel::Memory).await.expect("appended");
    }

    /// Stores a ledger: users by segment, and the progress of erasures.
    pub(super) async fn note(&self, ledger: &PartitionLedger) {
        self.commit(0, Some(ledger.encode().into())).await;
    }

    async fn commit(&self, records: u64, note: Option<Bytes>) {
        let partition = self.store.layout().partitions.all().next().expect("a partition");
        // At an unchanged time the same owner gets the same token again.
        let claim = LeaseClaim::new(Nonce::new(1), "worker");
        let lease = self.store.acquire(partition, &claim, TimeDelta::from_days(1), Timestamp::EPOCH).await;
        let token = lease.expect("the store is there").token().expect("the only owner");
        let meta = self.store.meta(partition).await.expect("the store is there");
        let commit = Commit {
            token,
            expected: meta.commit_no,
            applied_through: meta.log_end,
            clock: meta.clock,
            at: self.now(),
            profiles: Vec::new(),
            tombstones: Vec::new(),
            seen: Vec::new(),
            changes: Vec::new(),
            dead_letters: Vec::new(),
            counted: Counters { applied: records, ..Counters::default() },
            note,
        };
        self.store.commit(partition, commit).await.expect("the only owner");
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.clock.now_ms())
    }

    pub(super) async fn until(&self, what: &str, mut happened: impl AsyncFnMut() -> bool) {
        let waiting = async {
            while !happened().await {
                tokio::task::yield_now().await;
            }
        };
        assert!(tokio::time::timeout(PATIENCE, waiting).await.is_ok(), "timed out: {what}");
    }

    /// Waits until exactly these versions are kept.
    pub(super) async fn until_versions(&self, versions: &[u64]) {
        self.until(&format!("versions {versions:?}"), async || self.versions().await == versions).await;
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// Id of the segment that a model assigns to a vector; empty if it has none.
pub(super) fn segment_of(model: &Model, vector: &FeatureVector) -> String {
    model.assign(&vector.values, None).map_or_else(String::new, |assigned| assigned.segment_id.to_string())
}

pub(super) fn reason(status: &Status) -> ErrorReason {
    status::reason_of(status).unwrap_or_else(|| panic!("no reason in {status:?}"))
}

/// Returns the invalid field of a status.
pub(super) fn field(status: &Status) -> String {
    let details = status.get_error_details();
    details.bad_request().expect("a field is named").field_violations[0].field.clone()
}

/// Returns the kinds of a model's parts.
pub(super) fn kinds(manifest: &ModelManifest) -> Vec<&str> {
    manifest.parts.iter().map(|part| &*part.kind).collect()
}
