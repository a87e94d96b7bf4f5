//! Publication: quality check, growing versions, lost leases, deletion of old versions with their own parts, and
//! rollback.

use super::features::{users, users_with_histories};
use super::sandbox::{NEW_YEAR, Sandbox, config, field, reason};
use super::watcher::Watcher;
use portrait_model::Config;
use portrait_profile::{LogSeq, PartitionLedger, Timestamp};
use portrait_proto::time;
use portrait_proto::token::ConsistencyToken;
use portrait_proto::v1::{
    ActivateModelRequest, ActivateModelResponse, ErrorReason, GetModelRequest, GetModelResponse,
    ModelManifest, ModelPart, TrainModelRequest,
};
use portrait_store::RegistryStore;
use prost::Message;
use tonic::{Code, Status};

const FORCE: TrainModelRequest = TrainModelRequest { segments: 0, choose_segments: false, force: true };

async fn activate(sandbox: &Sandbox, version: u64) -> Result<ActivateModelResponse, Status> {
    Ok(sandbox.client().activate_model(ActivateModelRequest { version }).await?.into_inner())
}

async fn get(sandbox: &Sandbox, version: u64) -> Result<GetModelResponse, Status> {
    Ok(sandbox.client().get_model(GetModelRequest { version }).await?.into_inner())
}

/// Returns the part of a kind.
fn part<'a>(manifest: &'a ModelManifest, kind: &str) -> &'a ModelPart {
    manifest.parts.iter().find(|part| part.kind == kind).expect("it was learned")
}

#[tokio::test]
async fn fewer_segments_are_published_although_their_inertia_is_higher() {
    let sandbox = Sandbox::running(config()).await;
    sandbox.features.send(users(180, 3));
    assert_eq!(sandbox.first().await.segments, 3);
    let two = TrainModelRequest { segments: 2, ..Default::default() };
    let manifest = sandbox.published(two).await;
    let quality = manifest.quality.expect("a quality");
    assert!(quality.inertia_per_row > quality.parent_inertia_per_row.expect("a parent"));
    assert_eq!((manifest.version, manifest.segments, sandbox.list().await.active_version), (2, 2, 2));
}

#[tokio::test]
async fn a_published_model_is_active_and_records_its_time() {
    let sandbox = Sandbox::running(config()).await;
    sandbox.features.send(users(120, 3));
    sandbox.clock.advance(5000);
    let manifest = sandbox.first().await;
    let at = Some(time::to_wire(Timestamp::from_millis(NEW_YEAR + 5000)));
    assert_eq!((manifest.trained_at, manifest.as_of), (at, at));
    for version in [0, 1] {
        let found = get(&sandbox, version).await.expect("a model");
        assert_eq!((found.manifest.as_ref(), found.active), (Some(&manifest), true));
    }
    assert_eq!(sandbox.list().await.models, [manifest]);
}

#[tokio::test]
async fn a_trainer_that_lost_its_lease_publishes_nothing() {
    let sandbox = Sandbox::running(config()).await;
    sandbox.features.send(users(120, 3));
    sandbox.features.hold(true);
    let outcome = async {
        let training = sandbox.train(TrainModelRequest::default());
        let stolen = async {
            sandbox.until("vectors are read", async || !sandbox.features.requests().is_empty()).await;
            let token = sandbox.take_training(77).await;
            sandbox.features.hold(false);
            token
        };
        tokio::join!(training, stolen)
    };
    let (trained, token) = outcome.await;
    let status = trained.expect_err("another process holds the lease");
    assert_eq!((status.code(), reason(&status)), (Code::Unavailable, ErrorReason::TrainingInProgress));
    assert_eq!((sandbox.versions().await, sandbox.registry().await.active), (vec![], None));
    // The lease still belongs to the other process: the loser has not released it.
    let status = sandbox.train(TrainModelRequest::default()).await.expect_err("the other trains still");
    assert_eq!(reason(&status), ErrorReason::TrainingInProgress);
    sandbox.store.release_training(token).await.expect("the store is there");
    assert_eq!(sandbox.first().await.version, 1);
}

#[tokio::test]
async fn parts_of_a_killed_training_are_removed_once_no_training_runs() {
    let sandbox = Sandbox::idle(config()).await;
    sandbox.features.send(users_with_histories(120));
    // A trainer was killed after its first part: its lease still runs.
    let token = sandbox.take_training(77).await;
    let orphan = sandbox.store.put_part(b"of a killed training"[..].into()).await.expect("stored");
    drop(sandbox.run());
    let mut watcher = Watcher::of(&sandbox, "node").await;
    watcher.wait_heartbeats(8).await;
    assert_eq!(
        sandbox.store.parts().await.expect("the store is there"),
        [orphan],
        "it may still publish them"
    );
    sandbox.store.release_training(token).await.expect("the store is there");
    let parts = async || sandbox.store.parts().await.expect("the store is there");
    sandbox.until("the part is removed", async || parts().await.is_empty()).await;
    // Parts that a model names stay, and a training removes what the one before it left.
    let first = sandbox.first().await;
    sandbox.store.put_part(b"of another killed training"[..].into()).await.expect("stored");
    let second = sandbox.published(FORCE).await;
    let named = first.parts.iter().chain(&second.parts).map(|part| &part.name);
    assert_eq!(parts().await.len(), named.collect::<std::collections::BTreeSet<_>>().len());
}

