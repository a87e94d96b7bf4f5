//! Trainings: failures, the number of segments, the identity of segments across models, and the predictors.

use super::features::{set, user, users, users_with_histories};
use super::sandbox::{Sandbox, config, kinds, reason, segment_of};
use portrait_learning::segmentation::Origin;
use portrait_model::Config;
use portrait_profile::SegmentId;
use portrait_proto::status::CallFailure;
use portrait_proto::v1::{ErrorReason, TrainModelRequest, TrainingCause};
use portrait_store::PartName;
use tonic::Code;

const CHOSEN: TrainModelRequest = TrainModelRequest { segments: 0, choose_segments: true, force: false };

#[tokio::test]
async fn nothing_is_learned_from_less_than_two_users() {
    let sandbox = Sandbox::running(config()).await;
    for (there, published) in [(0, false), (1, false), (2, true)] {
        sandbox.features.send(users(there, 3));
        let outcome = sandbox.train(TrainModelRequest::default()).await.expect("an outcome");
        assert_eq!(outcome.published, published, "{there} users");
        let expected = format!("{there} users found, 2 needed");
        assert_eq!(outcome.refusal.contains(&expected), !published, "{}", outcome.refusal);
    }
    assert_eq!(sandbox.versions().await, [1]);
}

#[tokio::test]
async fn a_training_reports_its_stages_in_order_and_its_outcome_last() {
    let sandbox = Sandbox::running(config()).await;
    sandbox.features.send(users_with_histories(120));
    sandbox.apply(77).await;
    let (stages, outcome) = sandbox.train_in_stages(TrainModelRequest::default()).await.expect("a training");
    let expected = [
        "scaling",
        "choosing the number of segments",
        "clustering",
        "naming",
        "training recommender",
        "training next-action model",
        "publishing",
    ];
    assert_eq!(stages, expected);
    let manifest = outcome.manifest.expect("a manifest");
    assert_eq!((outcome.version, manifest.version, manifest.parent_version), (1, 1, 0));
    assert_eq!((manifest.rows, manifest.applied_total, manifest.cause()), (120, 77, TrainingCause::Request));
}

#[tokio::test]
async fn the_number_of_segments_is_chosen_once_then_kept_and_changed_on_request() {
    let sandbox = Sandbox::running(config()).await;
    sandbox.features.send(users(180, 3));
    let force = |segments| TrainModelRequest { segments, force: true, ..Default::default() };
    for (request, segments) in [
        (TrainModelRequest::default(), 3),
        (force(2), 2),
        (TrainModelRequest::default(), 2),
        (CHOSEN, 3),
        (force(4), 4),
    ] {
        let manifest = sandbox.published(request).await;
        assert_eq!(manifest.segments, segments, "{request:?}");
        assert_eq!(sandbox.model(&manifest).await.segments.len(), segments as usize);
    }
}

#[tokio::test]
async fn segments_keep_ids_and_names_as_long_as_they_are_the_same_users() {
    let sandbox = Sandbox::running(config()).await;
    sandbox.features.send(users(180, 3));
    let first = sandbox.first().await;
    sandbox.assign(&first).await;
    // All users do a little more, in another order.
    sandbox.features.change(|vector| vector.values.iter_mut().for_each(|value| *value *= 1.02));
    let second = sandbox.first().await;
    assert_eq!((second.parent_version, second.next_segment, first.next_segment), (1, 4, 4));
    let quality = second.quality.expect("a quality");
    assert_eq!(quality.retained_share, Some(1.0));
    assert!(quality.parent_inertia_per_row.is_some() && first.quality.expect("one").retained_share.is_none());
    let (before, after) = (sandbox.model(&first).await, sandbox.model(&second).await);
    assert_eq!(before.segments.iter().map(|one| one.id.get()).collect::<Vec<_>>(), [1, 2, 3]);
    for old in &before.segments {
        let new = after.segment(old.id).expect("the same users are a segment still");
        let kept = (&old.name, before.version, &Origin::Kept);
        assert_eq!((&new.name, new.first_version, &new.origin), kept);
        assert_eq!(new.overlap, 1.0);
    }
    assert!(after.retired.is_empty());
}

#[tokio::test]
async fn new_users_get_a_new_id_and_ids_of_retired_segments_are_never_reused() {
    let sandbox = Sandbox::running(config()).await;
    sandbox.features.send(users(180, 3));
    sandbox.assign(&sandbox.first().await).await;
    let ids = async |manifest| {
        let model = sandbox.model(manifest).await;
        let mut ids: Vec<u32> = model.segments.iter().map(|one| one.id.get()).collect();
        ids.sort_unstable();
        (ids, model.retired.iter().map(|one| one.id).collect::<Vec<_>>())
    };
    let segment_of_others = |number: usize| {
        let mut vector = user(number, 3);
        vector.segment_id.clear();
        vector
    };
    let mut vectors = users(180, 3);
    let first = sandbox.list().await.models.remove(0);
    let model = sandbox.model(&first).await;
    vectors.iter_mut().for_each(|one| one.segment_id = segment_of(&model, one));
    vectors.extend((1000..1060).map(segment_of_others));
    sandbox.features.send(vectors.clone());
    let four = sandbox.published(CHOSEN).await;
    assert_eq!(ids(&four).await, (vec![1, 2, 3, 4], vec![]));
    // The fourth group leaves, and comes back.
    vectors.truncate(180);
    sandbox.features.send(vectors.clone());
    sandbox.assign(&four).await;
    let three = sandbox.published(TrainModelRequest { force: true, ..CHOSEN }).await;
    assert_eq!((ids(&three).await, three.next_segment), ((vec![1, 2, 3], vec![SegmentId::new(4)]), 5));
    vectors.extend((1000..1060).map(segment_of_others));
    sandbox.features.send(vectors);
    sandbox.features.change(|vector| {
        vector.segment_id =
            if vector.user_id.len() == 5 { String::new() } else { segment_of(&model, vector) };
    });
    let again = sandbox.published(CHOSEN).await;
    assert_eq!(ids(&again).await.0, [1, 2, 3, 5]);
}

