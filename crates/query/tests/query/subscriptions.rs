//! Subscriptions: complete after any disconnect, coalesced per user, and restricted to the filter.

use super::fixture::{NEW_YEAR, PARTITIONS, QueryFixture, config};
use super::reader::{Reader, after, from, reason};
use portrait_proto::v1::{ErrorReason, WatchProfileChangesRequest, WatchStart};
use portrait_query::Config;
use portrait_store::ProfileClock;
use std::collections::BTreeSet;
use tonic::Code;

#[tokio::test]
async fn a_subscription_from_now_starts_with_progress_and_then_sends_each_change() {
    let mut fixture = QueryFixture::running().await;
    fixture.buy("before", NEW_YEAR).await;
    let mut reader = Reader::begin(&fixture, from(WatchStart::Now)).await;
    reader.step().await.expect("a first response");
    assert_eq!(reader.lags, [0], "the first response is progress");
    fixture.buy("u1", NEW_YEAR).await;
    reader.until(|reader| reader.known.contains_key("u1")).await;
    fixture.buy("u1", NEW_YEAR).await;
    reader.until(|reader| reader.known["u1"] == 2).await;
    fixture.delete("u1").await;
    reader.until(|reader| !reader.known.contains_key("u1")).await;
    let received: Vec<_> = reader.changes.iter().map(|change| (change.version, change.deleted)).collect();
    assert_eq!(received, [(1, false), (2, false), (3, true)]);
    assert_eq!(reader.changes[0].partition, u32::from(fixture.partition("u1").get()));
}

#[tokio::test]
async fn a_change_arrives_without_a_notification() {
    let mut fixture = QueryFixture::open(config(), ProfileClock::Wall).await;
    let mut reader = Reader::begin(&fixture, from(WatchStart::Now)).await;
    fixture.buy("u1", NEW_YEAR).await;
    reader.until(|reader| reader.known.contains_key("u1")).await;
}

#[tokio::test]
async fn a_backlog_is_coalesced_to_the_newest_change_of_each_user() {
    // Without tails, so that every change is behind the ring.
    let mut fixture = QueryFixture::open(config(), ProfileClock::Wall).await;
    let users = fixture.users_of(0, 3);
    for _ in 0..100 {
        fixture.touch(&users).await;
    }
    let mut reader = Reader::begin(&fixture, from(WatchStart::Earliest)).await;
    reader.until_current().await;
    let received: BTreeSet<_> =
        reader.changes.iter().map(|change| (change.user_id.clone(), change.version)).collect();
    assert_eq!(received, users.into_iter().map(|user| (user, 100)).collect());
    assert_eq!(reader.changes.len(), 3);
}

#[tokio::test]
async fn resuming_after_any_response_continues_with_the_next_change() {
    // Small chunks and rings, so that disconnects fall within and between chunks, and inside and behind the ring.
    let mut fixture =
        QueryFixture::running_with(Config { chunk_changes: 3, ring_changes: 4, ..config() }).await;
    let mut first = Reader::begin(&fixture, from(WatchStart::Now)).await;
    first.step().await.expect("progress");
    let mut tokens = vec![(first.token.clone(), first.known.clone())];
    for number in 0..40 {
        fixture.buy(&format!("u{}", number % 7), NEW_YEAR).await;
        if number % 10 == 9 {
            fixture.delete(&format!("u{}", number % 7)).await;
        }
    }
    let stored = fixture.stored_versions().await;
    while first.known != stored {
        first.step().await.expect("the subscription continues");
        tokens.push((first.token.clone(), first.known.clone()));
    }
    assert!(tokens.len() > 10);
    for (token, known) in tokens {
        let mut reader = Reader::begin(&fixture, after(&token)).await;
        reader.remember(&known, &fixture);
        reader.until_current().await;
        assert_eq!(reader.known, stored);
        assert_eq!(reader.resyncs, [], "nothing was lost");
        // A token at the end has nothing after it.
        let mut last = Reader::begin(&fixture, after(&reader.token)).await;
        last.until_current().await;
        assert_eq!(last.changes, []);
    }
}

