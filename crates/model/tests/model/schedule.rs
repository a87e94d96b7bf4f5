//! Training schedule: first model, by time, by records, by persistent drift, and not at all if automatic is off. One
//! process trains at a time.

use super::features::{set, users};
use super::sandbox::{Sandbox, TRAINER, automatic, config, reason};
use super::watcher::Watcher;
use portrait_model::Config;
use portrait_proto::v1::{ErrorReason, ModelManifest, TrainModelRequest, TrainingCause};
use tonic::Code;
use tonic_types::StatusExt;

const DAY: i64 = 86_400_000;
/// Heartbeats of 100 ms in which a training that is due would have begun, several times over.
const LONG: usize = 8;

async fn causes(sandbox: &Sandbox) -> Vec<TrainingCause> {
    sandbox.list().await.models.iter().map(ModelManifest::cause).collect()
}

/// Runs a process with a first model of 300 users and 100 records, and a watching node.
async fn with_first(config: Config) -> (Sandbox, Watcher) {
    let sandbox = Sandbox::running(config).await;
    sandbox.features.send(users(300, 3));
    sandbox.apply(100).await;
    let mut watcher = Watcher::of(&sandbox, "node").await;
    assert_eq!(watcher.next_version().await, 1);
    assert_eq!(causes(&sandbox).await, [TrainingCause::First]);
    (sandbox, watcher)
}

#[tokio::test]
async fn the_first_model_is_trained_as_soon_as_there_are_enough_records() {
    let sandbox = Sandbox::running(automatic()).await;
    sandbox.features.send(users(120, 3));
    sandbox.apply(59).await;
    let mut watcher = Watcher::of(&sandbox, "node").await;
    watcher.wait_heartbeats(LONG).await;
    assert_eq!(sandbox.features.requests().len(), 0, "59 records cannot be of 60 users");
    sandbox.apply(1).await;
    assert_eq!(watcher.next_version().await, 1);
    assert_eq!(causes(&sandbox).await, [TrainingCause::First]);
    assert_eq!(sandbox.list().await.models[0].applied_total, 60);
}

#[tokio::test]
async fn too_few_users_are_streamed_again_after_twice_as_many_records_or_when_no_more_come() {
    let sandbox = Sandbox::running(automatic()).await;
    sandbox.features.send(users(30, 3));
    let mut watcher = Watcher::of(&sandbox, "node").await;
    // 120 are twice as many and streamed at once; 30 more once no others have come for a second.
    for (records, attempts) in [(60, 1), (60, 2), (30, 3)] {
        sandbox.apply(records).await;
        sandbox.until("an attempt", async || sandbox.features.requests().len() >= attempts).await;
        watcher.wait_heartbeats(LONG).await;
        assert_eq!(sandbox.features.requests().len(), attempts, "after {records} more records");
    }
    watcher.wait_heartbeats(2 * LONG).await;
    assert_eq!(sandbox.features.requests().len(), 3, "the same records are not streamed again");
    sandbox.features.send(users(120, 3));
    sandbox.apply(20).await;
    assert_eq!(watcher.next_version().await, 1);
}

#[tokio::test]
async fn a_model_is_trained_on_schedule_if_there_are_new_records() {
    let (sandbox, mut watcher) = with_first(automatic()).await;
    sandbox.clock.advance(DAY);
    watcher.wait_heartbeats(LONG).await;
    assert_eq!(sandbox.versions().await, [1], "nothing has happened since");
    sandbox.apply(1).await;
    assert_eq!(watcher.next_version().await, 2);
    sandbox.clock.advance(DAY - 1);
    sandbox.apply(1).await;
    watcher.wait_heartbeats(LONG).await;
    assert_eq!(causes(&sandbox).await, [TrainingCause::First, TrainingCause::Schedule]);
}

#[tokio::test]
async fn a_model_is_trained_after_the_configured_number_of_records() {
    let (sandbox, mut watcher) = with_first(Config { retrain_after_records: 50, ..automatic() }).await;
    sandbox.apply(49).await;
    watcher.wait_heartbeats(LONG).await;
    assert_eq!(sandbox.versions().await, [1]);
    sandbox.apply(1).await;
    assert_eq!(watcher.next_version().await, 2);
    assert_eq!(causes(&sandbox).await, [TrainingCause::First, TrainingCause::Volume]);
}

#[tokio::test]
async fn a_model_is_trained_again_at_the_end_of_an_import_that_doubled_the_records() {
    let (sandbox, mut watcher) = with_first(automatic()).await;
    sandbox.apply(99).await;
    watcher.wait_heartbeats(2 * LONG).await;
    assert_eq!(sandbox.versions().await, [1], "less than doubled");
    sandbox.apply(1).await;
    assert_eq!(watcher.next_version().await, 2);
    assert_eq!(causes(&sandbox).await, [TrainingCause::First, TrainingCause::Volume]);

    let (sandbox, mut watcher) = with_first(Config { retrain_on_growth: false, ..automatic() }).await;
    sandbox.apply(1_000).await;
    watcher.wait_heartbeats(2 * LONG).await;
    assert_eq!(sandbox.versions().await, [1]);
}

