//! Only the owner of a partition changes it: a worker that slept past its lease is fenced, and one that ends gives it back.

use super::fixture::FeatureFixture;
use portrait_feature::FeatureService;
use portrait_profile::{TimeDelta, Timestamp};
use portrait_runtime::Clock;
use portrait_store::{Nonce, OwnerStore};

const TTL: TimeDelta = TimeDelta::from_secs(10);

fn now(room: &FeatureFixture) -> Timestamp {
    Timestamp::from_millis(room.clock.now_ms())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_slept_past_its_lease_is_fenced_and_comes_back_when_the_other_is_gone() {
    let mut room = FeatureFixture::running(1).await;
    let partition = room.partitions().next().expect("there is one");
    room.log(&[("u1".to_owned(), "e1".to_owned())]).await;
    room.settled().await;
    // It sleeps in the middle of a commit, and meanwhile its lease runs out and another has the partition.
    room.faulty.hold_commits(true);
    room.log(&[("u1".to_owned(), "e2".to_owned())]).await;
    room.until("a commit is on its way", async || room.faulty.held_commit_count() == 1).await;
    room.clock.advance(TTL.millis() + 1);
    let other = room.store.acquire(partition, Nonce::new(7), TTL, now(&room)).await.expect("there");
    assert!(other.is_some(), "the lease has run out");
    let before = room.meta(partition).await;
    room.faulty.hold_commits(false);
    room.until("the worker knows", async || room.service.ownership().borrow().owned == 0).await;
    assert_eq!(room.meta(partition).await, before, "a zombie changed something");
    // The other is gone without a word.
    room.clock.advance(TTL.millis() + 1);
    room.settled().await;
    room.check_profiles().await;
    assert!(
        room.meta(partition).await.token.map(|token| token.epoch) > before.token.map(|token| token.epoch)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_is_renewed_while_its_owner_lives() {
    let mut room = FeatureFixture::running(1).await;
    let partition = room.partitions().next().expect("there is one");
    let token = room.meta(partition).await.token;
    for round in 0..5 {
        room.clock.advance(TTL.millis() / 2);
        // Who has just committed has looked at the lease before.
        room.log(&[("u1".to_owned(), format!("e{round}"))]).await;
        room.settled().await;
        room.log(&[("u1".to_owned(), format!("f{round}"))]).await;
        room.settled().await;
        let other = room.store.acquire(partition, Nonce::new(7), TTL, now(&room)).await.expect("there");
        assert_eq!(other, None, "round {round}");
    }
    assert_eq!(room.meta(partition).await.token, token);
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_that_end_finish_their_commit_and_give_their_partitions_back() {
    let mut room = FeatureFixture::running(4).await;
    let views: Vec<_> = (0..200).map(|number| (format!("u{}", number % 9), format!("e{number}"))).collect();
    room.log(&views).await;
    room.settled().await;
    room.stop().await;
    room.check_profiles().await;
    for partition in room.partitions() {
        let next = room.store.acquire(partition, Nonce::new(7), TTL, now(&room)).await.expect("there");
        assert!(next.is_some(), "partition {partition} is still taken");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_are_spread_over_the_workers_that_are_there_and_change_hands_without_a_loss() {
    let mut room = FeatureFixture::running(16).await;
    let views = |round: usize| -> Vec<(String, String)> {
        (0..200).map(|number| (format!("u{}", number % 40), format!("e{round}-{number}"))).collect()
    };
    for round in 0..3 {
        let (other, shutdown, running) = room.another();
        let owned = |service: &FeatureService| service.ownership().borrow().owned;
        // While it comes, events do too.
        room.log(&views(2 * round)).await;
        room.until("both have a share and own it", async || {
            let (one, two) = (owned(&room.service), owned(&other));
            let share = other.ownership().borrow().assigned;
            one + two == 16 && one > 0 && share == Some(two)
        })
        .await;
        shutdown.cancel();
        room.log(&views(2 * round + 1)).await;
        running.await.expect("it ends");
        assert_eq!(owned(&other), 0);
        room.until("who stays owns everything", async || owned(&room.service) == 16).await;
        room.settled().await;
        room.check_profiles().await;
    }
}
