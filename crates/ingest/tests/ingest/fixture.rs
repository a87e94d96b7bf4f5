//! Fixture: the ingest service over an embedded store with injected faults. Tests call it without a network, read the logs, and
//! apply them in place of a worker.

use bytes::Bytes;
use portrait_ingest::{Config, IngestService};
use portrait_profile::{
    Body, PartitionCount, PartitionId, PartitionLedger, ProfileVersion, Pseudonym, Record, TimeDelta,
    Timestamp, Tombstone, UserId,
};
use portrait_proto::v1::ingest_service_client::IngestServiceClient;
use portrait_proto::v1::ingest_service_server::{IngestService as Handlers, IngestServiceServer};
use portrait_proto::v1::{Action, Event, TrackRequest};
use portrait_runtime::ManualClock;
use portrait_runtime::telemetry::Instruments;
use portrait_store::faulty::FaultyStore;
use portrait_store::{
    Commit, Counters, FeedSeq, LeaseClaim, LogSeq, LogStore, Nonce, OwnerStore, ProfileClock, Store,
    StoreInfo, TombstoneStore,
};
use portrait_store_embedded::{Embedded, EmbeddedOptions};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Start time of every test, 2026-01-01T00:00:00Z.
pub(super) const NEW_YEAR: i64 = 1_767_225_600_000;
/// Longest wait of a test for a condition.
pub(super) const TEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Ingest service with its store and clock.
pub(super) struct IngestFixture {
    pub(super) store: Arc<Embedded>,
    pub(super) faulty: Arc<FaultyStore>,
    pub(super) clock: ManualClock,
    pub(super) service: IngestService,
    _folder: tempfile::TempDir,
}

impl IngestFixture {
    pub(super) fn new(config: &Config) -> Self {
        Self::with_ledger_of(config, 1 << 20)
    }

