//! Fixture: feature workers over an embedded store with injected faults. Tests log records in place of ingest, and read the
//! result from the store.

use bytes::Bytes;
use portrait_feature::{Config, FeatureService};
use portrait_learning::{Model, ServedModel};
use portrait_profile::{
    Action, Body, Event, Fingerprint, PartitionCount, PartitionId, PartitionLedger, Profile, ProfileChange,
    Record, RecordId, Timestamp, UserId,
};
use portrait_proto::v1::feature_service_client::FeatureServiceClient;
use portrait_proto::v1::feature_service_server::{FeatureService as Handlers, FeatureServiceServer};
use portrait_runtime::ManualClock;
use portrait_runtime::telemetry::trace::Tracing;
use portrait_runtime::telemetry::{Metrics, Telemetry};
use portrait_store::faulty::FaultyStore;
use portrait_store::{
    AckLevel, FeedSeq, FeedStore, LogSeq, LogStore, PartitionMeta, ProfileClock, ProfileStore, Store,
    StoreInfo,
};
use portrait_store_embedded::{Embedded, EmbeddedOptions};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Start time of every test, 2026-01-01T00:00:00Z.
pub(super) const NEW_YEAR: i64 = 1_767_225_600_000;
/// Longest wait of a test for a condition.
const TEST_TIMEOUT: Duration = Duration::from_secs(60);

/// Workers of one process with their store, clock and model.
pub(super) struct FeatureFixture {
    pub(super) store: Arc<Embedded>,
    pub(super) faulty: Arc<FaultyStore>,
    pub(super) clock: ManualClock,
    pub(super) service: FeatureService,
    pub(super) metrics: Metrics,
    pub(super) model: watch::Sender<ServedModel>,
    config: Config,
    shutdown: CancellationToken,
    workers: JoinHandle<()>,
    /// Logged record ids by user, which a profile must be made of.
    logged: BTreeMap<String, BTreeSet<String>>,
    _folder: tempfile::TempDir,
}

/// Workers of another process over the same store.
pub(super) struct SecondProcess {
    pub(super) service: FeatureService,
    pub(super) metrics: Metrics,
    pub(super) shutdown: CancellationToken,
    pub(super) running: JoinHandle<()>,
}

/// Name of the first process.
pub(super) const WORKER: &str = "worker";

/// Builds the service of one process.
fn build_service(
    store: &Arc<FaultyStore>,
    clock: &ManualClock,
    model: &watch::Sender<ServedModel>,
    name: &str,
    metrics: &Metrics,
    config: &Config,
) -> FeatureService {
    let telemetry = Telemetry { metrics: metrics.clone(), tracing: Tracing::default() };
    FeatureService::build(
        Arc::clone(store) as Arc<dyn Store>,
        name.to_owned(),
        ProfileClock::Wall,
        Arc::new(clock.clone()),
        telemetry.of("portrait-feature"),
        model.subscribe(),
        config.validate().expect("the configuration makes sense"),
    )
}

impl FeatureFixture {
    /// Starts workers and waits until they own every partition.
    pub(super) async fn start(partitions: u16) -> Self {
        Self::start_with(partitions, Config::default()).await
    }

