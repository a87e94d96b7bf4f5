//! Drift checks on request: the response names the drifted features, unchanged users raise no alarm, and persistent
//! drift triggers a training only if trainings are automatic.

use super::features::{set, users};
use super::sandbox::{NEW_YEAR, Sandbox, automatic, config, reason};
use portrait_model::Config;
use portrait_profile::Timestamp;
use portrait_proto::time;
use portrait_proto::v1::{
    ActivateModelRequest, CheckDriftRequest, CheckDriftResponse, DriftStatus, ErrorReason,
};

async fn check(sandbox: &Sandbox) -> (DriftStatus, CheckDriftResponse) {
    let response = sandbox.client().check_drift(CheckDriftRequest {}).await.expect("a check").into_inner();
    (response.drift.clone().expect("a status"), response)
}

/// Runs a process with a model of 300 users.
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
async fn unchanged_users_raise_no_alarm_at_any_number_of_checks() {
    let sandbox = with_model(config()).await;
    for check_no in 1..=4 {
        sandbox.clock.advance(1000);
        let (drift, response) = check(&sandbox).await;
        let at = Some(time::to_wire(Timestamp::from_millis(NEW_YEAR + check_no * 1000)));
        assert_eq!(drift, DriftStatus { checked_at: at, rows: 300, ..DriftStatus::default() });
        assert_eq!(response.training, None);
        assert_eq!(sandbox.list().await.drift, Some(drift), "the list has the newest check");
    }
}

#[tokio::test]
async fn a_drifted_component_is_reported_and_checks_are_counted_until_it_recovers() {
    let sandbox = with_model(config()).await;
    sandbox.features.change(|vector| set(vector, "behavior.view.7d", 300.0));
    for checks in 1..=4 {
        let (drift, response) = check(&sandbox).await;
        let [drifted] = &drift.components[..] else { panic!("{:?}", drift.components) };
        assert_eq!((&*drifted.name, drift.consecutive_checks), ("behavior.view.7d", checks));
        assert!(drifted.psi > drifted.critical && drifted.critical > 0.0, "{drifted:?}");
        assert_eq!(response.training, None, "trainings are not automatic");
    }
    sandbox.features.send(users(300, 3));
    assert_eq!(check(&sandbox).await.0.consecutive_checks, 0);
    assert_eq!(sandbox.versions().await, [1]);
}

#[tokio::test]
async fn a_drifted_category_is_reported_with_both_shares() {
    let sandbox = with_model(config()).await;
    sandbox.features.change(|vector| {
        if vector.latest_category == "c1" {
            vector.latest_category = "c0".to_owned();
        }
    });
    let (drift, _) = check(&sandbox).await;
    let shares: Vec<_> = drift.categories.iter().map(|one| (&*one.name, one.before, one.now)).collect();
    assert!(shares.contains(&("c0", 0.25, 0.5)) && shares.contains(&("c1", 0.25, 0.0)), "{shares:?}");
    assert_eq!((shares.len(), drift.consecutive_checks, drift.components.len()), (2, 1, 0));
}

#[tokio::test]
async fn too_few_recently_active_users_raise_no_alarm() {
    let sandbox = with_model(Config { drift_rows_min: 150, ..config() }).await;
    let mut moved = users(300, 3);
    for (number, vector) in moved.iter_mut().enumerate() {
        set(vector, "behavior.view.7d", 300.0);
        set(vector, "behavior.recency", if number < 149 { 20.0 } else { 29.0 });
    }
    sandbox.features.send(moved.clone());
    assert_eq!(check(&sandbox).await.0.components, []);
    set(&mut moved[149], "behavior.recency", 20.0);
    sandbox.features.send(moved);
    assert_eq!(check(&sandbox).await.0.components.len(), 1);
}

#[tokio::test]
async fn persistent_drift_triggers_a_training() {
    let sandbox = with_model(automatic()).await;
    sandbox.features.change(|vector| set(vector, "behavior.view.7d", 300.0));
    for checks in 1..=2 {
        let (drift, response) = check(&sandbox).await;
        assert_eq!((drift.consecutive_checks, response.training), (checks, None));
    }
    let (drift, response) = check(&sandbox).await;
    let training = response.training.expect("the third consecutive check");
    assert_eq!((drift.consecutive_checks, training.published, training.version), (3, true, 2));
    assert_eq!(training.manifest.expect("one").cause().as_str_name(), "TRAINING_CAUSE_DRIFT");
    assert_eq!(check(&sandbox).await.0.consecutive_checks, 0, "the new model was trained on them");
}

#[tokio::test]
async fn consecutive_checks_restart_with_another_model() {
    let sandbox = with_model(config()).await;
    sandbox.first().await;
    sandbox.features.change(|vector| set(vector, "behavior.view.7d", 300.0));
    for checks in 1..=2 {
        assert_eq!(check(&sandbox).await.0.consecutive_checks, checks);
    }
    sandbox.client().activate_model(ActivateModelRequest { version: 1 }).await.expect("it is kept");
    assert_eq!(check(&sandbox).await.0.consecutive_checks, 1);
}
