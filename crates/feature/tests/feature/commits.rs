//! Every record counts once in spite of lost commit results, and undecodable records become dead letters.

use super::erasures::DAY;
use super::fixture::{FeatureFixture, view};
use bytes::Bytes;
use portrait_profile::{Record, SourceId, TimeDelta, TraceContext};
use portrait_store::{LogSeq, OwnerStore};

/// Views of `users` users, every tenth of them sent twice.
fn views(users: usize, count: usize, round: usize) -> Vec<(String, String)> {
    let view = |number: usize| {
        let event = if number % 10 == 9 { number - 9 } else { number };
        (format!("u{}", event % users), format!("e{round}-{event}"))
    };
    (0..count).map(view).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_with_lost_results_apply_nothing_twice() {
    let mut fixture = FeatureFixture::start(4).await;
    let mut lost = 0;
    for round in 0..15 {
        fixture.faulty.lose_responses(2);
        fixture.log(&views(20, 200, round)).await;
        fixture.settled().await;
        lost += 2 - fixture.faulty.responses_to_lose();
    }
    fixture.faulty.lose_responses(0);
    fixture.settled().await;
    assert!(lost >= 15, "only {lost} results were lost");
    fixture.check_profiles().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_applied_after_a_store_outage() {
    let mut fixture = FeatureFixture::start(2).await;
    fixture.log(&views(5, 50, 0)).await;
    fixture.settled().await;
    fixture.faulty.set_unavailable(true);
    fixture.log(&views(5, 50, 1)).await;
    fixture.until("no partition is owned", async || fixture.service.ownership().borrow().owned == 0).await;
    fixture.faulty.set_unavailable(false);
    fixture.settled().await;
    fixture.check_profiles().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn undecodable_records_become_dead_letters_once_and_stall_nothing() {
    let mut fixture = FeatureFixture::start(1).await;
    let partition = fixture.partitions().next().expect("a partition");
    let mut bad = Vec::new();
    for round in 0..10 {
        fixture.log(&views(3, 20, round)).await;
        let mut unknown_format = view("u1", Some("nonsense")).encode();
        unknown_format[0] = 99;
        for bytes in [Bytes::from_static(b"\x01no record"), Bytes::new(), Bytes::from(unknown_format)] {
            bad.push((fixture.append(partition, bytes.clone()).await, bytes));
        }
    }
    fixture.settled().await;
    fixture.check_profiles().await;
    let letters = fixture.store.dead_letters(partition, LogSeq::ZERO, 100).await.expect("the store answers");
    let reported: Vec<_> = letters.iter().map(|letter| (letter.seq, letter.record.clone())).collect();
    assert_eq!(reported, bad);
    assert!(letters[2].reason.contains("format 99"), "{}", letters[2].reason);
    let counters = fixture.meta(partition).await.counters;
    assert_eq!((counters.applied, counters.duplicates, counters.dead_letters), (180, 20, 30));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_of_a_later_release_stalls_the_partition_and_is_no_dead_letter() {
    let mut fixture = FeatureFixture::start(1).await;
    let partition = fixture.partitions().next().expect("a partition");
    let known = Record { trace: Some(TraceContext([7; 24])), ..view("u1", Some("sampled")) };
    let last = fixture.append(partition, Bytes::from(known.encode())).await;
    let mut newer = known.encode();
    // The releases that added the line, the source, and one that does not exist yet.
    newer[0] += 3;
    fixture.append(partition, Bytes::from(newer)).await;
    fixture.log(&[("u1".to_owned(), "after it".to_owned())]).await;
    fixture
        .until("the records before it are applied", async || {
            fixture.meta(partition).await.applied_through == last
        })
        .await;
    fixture.until("its worker backs off", async || fixture.service.ownership().borrow().owned == 0).await;
    let meta = fixture.meta(partition).await;
    assert_eq!((meta.applied_through, meta.counters.applied, meta.counters.dead_letters), (last, 1, 0));
    assert_eq!(fixture.changes().await[0].trace, known.trace, "the change carries the trace context");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_of_a_source_counts_once_for_ever() {
    let fixture = FeatureFixture::start(1).await;
    let source = SourceId::parse("orders").ok();
    let sourced = |id| Record { source, ..view("u1", Some(id)) };
    fixture.apply(sourced("a")).await;
    fixture.apply(view("u1", Some("b"))).await;
    fixture.clock.advance(30 * DAY);
    for record in [sourced("a"), sourced("b"), view("u1", Some("b")), sourced("b"), sourced("c")] {
        let accepted_at = record.accepted_at.plus(TimeDelta::from_days(30));
        fixture.apply(Record { accepted_at, ..record }).await;
    }
    // The source's `a` and its second `b` are known; the plain `b`s are a month apart, and the source's is one of them.
    let partition = fixture.partitions().next().expect("a partition");
    let counters = fixture.meta(partition).await.counters;
    assert_eq!((counters.applied, counters.duplicates, counters.sourced), (4, 3, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn records_without_an_id_all_count_and_a_page_of_duplicates_is_committed() {
    let mut fixture = FeatureFixture::start(1).await;
    let partition = fixture.partitions().next().expect("a partition");
    for _ in 0..5 {
        fixture.append(partition, Bytes::from(view("nameless", None).encode())).await;
    }
    fixture.log(&[("u1".to_owned(), "e1".to_owned())]).await;
    fixture.settled().await;
    assert_eq!(fixture.profile("nameless").await.expect("there").applied_events(), 5);
    let version = fixture.profile("u1").await.expect("there").version();
    let before = fixture.meta(partition).await;
    fixture.log(&[("u1".to_owned(), "e1".to_owned())]).await;
    fixture.settled().await;
    let after = fixture.meta(partition).await;
    assert!(after.applied_through > before.applied_through && after.commit_no > before.commit_no);
    assert_eq!(after.feed_end, before.feed_end, "a duplicate is no change");
    assert_eq!(fixture.profile("u1").await.expect("there").version(), version);
    fixture.check_profiles().await;
}
