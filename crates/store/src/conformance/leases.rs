//! Who owns a partition.

use super::fixture::{NOW, Owner, Room, TTL, partition};
use crate::{Error, Nonce, WORKER_NAME_MAX, Worker};
use portrait_profile::Span;

pub(super) async fn nobody_else_gets_a_lease_that_runs(store: Room) {
    let (one, other) = (Nonce::new(1), Nonce::new(2));
    let partition_one = partition(&store, 1);
    let token = store.acquire(partition_one, one, TTL, NOW).await.expect("there").expect("free");
    assert_eq!(token.nonce, one);
    assert_eq!(store.acquire(partition_one, other, TTL, NOW).await.expect("there"), None);
    let again = store.acquire(partition_one, one, TTL, NOW).await.expect("there");
    assert_eq!(again, Some(token), "whoever has it gets the same");
    let elsewhere = store.acquire(partition(&store, 2), other, TTL, NOW).await.expect("there");
    assert!(elsewhere.is_some(), "partitions are independent");
    assert_eq!(store.meta(partition_one).await.expect("there").token, Some(token));
}

pub(super) async fn a_lease_that_ended_goes_to_the_next_with_a_higher_epoch(store: Room) {
    let partition = partition(&store, 0);
    let mut now = NOW;
    let mut epoch = None;
    for nonce in 1..=5 {
        let token =
            store.acquire(partition, Nonce::new(nonce), TTL, now).await.expect("there").expect("it ended");
        assert!(Some(token.epoch) > epoch);
        epoch = Some(token.epoch);
        now = now.plus(TTL).plus(Span::from_millis(1));
    }
}

pub(super) async fn only_the_owner_renews_and_releases(store: Room) {
    let partition = partition(&store, 0);
    let first = store.acquire(partition, Nonce::new(1), TTL, NOW).await.expect("there").expect("free");
    let later = NOW.plus(Span::from_secs(9));
    assert!(store.renew(partition, first, TTL, later).await.expect("there"));
    let after_first_ttl = NOW.plus(Span::from_secs(15));
    assert_eq!(store.acquire(partition, Nonce::new(2), TTL, after_first_ttl).await.expect("there"), None);
    store.release(partition, first).await.expect("there");
    let second = store
        .acquire(partition, Nonce::new(2), TTL, after_first_ttl)
        .await
        .expect("there")
        .expect("released");
    assert!(!store.renew(partition, first, TTL, after_first_ttl).await.expect("there"));
    store.release(partition, first).await.expect("a foreign token is ignored");
    assert_eq!(store.acquire(partition, Nonce::new(3), TTL, after_first_ttl).await.expect("there"), None);
    let mut old = Owner::of(&store, 1).await;
    old.partition = partition;
    old.token = first;
    let refused = old.try_commit(old.draft()).await;
    assert!(matches!(refused, Err(Error::Fenced { .. })), "{refused:?}");
    assert_eq!(store.meta(partition).await.expect("there").token, Some(second));
}

pub(super) async fn workers_are_there_until_they_leave_or_fall_silent(store: Room) {
    let worker = |number: u128| Worker { nonce: Nonce::new(number), name: format!("http://worker-{number}") };
    let there = async |numbers: &[u128], now| {
        let expected: Vec<Worker> = numbers.iter().copied().map(worker).collect();
        assert_eq!(store.workers(now).await.expect("there"), expected);
    };
    there(&[], NOW).await;
    for (number, expected) in [(2, vec![2]), (1, vec![1, 2]), (2, vec![1, 2]), (3, vec![1, 2, 3])] {
        let found = store.attend(&worker(number), TTL, NOW).await.expect("there");
        assert_eq!(found, expected.into_iter().map(worker).collect::<Vec<_>>(), "{number} comes");
    }
    store.leave(Nonce::new(3)).await.expect("there");
    store.leave(Nonce::new(9)).await.expect("whoever is not there can leave");
    there(&[1, 2], NOW).await;
    let short = Span::from_millis(1);
    store.attend(&worker(1), short, NOW).await.expect("there");
    // A room with a clock of its own lets the time pass by itself.
    let later = NOW.plus(Span::from_millis(2));
    let started = std::time::Instant::now();
    while store.workers(later).await.expect("there") != [worker(2)] {
        assert!(started.elapsed() < std::time::Duration::from_secs(10), "1 has been silent for too long");
    }
    let long = Worker { nonce: Nonce::new(4), name: "n".repeat(WORKER_NAME_MAX + 1) };
    let refused = store.attend(&long, TTL, NOW).await;
    assert!(matches!(refused, Err(Error::TooBig { .. })), "{refused:?}");
}
