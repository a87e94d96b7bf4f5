//! Failures: an unavailable store, a feed that lost its end under a subscriber, damaged bytes, and subscribers beside
//! writers.

use super::fixture::{NEW_YEAR, QueryFixture, config};
use super::reader::{Reader, from, reason};
use portrait_proto::v1::{
    ErrorReason, GetProfileRequest, ResyncPhase, ResyncReason, WatchProfileChangesRequest, WatchStart,
};
use portrait_query::Config;
use portrait_store::LogStore;
use tonic::Code;
use tonic_types::StatusExt;

#[tokio::test]
async fn an_unavailable_store_is_reported_and_subscribers_resume_when_it_is_back() {
    let mut fixture = QueryFixture::running().await;
    fixture.buy("u1", NEW_YEAR).await;
    let mut reader = Reader::begin(&fixture, from(WatchStart::Earliest)).await;
    reader.until(|reader| reader.known.contains_key("u1")).await;
    fixture.faulty.set_unavailable(true);
    let ended = reader.end().await;
    let request = GetProfileRequest { user_id: "u1".to_owned(), ..Default::default() };
    let read = fixture.client().get_profile(request.clone()).await.expect_err("the store is unavailable");
    let refused =
        Reader::try_begin(&fixture, from(WatchStart::Now)).await.err().expect("the store is unavailable");
    for status in [ended, read, refused] {
        assert_eq!((status.code(), reason(&status)), (Code::Unavailable, ErrorReason::StoreUnavailable));
        assert!(status.get_error_details().retry_info().is_some());
    }
    fixture.faulty.set_unavailable(false);
    fixture.buy("u1", NEW_YEAR).await;
    fixture.client().get_profile(request).await.expect("the store is back");
    reader.resume(&fixture).await;
    reader.until(|reader| reader.known["u1"] == 2).await;
    assert_eq!(reader.resyncs, []);
}

#[tokio::test]
async fn a_new_generation_is_followed_and_an_unknown_one_causes_a_resync() {
    let mut fixture = QueryFixture::running().await;
    let users = fixture.users_of(3, 5);
    let partition = fixture.partition(&users[0]);
    fixture.touch(&users).await;
    let mut reader = Reader::begin(&fixture, from(WatchStart::Earliest)).await;
    reader.until(|reader| reader.known.len() == 5).await;
    let end = fixture.store.meta(partition).await.expect("the store is there").feed_end;
    // A generation that begins at the end: nothing is lost.
    fixture.faulty.renew(partition, 77, end.next());
    fixture.touch(&users[..1]).await;
    reader.until(|reader| reader.known[&users[0]] == 2).await;
    assert_eq!(reader.resyncs, []);
    // As after a restore from backup: the store does not know the subscriber's generation.
    fixture.faulty.renew(partition, 78, end);
    fixture.touch(&users[1..2]).await;
    reader.until(|reader| reader.resyncs.len() == 2).await;
    let unknown = ResyncReason::UnknownGeneration;
    assert_eq!(reader.resyncs, [(3, ResyncPhase::Begin, unknown), (3, ResyncPhase::End, unknown)]);
    reader.until_current().await;
    assert_eq!(reader.known, fixture.stored_versions().await);
}

#[tokio::test]
async fn a_feed_shorter_than_the_readers_position_causes_a_resync() {
    let mut fixture = QueryFixture::running().await;
    let users = fixture.users_of(3, 5);
    let partition = fixture.partition(&users[0]);
    fixture.touch(&users).await;
    let mut reader = Reader::begin(&fixture, from(WatchStart::Earliest)).await;
    reader.until(|reader| reader.known.len() == 5).await;
    let end = fixture.store.meta(partition).await.expect("the store is there").feed_end;
    fixture.faulty.renew(partition, 77, end);
    fixture.touch(&users[..1]).await;
    reader.until(|reader| reader.resyncs.len() == 2).await;
    let beyond = ResyncReason::BeyondEnd;
    assert_eq!(reader.resyncs, [(3, ResyncPhase::Begin, beyond), (3, ResyncPhase::End, beyond)]);
    reader.until_current().await;
    assert_eq!(reader.known, fixture.stored_versions().await);
}

#[tokio::test]
async fn an_unreadable_change_ends_the_subscription_with_an_error() {
    let mut fixture = QueryFixture::running().await;
    let mut reader = Reader::begin(&fixture, from(WatchStart::Now)).await;
    let partition = fixture.partition("u1");
    fixture.damage_feed(partition).await;
    let status = reader.end().await;
    assert_eq!((status.code(), reason(&status)), (Code::FailedPrecondition, ErrorReason::StoreIncompatible));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_beside_writers_converge_to_the_stored_state() {
    let config = Config { page_profiles: 20, chunk_changes: 30, ring_changes: 50, ..config() };
    let mut fixture = QueryFixture::running_with(config).await;
    for number in 0..300 {
        fixture.buy(&format!("u{number}"), NEW_YEAR).await;
    }
    let mut readers = Vec::new();
    for (start, include_profile) in
        [(WatchStart::Earliest, false), (WatchStart::Snapshot, false), (WatchStart::Snapshot, true)]
    {
        let request = WatchProfileChangesRequest { include_profile, ..from(start) };
        readers.push(Reader::begin(&fixture, request).await);
    }
    let mut reading = Vec::new();
    let last = "the last one";
    for mut reader in readers {
        reading.push(tokio::spawn(async move {
            // Its change is the last in its partition; the other partitions are waited for below.
            reader.until(|reader| reader.known.contains_key(last)).await;
            reader
        }));
    }
    for number in 0..1500 {
        let user = format!("u{}", number * 7 % 330);
        if number % 11 == 0 { fixture.delete(&user).await } else { fixture.buy(&user, NEW_YEAR).await }
    }
    fixture.buy(last, NEW_YEAR).await;
    let stored = fixture.stored_versions().await;
    for reader in reading {
        let mut reader = reader.await.expect("no panic");
        reader.until_current().await;
        assert_eq!(reader.known, stored);
    }
}
