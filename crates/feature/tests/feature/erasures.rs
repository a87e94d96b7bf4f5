//! Erasures: one commit deletes the profile, older records stay blocked, and a new profile continues after the last version. A
//! sweep removes edges to the user, and in the end not even the tombstone is left.

mod models;

use super::fixture::{FeatureFixture, NEW_YEAR, user_id, view};
use bytes::Bytes;
use portrait_learning::testing::{FEW_USERS, by_views};
use portrait_profile::{
    Body, ModelVersion, PartitionId, PartitionLedger, ProfileChange, Record, RecordId, Relation,
    RelationKind, SourceId, Timestamp,
};
use portrait_store::{Counters, LogSeq, LogStore, OwnerStore, StoreInfo, TombstoneStore};
use std::collections::BTreeMap;

const HOUR: i64 = 3_600_000;
pub(super) const DAY: i64 = 24 * HOUR;
/// Time of the erasures in the tests.
pub(super) const ERASED: i64 = NEW_YEAR + HOUR;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn record_id(id: &str) -> Option<RecordId> {
    (!id.is_empty()).then(|| RecordId::parse(id).expect("an id"))
}

/// Record of a view at `millis`.
fn view_at(user: &str, id: &str, millis: i64) -> Record {
    Record { occurred_at: at(millis), ..view(user, Some(id)) }
}

fn edge(from: &str, to: &str, id: &str, millis: i64) -> Record {
    let relation = Relation { other_user_id: user_id(to), kind: RelationKind::Friend, weight: 0.5 };
    Record { body: Body::Relation(relation), ..view_at(from, id, millis) }
}

impl FeatureFixture {
    /// Logs a record and waits until it is applied.
    pub(super) async fn apply(&self, record: Record) {
        self.append(self.partition(record.user_id.as_str()), Bytes::from(record.encode())).await;
        self.settled().await;
    }

    /// Logs an erasure in all partitions, as ingest does, with records right before and after it in the user's own partition.
    pub(super) async fn erase_between(
        &self,
        user: &str,
        id: &str,
        millis: i64,
        before: Vec<Record>,
        after: Vec<Record>,
    ) -> Vec<LogSeq> {
        let home = self.partition(user);
        let mut positions = Vec::new();
        for partition in self.partitions() {
            let mut records = vec![self.erasure(user, id, millis, partition)];
            if partition == home {
                records = [before.clone(), records, after.clone()].concat();
            }
            let records = records.iter().map(|record| Bytes::from(record.encode())).collect();
            let level = portrait_store::AckLevel::Memory;
            let appended = self.store.append(partition, records, at(millis), level).await.expect("an append");
            let after_count = if partition == home { after.len() as u64 } else { 0 };
            positions.push(LogSeq::new(appended.last.seq.get() - after_count));
        }
        positions
    }

    /// Record of an erasure in one partition.
    fn erasure(&self, user: &str, id: &str, millis: i64, partition: PartitionId) -> Record {
        let pseudonym = self.store.layout().pseudonym_key.of(&user_id(user));
        let (name, body) = if partition == self.partition(user) {
            (user_id(user), Body::Erase(pseudonym))
        } else {
            (pseudonym.as_user_id(), Body::Forget(pseudonym))
        };
        let (occurred_at, accepted_at) = (at(millis), at(millis));
        Record {
            user_id: name,
            record_id: record_id(id),
            occurred_at,
            accepted_at,
            body,
            trace: None,
            source: None,
        }
    }

    /// Returns whether a partition has a tombstone of the user.
    async fn has_tombstone(&self, user: &str, partition: PartitionId) -> bool {
        let pseudonym = self.store.layout().pseudonym_key.of(&user_id(user));
        self.store.tombstones(partition, &[pseudonym]).await.expect("there")[0].is_some()
    }

    /// Erases a user and waits until no profile has an edge to the user.
    async fn erase(&self, user: &str, id: &str, millis: i64) {
        let positions = self.erase_between(user, id, millis, Vec::new(), Vec::new()).await;
        self.settled().await;
        self.swept(&positions).await;
    }

    async fn ledgers(&self) -> Vec<PartitionLedger> {
        let mut ledgers = Vec::new();
        for partition in self.partitions() {
            ledgers.push(PartitionLedger::decode(&self.meta(partition).await.note).expect("a note"));
        }
        ledgers
    }

