//! Every record is counted once, whatever happens to the commits, and what cannot be counted is set aside.

use super::fixture::{FeatureFixture, view};
use bytes::Bytes;
use portrait_profile::{Record, TraceContext};
use portrait_store::{LogSeq, OwnerStore};

/// Views of `users` shoppers, every tenth of them sent twice.
fn views(users: usize, count: usize, round: usize) -> Vec<(String, String)> {
    let one = |number: usize| {
        let event = if number % 10 == 9 { number - 9 } else { number };
        (format!("u{}", event % users), format!("e{round}-{event}"))
    };
    (0..count).map(one).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_whose_answers_get_lost_double_nothing() {
    let mut room = FeatureFixture::running(4).await;
    let mut lost = 0;
    for round in 0..15 {
        room.faulty.lose_responses(2);
        room.log(&views(20, 200, round)).await;
        room.settled().await;
        lost += 2 - room.faulty.responses_to_lose();
    }
    room.faulty.lose_responses(0);
    room.settled().await;
    assert!(lost >= 15, "only {lost} answers got lost");
    room.check_profiles().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_was_away_is_caught_up_with() {
    let mut room = FeatureFixture::running(2).await;
    room.log(&views(5, 50, 0)).await;
    room.settled().await;
    room.faulty.set_unavailable(true);
    room.log(&views(5, 50, 1)).await;
    room.until("nobody owns anything", async || room.service.ownership().borrow().owned == 0).await;
    room.faulty.set_unavailable(false);
    room.settled().await;
    room.check_profiles().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_cannot_be_read_are_set_aside_once_and_stop_nothing() {
    let mut room = FeatureFixture::running(1).await;
    let partition = room.partitions().next().expect("there is one");
    let mut bad = Vec::new();
    for round in 0..10 {
        room.log(&views(3, 20, round)).await;
        let mut of_no_format = view("u1", Some("nonsense")).encode();
        of_no_format[0] = 99;
        for bytes in [Bytes::from_static(b"\x01no record"), Bytes::new(), Bytes::from(of_no_format)] {
            bad.push((room.append(partition, bytes.clone()).await, bytes));
        }
    }
    room.settled().await;
    room.check_profiles().await;
    let letters = room.store.dead_letters(partition, LogSeq::ZERO, 100).await.expect("the store is there");
    let told: Vec<_> = letters.iter().map(|letter| (letter.seq, letter.record.clone())).collect();
    assert_eq!(told, bad);
    assert!(letters[2].reason.contains("format 99"), "{}", letters[2].reason);
    let counters = room.meta(partition).await.counters;
    assert_eq!((counters.applied, counters.duplicates, counters.dead_letters), (180, 20, 30));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_of_a_later_release_is_waited_for_and_not_set_aside() {
    let mut room = FeatureFixture::running(1).await;
    let partition = room.partitions().next().expect("there is one");
    let known = Record { trace: Some(TraceContext([7; 24])), ..view("u1", Some("followed")) };
    let last = room.append(partition, Bytes::from(known.encode())).await;
    let mut newer = known.encode();
    newer[0] += 1;
    room.append(partition, Bytes::from(newer)).await;
    room.log(&[("u1".to_owned(), "behind it".to_owned())]).await;
    room.until("what is before it is applied", async || room.meta(partition).await.applied_through == last)
        .await;
    room.until("its worker stands still", async || room.service.ownership().borrow().owned == 0).await;
    let meta = room.meta(partition).await;
    assert_eq!((meta.applied_through, meta.counters.applied, meta.counters.dead_letters), (last, 1, 0));
    assert_eq!(room.changes().await[0].trace, known.trace, "subscribers are told what it came from");
}

#[tokio::test(flavor = "multi_thread")]
async fn records_without_an_id_all_count_and_only_duplicates_move_the_log_on() {
    let mut room = FeatureFixture::running(1).await;
    let partition = room.partitions().next().expect("there is one");
    for _ in 0..5 {
        room.append(partition, Bytes::from(view("nameless", None).encode())).await;
    }
    room.log(&[("u1".to_owned(), "e1".to_owned())]).await;
    room.settled().await;
    assert_eq!(room.profile("nameless").await.expect("there").applied_events(), 5);
    let version = room.profile("u1").await.expect("there").version();
    let before = room.meta(partition).await;
    room.log(&[("u1".to_owned(), "e1".to_owned())]).await;
    room.settled().await;
    let after = room.meta(partition).await;
    assert!(after.applied_through > before.applied_through && after.commit_no > before.commit_no);
    assert_eq!(after.feed_end, before.feed_end, "a duplicate is no change");
    assert_eq!(room.profile("u1").await.expect("there").version(), version);
    room.check_profiles().await;
}
