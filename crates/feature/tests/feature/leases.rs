//! Leases: a worker that pauses past its lease is fenced, and one that stops releases it.

use super::fixture::FeatureFixture;
use portrait_feature::FeatureService;
use portrait_profile::{TimeDelta, Timestamp};
use portrait_runtime::Clock;
use portrait_store::{Nonce, OwnerStore};

const TTL: TimeDelta = TimeDelta::from_secs(10);

fn now(fixture: &FeatureFixture) -> Timestamp {
    Timestamp::from_millis(fixture.clock.now_ms())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_paused_past_its_lease_is_fenced_and_owns_again_after_the_other() {
    let mut fixture = FeatureFixture::start(1).await;
    let partition = fixture.partitions().next().expect("there is one");
    fixture.log(&[("u1".to_owned(), "e1".to_owned())]).await;
    fixture.settled().await;
    // The worker pauses within a commit. Meanwhile its lease expires and another worker acquires the partition.
    fixture.faulty.hold_commits(true);
    fixture.log(&[("u1".to_owned(), "e2".to_owned())]).await;
    fixture.until("a commit is held", async || fixture.faulty.held_commit_count() == 1).await;
    fixture.clock.advance(TTL.millis() + 1);
    let other = fixture.store.acquire(partition, Nonce::new(7), TTL, now(&fixture)).await.expect("there");
    assert!(other.is_some(), "the lease has expired");
    let before = fixture.meta(partition).await;
    fixture.faulty.hold_commits(false);
    fixture
        .until("the worker has lost the partition", async || fixture.service.ownership().borrow().owned == 0)
        .await;
    assert_eq!(fixture.meta(partition).await, before, "a fenced worker changed the partition");
    // The other worker crashes: its lease expires.
    fixture.clock.advance(TTL.millis() + 1);
    fixture.settled().await;
    fixture.check_profiles().await;
    assert!(
        fixture.meta(partition).await.token.map(|token| token.epoch) > before.token.map(|token| token.epoch)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_is_renewed_while_its_owner_runs() {
    let mut fixture = FeatureFixture::start(1).await;
    let partition = fixture.partitions().next().expect("there is one");
    let token = fixture.meta(partition).await.token;
    for round in 0..5 {
        fixture.clock.advance(TTL.millis() / 2);
        // A worker checks its lease before it reads a page, so after a commit the renewal is done.
        fixture.log(&[("u1".to_owned(), format!("e{round}"))]).await;
        fixture.settled().await;
        fixture.log(&[("u1".to_owned(), format!("f{round}"))]).await;
        fixture.settled().await;
        let other = fixture.store.acquire(partition, Nonce::new(7), TTL, now(&fixture)).await.expect("there");
        assert_eq!(other, None, "round {round}");
    }
    assert_eq!(fixture.meta(partition).await.token, token);
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_workers_finish_their_commit_and_release_their_leases() {
    let mut fixture = FeatureFixture::start(4).await;
    let views: Vec<_> = (0..200).map(|number| (format!("u{}", number % 9), format!("e{number}"))).collect();
    fixture.log(&views).await;
    fixture.settled().await;
    fixture.stop().await;
    fixture.check_profiles().await;
    for partition in fixture.partitions() {
        let next = fixture.store.acquire(partition, Nonce::new(7), TTL, now(&fixture)).await.expect("there");
        assert!(next.is_some(), "partition {partition} is still leased");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_are_spread_over_the_members_and_move_without_a_loss() {
    let mut fixture = FeatureFixture::start(16).await;
    let views = |round: usize| -> Vec<(String, String)> {
        (0..200).map(|number| (format!("u{}", number % 40), format!("e{round}-{number}"))).collect()
    };
    for round in 0..3 {
        let (other, shutdown, running) = fixture.start_second_process();
        let owned = |service: &FeatureService| service.ownership().borrow().owned;
        // Events arrive while the second process joins.
        fixture.log(&views(2 * round)).await;
        fixture
            .until("both own their partitions", async || {
                let first = owned(&fixture.service);
                let second = owned(&other);
                let assigned = other.ownership().borrow().assigned;
                first + second == 16 && first > 0 && assigned == Some(second)
            })
            .await;
        shutdown.cancel();
        fixture.log(&views(2 * round + 1)).await;
        running.await.expect("no panic");
        assert_eq!(owned(&other), 0);
        fixture
            .until("the remaining process owns all partitions", async || owned(&fixture.service) == 16)
            .await;
        fixture.settled().await;
        fixture.check_profiles().await;
    }
}