    pub(super) async fn swept(&self, positions: &[LogSeq]) {
        self.until("all profiles are scanned for edges", async || {
            let ledgers = self.ledgers().await;
            let swept =
                |(ledger, position): (&PartitionLedger, &LogSeq)| ledger.erasures().is_swept(*position);
            ledgers.iter().zip(positions).all(swept)
        })
        .await;
    }

    /// Returns true if the erasure at these positions is cleared.
    pub(super) async fn is_cleared(&self, positions: &[LogSeq]) -> bool {
        let ledgers = self.ledgers().await;
        let cleared =
            |(ledger, position): (&PartitionLedger, &LogSeq)| ledger.erasures().is_cleared(*position);
        ledgers.iter().zip(positions).all(cleared)
    }

    async fn cleared(&self, positions: &[LogSeq]) {
        self.until("the erasure is cleared", async || {
            self.clock.advance(1000);
            self.is_cleared(positions).await
        })
        .await;
    }

    /// Waits for two trims of every log, after each of which its owner looks for erasures to clear.
    async fn trimmed_twice(&self) {
        for partition in self.partitions().collect::<Vec<_>>().repeat(2) {
            let seq = self.append(partition, Bytes::from(view("trimmed", None).encode())).await;
            self.until("the log is trimmed", async || {
                self.clock.advance(1000);
                self.meta(partition).await.log_first > seq
            })
            .await;
        }
    }

    /// Waits until everything is cleared that may be.
    async fn cleaned_up(&self) {
        self.trimmed_twice().await;
        // Returns after the run that an owner began, if any.
        self.store.rewrite_files().await.expect("the files can be rewritten");
        self.trimmed_twice().await;
    }

    async fn counted(&self) -> Counters {
        let mut sum = Counters::default();
        for partition in self.partitions() {
            let counters = self.meta(partition).await.counters;
            sum.applied += counters.applied;
            sum.duplicates += counters.duplicates;
            sum.blocked += counters.blocked;
        }
        sum
    }

    /// Returns the users that `user` has edges to.
    async fn edges(&self, user: &str) -> Vec<String> {
        let profile = self.profile(user).await.expect("a profile");
        profile.view_at(at(NEW_YEAR + 100 * DAY)).edges.iter().map(|edge| edge.user_id.to_string()).collect()
    }

