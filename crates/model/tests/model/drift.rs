//! Looks at drift on request: the answer names what has moved, unchanged users raise no alarm, and drift that lasts gives
//! cause for a training only where trainings are automatic.

use super::features::{set, users};
use super::sandbox::{NEW_YEAR, Sandbox, automatic, config, reason};
use portrait_model::Config;
use portrait_profile::Timestamp;
use portrait_proto::time;
use portrait_proto::v1::{
    ActivateModelRequest, CheckDriftRequest, CheckDriftResponse, DriftStatus, ErrorReason,
};

async fn look(sandbox: &Sandbox) -> (DriftStatus, CheckDriftResponse) {
    let answer = sandbox.client().check_drift(CheckDriftRequest {}).await.expect("a look").into_inner();
    (answer.drift.clone().expect("a status"), answer)
}

/// A process with a model of 300 users.
async fn with_model(config: Config) -> Sandbox {
    let sandbox = Sandbox::running(config).await;
    sandbox.features.send(users(300, 3));
    sandbox.first().await;
    sandbox
}

#[tokio::test]
async fn without_a_model_there_is_nothing_to_compare_with() {
    let sandbox = Sandbox::running(config()).await;
    sandbox.features.send(users(300, 3));
    let status = sandbox.client().check_drift(CheckDriftRequest {}).await.expect_err("no model");
    assert_eq!(reason(&status), ErrorReason::NoModel);
    assert_eq!((sandbox.features.requests().len(), sandbox.list().await.drift), (0, None));
}

#[tokio::test]
async fn unchanged_users_raise_no_alarm_however_often_they_are_looked_at() {
    let sandbox = with_model(config()).await;
    for looks in 1..=4 {
        sandbox.clock.advance(1000);
        let (drift, answer) = look(&sandbox).await;
        let at = Some(time::to_wire(Timestamp::from_millis(NEW_YEAR + looks * 1000)));
        assert_eq!(drift, DriftStatus { checked_at: at, rows: 300, ..DriftStatus::default() });
        assert_eq!(answer.training, None);
        assert_eq!(sandbox.list().await.drift, Some(drift), "the list has the newest look");
    }
}

#[tokio::test]
async fn a_component_that_moved_is_named_and_alarms_are_counted_until_it_moves_back() {
    let sandbox = with_model(config()).await;
    sandbox.features.change(|vector| set(vector, "behavior.view.7d", 300.0));
    for windows in 1..=4 {
        let (drift, answer) = look(&sandbox).await;
        let [moved] = &drift.components[..] else { panic!("{:?}", drift.components) };
        assert_eq!((&*moved.component, drift.consecutive_checks), ("behavior.view.7d", windows));
        assert!(moved.psi > moved.critical && moved.critical > 0.0, "{moved:?}");
        assert_eq!(answer.training, None, "trainings are not automatic");
    }
    sandbox.features.send(users(300, 3));
    assert_eq!(look(&sandbox).await.0.consecutive_checks, 0);
    assert_eq!(sandbox.versions().await, [1]);
}

#[tokio::test]
async fn a_category_that_more_users_come_for_is_named_with_both_shares() {
    let sandbox = with_model(config()).await;
    sandbox.features.change(|vector| {
        if vector.latest_category == "c1" {
            vector.latest_category = "c0".to_owned();
        }
    });
    let (drift, _) = look(&sandbox).await;
    let shares: Vec<_> = drift.categories.iter().map(|one| (&*one.name, one.before, one.now)).collect();
    assert!(shares.contains(&("c0", 0.25, 0.5)) && shares.contains(&("c1", 0.25, 0.0)), "{shares:?}");
    assert_eq!((shares.len(), drift.consecutive_checks, drift.components.len()), (2, 1, 0));
}

#[tokio::test]
async fn too_few_users_who_came_lately_raise_no_alarm() {
    let sandbox = with_model(Config { drift_rows_min: 150, ..config() }).await;
    let mut moved = users(300, 3);
    for (number, vector) in moved.iter_mut().enumerate() {
        set(vector, "behavior.view.7d", 300.0);
        set(vector, "behavior.recency", if number < 149 { 20.0 } else { 29.0 });
    }
    sandbox.features.send(moved.clone());
    assert_eq!(look(&sandbox).await.0.components, []);
    set(&mut moved[149], "behavior.recency", 20.0);
    sandbox.features.send(moved);
    assert_eq!(look(&sandbox).await.0.components.len(), 1);
}

#[tokio::test]
async fn drift_that_lasts_gives_cause_for_a_training_that_knows_the_users_again() {
    let sandbox = with_model(automatic()).await;
    sandbox.features.change(|vector| set(vector, "behavior.view.7d", 300.0));
    for windows in 1..=2 {
        let (drift, answer) = look(&sandbox).await;
        assert_eq!((drift.consecutive_checks, answer.training), (windows, None));
    }
    let (drift, answer) = look(&sandbox).await;
    let training = answer.training.expect("the third look in a row");
    assert_eq!((drift.consecutive_checks, training.published, training.version), (3, true, 2));
    assert_eq!(training.manifest.expect("one").cause().as_str_name(), "TRAINING_CAUSE_DRIFT");
    assert_eq!(look(&sandbox).await.0.consecutive_checks, 0, "the new model was made from them");
}

#[tokio::test]
async fn alarms_are_counted_anew_for_another_model() {
    let sandbox = with_model(config()).await;
    sandbox.first().await;
    sandbox.features.change(|vector| set(vector, "behavior.view.7d", 300.0));
    for windows in 1..=2 {
        assert_eq!(look(&sandbox).await.0.consecutive_checks, windows);
    }
    sandbox.client().activate_model(ActivateModelRequest { version: 1 }).await.expect("it is kept");
    assert_eq!(look(&sandbox).await.0.consecutive_checks, 1);
}
