//! Invalid requests, each with its field, and invalid settings, each with its key.

use super::sandbox::{Sandbox, config, field, reason};
use portrait_model::Config;
use portrait_proto::v1::{CheckDriftRequest, ErrorReason, TrainModelRequest};
use portrait_runtime::config::{ByteSize, DurationSetting};
use tonic::Code;
use tonic_types::StatusExt;

#[tokio::test]
async fn an_invalid_training_request_is_refused_with_its_field() {
    let sandbox = Sandbox::running(config()).await;
    for (segments, choose_segments, expected, invalid_field) in [
        (5, false, ErrorReason::OutOfRange, "segments"),
        (u32::MAX, false, ErrorReason::OutOfRange, "segments"),
        (3, true, ErrorReason::ConflictingFields, "choose_segments"),
    ] {
        let request = TrainModelRequest { segments, choose_segments, force: false };
        let status = sandbox.client().train_model(request).await.expect_err("an invalid request");
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!((reason(&status), &*field(&status)), (expected, invalid_field), "{segments}");
    }
    assert_eq!(sandbox.features.requests().len(), 0, "no training was started");
}

#[tokio::test]
async fn a_refusal_of_too_many_segments_names_the_limit() {
    let sandbox = Sandbox::running(config()).await;
    let request = TrainModelRequest { segments: 5, ..Default::default() };
    let status = sandbox.client().train_model(request).await.expect_err("too many");
    assert!(status.message().contains("1 to 4") && status.message().contains("model.segments_max"));
}

#[tokio::test]
async fn callers_beyond_the_command_queue_get_a_retryable_error() {
    // Without a trainer every caller waits.
    let sandbox = Sandbox::idle(config()).await;
    let mut waiting = Vec::new();
    for _ in 0..4 {
        let stream = sandbox.client().train_model(TrainModelRequest::default()).await.expect("it may wait");
        waiting.push(stream);
    }
    let training = sandbox.client().train_model(TrainModelRequest::default()).await.err();
    let check = sandbox.client().check_drift(CheckDriftRequest {}).await.err();
    for status in [training, check].map(|status| status.expect("the queue is full")) {
        assert_eq!((status.code(), reason(&status)), (Code::Unavailable, ErrorReason::TrainingInProgress));
        assert!(status.get_error_details().retry_info().is_some());
    }
}

#[test]
fn an_invalid_setting_is_refused_with_its_key() {
    let short = DurationSetting::from_millis(99);
    let small = ByteSize::kibibytes(63);
    for (key, config) in [
        ("model.interval", Config { interval: short, ..config() }),
        ("model.drift_interval", Config { drift_interval: short, ..config() }),
        ("model.lease_ttl", Config { lease_ttl: short, ..config() }),
        ("model.heartbeat", Config { heartbeat: short, ..config() }),
        ("model.drift_consecutive_checks", Config { drift_consecutive_checks: 0, ..config() }),
        ("model.drift_rows", Config { drift_rows: 99, ..config() }),
        ("model.drift_rows_min", Config { drift_rows_min: 99, ..config() }),
        ("model.rows_min", Config { rows_min: 9, ..config() }),
        ("model.rows_max", Config { rows_max: 59, ..config() }),
        ("model.segments_min", Config { segments_min: 1, ..config() }),
        ("model.segments_max", Config { segments_max: 1, ..config() }),
        ("model.segments_max", Config { segments_max: 257, ..config() }),
        ("model.versions_kept", Config { versions_kept: 1, ..config() }),
        ("model.max_watchers", Config { max_watchers: 0, ..config() }),
        ("model.inertia_increase_max", Config { inertia_increase_max: 1.1, ..config() }),
        ("model.inertia_increase_max", Config { inertia_increase_max: f64::NAN, ..config() }),
        ("model.max_request", Config { max_request: small, ..config() }),
        ("model.max_response", Config { max_response: ByteSize::kibibytes(2047), ..config() }),
    ] {
        let invalid = config.validate().err().unwrap_or_else(|| panic!("{key} is invalid"));
        assert_eq!(invalid.key, key);
    }
    Config::default().validate().expect("the defaults are valid");
    config().validate().expect("the settings of the tests are valid");
}