    /// Returns version and deletion flag of every change of a user in the feed.
    async fn feed_versions(&self, user: &str) -> Vec<(u64, bool)> {
        let changes = self.changes().await.into_iter().filter(|change| change.user_id.as_str() == user);
        changes.map(|change: ProfileChange| (change.version.get(), change.deleted)).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erased_user_is_deleted_announced_and_begins_after_the_last_version() {
    let fixture = FeatureFixture::start(2).await;
    for (id, millis) in [("a", NEW_YEAR), ("b", NEW_YEAR + 1)] {
        fixture.apply(view_at("lena", id, millis)).await;
    }
    fixture.erase("lena", "gone", ERASED).await;
    assert!(fixture.profile("lena").await.is_none());
    assert_eq!(fixture.feed_versions("lena").await, [(1, false), (2, false), (3, true)]);
    // A duplicate, a late event, and a late relation.
    fixture.apply(view_at("lena", "a", NEW_YEAR)).await;
    fixture.apply(view_at("lena", "late", ERASED)).await;
    fixture.apply(edge("lena", "omar", "late edge", ERASED - 1)).await;
    assert!(fixture.profile("lena").await.is_none());
    let counted = fixture.counted().await;
    assert_eq!((counted.applied, counted.duplicates, counted.blocked), (2, 1, 2));
    fixture.apply(view_at("lena", "since", ERASED + 1)).await;
    let profile = fixture.profile("lena").await.expect("a new profile");
    assert_eq!((profile.version().get(), profile.applied_events()), (4, 1));
    // Older records stay out of the new profile too.
    fixture.apply(view_at("lena", "older", NEW_YEAR)).await;
    assert_eq!(fixture.profile("lena").await.expect("the profile").applied_events(), 1);
    assert_eq!(fixture.feed_versions("lena").await, [(1, false), (2, false), (3, true), (4, false)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_within_a_batch_separates_the_old_profile_from_the_new() {
    let fixture = FeatureFixture::start(2).await;
    fixture.apply(view_at("lena", "a", NEW_YEAR)).await;
    fixture.faulty.hold_commits(true);
    // The commit of another user is held, so that the following records are read as one batch.
    let home = fixture.partition("lena");
    let other = (0..).map(|number| format!("other{number}")).find(|user| fixture.partition(user) == home);
    fixture.append(home, Bytes::from(view_at(&other.expect("one"), "x", NEW_YEAR).encode())).await;
    fixture.until("a commit waits", async || fixture.faulty.held_commit_count() == 1).await;
    let before = vec![view_at("lena", "b", NEW_YEAR + 1)];
    let after = vec![view_at("lena", "late", NEW_YEAR + 2), view_at("lena", "d", ERASED + 1)];
    fixture.erase_between("lena", "", ERASED, before, after).await;
    fixture.faulty.hold_commits(false);
    fixture.settled().await;
    let profile = fixture.profile("lena").await.expect("a new profile");
    assert_eq!(profile.applied_events(), 1);
    assert_eq!(fixture.feed_versions("lena").await, [(1, false), (2, true), (3, false)]);
    assert_eq!(fixture.counted().await.blocked, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_logged_before_the_erasure_is_erased_even_if_stamped_later() {
    let fixture = FeatureFixture::start(1).await;
    fixture.apply(view_at("lena", "ahead", ERASED + 1000)).await;
    fixture.erase("lena", "", ERASED).await;
    fixture.apply(view_at("lena", "also ahead", ERASED + 1000)).await;
    assert!(fixture.profile("lena").await.is_none());
    fixture.apply(view_at("lena", "since", ERASED + 1001)).await;
    assert!(fixture.profile("lena").await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn edges_to_an_erased_user_are_removed_and_later_ones_kept() {
    let fixture = FeatureFixture::start(3).await;
    for (from, to) in [("omar", "lena"), ("omar", "mia"), ("ben", "lena"), ("tom", "mia")] {
        fixture.apply(edge(from, to, &format!("{from}-{to}"), NEW_YEAR)).await;
    }
    fixture.apply(view_at("lena", "a", NEW_YEAR)).await;
    let unchanged = fixture.profile("tom").await.expect("a profile").version();
    fixture.erase("lena", "gone", ERASED).await;
    assert_eq!((fixture.edges("omar").await, fixture.edges("ben").await.len()), (vec!["mia".to_owned()], 0));
    assert_eq!(
        fixture.profile("tom").await.expect("a profile").version(),
        unchanged,
        "a profile without such an edge is not written"
    );
    // A late edge from before the erasure counts as a record and is not stored.
    fixture.apply(edge("mia", "lena", "late", NEW_YEAR)).await;
    assert_eq!(
        (fixture.edges("mia").await.len(), fixture.profile("mia").await.expect("one").applied_events()),
        (0, 1)
    );
    // A later edge is stored.
    fixture.apply(edge("omar", "lena", "again", ERASED + 1)).await;
    assert_eq!(fixture.edges("omar").await, ["lena", "mia"]);
    // A duplicate of the erasure removes nothing more.
    fixture.erase("lena", "gone", ERASED + HOUR).await;
    assert_eq!(fixture.edges("omar").await, ["lena", "mia"]);
    // Another erasure does.
    fixture.erase("lena", "gone once more", ERASED + HOUR).await;
    assert_eq!(fixture.edges("omar").await, ["mia"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_with_the_id_of_an_event_is_no_duplicate_of_it() {
    let fixture = FeatureFixture::start(1).await;
    fixture.apply(view_at("lena", "1", NEW_YEAR)).await;
    fixture.erase("lena", "1", ERASED).await;
    assert!(fixture.profile("lena").await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erased_user_leaves_the_segment_count() {
    let mut fixture = FeatureFixture::start(2).await;
    for user in ["lena", "omar", "mia"] {
        fixture.views(user, 0, FEW_USERS).await;
    }
    fixture.serve(by_views(ModelVersion::new(1).expect("not 0"), [1, 2], at(NEW_YEAR)));
    fixture
        .until("all users are in a segment", async || fixture.counts().await == BTreeMap::from([(1, 3)]))
        .await;
    fixture.erase("lena", "", ERASED).await;
    assert_eq!(fixture.counts().await, BTreeMap::from([(1, 2)]));
    let deletion = fixture.changes().await.into_iter().find(|change| change.deleted).expect("a deletion");
    assert!(deletion.segment_before.is_some() && deletion.segment_after.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_commit_result_erases_once_and_an_interrupted_sweep_starts_again() {
    let fixture = FeatureFixture::start(2).await;
    for number in 0..200 {
        fixture
            .append(
                fixture.partition(&format!("u{number}")),
                Bytes::from(edge(&format!("u{number}"), "lena", "e", NEW_YEAR).encode()),
            )
            .await;
    }
    fixture.apply(view_at("lena", "a", NEW_YEAR)).await;
    fixture.faulty.lose_responses(6);
    fixture.erase("lena", "", ERASED).await;
    fixture.until("all results are lost", async || fixture.faulty.responses_to_lose() == 0).await;
    for number in 0..200 {
        assert!(fixture.edges(&format!("u{number}")).await.is_empty(), "u{number}");
    }
    assert_eq!(fixture.feed_versions("lena").await, [(1, false), (2, true)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_trim_nothing_is_left_and_versions_continue() {
    let fixture = FeatureFixture::start(2).await;
    for number in 0..5 {
        fixture.apply(view_at("lena", &number.to_string(), NEW_YEAR + number)).await;
    }
    let positions = fixture.erase_between("lena", "", ERASED, Vec::new(), Vec::new()).await;
    fixture.settled().await;
    fixture.swept(&positions).await;
    let tombstones = async || {
        let mut count = 0;
        for partition in fixture.partitions() {
            count +=
                fixture.store.scan_tombstones(partition, None, 10).await.expect("there").tombstones.len();
        }
        count
    };
    assert_eq!(tombstones().await, 2);
    assert!(!fixture.is_cleared(&positions).await, "the log still has it");
    // The retention of the log is a week; each partition trims at its next interval.
    fixture.clock.advance(7 * DAY + HOUR);
    fixture.cleared(&positions).await;
    fixture.clock.advance(2 * DAY);
    fixture
        .until("the tombstones expire", async || {
            fixture.clock.advance(1000);
            tombstones().await == 0
        })
        .await;
    fixture.apply(view_at("lena", "after", NEW_YEAR + 9 * DAY)).await;
    assert_eq!(fixture.profile("lena").await.expect("a new one").version().get(), 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn tombstones_stay_where_rows_of_a_source_may_come_again() {
    let fixture = FeatureFixture::start(1).await;
    let source = SourceId::parse("orders").ok();
    let row = |id: &str| Record { source, ..view_at("lena", id, NEW_YEAR) };
    fixture.apply(row("1")).await;
    let positions = fixture.erase_between("lena", "", ERASED, Vec::new(), Vec::new()).await;
    fixture.settled().await;
    fixture.swept(&positions).await;
    fixture.clock.advance(7 * DAY + HOUR);
    fixture.cleared(&positions).await;
    // Years after the retention, and many trims.
    let mut now = NEW_YEAR + 7 * DAY + HOUR;
    for _ in 0..10 {
        fixture.clock.advance(365 * DAY);
        now += 365 * DAY;
        let accepted_at = Timestamp::from_millis(now);
        fixture.apply(Record { accepted_at, ..row("1") }).await;
        fixture.apply(Record { accepted_at, ..row("2") }).await;
    }
    assert!(fixture.profile("lena").await.is_none(), "an import years later brings nobody back");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tombstone_expires_only_after_every_partition_is_done_and_in_the_coordinator_first() {
    let fixture = FeatureFixture::start(2).await;
    let pseudonym = fixture.store.layout().pseudonym_key.of(&user_id("lena"));
    let coordinator = fixture.store.layout().partitions.coordinator_of(&pseudonym);
    let other = fixture.partitions().find(|partition| *partition != coordinator).expect("two partitions");
    let append = async |partition| {
        let erasure = fixture.erasure("lena", "", ERASED, partition);
        fixture.append(partition, Bytes::from(erasure.encode())).await;
        fixture.settled().await;
    };
    // The other partition has lost its record.
    append(coordinator).await;
    fixture.clock.advance(20 * DAY);
    fixture.cleaned_up().await;
    fixture.cleaned_up().await;
    assert!(fixture.has_tombstone("lena", coordinator).await);
    append(other).await;
    assert!(fixture.has_tombstone("lena", other).await);
    fixture
        .until("the coordinator's tombstone expires", async || {
            fixture.clock.advance(1000);
            let is_first = fixture.has_tombstone("lena", other).await;
            let is_left = fixture.has_tombstone("lena", coordinator).await;
            assert!(is_first || !is_left, "the other tombstone expired first");
            !is_left
        })
        .await;
    fixture
        .until("the other tombstone expires", async || {
            fixture.clock.advance(1000);
            !fixture.has_tombstone("lena", other).await
        })
        .await;
}