#[tokio::test]
async fn a_requested_profile_is_sent_with_its_change() {
    let mut fixture = QueryFixture::running().await;
    fixture.buy("u1", NEW_YEAR).await;
    fixture.buy("u1", NEW_YEAR).await;
    fixture.buy("gone", NEW_YEAR).await;
    fixture.delete("gone").await;
    let request = WatchProfileChangesRequest { include_profile: true, ..from(WatchStart::Earliest) };
    let mut reader = Reader::begin(&fixture, request).await;
    reader.until_current().await;
    let change_of =
        |user: &str| reader.changes.iter().rfind(|change| change.user_id == user).expect("has a change");
    let profile = change_of("u1").profile.as_ref().expect("was requested");
    assert_eq!((profile.applied_events, profile.version, change_of("u1").version), (2, 2, 2));
    assert!(change_of("gone").deleted && change_of("gone").profile.is_none());
}

#[tokio::test]
async fn only_changes_of_the_requested_users_are_sent() {
    for start in [WatchStart::Earliest, WatchStart::Snapshot] {
        let mut fixture = QueryFixture::running().await;
        for number in 0..50 {
            fixture.buy(&format!("u{number}"), NEW_YEAR).await;
        }
        let user_ids = vec!["u3".to_owned(), "u41".to_owned(), "u60".to_owned()];
        let request = WatchProfileChangesRequest { user_ids, ..from(start) };
        let mut reader = Reader::begin(&fixture, request).await;
        reader.until_current().await;
        assert_eq!(reader.known.keys().collect::<Vec<_>>(), ["u3", "u41"]);
        fixture.buy("u4", NEW_YEAR).await;
        fixture.buy("u60", NEW_YEAR).await;
        reader.until(|reader| reader.known.contains_key("u60")).await;
        assert!(!reader.known.contains_key("u4"), "{start:?}");
    }
}

#[tokio::test]
async fn shards_cover_everything_once() {
    let mut fixture = QueryFixture::running().await;
    for number in 0..60 {
        fixture.buy(&format!("u{number}"), NEW_YEAR).await;
    }
    for start in [WatchStart::Earliest, WatchStart::Snapshot] {
        for shard_count in [1, 2, 3, u32::from(PARTITIONS) + 1] {
            let mut received = Vec::new();
            for shard_index in 0..shard_count {
                let request = WatchProfileChangesRequest { shard_index, shard_count, ..from(start) };
                let mut reader = Reader::begin(&fixture, request).await;
                reader.until_current().await;
                assert!(reader.changes.iter().all(|change| change.partition % shard_count == shard_index));
                received.extend(reader.changes.into_iter().map(|change| change.user_id));
            }
            received.sort();
            let stored: Vec<String> = fixture.stored_versions().await.into_keys().collect();
            assert_eq!(received, stored, "{start:?} in {shard_count} shards");
        }
    }
}

#[tokio::test]
async fn an_invalid_subscription_is_refused() {
    let fixture = QueryFixture::running().await;
    let mut reader = Reader::begin(&fixture, from(WatchStart::Snapshot)).await;
    reader.until_current().await;
    let shard = |shard_index, shard_count| WatchProfileChangesRequest {
        shard_index,
        shard_count,
        ..Default::default()
    };
    let users = |user_ids| WatchProfileChangesRequest { user_ids, ..Default::default() };
    let rows = [
        (shard(2, 2), ErrorReason::OutOfRange),
        (shard(1, 0), ErrorReason::OutOfRange),
        (WatchProfileChangesRequest { start: 77, ..Default::default() }, ErrorReason::OutOfRange),
        (users(vec!["u".to_owned(); 1001]), ErrorReason::TooMany),
        (users(vec![String::new()]), ErrorReason::EmptyId),
        (
            WatchProfileChangesRequest { shard_count: 2, ..after(&reader.token) },
            ErrorReason::ConflictingFields,
        ),
    ];
    for (request, expected) in rows {
        let refused = Reader::try_begin(&fixture, request).await.err().expect("no subscription");
        assert_eq!((refused.code(), reason(&refused)), (Code::InvalidArgument, expected));
    }
    for bit in 0..reader.token.len() * 8 {
        let mut token = reader.token.clone();
        token[bit / 8] ^= 1 << (bit % 8);
        let refused = Reader::try_begin(&fixture, after(&token)).await.err().expect("a changed token");
        assert_eq!(reason(&refused), ErrorReason::BadToken, "bit {bit}");
    }
}
