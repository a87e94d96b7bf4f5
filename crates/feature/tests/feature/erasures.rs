//! Who is erased is gone with one commit, stays gone whatever old records come, and begins anew above the version that was; edges to
//! the shopper go with a sweep, and in the end nothing is left, not even of the tombstone.

use super::fixture::{NEW_YEAR, FeatureFixture, user_id, view};
use bytes::Bytes;
use portrait_learning::prediction::LOOKALIKES;
use portrait_learning::testing::{FEW_USERS, by_views};
use portrait_profile::{
    Body, ModelVersion, PartitionLedger, ProfileChange, Record, RecordId, Relation, RelationKind,
    TimeDelta, Timestamp,
};
use portrait_proto::v1::{ModelManifest, ModelPart};
use portrait_store::{
    Counters, LogSeq, LogStore, Nonce, ProfileStore, PublishedModel, RegistryChange, RegistryStore, StoreInfo,
};
use prost::Message;
use std::collections::BTreeMap;
use std::time::Duration;

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
/// When the erasures of the tests are.
const ERASED: i64 = NEW_YEAR + HOUR;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn record_id(id: &str) -> Option<RecordId> {
    (!id.is_empty()).then(|| RecordId::parse(id).expect("an id"))
}

/// A view at a moment.
fn view_at(user: &str, id: &str, millis: i64) -> Record {
    Record { occurred_at: at(millis), ..view(user, Some(id)) }
}

fn edge(from: &str, to: &str, id: &str, millis: i64) -> Record {
    let relation = Relation { other_user_id: user_id(to), kind: RelationKind::Friend, weight: 0.5 };
    Record { body: Body::Relation(relation), ..view_at(from, id, millis) }
}

impl FeatureFixture {
    /// Logs a record, and waits until it is applied.
    async fn tell(&self, record: Record) {
        self.append(self.partition(record.user_id.as_str()), Bytes::from(record.encode())).await;
        self.settled().await;
    }

    /// Logs what erases a shopper, as ingest does: in all partitions, with what is logged right before and after it at home.
    async fn erase_between(
        &self,
        user: &str,
        id: &str,
        millis: i64,
        before: Vec<Record>,
        after: Vec<Record>,
    ) -> Vec<LogSeq> {
        let (home, pseudonym) = (self.partition(user), self.store.layout().pseudonym_key.of(&user_id(user)));
        let mut places = Vec::new();
        for partition in self.partitions() {
            let (name, body) = if partition == home {
                (user_id(user), Body::Erase(pseudonym))
            } else {
                (pseudonym.as_user_id(), Body::Forget(pseudonym))
            };
            let (occurred_at, accepted_at) = (at(millis), at(millis));
            let erasure = Record {
                user_id: name,
                record_id: record_id(id),
                occurred_at,
                accepted_at,
                body,
                trace: None,
            };
            let mut records = vec![erasure];
            if partition == home {
                records = [before.clone(), records, after.clone()].concat();
            }
            let records = records.iter().map(|record| Bytes::from(record.encode())).collect();
            let level = portrait_store::AckLevel::Memory;
            let appended = self.store.append(partition, records, at(millis), level).await.expect("room");
            let behind = if partition == home { after.len() as u64 } else { 0 };
            places.push(LogSeq::new(appended.last.seq.get() - behind));
        }
        places
    }

    /// Erases a shopper, and waits until nobody has an edge to the shopper.
    async fn erase(&self, user: &str, id: &str, millis: i64) {
        let places = self.erase_between(user, id, millis, Vec::new(), Vec::new()).await;
        self.settled().await;
        self.swept(&places).await;
    }

    async fn ledgers(&self) -> Vec<PartitionLedger> {
        let mut ledgers = Vec::new();
        for partition in self.partitions() {
            ledgers.push(PartitionLedger::decode(&self.meta(partition).await.note).expect("a note"));
        }
        ledgers
    }