#[tokio::test]
async fn a_model_sampled_before_an_erasure_that_is_cleared_by_now_is_not_published() {
    let sandbox = Sandbox::running(config()).await;
    sandbox.features.send(users(120, 3));
    sandbox.features.hold(true);
    let training = sandbox.train(TrainModelRequest::default());
    let erasing = async {
        sandbox.until("vectors are read", async || !sandbox.features.requests().is_empty()).await;
        sandbox.log(5).await;
        let mut ledger = PartitionLedger::default();
        ledger.erasures_mut().applied(LogSeq::new(3));
        ledger.erasures_mut().cleared_through(LogSeq::new(4));
        sandbox.note(&ledger).await;
        sandbox.features.hold(false);
    };
    let (trained, ()) = tokio::join!(training, erasing);
    let status = trained.expect_err("the model may name the erased user");
    assert_eq!((status.code(), reason(&status)), (Code::Unavailable, ErrorReason::TrainingInProgress));
    assert!(status.message().contains("train again"), "{}", status.message());
    assert_eq!(sandbox.versions().await, Vec::<u64>::new());
    // The next training reads the vectors after the erasure, and its manifest says so.
    let manifest = sandbox.first().await;
    let sampled = ConsistencyToken::from_stored(&manifest.sampled_positions).expect("a token");
    let positions: Vec<(u16, u64)> =
        sampled.entries.iter().map(|entry| (entry.partition, entry.seq)).collect();
    assert_eq!(positions, [(0, 5), (1, 0)]);
}

#[tokio::test]
async fn the_oldest_versions_are_deleted_with_the_parts_that_only_they_use() {
    let sandbox = Sandbox::running(Config { versions_kept: 2, ..config() }).await;
    sandbox.features.send(users_with_histories(120));
    let mut manifests = Vec::new();
    for kept in [&[1][..], &[1, 2], &[2, 3], &[3, 4]] {
        manifests.push(sandbox.published(FORCE).await);
        assert_eq!(sandbox.versions().await, kept);
    }
    for (index, manifest) in manifests.iter().enumerate() {
        let stored = sandbox.part(part(manifest, "segments")).await.is_some();
        assert_eq!(stored, index >= 2, "segments of version {}", index + 1);
    }
    // The next-action model was learned from the same transitions each time: one part shared by all versions.
    let [shared, newest] = [&manifests[0], &manifests[3]].map(|one| part(one, "behavior"));
    assert_eq!(shared, newest);
    assert!(sandbox.part(shared).await.is_some());
    let gone = get(&sandbox, 1).await.expect_err("it is deleted");
    assert_eq!(reason(&gone), ErrorReason::ModelNotFound);
    assert_eq!(sandbox.published(FORCE).await.version, 5, "version numbers are never reused");
}

#[tokio::test]
async fn the_active_version_is_kept_at_any_age() {
    let sandbox = Sandbox::running(Config { versions_kept: 2, ..config() }).await;
    sandbox.features.send(users(120, 3));
    for _ in 0..2 {
        sandbox.published(FORCE).await;
    }
    activate(&sandbox, 1).await.expect("it is kept");
    let third = sandbox.published(FORCE).await;
    assert_eq!((third.parent_version, sandbox.versions().await), (1, vec![1, 2, 3]));
    sandbox.published(FORCE).await;
    assert_eq!(sandbox.versions().await, [3, 4]);
}

#[tokio::test]
async fn a_rollback_activates_the_older_version_which_becomes_the_next_parent() {
    let sandbox = Sandbox::running(config()).await;
    sandbox.features.send(users(120, 3));
    sandbox.first().await;
    sandbox.published(FORCE).await;
    let response = activate(&sandbox, 1).await.expect("it is kept");
    assert_eq!((response.active_version, response.previous_version), (1, 2));
    let served = get(&sandbox, 0).await.expect("one is served").manifest.expect("a manifest");
    assert_eq!((served.version, sandbox.list().await.active_version), (1, 1));
    assert!(!get(&sandbox, 2).await.expect("it is kept").active);
    let next = sandbox.published(FORCE).await;
    assert_eq!((next.version, next.parent_version), (3, 1));
}

#[tokio::test]
async fn an_unknown_version_is_not_found() {
    let sandbox = Sandbox::running(config()).await;
    let status = get(&sandbox, 0).await.expect_err("there is none yet");
    assert_eq!(reason(&status), ErrorReason::NoModel);
    sandbox.features.send(users(120, 3));
    sandbox.first().await;
    let missing = [
        get(&sandbox, 99).await.err(),
        activate(&sandbox, 99).await.err(),
        activate(&sandbox, 0).await.err(),
    ];
    for status in missing.map(|status| status.expect("there is no such model")) {
        assert_eq!((status.code(), reason(&status)), (Code::NotFound, ErrorReason::ModelNotFound));
        assert_eq!(field(&status), "version");
    }
    assert_eq!(sandbox.list().await.active_version, 1);
}

#[tokio::test]
async fn a_model_of_another_schema_is_replaced_by_a_first_one_with_new_ids() {
    let sandbox = Sandbox::running(config()).await;
    let older = ModelManifest { version: 6, schema_hash: 1, next_segment: 40, ..Default::default() };
    sandbox.publish(6, older.encode_to_vec()).await;
    sandbox.features.send(users(180, 3));
    let manifest = sandbox.first().await;
    assert_eq!((manifest.version, manifest.parent_version, manifest.next_segment), (7, 0, 43));
    let model = sandbox.model(&manifest).await;
    assert_eq!(model.segments.iter().map(|one| one.id.get()).min(), Some(40));
}

#[tokio::test]
async fn a_damaged_stored_manifest_is_an_error_with_the_version() {
    let sandbox = Sandbox::running(config()).await;
    sandbox.publish(3, b"\xff\xff\xff".to_vec()).await;
    for status in [get(&sandbox, 3).await.err(), activate(&sandbox, 3).await.map(drop).err()] {
        let status = status.expect("it cannot be read");
        assert_eq!(reason(&status), ErrorReason::StoreIncompatible);
        assert!(status.message().contains("model 3") && status.message().contains("decoded"), "{status:?}");
    }
}
