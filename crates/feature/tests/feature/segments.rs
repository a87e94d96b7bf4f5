//! Segments: assigned with every commit, swept for a new model, changed by time alone, counted exactly, and announced in the
//! feed.

use super::fixture::{FeatureFixture, NEW_YEAR};
use portrait_learning::testing::{FEW_USERS, MANY_USERS, by_views, without_segments};
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

/// Starts a fixture with ten users with few views and five with many.
async fn start_with_users() -> FeatureFixture {
    let mut fixture = FeatureFixture::start(2).await;
    for number in 0..10 {
        fixture.views(&format!("few{number}"), 0, FEW_USERS).await;
    }
    for number in 0..5 {
        fixture.views(&format!("many{number}"), 0, MANY_USERS).await;
    }
    fixture
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_model_no_user_is_in_a_segment() {
    let fixture = start_with_users().await;
    assert_eq!(fixture.segment("few0").await, None);
    assert!(fixture.counts().await.is_empty());
    assert!(fixture.changes().await.iter().all(|change| !change.moved()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_model_is_swept_and_each_user_counted_and_announced_once() {
    let fixture = start_with_users().await;
    fixture.serve(by_views(version(1), [1, 2], now()));
    let expected = BTreeMap::from([(1, 10), (2, 5)]);
    fixture.until("all users are in a segment", async || fixture.counts().await == expected).await;
    assert_eq!((fixture.segment("few3").await, fixture.segment("many4").await), (Some(1), Some(2)));
    let moves = fixture.changes().await.into_iter().filter(ProfileChange::moved);
    let announced: BTreeMap<String, Option<SegmentId>> =
        moves.map(|change| (change.user_id.to_string(), change.segment_after)).collect();
    assert_eq!(announced.len(), 15);
    // The same users with the same segment ids: no profile is written.
    let commits = fixture.meta(fixture.partition("few3")).await.feed_end;
    fixture.serve(by_views(version(2), [1, 2], now()));
    let swept = async || {
        let note = fixture.meta(fixture.partition("few3")).await.note;
        let ledger = portrait_profile::PartitionLedger::decode(&note).expect("a note");
        ledger.swept().is_some_and(|(swept, _)| swept == version(2))
    };
    fixture.until("the sweep for the second model is done", swept).await;
    assert_eq!(
        fixture.meta(fixture.partition("few3")).await.feed_end,
        commits,
        "the sweep announced no change"
    );
    // Another segment id: all users of the old one move.
    fixture.serve(by_views(version(3), [7, 2], now()));
    let expected = BTreeMap::from([(7, 10), (2, 5)]);
    fixture
        .until("all users are in a segment of the third model", async || fixture.counts().await == expected)
        .await;
    let moved =
        fixture.changes().await.into_iter().filter(|change| change.segment_before == Some(SegmentId::new(1)));
    assert_eq!(moved.count(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_served_during_the_last_page_of_a_sweep_is_swept_from_the_first_page() {
    let mut fixture = FeatureFixture::start(1).await;
    // More than one page of 64 profiles, so that the first page is assigned before the second model comes.
    let users = 100;
    let views = (0..users).flat_map(|user| {
        (0..FEW_USERS).map(move |number| (format!("user{user}"), format!("v{user}-{number}")))
    });
    fixture.log(&views.collect::<Vec<_>>()).await;
    fixture.settled().await;
    fixture.faulty.hold_later_pages(true);
    fixture.serve(by_views(version(1), [1, 2], now()));
    fixture.until("the last page is due", async || fixture.faulty.held_scan_count() == 1).await;
    fixture.serve(by_views(version(2), [7, 2], now()));
    fixture.faulty.hold_later_pages(false);
    let mut counts = BTreeMap::new();
    let swept = async || {
        let note = fixture.meta(fixture.partition("user0")).await.note;
        let ledger = portrait_profile::PartitionLedger::decode(&note).expect("a note");
        counts = ledger.counts().map(|(id, count)| (id.get(), count)).collect();
        ledger.swept().is_some_and(|(swept, _)| swept == version(2))
    };
    fixture.until("the sweep for the second model is noted", swept).await;
    assert_eq!(counts, BTreeMap::from([(7, users)]), "a page of the first model remains");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_moves_its_user_in_the_same_commit() {
    let mut fixture = FeatureFixture::start(1).await;
    fixture.serve(by_views(version(4), [1, 2], now()));
    fixture.views("lena", 0, FEW_USERS).await;
    let membership =
        fixture.profile("lena").await.expect("there").segment().expect("assigned with the first commit");
    assert_eq!(
        (membership.segment_id.get(), membership.model_version, membership.since),
        (1, version(4), now())
    );
    fixture.clock.advance(1000);
    fixture.views("lena", FEW_USERS, MANY_USERS).await;
    let membership = fixture.profile("lena").await.expect("there").segment().expect("assigned");
    assert_eq!(membership.segment_id.get(), 2);
    let reported: Vec<_> = fixture
        .changes()
        .await
        .into_iter()
        .filter(ProfileChange::moved)
        .map(|change| (change.segment_before.map(SegmentId::get), change.segment_after.map(SegmentId::get)))
        .collect();
    assert_eq!(reported, [(None, Some(1)), (Some(1), Some(2))]);
    assert_eq!(fixture.counts().await, BTreeMap::from([(2, 1)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn time_alone_moves_inactive_users() {
    let fixture = start_with_users().await;
    fixture.serve(by_views(version(1), [1, 2], now()));
    let expected = BTreeMap::from([(1, 10), (2, 5)]);
    fixture.until("all users are in a segment", async || fixture.counts().await == expected).await;
    // By then the views have decayed, and another sweep is due.
    fixture.clock.advance(24 * 200 * HOUR);
    let decayed = BTreeMap::from([(1, 15)]);
    fixture.until("users with many views have moved", async || fixture.counts().await == decayed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_without_segments_takes_them_from_every_user_and_the_next_one_gives_them_back() {
    let mut fixture = start_with_users().await;
    let both = BTreeMap::from([(1, 10), (2, 5)]);
    fixture.serve(by_views(version(1), [1, 2], now()));
    fixture.until("all users are in a segment", async || fixture.counts().await == both).await;
    fixture.serve(without_segments(version(2), [1, 2], now()));
    fixture.until("no user is in a segment", async || fixture.counts().await.is_empty()).await;
    for user in ["few0", "few9", "many0", "many4"] {
        assert_eq!(fixture.segment(user).await, None, "{user}");
    }
    // An event of such a user is applied, and moves no user.
    fixture.views("few0", 100, 3).await;
    assert_eq!(fixture.segment("few0").await, None);
    let mut moves = BTreeMap::new();
    for change in fixture.changes().await.into_iter().filter(ProfileChange::moved) {
        *moves.entry((change.segment_before, change.segment_after)).or_insert(0) += 1;
    }
    let [one, two] = [1, 2].map(|id| Some(SegmentId::new(id)));
    let expected = [((None, one), 10), ((None, two), 5), ((one, None), 10), ((two, None), 5)];
    assert_eq!(moves, BTreeMap::from(expected));
    fixture.serve(by_views(version(3), [1, 2], now()));
    fixture.until("all users are in their segments again", async || fixture.counts().await == both).await;
    fixture.check_profiles().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_stay_exact_with_lost_results_and_new_models() {
    let mut fixture = start_with_users().await;
    for round in 0..6 {
        fixture.faulty.lose_responses(2);
        let ids = if round % 2 == 0 { [1, 2] } else { [2, 3] };
        fixture.serve(by_views(version(round + 1), ids, now()));
        fixture.views(&format!("few{round}"), 100, 3).await;
        let is_swept = async || {
            fixture.counts().await.values().sum::<u64>() == 15 && segments_are_among(&fixture, ids).await
        };
        fixture.until("all users are in a segment of the newest model", is_swept).await;
    }
    let mut stored = BTreeMap::new();
    for partition in fixture.partitions() {
        for (_, bytes) in fixture.store.scan(partition, None, 100).await.expect("there").profiles {
            let profile = portrait_profile::Profile::decode(&bytes).expect("a profile");
            let id = profile.segment().expect("assigned").segment_id.get();
            *stored.entry(id).or_insert(0_u64) += 1;
        }
    }
    assert_eq!(fixture.counts().await, stored);
    fixture.check_profiles().await;
}

async fn segments_are_among(fixture: &FeatureFixture, ids: [u32; 2]) -> bool {
    fixture.counts().await.keys().all(|id| ids.contains(id))
}