    /// Starts workers with a configuration and waits until they own every partition.
    pub(super) async fn start_with(partitions: u16, config: Config) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let partitions = PartitionCount::new(partitions);
        let options = EmbeddedOptions { partitions, reserve_bytes: 0, ..EmbeddedOptions::default() };
        let store = Arc::new(Embedded::open(folder.path(), options).expect("a new store"));
        let faulty = Arc::new(FaultyStore::of(Arc::clone(&store) as Arc<dyn Store>));
        let clock = ManualClock::new(NEW_YEAR);
        let model = watch::Sender::new(None);
        let metrics = Metrics::new().expect("an exporter");
        let service = build_service(&faulty, &clock, &model, WORKER, &metrics, &config);
        let shutdown = CancellationToken::new();
        let workers = service.run(&shutdown);
        let logged = BTreeMap::new();
        let fixture = Self {
            store,
            faulty,
            clock,
            service,
            metrics,
            model,
            config,
            shutdown,
            workers,
            logged,
            _folder: folder,
        };
        let all = fixture.partitions().count();
        fixture
            .until("every partition is owned", async || fixture.service.ownership().borrow().owned == all)
            .await;
        fixture
    }

    /// Starts the workers of another process over the same store; they run until the token is cancelled. Faults of the first
    /// process do not reach it.
    pub(super) fn start_second_process(&self, name: &str) -> SecondProcess {
        let faulty = Arc::new(FaultyStore::of(Arc::clone(&self.store) as Arc<dyn Store>));
        let metrics = Metrics::new().expect("an exporter");
        let service = build_service(&faulty, &self.clock, &self.model, name, &metrics, &self.config);
        let shutdown = CancellationToken::new();
        let running = service.run(&shutdown);
        SecondProcess { service, metrics, shutdown, running }
    }

    /// Returns a client without a network.
    pub(super) fn client(&self) -> FeatureServiceClient<FeatureServiceServer<impl Handlers + use<>>> {
        FeatureServiceClient::new(self.service.grpc())
    }

    pub(super) fn partitions(&self) -> impl Iterator<Item = PartitionId> {
        self.store.layout().partitions.all()
    }

    pub(super) fn partition(&self, user: &str) -> PartitionId {
        self.store.layout().partitions.partition_of(&user_id(user))
    }

    /// Logs a view by each of `views`, user and record id, in one append for each.
    pub(super) async fn log(&mut self, views: &[(String, String)]) {
        for (user, record_id) in views {
            self.append(self.partition(user), Bytes::from(view(user, Some(record_id)).encode())).await;
            self.logged.entry(user.clone()).or_default().insert(record_id.clone());
        }
    }

    /// Logs views of one user and waits until they are applied.
    pub(super) async fn views(&mut self, user: &str, first: usize, count: usize) {
        let views: Vec<_> =
            (first..first + count).map(|number| (user.to_owned(), format!("v{number}"))).collect();
        self.log(&views).await;
        self.settled().await;
    }

    /// Serves a model from now on.
    pub(super) fn serve(&self, model: Model) {
        self.model.send_replace(Some(Arc::new(model)));
    }

    /// Returns the segment of a user.
    pub(super) async fn segment(&self, user: &str) -> Option<u32> {
        self.profile(user).await?.segment().map(|membership| membership.segment_id.get())
    }

    /// Returns the number of users by segment from the ledgers of all partitions.
    pub(super) async fn counts(&self) -> BTreeMap<u32, u64> {
        let mut counts = BTreeMap::new();
        for partition in self.partitions() {
            let note = self.meta(partition).await.note;
            for (id, count) in PartitionLedger::decode(&note).expect("a note").counts() {
                *counts.entry(id.get()).or_default() += count;
            }
        }
        counts
    }

    /// Returns every change of every feed, in order within a partition.
    pub(super) async fn changes(&self) -> Vec<ProfileChange> {
        let mut changes = Vec::new();
        for partition in self.partitions() {
            let page = self.store.read_feed(partition, FeedSeq::ZERO, 100_000, Duration::ZERO).await;
            let page = page.expect("the feed can be read");
            changes.extend(
                page.changes.iter().map(|(_, bytes)| ProfileChange::decode(bytes).expect("a change")),
            );
        }
        changes
    }

    /// Appends raw bytes to a log.
    pub(super) async fn append(&self, partition: PartitionId, record: Bytes) -> LogSeq {
        let at = Timestamp::from_millis(NEW_YEAR);
        let appended = self.store.append(partition, vec![record], at, AckLevel::Memory).await;
        appended.expect("an append").last.seq
    }

    pub(super) async fn meta(&self, partition: PartitionId) -> PartitionMeta {
        self.store.meta(partition).await.expect("the store answers")
    }

    /// Waits until everything in the log is applied.
    pub(super) async fn settled(&self) {
        for partition in self.partitions() {
            self.until("everything is applied", async || {
                let meta = self.meta(partition).await;
                meta.applied_through == meta.log_end
            })
            .await;
        }
    }

    /// Waits until `holds` is true; `condition` describes it for the failure.
    pub(super) async fn until(&self, condition: &str, mut holds: impl AsyncFnMut() -> bool) {
        let poll = async {
            while !holds().await {
                tokio::task::yield_now().await;
            }
        };
        assert!(tokio::time::timeout(TEST_TIMEOUT, poll).await.is_ok(), "timed out: {condition}");
    }

    pub(super) async fn profile(&self, user: &str) -> Option<Profile> {
        let key = portrait_store::ProfileKey::of(&user_id(user));
        let profiles = self.store.profiles(self.partition(user), &[key]).await.expect("the store answers");
        let bytes = profiles.into_iter().next().flatten()?;
        Some(Profile::decode(&bytes).expect("a profile"))
    }

    /// Checks that every profile consists of exactly the logged records, each once.
    pub(super) async fn check_profiles(&self) {
        for (user, record_ids) in &self.logged {
            let profile = self.profile(user).await.unwrap_or_else(|| panic!("{user} has no profile"));
            let ids = record_ids.iter().map(|id| RecordId::parse(id).expect("an id"));
            let fingerprint = ids.fold(Fingerprint::default(), |sum, id| sum.with(&id));
            let reported = (profile.applied_events(), profile.fingerprint());
            assert_eq!(reported, (record_ids.len() as u64, fingerprint), "{user}");
        }
    }

    /// Stops the workers and waits for their end.
    pub(super) async fn stop(&mut self) {
        self.shutdown.cancel();
        (&mut self.workers).await.expect("no worker panics");
    }
}

impl Drop for FeatureFixture {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

pub(super) fn user_id(text: &str) -> UserId {
    UserId::parse(text).expect("an id")
}

/// Record of a view at the start time.
pub(super) fn view(user: &str, record_id: Option<&str>) -> Record {
    let at = Timestamp::from_millis(NEW_YEAR);
    Record {
        user_id: user_id(user),
        record_id: record_id.map(|id| RecordId::parse(id).expect("an id")),
        occurred_at: at,
        accepted_at: at,
        trace: None,
        source: None,
        body: Body::Event(Event {
            action: Action::View,
            utc_offset_minutes: 0,
            item_id: None,
            category: None,
            brand: None,
            price: None,
            quantity: 1.0,
            order_id: None,
            order_line: 0,
            strength: None,
            context: None,
        }),
    }
}