    async fn swept(&self, places: &[LogSeq]) {
        self.until("everybody is looked at for edges", async || {
            let ledgers = self.ledgers().await;
            let swept = |(ledger, place): (&PartitionLedger, &LogSeq)| {
                ledger.erasures().is_swept(*place)
            };
            ledgers.iter().zip(places).all(swept)
        })
        .await;
    }

    /// Whether nothing is left of the erasure with these places.
    async fn is_cleared(&self, places: &[LogSeq]) -> bool {
        let ledgers = self.ledgers().await;
        let cleared = |(ledger, place): (&PartitionLedger, &LogSeq)| {
            ledger.erasures().is_cleared(*place)
        };
        ledgers.iter().zip(places).all(cleared)
    }

    async fn cleared(&self, places: &[LogSeq]) {
        self.until("nothing is left of it", async || {
            self.clock.advance(1000);
            self.is_cleared(places).await
        })
        .await;
    }

    /// Publishes a model of such parts, and keeps no other.
    async fn keep_model(&self, number: u64, millis: i64, kind: &str) {
        let registry = self.store.registry(None, Duration::ZERO).await.expect("there");
        let part = ModelPart { kind: kind.to_owned(), ..Default::default() };
        let manifest = ModelManifest { parts: vec![part], ..Default::default() }.encode_to_vec().into();
        let version = ModelVersion::new(number).expect("not 0");
        let lease = self.store.acquire_training(Nonce::new(7), TimeDelta::from_days(100), at(millis)).await;
        let token = lease.expect("there").expect("nobody else trains");
        let change = RegistryChange {
            expected: registry.registry_no,
            publish: Some((token, PublishedModel { version, at: at(millis), manifest })),
            activate: Some(version),
            forget: registry.models.iter().map(|model| model.version).collect(),
            forget_parts: Vec::new(),
        };
        self.store.change_registry(change).await.expect("published");
        self.store.release_training(token).await.expect("there");
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

    /// To whom a shopper has edges.
    async fn edges(&self, user: &str) -> Vec<String> {
        let profile = self.profile(user).await.expect("a profile");
        profile.view_at(at(NEW_YEAR + 100 * DAY)).edges.iter().map(|edge| edge.user_id.to_string()).collect()
    }

    /// Versions and deletions as the feed tells them of a shopper.
    async fn told(&self, user: &str) -> Vec<(u64, bool)> {
        let changes = self.changes().await.into_iter().filter(|change| change.user_id.as_str() == user);
        changes.map(|change: ProfileChange| (change.version.get(), change.deleted)).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_erased_is_gone_and_told_of_and_begins_anew_above_the_last_version() {
    let room = FeatureFixture::running(2).await;
    for (id, millis) in [("a", NEW_YEAR), ("b", NEW_YEAR + 1)] {
        room.tell(view_at("lena", id, millis)).await;
    }
    room.erase("lena", "gone", ERASED).await;
    assert!(room.profile("lena").await.is_none());
    assert_eq!(room.told("lena").await, [(1, false), (2, false), (3, true)]);
    // What is known, what comes late, and what comes late in another form.
    room.tell(view_at("lena", "a", NEW_YEAR)).await;
    room.tell(view_at("lena", "late", ERASED)).await;
    room.tell(edge("lena", "omar", "late edge", ERASED - 1)).await;
    assert!(room.profile("lena").await.is_none());
    let counted = room.counted().await;
    assert_eq!((counted.applied, counted.duplicates, counted.blocked), (2, 1, 2));
    room.tell(view_at("lena", "since", ERASED + 1)).await;
    let profile = room.profile("lena").await.expect("the shopper came back");
    assert_eq!((profile.version().get(), profile.applied_events()), (4, 1));
    // What is old stays out of the new profile, too.
    room.tell(view_at("lena", "older", NEW_YEAR)).await;
    assert_eq!(room.profile("lena").await.expect("it stays").applied_events(), 1);
    assert_eq!(room.told("lena").await, [(1, false), (2, false), (3, true), (4, false)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_in_the_middle_of_a_batch_parts_the_old_profile_from_the_new() {
    let room = FeatureFixture::running(2).await;
    room.tell(view_at("lena", "a", NEW_YEAR)).await;
    room.faulty.hold_commits(true);
    // The worker waits with a commit of something else; what follows is read in one piece.
    let home = room.partition("lena");
    let other = (0..).map(|number| format!("other{number}")).find(|user| room.partition(user) == home);
    room.append(home, Bytes::from(view_at(&other.expect("one"), "x", NEW_YEAR).encode())).await;
    room.until("a commit waits", async || room.faulty.held_commit_count() == 1).await;
    let before = vec![view_at("lena", "b", NEW_YEAR + 1)];
    let after = vec![view_at("lena", "late", NEW_YEAR + 2), view_at("lena", "d", ERASED + 1)];
    room.erase_between("lena", "", ERASED, before, after).await;
    room.faulty.hold_commits(false);
    room.settled().await;
    let profile = room.profile("lena").await.expect("the shopper came back");
    assert_eq!(profile.applied_events(), 1);
    assert_eq!(room.told("lena").await, [(1, false), (2, true), (3, false)]);
    assert_eq!(room.counted().await.blocked, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_stamped_later_than_the_erasure_that_came_before_it_is_of_before_it() {
    let room = FeatureFixture::running(1).await;
    room.tell(view_at("lena", "ahead", ERASED + 1000)).await;
    room.erase("lena", "", ERASED).await;
    room.tell(view_at("lena", "also ahead", ERASED + 1000)).await;
    assert!(room.profile("lena").await.is_none());
    room.tell(view_at("lena", "since", ERASED + 1001)).await;
    assert!(room.profile("lena").await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn edges_to_the_erased_go_and_edges_made_since_stay() {
    let room = FeatureFixture::running(3).await;
    for (from, to) in [("omar", "lena"), ("omar", "mia"), ("ben", "lena"), ("tom", "mia")] {
        room.tell(edge(from, to, &format!("{from}-{to}"), NEW_YEAR)).await;
    }
    room.tell(view_at("lena", "a", NEW_YEAR)).await;
    let quiet = room.profile("tom").await.expect("a profile").version();
    room.erase("lena", "gone", ERASED).await;
    assert_eq!((room.edges("omar").await, room.edges("ben").await.len()), (vec!["mia".to_owned()], 0));
    assert_eq!(
        room.profile("tom").await.expect("a profile").version(),
        quiet,
        "who loses nothing is not written"
    );
    // An edge that was stated before and comes late counts, and connects nobody.
    room.tell(edge("mia", "lena", "late", NEW_YEAR)).await;
    assert_eq!(
        (room.edges("mia").await.len(), room.profile("mia").await.expect("one").applied_events()),
        (0, 1)
    );
    // The shopper is back, and so are friends.
    room.tell(edge("omar", "lena", "again", ERASED + 1)).await;
    assert_eq!(room.edges("omar").await, ["lena", "mia"]);
    // The same erasure sent again takes nothing more.
    room.erase("lena", "gone", ERASED + HOUR).await;
    assert_eq!(room.edges("omar").await, ["lena", "mia"]);
    // Another one does.
    room.erase("lena", "gone once more", ERASED + HOUR).await;
    assert_eq!(room.edges("omar").await, ["mia"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_with_the_id_of_an_event_is_no_duplicate_of_it() {
    let room = FeatureFixture::running(1).await;
    room.tell(view_at("lena", "1", NEW_YEAR)).await;
    room.erase("lena", "1", ERASED).await;
    assert!(room.profile("lena").await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_count_the_erased_no_longer() {
    let mut room = FeatureFixture::running(2).await;
    for user in ["lena", "omar", "mia"] {
        room.views(user, 0, FEW_USERS).await;
    }
    room.serve(by_views(ModelVersion::new(1).expect("not 0"), [1, 2], at(NEW_YEAR)));
    room.until("everybody is in a segment", async || room.counts().await == BTreeMap::from([(1, 3)])).await;
    room.erase("lena", "", ERASED).await;
    assert_eq!(room.counts().await, BTreeMap::from([(1, 2)]));
    let deletion = room.changes().await.into_iter().find(|change| change.deleted).expect("it is told");
    assert!(deletion.segment_before.is_some() && deletion.segment_after.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_answer_is_lost_erases_once_and_a_sweep_that_is_cut_off_is_done_again() {
    let room = FeatureFixture::running(2).await;
    for number in 0..200 {
        room.append(
            room.partition(&format!("u{number}")),
            Bytes::from(edge(&format!("u{number}"), "lena", "e", NEW_YEAR).encode()),
        )
        .await;
    }
    room.tell(view_at("lena", "a", NEW_YEAR)).await;
    room.faulty.lose_responses(6);
    room.erase("lena", "", ERASED).await;
    room.until("all answers are lost", async || room.faulty.responses_to_lose() == 0).await;
    for number in 0..200 {
        assert!(room.edges(&format!("u{number}")).await.is_empty(), "u{number}");
    }
    assert_eq!(room.told("lena").await, [(1, false), (2, true)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_log_has_forgotten_it_nothing_is_left_and_versions_go_on_all_the_same() {
    let room = FeatureFixture::running(2).await;
    for number in 0..5 {
        room.tell(view_at("lena", &number.to_string(), NEW_YEAR + number)).await;
    }
    let places = room.erase_between("lena", "", ERASED, Vec::new(), Vec::new()).await;
    room.settled().await;
    room.swept(&places).await;
    let tombstones = async || {
        let mut count = 0;
        for partition in room.partitions() {
            count += room.store.tombstones(partition, None, 10).await.expect("there").tombstones.len();
        }
        count
    };
    assert_eq!(tombstones().await, 2);
    assert!(!room.is_cleared(&places).await, "the log still has it");
    // The log is kept for a week; each partition trims when its time comes.
    room.clock.advance(7 * DAY + HOUR);
    room.cleared(&places).await;
    room.clock.advance(2 * DAY);
    room.until("the tombstones expire", async || {
        room.clock.advance(1000);
        tombstones().await == 0
    })
    .await;
    room.tell(view_at("lena", "after", NEW_YEAR + 9 * DAY)).await;
    assert_eq!(room.profile("lena").await.expect("a new one").version().get(), 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn something_is_left_while_a_model_from_before_names_shoppers() {
    let room = FeatureFixture::running(2).await;
    room.tell(view_at("lena", "a", NEW_YEAR)).await;
    room.keep_model(1, NEW_YEAR, LOOKALIKES).await;
    let first = room.erase_between("lena", "", ERASED, Vec::new(), Vec::new()).await;
    let second = room.erase_between("lena", "", ERASED + 2 * HOUR, Vec::new(), Vec::new()).await;
    room.settled().await;
    room.swept(&second).await;
    room.clock.advance(20 * DAY);
    room.until("the log has forgotten it", async || {
        room.clock.advance(1000);
        for (partition, place) in room.partitions().zip(&second) {
            if room.meta(partition).await.log_first <= *place {
                return false;
            }
        }
        true
    })
    .await;
    // The first is held back too, although the second is what the tombstone is of.
    assert!(!room.is_cleared(&first).await);
    // Its training may have begun before.
    room.keep_model(2, ERASED + 2 * HOUR + 1, LOOKALIKES).await;
    assert!(!room.is_cleared(&second).await);
    room.keep_model(3, NEW_YEAR, "segments").await;
    room.cleared(&second).await;
    room.keep_model(4, ERASED + 4 * HOUR, LOOKALIKES).await;
    let third = room.erase_between("omar", "", ERASED + HOUR, Vec::new(), Vec::new()).await;
    room.settled().await;
    room.clock.advance(20 * DAY);
    room.cleared(&third).await;
}