#[tokio::test]
async fn the_same_vectors_in_another_order_make_the_same_model() {
    let mut parts = Vec::new();
    for backwards in [false, true] {
        let sandbox = Sandbox::running(Config { rows_max: 150, ..config() }).await;
        let mut vectors = users_with_histories(240);
        if backwards {
            vectors.reverse();
        }
        sandbox.features.send(vectors);
        let manifest = sandbox.first().await;
        assert!((60..=150).contains(&manifest.rows), "{} rows", manifest.rows);
        parts.push((manifest.rows, manifest.parts));
    }
    let other = parts.pop();
    assert_eq!(parts.pop(), other);
}

#[tokio::test]
async fn every_part_is_stored_under_the_hash_of_its_bytes() {
    let sandbox = Sandbox::running(config()).await;
    sandbox.features.send(users_with_histories(120));
    let manifest = sandbox.first().await;
    assert_eq!(kinds(&manifest), ["segments", "items", "behavior", "lookalikes"]);
    for part in &manifest.parts {
        let bytes = sandbox.part(part).await.expect("it is stored");
        assert_eq!(part.size, bytes.len() as u64);
        assert_eq!(part.name, PartName::of(&bytes).get().to_be_bytes());
    }
    let model = sandbox.model(&manifest).await;
    let items = model.predictors().items.as_ref().expect("items");
    assert!(items.index("item-0-0").is_some() && items.index("item-9-9").is_none());
}

#[tokio::test]
async fn parts_with_a_limit_of_zero_are_neither_read_nor_learned() {
    let none = Config { histories_max: 0, examples_max: 0, lookalikes_max: 0, ..config() };
    for (config, read, learned) in [
        (config(), true, &["segments", "items", "behavior", "lookalikes"][..]),
        (none, false, &["segments", "behavior"]),
    ] {
        let sandbox = Sandbox::running(config).await;
        sandbox.features.send(users_with_histories(120));
        let manifest = sandbox.first().await;
        assert_eq!(kinds(&manifest), learned);
        let [request] = &sandbox.features.requests()[..] else { panic!("one request") };
        assert_eq!((request.include_recent_items, request.include_snapshots), (read, read));
        assert!(request.include_transitions && request.sample_fraction == 0.0);
    }
}

#[tokio::test]
async fn a_segment_names_its_typical_category() {
    let sandbox = Sandbox::running(config()).await;
    sandbox.features.send(users(180, 3));
    let model = sandbox.model(&sandbox.first().await).await;
    for segment in &model.segments {
        let [typical] = &segment.categories[..] else { panic!("{:?}", segment.categories) };
        assert!((typical.share - 1.0).abs() < 1e-9 && (typical.lift - 3.0).abs() < 1e-9, "{typical:?}");
        assert!((segment.trained_share - 1.0 / 3.0).abs() < 1e-9);
    }
}

#[tokio::test]
async fn another_schema_or_a_failed_stream_ends_a_training_with_the_cause() {
    let sandbox = Sandbox::running(config()).await;
    sandbox.features.send(users(120, 3));
    sandbox.features.set_schema(0xABCD);
    let status = sandbox.train(TrainModelRequest::default()).await.expect_err("another schema");
    assert_eq!(reason(&status), ErrorReason::Internal);
    assert!(status.message().contains("000000000000abcd"), "{status:?}");
    let unavailable =
        CallFailure::new(ErrorReason::StoreUnavailable, "the store of the features is unavailable");
    sandbox.features.fail(unavailable.into_status());
    let status = sandbox.train(TrainModelRequest::default()).await.expect_err("no vectors");
    assert_eq!((status.code(), reason(&status)), (Code::Unavailable, ErrorReason::StoreUnavailable));
    assert!(sandbox.versions().await.is_empty());
}

#[tokio::test]
async fn non_finite_vectors_are_an_outcome_and_the_trainer_continues() {
    let sandbox = Sandbox::running(config()).await;
    sandbox.features.send(users(120, 3));
    sandbox.features.change(|vector| {
        if vector.user_id == "u7" {
            set(vector, "behavior.view.7d", f32::NAN);
        }
    });
    let outcome = sandbox.train(TrainModelRequest::default()).await.expect("an outcome");
    assert!(!outcome.published && outcome.refusal.contains("learning failed"), "{}", outcome.refusal);
    sandbox.features.send(users(120, 3));
    assert_eq!(sandbox.first().await.version, 1);
}
