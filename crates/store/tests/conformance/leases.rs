//! Who owns a partition.

use super::room::{NOW, Owner, Room, TTL, partition};
use portrait_profile::Span;
use portrait_store::{Error, Nonce};

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