    /// Creates a service whose ledger of sources has at most this many bytes.
    pub(super) fn with_ledger_of(config: &Config, ledger_bytes: u64) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let options = EmbeddedOptions {
            partitions: PartitionCount::new(4),
            reserve_bytes: 0,
            ..EmbeddedOptions::default()
        };
        let store = Arc::new(Embedded::open(folder.path(), options).expect("a new store"));
        let faulty = Arc::new(FaultyStore::of(Arc::clone(&store) as Arc<dyn Store>));
        let clock = ManualClock::new(NEW_YEAR);
        let service = IngestService::build(
            Arc::clone(&faulty) as Arc<dyn Store>,
            ProfileClock::Wall,
            Arc::new(clock.clone()),
            Instruments::disabled(),
            &config.validate(portrait_store::AckLevel::Disk).expect("a valid configuration"),
            ledger_bytes,
        )
        .expect("valid keys");
        Self { store, faulty, clock, service, _folder: folder }
    }

    /// Returns a client without a network.
    pub(super) fn client(&self) -> IngestServiceClient<IngestServiceServer<impl Handlers + use<>>> {
        IngestServiceClient::new(self.service.grpc())
    }

    pub(super) fn partition(&self, user: &str) -> PartitionId {
        self.store.layout().partitions.partition_of(&UserId::parse(user).expect("an id"))
    }

    /// Returns every record of a partition's log.
    pub(super) async fn log(&self, partition: PartitionId) -> Vec<Record> {
        let page = self.store.read_log(partition, LogSeq::ZERO, 100_000, 64 << 20, Duration::ZERO).await;
        let records = page.expect("the log can be read").records;
        records.iter().map(|record| Record::decode(&record.value).expect("a record")).collect()
    }

    /// Returns every record of every log.
    pub(super) async fn logs(&self) -> Vec<Record> {
        let mut records = Vec::new();
        for partition in self.store.layout().partitions.all() {
            records.extend(self.log(partition).await);
        }
        records
    }

    /// Applies a partition's log as a worker does, as far as ingest sees it: position, tombstones, ledger.
    pub(super) async fn apply(&self, partition: PartitionId) {
        let meta = self.store.meta(partition).await.expect("the store answers");
        let page = self.store.read_log(partition, meta.applied_through, 100_000, 64 << 20, Duration::ZERO);
        let mut ledger = PartitionLedger::decode(&meta.note).expect("a ledger");
        let mut tombstones = BTreeMap::new();
        for record in page.await.expect("the log can be read").records {
            let decoded = Record::decode(&record.value).expect("a record");
            if let Body::Erase(pseudonym) | Body::Forget(pseudonym) = decoded.body {
                let stored = self.store.tombstones(partition, &[pseudonym]).await.expect("the store answers");
                let stored = stored[0].as_ref().map(|bytes| Tombstone::decode(bytes).expect("a tombstone"));
                let earlier = tombstones.get(&pseudonym).or(stored.as_ref());
                let tombstone = tombstone_of(&decoded, record.seq).merged_with(earlier);
                tombstones.insert(pseudonym, tombstone);
                ledger.erasures_mut().applied(record.seq);
            }
        }
        let encoded = tombstones.into_iter().map(|(key, tombstone)| (key, Some(tombstone.encode().into())));
        self.commit(partition, encoded.collect(), Some(ledger)).await;
    }

    /// Notes that a partition is done with all erasures that it has applied.
    pub(super) async fn finish_erasures(&self, partition: PartitionId) {
        let meta = self.store.meta(partition).await.expect("the store answers");
        let mut ledger = PartitionLedger::decode(&meta.note).expect("a ledger");
        ledger.erasures_mut().swept_through(meta.applied_through);
        ledger.erasures_mut().cleared_through(meta.applied_through);
        self.commit(partition, Vec::new(), Some(ledger)).await;
    }

    /// Expires the tombstone of a user.
    pub(super) async fn expire(&self, partition: PartitionId, user: &str) {
        self.commit(partition, vec![(self.pseudonym(user), None)], None).await;
    }

    /// Commits a log as if the store had lost its erasures: everything that is left is applied, without tombstones.
    pub(super) async fn lose_erasures(&self, partition: PartitionId) {
        self.commit(partition, Vec::new(), None).await;
    }

    pub(super) fn pseudonym(&self, user: &str) -> Pseudonym {
        self.store.layout().pseudonym_key.of(&UserId::parse(user).expect("an id"))
    }

    async fn commit(
        &self,
        partition: PartitionId,
        tombstones: Vec<(Pseudonym, Option<Bytes>)>,
        ledger: Option<PartitionLedger>,
    ) {
        let now = Timestamp::from_millis(NEW_YEAR);
        let claim = LeaseClaim::new(Nonce::new(1), "worker");
        let lease = self.store.acquire(partition, &claim, TimeDelta::from_hours(1), now).await;
        let token = lease.expect("the store answers").token().expect("no other owner");
        let meta = self.store.meta(partition).await.expect("the store answers");
        let commit = Commit {
            token,
            expected: meta.commit_no,
            applied_through: meta.log_end,
            clock: now,
            at: now,
            profiles: Vec::new(),
            tombstones,
            seen: Vec::new(),
            changes: Vec::new(),
            dead_letters: Vec::new(),
            counted: Counters::default(),
            note: ledger.map(|ledger| ledger.encode().into()),
        };
        self.store.commit(partition, commit).await.expect("the only owner");
    }
}

/// Returns the tombstone that the record of an erasure leads to.
fn tombstone_of(record: &Record, log_seq: LogSeq) -> Tombstone {
    Tombstone {
        accepted_at: record.accepted_at,
        erased_at: record.occurred_at,
        edges_through: record.occurred_at,
        version: ProfileVersion::default(),
        log_seq,
        log_seq_min: log_seq,
        feed_seq_max: FeedSeq::ZERO,
    }
}

/// Returns a view at the start time.
pub(super) fn view(user: &str, event_id: &str) -> Event {
    Event {
        event_id: event_id.to_owned(),
        user_id: user.to_owned(),
        action: Action::View.into(),
        occurred_at: new_year(),
        ..Default::default()
    }
}

/// Returns `count` views of one user with ids from `first`.
pub(super) fn views(user: &str, first: usize, count: usize) -> Vec<Event> {
    (first..first + count).map(|number| view(user, &format!("e{number}"))).collect()
}

pub(super) fn track(events: Vec<Event>) -> TrackRequest {
    TrackRequest { events, backfill: false }
}

pub(super) fn new_year() -> Option<prost_types::Timestamp> {
    Some(prost_types::Timestamp { seconds: NEW_YEAR / 1000, nanos: 0 })
}
