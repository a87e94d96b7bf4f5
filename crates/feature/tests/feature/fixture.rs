//! The room over an embedded store that can have faults, and the hand that ingest would have. In come views of shoppers, out
//! go records in the log; what became of them is read from the store.

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
use portrait_runtime::telemetry::Instruments;
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

/// 2026-01-01T00:00:00Z, where every test begins.
pub(super) const NEW_YEAR: i64 = 1_767_225_600_000;
/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// The room and everything below it.
pub(super) struct FeatureFixture {
    pub(super) store: Arc<Embedded>,
    pub(super) faulty: Arc<FaultyStore>,
    pub(super) clock: ManualClock,
    pub(super) service: FeatureService,
    /// The model that is served.
    pub(super) model: watch::Sender<ServedModel>,
    shutdown: CancellationToken,
    workers: JoinHandle<()>,
    /// By user, which record ids were logged: what a profile must be made of.
    logged: BTreeMap<String, BTreeSet<String>>,
    _folder: tempfile::TempDir,
}

/// The workers of one process.
fn worker(store: &Arc<FaultyStore>, clock: &ManualClock, model: &watch::Sender<ServedModel>) -> FeatureService {
    FeatureService::build(
        Arc::clone(store) as Arc<dyn Store>,
        "worker".to_owned(),
        ProfileClock::Wall,
        Arc::new(clock.clone()),
        Instruments::disabled(),
        model.subscribe(),
        Config::default().validate().expect("the defaults make sense"),
    )
}

impl FeatureFixture {
    /// A room whose workers own every partition.
    pub(super) async fn running(partitions: u16) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let partitions = PartitionCount::new(partitions);
        let options = EmbeddedOptions { partitions, reserve_bytes: 0, ..EmbeddedOptions::default() };
        let store = Arc::new(Embedded::open(folder.path(), options).expect("a new store"));
        let faulty = Arc::new(FaultyStore::of(Arc::clone(&store) as Arc<dyn Store>));
        let clock = ManualClock::new(NEW_YEAR);
        let model = watch::Sender::new(None);
        let service = worker(&faulty, &clock, &model);
        let shutdown = CancellationToken::new();
        let workers = service.run(&shutdown);
        let (logged, _folder) = (BTreeMap::new(), folder);
        let room = Self { store, faulty, clock, service, model, shutdown, workers, logged, _folder };
        let all = room.partitions().count();
        room.until("every partition is owned", async || room.service.ownership().borrow().owned == all).await;
        room
    }

    /// Another process's workers over the same store; they run until the token is cancelled.
    pub(super) fn another(&self) -> (FeatureService, CancellationToken, JoinHandle<()>) {
        let (service, shutdown) = (worker(&self.faulty, &self.clock, &self.model), CancellationToken::new());
        let running = service.run(&shutdown);
        (service, shutdown, running)
    }

    /// A client without a network.
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

    /// Logs views of one shopper, and waits until they are applied.
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

    /// The segment that a shopper is in.
    pub(super) async fn segment(&self, user: &str) -> Option<u32> {
        self.profile(user).await?.segment().map(|held| held.segment_id.get())
    }

    /// Shoppers by segment, as the owners of all partitions have noted it.
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

    /// Every change of every feed, in order for each partition.
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

    /// Logs bytes as they are.
    pub(super) async fn append(&self, partition: PartitionId, record: Bytes) -> LogSeq {
        let at = Timestamp::from_millis(NEW_YEAR);
        let appended = self.store.append(partition, vec![record], at, AckLevel::Memory).await;
        appended.expect("the log takes it").last.seq
    }

    pub(super) async fn meta(&self, partition: PartitionId) -> PartitionMeta {
        self.store.meta(partition).await.expect("the store is there")
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

    pub(super) async fn until(&self, what: &str, mut happened: impl AsyncFnMut() -> bool) {
        let waiting = async {
            while !happened().await {
                tokio::task::yield_now().await;
            }
        };
        assert!(tokio::time::timeout(PATIENCE, waiting).await.is_ok(), "waited in vain: {what}");
    }

    pub(super) async fn profile(&self, user: &str) -> Option<Profile> {
        let key = portrait_store::ProfileKey::of(&user_id(user));
        let found = self.store.profiles(self.partition(user), &[key]).await.expect("the store is there");
        let bytes = found.into_iter().next().flatten()?;
        Some(Profile::decode(&bytes).expect("a profile"))
    }

    /// Checks that every profile was made of exactly what was logged, each record once.
    pub(super) async fn check_profiles(&self) {
        for (user, record_ids) in &self.logged {
            let profile = self.profile(user).await.unwrap_or_else(|| panic!("{user} has no profile"));
            let ids = record_ids.iter().map(|id| RecordId::parse(id).expect("an id"));
            let fingerprint = ids.fold(Fingerprint::default(), |sum, id| sum.with(&id));
            let told = (profile.applied_events(), profile.fingerprint());
            assert_eq!(told, (record_ids.len() as u64, fingerprint), "{user}");
        }
    }

    /// Lets the workers end, and waits for them.
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

/// A view.
pub(super) fn view(user: &str, record_id: Option<&str>) -> Record {
    let at = Timestamp::from_millis(NEW_YEAR);
    Record {
        user_id: user_id(user),
        record_id: record_id.map(|id| RecordId::parse(id).expect("an id")),
        occurred_at: at,
        accepted_at: at,
        trace: None,
        body: Body::Event(Event {
            action: Action::View,
            utc_offset_minutes: 0,
            item_id: None,
            category: None,
            brand: None,
            price: None,
            quantity: 1.0,
            order_id: None,
            context: None,
        }),
    }
}
