//! Who is in which segment: assigned with every commit, swept for a new model, moved by time alone, counted exactly, and told to
//! whoever follows the feed.

use super::fixture::{NEW_YEAR, FeatureFixture};
use portrait_learning::testing::{FEW_USERS, MANY_USERS, by_views};
use portrait_profile::{ModelVersion, ProfileChange, SegmentId, Timestamp};
use portrait_store::ProfileStore;
use std::collections::BTreeMap;

const HOUR: i64 = 3_600_000;

fn now() -> Timestamp {
    Timestamp::from_millis(NEW_YEAR)
}

fn version(number: u64) -> ModelVersion {
    ModelVersion::new(number).expect("not 0")
}

/// Ten shoppers with few views and five with many.
async fn shop() -> FeatureFixture {
    let mut room = FeatureFixture::running(2).await;
    for number in 0..10 {
        room.views(&format!("few{number}"), 0, FEW_USERS).await;
    }
    for number in 0..5 {
        room.views(&format!("many{number}"), 0, MANY_USERS).await;
    }
    room
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_model_nobody_is_in_a_segment() {
    let room = shop().await;
    assert_eq!(room.segment("few0").await, None);
    assert!(room.counts().await.is_empty());
    assert!(room.changes().await.iter().all(|change| !change.moved()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_model_is_swept_in_and_everybody_is_counted_and_told_once() {
    let room = shop().await;
    room.serve(by_views(version(1), [1, 2], now()));
    let expected = BTreeMap::from([(1, 10), (2, 5)]);
    room.until("everybody is in a segment", async || room.counts().await == expected).await;
    assert_eq!((room.segment("few3").await, room.segment("many4").await), (Some(1), Some(2)));
    let moves = room.changes().await.into_iter().filter(ProfileChange::moved);
    let told: BTreeMap<String, Option<SegmentId>> =
        moves.map(|change| (change.user_id.to_string(), change.segment_after)).collect();
    assert_eq!(told.len(), 15);
    // The same people under the same ids: nobody is written again.
    let commits = room.meta(room.partition("few3")).await.feed_end;
    room.serve(by_views(version(2), [1, 2], now()));
    let swept = async || {
        let note = room.meta(room.partition("few3")).await.note;
        let ledger = portrait_profile::PartitionLedger::decode(&note).expect("a note");
        ledger.swept().is_some_and(|(swept, _)| swept == version(2))
    };
    room.until("the sweep for the second model is done", swept).await;
    assert_eq!(room.meta(room.partition("few3")).await.feed_end, commits, "a sweep told of nothing new");
    // Other ids: everybody moves from the one to the other.
    room.serve(by_views(version(3), [7, 2], now()));
    let expected = BTreeMap::from([(7, 10), (2, 5)]);
    room.until("everybody is in a segment of the third", async || room.counts().await == expected).await;
    let moved =
        room.changes().await.into_iter().filter(|change| change.segment_before == Some(SegmentId::new(1)));
    assert_eq!(moved.count(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_moves_its_shopper_in_the_same_commit() {
    let mut room = FeatureFixture::running(1).await;
    room.serve(by_views(version(4), [1, 2], now()));
    room.views("lena", 0, FEW_USERS).await;
    let held = room.profile("lena").await.expect("there").segment().expect("assigned with the first commit");
    assert_eq!((held.segment_id.get(), held.model_version, held.since), (1, version(4), now()));
    room.clock.advance(1000);
    room.views("lena", FEW_USERS, MANY_USERS).await;
    let held = room.profile("lena").await.expect("there").segment().expect("assigned");
    assert_eq!(held.segment_id.get(), 2);
    let told: Vec<_> = room
        .changes()
        .await
        .into_iter()
        .filter(ProfileChange::moved)
        .map(|change| (change.segment_before.map(SegmentId::get), change.segment_after.map(SegmentId::get)))
        .collect();
    assert_eq!(told, [(None, Some(1)), (Some(1), Some(2))]);
    assert_eq!(room.counts().await, BTreeMap::from([(2, 1)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_went_quiet_is_moved_by_time() {
    let room = shop().await;
    room.serve(by_views(version(1), [1, 2], now()));
    let expected = BTreeMap::from([(1, 10), (2, 5)]);
    room.until("everybody is in a segment", async || room.counts().await == expected).await;
    // By then little is left of many views, and it is time to look again.
    room.clock.advance(24 * 200 * HOUR);
    let quiet = BTreeMap::from([(1, 15)]);
    room.until("the many of once are few now", async || room.counts().await == quiet).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_hold_while_answers_get_lost_and_models_come() {
    let mut room = shop().await;
    for round in 0..6 {
        room.faulty.lose_responses(2);
        let ids = if round % 2 == 0 { [1, 2] } else { [2, 3] };
        room.serve(by_views(version(round + 1), ids, now()));
        room.views(&format!("few{round}"), 100, 3).await;
        let whole = async || room.counts().await.values().sum::<u64>() == 15 && ids_are(&room, ids).await;
        room.until("everybody is in a segment of the newest model", whole).await;
    }
    let mut stored = BTreeMap::new();
    for partition in room.partitions() {
        for (_, bytes) in room.store.scan(partition, None, 100).await.expect("there").profiles {
            let profile = portrait_profile::Profile::decode(&bytes).expect("a profile");
            let id = profile.segment().expect("assigned").segment_id.get();
            *stored.entry(id).or_insert(0_u64) += 1;
        }
    }
    assert_eq!(room.counts().await, stored);
    room.check_profiles().await;
}

async fn ids_are(room: &FeatureFixture, ids: [u32; 2]) -> bool {
    room.counts().await.keys().all(|id| ids.contains(id))
}
