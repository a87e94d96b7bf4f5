//! Leases of partitions, and membership.

use super::fixture::{NOW, SharedStore, TTL, TestOwner, claim, partition};
use crate::{Acquisition, Error, LeaseClaim, LeaseToken, MEMBER_NAME_MAX, Member, MemberId, Nonce};
use portrait_profile::{PartitionId, TimeDelta, Timestamp};

/// Token of the acquired lease; none if another owner's runs.
async fn acquire(
    store: &SharedStore,
    partition: PartitionId,
    claim: &LeaseClaim,
    now: Timestamp,
) -> Option<LeaseToken> {
    store.acquire(partition, claim, TTL, now).await.expect("there").token()
}

pub(super) async fn a_running_lease_excludes_other_owners(store: SharedStore) {
    let one = claim(Nonce::new(1));
    let other = claim(Nonce::new(2));
    let partition_one = partition(&store, 1);
    let token = acquire(&store, partition_one, &one, NOW).await.expect("free");
    assert_eq!(token.nonce, one.nonce);
    let held = Acquisition::Held { by: Some(one.name.clone()) };
    assert_eq!(store.acquire(partition_one, &other, TTL, NOW).await.expect("there"), held);
    let again = acquire(&store, partition_one, &one, NOW).await;
    assert_eq!(again, Some(token), "the holder gets the same token");
    let elsewhere = acquire(&store, partition(&store, 2), &other, NOW).await;
    assert!(elsewhere.is_some(), "partitions are independent");
    let meta = store.meta(partition_one).await.expect("there");
    assert_eq!((meta.token, meta.holder), (Some(token), Some(one.name)));
    let long = LeaseClaim::new(Nonce::new(3), "n".repeat(MEMBER_NAME_MAX + 1));
    let refused = store.acquire(partition_one, &long, TTL, NOW).await;
    assert!(matches!(refused, Err(Error::TooBig { .. })), "{refused:?}");
}

pub(super) async fn a_lease_that_ended_goes_to_the_next_with_a_higher_epoch(store: SharedStore) {
    let partition = partition(&store, 0);
    let mut now = NOW;
    let mut epoch = None;
    for nonce in 1..=5 {
        let token = acquire(&store, partition, &claim(Nonce::new(nonce)), now).await.expect("it ended");
        // Epochs order owners, so one that returns with an old token is recognised.
        assert!(Some(token.epoch) > epoch);
        epoch = Some(token.epoch);
        now = now.plus(TTL).plus(TimeDelta::from_millis(1));
    }
}

pub(super) async fn only_the_owner_renews_and_releases(store: SharedStore) {
    let partition = partition(&store, 0);
    let claims = [1, 2, 3].map(|nonce| claim(Nonce::new(nonce)));
    let first = acquire(&store, partition, &claims[0], NOW).await.expect("free");
    let later = NOW.plus(TimeDelta::from_secs(9));
    assert!(store.renew(partition, first, TTL, later).await.expect("there"));
    // Later than the first lease would have ended without the renewal.
    let after_first_ttl = NOW.plus(TimeDelta::from_secs(15));
    assert_eq!(acquire(&store, partition, &claims[1], after_first_ttl).await, None);
    store.release(partition, first).await.expect("there");
    let second = acquire(&store, partition, &claims[1], after_first_ttl).await.expect("released");
    assert!(!store.renew(partition, first, TTL, after_first_ttl).await.expect("there"));
    // A late release of the former owner must not end the lease of the new one.
    store.release(partition, first).await.expect("a foreign token is ignored");
    assert_eq!(acquire(&store, partition, &claims[2], after_first_ttl).await, None);
    // A former owner: it has the partition and the newest commit number, but an older token.
    let mut old = TestOwner::of(&store, 1).await;
    old.partition = partition;
    old.token = first;
    let refused = old.try_commit(old.draft()).await;
    assert!(matches!(refused, Err(Error::Fenced { .. })), "{refused:?}");
    assert_eq!(store.meta(partition).await.expect("there").token, Some(second));
}

