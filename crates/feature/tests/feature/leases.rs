//! Leases: a worker that pauses past its lease is fenced, and one that stops releases it.

use super::fixture::{FeatureFixture, WORKER};
use portrait_feature::FeatureService;
use portrait_profile::{TimeDelta, Timestamp};
use portrait_runtime::Clock;
use portrait_runtime::telemetry::Metrics;
use portrait_store::{LeaseClaim, Nonce, OwnerStore};

const TTL: TimeDelta = TimeDelta::from_secs(10);

/// Number of partitions that a process owns.
fn owned(service: &FeatureService) -> usize {
    service.ownership().borrow().owned
}

/// Number of claims of a process that another one of its name prevented.
fn duplicate_name_claims(metrics: &Metrics) -> f64 {
    let text = metrics.render();
    let lines = text.lines().filter(|line| line.starts_with("portrait_feature_duplicate_names_total"));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

/// Claim of a worker of another process.
fn other_worker() -> LeaseClaim {
    LeaseClaim::new(Nonce::new(7), "other")
}

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
    let other =
        fixture.store.acquire(partition, &other_worker(), TTL, now(&fixture)).await.expect("there").token();
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
        let other = fixture
            .store
            .acquire(partition, &other_worker(), TTL, now(&fixture))
            .await
            .expect("there")
            .token();
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
        let next = fixture
            .store
            .acquire(partition, &other_worker(), TTL, now(&fixture))
            .await
            .expect("there")
            .token();
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
        let other = fixture.start_second_process("second");
        // Events arrive while the second process joins.
        fixture.log(&views(2 * round)).await;
        fixture
            .until("both own their partitions", async || {
                let first = owned(&fixture.service);
                let second = owned(&other.service);
                let assigned = other.service.ownership().borrow().assigned;
                first + second == 16 && first > 0 && assigned == Some(second)
            })
            .await;
        other.shutdown.cancel();
        fixture.log(&views(2 * round + 1)).await;
        other.running.await.expect("no panic");
        assert_eq!(owned(&other.service), 0);
        fixture
            .until("the remaining process owns all partitions", async || owned(&fixture.service) == 16)
            .await;
        fixture.settled().await;
        fixture.check_profiles().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_process_takes_back_its_leases_before_they_end() {
    let mut fixture = FeatureFixture::start(16).await;
    fixture.log(&[("u1".to_owned(), "e1".to_owned())]).await;
    fixture.settled().await;
    // Without the store the first process is as good as killed: it neither releases its leases nor deregisters.
    fixture.faulty.set_unavailable(true);
    // The clock stands still, so no lease ends.
    let restarted = fixture.start_second_process(WORKER);
    fixture
        .until("the restarted process owns all partitions", async || owned(&restarted.service) == 16)
        .await;
    fixture.log(&[("u1".to_owned(), "e2".to_owned())]).await;
    fixture.settled().await;
    fixture.check_profiles().await;
    assert_eq!(duplicate_name_claims(&restarted.metrics), 0.0);
    restarted.shutdown.cancel();
    restarted.running.await.expect("no panic");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_processes_of_one_name_the_later_keeps_the_partitions_and_the_earlier_counts_it() {
    let mut fixture = FeatureFixture::start(4).await;
    let later = fixture.start_second_process(WORKER);
    fixture.until("the later process owns all partitions", async || owned(&later.service) == 4).await;
    // Work on every partition: commits of the earlier process are fenced, and its workers claim again.
    let views: Vec<_> = (0..200).map(|number| (format!("u{}", number % 40), format!("e{number}"))).collect();
    fixture.log(&views).await;
    fixture
        .until("the earlier process has noticed it on every partition", async || {
            owned(&fixture.service) == 0 && duplicate_name_claims(&fixture.metrics) >= 4.0
        })
        .await;
    let mut before = Vec::new();
    for partition in fixture.partitions() {
        before.push(fixture.meta(partition).await.token);
    }
    let noticed = duplicate_name_claims(&fixture.metrics);
    fixture
        .until("the earlier process claims again", async || {
            duplicate_name_claims(&fixture.metrics) >= noticed + 4.0
        })
        .await;
    for (partition, token) in fixture.partitions().zip(before) {
        assert_eq!(fixture.meta(partition).await.token, token, "partition {partition} moved between them");
    }
    assert_eq!(duplicate_name_claims(&later.metrics), 0.0);
    fixture.settled().await;
    fixture.check_profiles().await;
    // The end of the later process releases its leases, and the earlier one goes on.
    later.shutdown.cancel();
    later.running.await.expect("no panic");
    fixture.until("the earlier process owns all again", async || owned(&fixture.service) == 4).await;
}
