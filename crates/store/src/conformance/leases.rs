//! Leases of partitions, and membership.

use super::fixture::{NOW, SharedStore, TTL, TestOwner, partition};
use crate::{Error, MEMBER_NAME_MAX, Member, Nonce};
use portrait_profile::TimeDelta;

pub(super) async fn a_running_lease_excludes_other_owners(store: SharedStore) {
    let one = Nonce::new(1);
    let other = Nonce::new(2);
    let partition_one = partition(&store, 1);
    let token = store.acquire(partition_one, one, TTL, NOW).await.expect("there").expect("free");
    assert_eq!(token.nonce, one);
    assert_eq!(store.acquire(partition_one, other, TTL, NOW).await.expect("there"), None);
    let again = store.acquire(partition_one, one, TTL, NOW).await.expect("there");
    assert_eq!(again, Some(token), "the holder gets the same token");
    let elsewhere = store.acquire(partition(&store, 2), other, TTL, NOW).await.expect("there");
    assert!(elsewhere.is_some(), "partitions are independent");
    assert_eq!(store.meta(partition_one).await.expect("there").token, Some(token));
}

pub(super) async fn a_lease_that_ended_goes_to_the_next_with_a_higher_epoch(store: SharedStore) {
    let partition = partition(&store, 0);
    let mut now = NOW;
    let mut epoch = None;
    for nonce in 1..=5 {
        let token =
            store.acquire(partition, Nonce::new(nonce), TTL, now).await.expect("there").expect("it ended");
        // Epochs order owners, so one that returns with an old token is recognised.
        assert!(Some(token.epoch) > epoch);
        epoch = Some(token.epoch);
        now = now.plus(TTL).plus(TimeDelta::from_millis(1));
    }
}

pub(super) async fn only_the_owner_renews_and_releases(store: SharedStore) {
    let partition = partition(&store, 0);
    let first = store.acquire(partition, Nonce::new(1), TTL, NOW).await.expect("there").expect("free");
    let later = NOW.plus(TimeDelta::from_secs(9));
    assert!(store.renew(partition, first, TTL, later).await.expect("there"));
    // Later than the first lease would have ended without the renewal.
    let after_first_ttl = NOW.plus(TimeDelta::from_secs(15));
    assert_eq!(store.acquire(partition, Nonce::new(2), TTL, after_first_ttl).await.expect("there"), None);
    store.release(partition, first).await.expect("there");
    let second = store
        .acquire(partition, Nonce::new(2), TTL, after_first_ttl)
        .await
        .expect("there")
        .expect("released");
    assert!(!store.renew(partition, first, TTL, after_first_ttl).await.expect("there"));
    // A late release of the former owner must not end the lease of the new one.
    store.release(partition, first).await.expect("a foreign token is ignored");
    assert_eq!(store.acquire(partition, Nonce::new(3), TTL, after_first_ttl).await.expect("there"), None);
    // A former owner: it has the partition and the newest commit number, but an older token.
    let mut old = TestOwner::of(&store, 1).await;
    old.partition = partition;
    old.token = first;
    let refused = old.try_commit(old.draft()).await;
    assert!(matches!(refused, Err(Error::Fenced { .. })), "{refused:?}");
    assert_eq!(store.meta(partition).await.expect("there").token, Some(second));
}

fn worker(number: u128) -> Member {
    Member { nonce: Nonce::new(number), name: format!("http://worker-{number}") }
}

pub(super) async fn members_last_until_they_deregister_or_miss_heartbeats(store: SharedStore) {
    let expect_members = async |numbers: &[u128], now| {
        let expected: Vec<Member> = numbers.iter().copied().map(worker).collect();
        assert_eq!(store.members(now).await.expect("there"), expected);
    };
    expect_members(&[], NOW).await;
    for (number, expected) in [(2, vec![2]), (1, vec![1, 2]), (2, vec![1, 2]), (3, vec![1, 2, 3])] {
        let found = store.heartbeat(&worker(number), TTL, NOW).await.expect("there");
        assert_eq!(found, expected.into_iter().map(worker).collect::<Vec<_>>(), "member {number} registers");
    }
    store.deregister(Nonce::new(3)).await.expect("there");
    store.deregister(Nonce::new(9)).await.expect("an unknown member is ignored");
    expect_members(&[1, 2], NOW).await;
    let short = TimeDelta::from_millis(1);
    store.heartbeat(&worker(1), short, NOW).await.expect("there");
    // A backend with a clock of its own ignores the caller's time, so this polls until the heartbeat has expired there too.
    let later = NOW.plus(TimeDelta::from_millis(2));
    let started = std::time::Instant::now();
    while store.members(later).await.expect("there") != [worker(2)] {
        assert!(started.elapsed() < std::time::Duration::from_secs(10), "member 1 has not expired");
    }
    let long = Member { nonce: Nonce::new(4), name: "n".repeat(MEMBER_NAME_MAX + 1) };
    let refused = store.heartbeat(&long, TTL, NOW).await;
    assert!(matches!(refused, Err(Error::TooBig { .. })), "{refused:?}");
}
