//! Resyncs: for a snapshot, and in place of a gap.

use super::fixture::{NEW_YEAR, PARTITIONS, QueryFixture, config};
use super::reader::{Reader, after, from, reason};
use portrait_proto::v1::{ErrorReason, ResyncPhase, ResyncReason, WatchProfileChangesRequest, WatchStart};
use portrait_query::Config;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Configuration with many small pages.
fn small() -> Config {
    Config { page_profiles: 3, chunk_changes: 5, ring_changes: 8, queue_responses: 2, ..config() }
}

#[tokio::test]
async fn a_snapshot_sends_every_profile_and_then_the_changes_during_it() {
    let mut fixture = QueryFixture::running_with(small()).await;
    for number in 0..100 {
        fixture.buy(&format!("u{number}"), NEW_YEAR).await;
    }
    fixture.delete("u5").await;
    let request = WatchProfileChangesRequest { include_profile: true, ..from(WatchStart::Snapshot) };
    let mut reader = Reader::begin(&fixture, request).await;
    for number in 0..150 {
        reader.step().await.expect("the subscription continues");
        fixture.buy(&format!("u{}", number % 110), NEW_YEAR).await;
        if number % 7 == 0 {
            fixture.delete(&format!("u{}", number / 2)).await;
        }
    }
    reader.until_current().await;
    assert_eq!(reader.known, fixture.stored_versions().await);
    assert_eq!(reader.resyncs.len(), 2 * usize::from(PARTITIONS));
    assert!(reader.resyncs.iter().all(|(_, _, reason)| *reason == ResyncReason::Snapshot));
    assert!(reader.changes.iter().all(|change| change.deleted || change.profile.is_some()));
}

#[tokio::test]
async fn a_snapshot_of_an_empty_store_has_only_begin_and_end_markers() {
    let fixture = QueryFixture::running().await;
    let mut reader = Reader::begin(&fixture, from(WatchStart::Snapshot)).await;
    reader.until_current().await;
    let expected: Vec<_> = (0..u32::from(PARTITIONS))
        .flat_map(|partition| [ResyncPhase::Begin, ResyncPhase::End].map(|phase| (partition, phase)))
        .collect();
    let marks: Vec<_> = reader.resyncs.iter().map(|(partition, phase, _)| (*partition, *phase)).collect();
    assert_eq!(marks, expected);
}

#[tokio::test]
async fn a_trimmed_feed_causes_a_resync_of_the_partition() {
    let mut fixture = QueryFixture::running().await;
    let users = fixture.users_of(2, 4);
    let others = fixture.users_of(1, 1);
    fixture.touch(&users).await;
    fixture.touch(&others).await;
    let mut reader = Reader::begin(&fixture, from(WatchStart::Snapshot)).await;
    reader.until_current().await;
    let (token, known) = (reader.token.clone(), reader.known.clone());
    drop(reader);
    fixture.touch(&users).await;
    fixture.delete(&users[0]).await;
    fixture.trim_feeds().await;
    let mut reader = Reader::begin(&fixture, after(&token)).await;
    reader.remember(&known, &fixture);
    reader.until_current().await;
    let expired = ResyncReason::Expired;
    assert_eq!(reader.resyncs, [(2, ResyncPhase::Begin, expired), (2, ResyncPhase::End, expired)]);
    assert_eq!(reader.known, fixture.stored_versions().await);
    assert!(!reader.known.contains_key(&users[0]), "a user not named by the resync is dropped");
}

#[tokio::test]
async fn a_token_of_another_store_is_refused() {
    let old = QueryFixture::running().await;
    let mut reader = Reader::begin(&old, from(WatchStart::Now)).await;
    reader.until_current().await;
    let restored = QueryFixture::running().await;
    let refused = Reader::try_begin(&restored, after(&reader.token)).await.err().expect("another key");
    assert_eq!(reason(&refused), ErrorReason::BadToken);
}

#[tokio::test]
async fn an_unfinished_resync_starts_again_after_a_disconnect() {
    let mut fixture = QueryFixture::running_with(small()).await;
    let users = fixture.users_of(0, 20);
    fixture.touch(&users).await;
    let mut reader = Reader::begin(&fixture, from(WatchStart::Snapshot)).await;
    reader.until(|reader| reader.known.len() == 10).await;
    reader.resume(&fixture).await;
    reader.until_current().await;
    let of_first: Vec<_> = reader.resyncs.iter().filter(|(partition, ..)| *partition == 0).collect();
    let phases: Vec<_> = of_first.iter().map(|(_, phase, _)| *phase).collect();
    assert_eq!(phases, [ResyncPhase::Begin, ResyncPhase::Begin, ResyncPhase::End]);
    let before = reader.resyncs.len();
    reader.resume(&fixture).await;
    reader.until_current().await;
    assert_eq!(reader.resyncs.len(), before, "a finished resync is not repeated");
    assert_eq!(reader.known, fixture.stored_versions().await);
}

#[tokio::test]
async fn a_subscriber_converges_to_the_stored_state_under_random_operations() {
    for seed in 0..8 {
        let mut random = StdRng::seed_from_u64(seed);
        let mut fixture = QueryFixture::running_with(small()).await;
        let start = [WatchStart::Earliest, WatchStart::Snapshot][random.random_range(0..2)];
        let mut reader = Reader::begin(&fixture, from(start)).await;
        reader.step().await.expect("progress");
        for _ in 0..200 {
            let user = format!("u{}", random.random_range(0..25));
            match random.random_range(0..20) {
                0..9 => fixture.buy(&user, NEW_YEAR).await,
                9..11 => fixture.delete(&user).await,
                11 => fixture.trim_feeds().await,
                12..14 => reader.resume(&fixture).await,
                _ => reader.step().await.expect("the subscription continues"),
            }
        }
        reader.until_current().await;
        assert_eq!(reader.known, fixture.stored_versions().await, "seed {seed}");
    }
}