pub(super) async fn a_restarted_process_takes_back_the_lease_of_its_name(store: SharedStore) {
    let mut before = TestOwner::of(&store, 1).await;
    let meta = store.meta(before.partition).await.expect("there");
    let name = meta.holder.expect("a lease has the name of its holder");
    let after = LeaseClaim::new(Nonce::new(2), name);
    let restarted = LeaseClaim { takes_back: true, ..after.clone() };
    let token = acquire(&store, before.partition, &restarted, NOW).await.expect("its own lease ends");
    assert!(token.epoch > before.token.epoch);
    // The process before may still run: it can neither commit nor renew nor take the lease back.
    let refused = before.try_commit(before.draft()).await;
    assert!(matches!(refused, Err(Error::Fenced { .. })), "{refused:?}");
    assert!(!store.renew(before.partition, before.token, TTL, NOW).await.expect("there"));
    store.release(before.partition, before.token).await.expect("a foreign token is ignored");
    let earlier = LeaseClaim { nonce: before.token.nonce, ..after.clone() };
    let held = Acquisition::Held { by: Some(after.name.clone()) };
    assert_eq!(store.acquire(before.partition, &earlier, TTL, NOW).await.expect("there"), held);
    // The reply of the first claim may be lost: the second one, which takes nothing back, finds the same lease.
    assert_eq!(acquire(&store, before.partition, &after, NOW).await, Some(token));
    before.token = token;
    before.try_commit(before.draft()).await.expect("the newest token commits");
}

pub(super) async fn a_claim_takes_back_no_lease_of_another_name(store: SharedStore) {
    let partition = partition(&store, 3);
    let first = claim(Nonce::new(1));
    let token = acquire(&store, partition, &first, NOW).await.expect("free");
    // A name that begins with the holder's, one that the holder's begins with, and none.
    for name in [format!("{} ", first.name), first.name[..first.name.len() - 1].to_owned(), String::new()] {
        let foreign = LeaseClaim { takes_back: true, ..LeaseClaim::new(Nonce::new(2), name) };
        assert_eq!(acquire(&store, partition, &foreign, NOW).await, None, "{foreign:?}");
    }
    assert_eq!(store.meta(partition).await.expect("there").token, Some(token));
}

pub(super) async fn a_restarted_member_replaces_the_one_of_its_name(store: SharedStore) {
    let names = ["http://worker-1", "http://worker-2"];
    for name in names {
        store.heartbeat(&Member::named(name), TTL, NOW).await.expect("there");
    }
    // The member before was killed and did not deregister.
    let members = store.heartbeat(&Member::named(names[0]), TTL, NOW).await.expect("there");
    let mut found: Vec<&str> = members.iter().map(|member| &*member.name).collect();
    found.sort_unstable();
    assert_eq!(found, names);
}

fn worker(number: u128) -> Member {
    Member { id: MemberId::new(number), name: format!("http://worker-{number}") }
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
    store.deregister(MemberId::new(3)).await.expect("there");
    store.deregister(MemberId::new(9)).await.expect("an unknown member is ignored");
    expect_members(&[1, 2], NOW).await;
    let short = TimeDelta::from_millis(1);
    store.heartbeat(&worker(1), short, NOW).await.expect("there");
    // A backend with a clock of its own ignores the caller's time, so this polls until the heartbeat has expired there too.
    let later = NOW.plus(TimeDelta::from_millis(2));
    let started = std::time::Instant::now();
    while store.members(later).await.expect("there") != [worker(2)] {
        assert!(started.elapsed() < std::time::Duration::from_secs(10), "member 1 has not expired");
    }
    let long = Member { id: MemberId::new(4), name: "n".repeat(MEMBER_NAME_MAX + 1) };
    let refused = store.heartbeat(&long, TTL, NOW).await;
    assert!(matches!(refused, Err(Error::TooBig { .. })), "{refused:?}");
}