#[tokio::test]
async fn a_model_is_trained_when_drift_persists_for_three_checks() {
    let (sandbox, mut watcher) = with_first(automatic()).await;
    sandbox.features.change(|vector| set(vector, "behavior.view.7d", 300.0));
    for checks in 1..=2 {
        sandbox.clock.advance(300_000);
        sandbox.apply(1).await;
        sandbox
            .until("a check", async || {
                sandbox.list().await.drift.is_some_and(|drift| drift.consecutive_checks == checks)
            })
            .await;
        watcher.wait_heartbeats(LONG).await;
        assert_eq!(sandbox.versions().await, [1], "after {checks} checks");
    }
    sandbox.clock.advance(300_000);
    sandbox.apply(1).await;
    assert_eq!(watcher.next_version().await, 2);
    assert_eq!(causes(&sandbox).await, [TrainingCause::First, TrainingCause::Drift]);
}

#[tokio::test]
async fn drift_is_checked_once_per_interval_and_only_after_new_records() {
    let (sandbox, mut watcher) = with_first(automatic()).await;
    let checks = || sandbox.features.requests().len() - 1;
    for (advance, records, expected) in [(299_999, 1, 0), (1, 0, 1), (300_000, 0, 1), (0, 1, 2)] {
        sandbox.clock.advance(advance);
        if records > 0 {
            sandbox.apply(records).await;
        }
        sandbox.until("a check", async || checks() >= expected).await;
        watcher.wait_heartbeats(LONG).await;
        assert_eq!(checks(), expected, "{advance} ms and {records} records later");
    }
    assert_eq!(sandbox.list().await.drift.expect("a check").consecutive_checks, 0);
}

#[tokio::test]
async fn no_training_starts_by_itself_when_automatic_is_off() {
    let manual = Sandbox::running(config()).await;
    manual.features.send(users(300, 3));
    let other = manual.another(Config { retrain_after_records: 10, ..automatic() }).await;
    other.features.send(users(300, 3));
    // Two trainings are due, one after the other; the process beside it does both.
    for versions in [&[1][..], &[1, 2]] {
        manual.apply(100).await;
        manual.until_versions(versions).await;
    }
    assert_eq!((manual.features.requests().len(), other.features.requests().len()), (0, 2));
    // On request it trains all the same, once the other process has released the lease.
    manual.until("a training", async || manual.train(TrainModelRequest::default()).await.is_ok()).await;
    assert_eq!(manual.versions().await, [1, 2, 3]);
}

#[tokio::test]
async fn only_one_process_trains_at_a_time() {
    let one = Sandbox::running(config()).await;
    let other = one.another(config()).await;
    one.features.send(users(120, 3));
    other.features.send(users(120, 3));
    one.features.hold(true);
    let second = async {
        one.until("the first one trains", async || !one.features.requests().is_empty()).await;
        let refused = other.train(TrainModelRequest::default()).await.expect_err("the first one trains");
        one.features.hold(false);
        refused
    };
    let (first, refused) = tokio::join!(one.first(), second);
    assert_eq!((refused.code(), reason(&refused)), (Code::Unavailable, ErrorReason::TrainingInProgress));
    assert!(refused.get_error_details().retry_info().is_some());
    assert_eq!((first.version, other.features.requests().len()), (1, 0));
    assert_eq!(other.first().await.version, 2, "the lease was released");
}

#[tokio::test]
async fn a_restarted_trainer_takes_back_its_lease_once_and_the_process_before_publishes_nothing() {
    let before = Sandbox::running(config()).await;
    before.features.send(users(120, 3));
    before.features.hold(true);
    let restarted = before.another_named(TRAINER, config()).await;
    restarted.features.send(users(120, 3));
    let second = async {
        before.until("the first one trains", async || !before.features.requests().is_empty()).await;
        // The clock stands still, so the lease of the process before runs.
        let trained = restarted.first().await;
        before.features.hold(false);
        trained
    };
    let (fenced, trained) = tokio::join!(before.train(TrainModelRequest::default()), second);
    assert_eq!(trained.version, 1);
    assert_eq!(reason(&fenced.expect_err("fenced")), ErrorReason::TrainingInProgress);
    assert_eq!(before.versions().await, [1]);
    // A live process of its name, as by a duplicate configuration, is not fenced by its later trainings.
    before.features.hold(true);
    let third = async {
        before.until("the process before trains again", async || before.features.requests().len() == 2).await;
        let refused = restarted.train(TrainModelRequest::default()).await.expect_err("it trains");
        before.features.hold(false);
        refused
    };
    let (again, refused) = tokio::join!(before.train(TrainModelRequest::default()), third);
    assert_eq!(reason(&refused), ErrorReason::TrainingInProgress);
    again.expect("it keeps its lease");
}

#[tokio::test]
async fn a_training_that_is_incomplete_parts_at_shutdown_is_abandoned() {
    let sandbox = Sandbox::idle(config()).await;
    let running = sandbox.run();
    sandbox.features.send(users(120, 3));
    sandbox.features.hold(true);
    let ending = async {
        sandbox.until("it trains", async || !sandbox.features.requests().is_empty()).await;
        sandbox.shutdown.cancel();
        running.await.expect("no task panics");
    };
    let (trained, ()) = tokio::join!(sandbox.train(TrainModelRequest::default()), ending);
    assert_eq!(reason(&trained.expect_err("it was abandoned")), ErrorReason::ShuttingDown);
    assert!(sandbox.versions().await.is_empty());
}
