//! Parts that stand for themselves: too few or too equal users cost segments and nothing else, no segment is without users, a model
//! without segments carries the former ones on, and the manifest says what is missing and why.

use super::features::{set, user, users, users_with_histories};
use super::sandbox::{Sandbox, config, kinds};
use portrait_learning::segmentation::Origin;
use portrait_model::Config;
use portrait_model::manifest::name_to_wire;
use portrait_profile::ModelVersion;
use portrait_proto::v1::{
    CheckDriftRequest, FeatureVector, ModelManifest, ModelPart, PartShortfall, TrainModelRequest,
};
use portrait_store::{PartName, RegistryStore};
use prost::Message;

const CHOSEN: TrainModelRequest = TrainModelRequest { segments: 0, choose_segments: true, force: false };

/// Default range of the number of segments.
fn default_range() -> Config {
    Config { segments_min: 4, segments_max: 12, ..config() }
}

fn exactly(segments: u32) -> TrainModelRequest {
    TrainModelRequest { segments, ..TrainModelRequest::default() }
}

fn shortfall_of<'a>(manifest: &'a ModelManifest, part: &str) -> Option<&'a PartShortfall> {
    manifest.shortfalls.iter().find(|shortfall| shortfall.part == part)
}

/// Gives all users the vector of the first one.
fn make_alike(vectors: &mut [FeatureVector]) {
    let first = vectors[0].values.clone();
    vectors.iter_mut().for_each(|vector| vector.values.clone_from(&first));
}

#[tokio::test]
async fn too_few_or_equal_users_cost_the_segments_and_no_other_part() {
    let mut alike = users_with_histories(120);
    make_alike(&mut alike);
    for (vectors, reason) in [
        (users_with_histories(59), "there are 59 users, and segments need 60"),
        (users_with_histories(2), "there are 2 users, and segments need 60"),
        (alike, "120 users cannot be distinguished by how they shop"),
    ] {
        let sandbox = Sandbox::running(config()).await;
        let count = vectors.len() as u64;
        sandbox.features.send(vectors);
        for request in [CHOSEN, exactly(3), TrainModelRequest::default()] {
            let manifest = sandbox.published(request).await;
            assert_eq!((manifest.segments, manifest.rows, manifest.next_segment), (0, count, 1), "{reason}");
            assert_eq!(kinds(&manifest), ["segments", "items", "behavior", "lookalikes"]);
            assert_eq!(manifest.quality, None);
            let shortfall = shortfall_of(&manifest, "segments").expect("it says why");
            assert_eq!((shortfall.missing, shortfall.reason.as_str()), (true, reason));
            assert!(shortfall.remedy.contains("train again"), "{shortfall:?}");
            let model = sandbox.model(&manifest).await;
            assert!(model.segments.is_empty() && model.retired.is_empty());
            let items = model.predictors().items.as_ref().expect("items");
            let recommended = items.recommend(&Default::default(), 5, |_| true);
            assert_eq!(recommended.len(), 5, "{reason}");
            let similar = model.predictors().lookalikes.as_ref().expect("similar users");
            assert_eq!(similar.nearest(&model.embed(&user(0, 0).values), 2).len(), 2);
        }
    }
}

#[tokio::test]
async fn users_of_two_kinds_make_two_segments_whatever_number_is_wanted() {
    for (config, request, reason) in [
        (default_range(), CHOSEN, "only 2 segments could be distinguished, fewer than model.segments_min=4"),
        (default_range(), exactly(12), "of 12 segments only 2 could be distinguished"),
        (default_range(), exactly(2), ""),
        (config(), CHOSEN, ""),
    ] {
        let sandbox = Sandbox::running(config).await;
        let mut vectors = users(80, 2);
        let (first, second) = (user(0, 0).values, user(0, 1).values);
        for (number, vector) in vectors.iter_mut().enumerate() {
            vector.values.clone_from(if number % 2 == 0 { &first } else { &second });
        }
        sandbox.features.send(vectors);
        let manifest = sandbox.published(request).await;
        let found = shortfall_of(&manifest, "segments").map_or("", |shortfall| &shortfall.reason);
        assert_eq!(found, reason, "{request:?}");
        assert!(shortfall_of(&manifest, "segments").is_none_or(|shortfall| !shortfall.missing));
        let model = sandbox.model(&manifest).await;
        let shares: Vec<f64> = model.segments.iter().map(|segment| segment.trained_share).collect();
        assert_eq!((shares, manifest.segments, manifest.next_segment), (vec![0.5, 0.5], 2, 3), "{request:?}");
        let [one, other] = &model.segments[..] else { panic!("two segments") };
        assert_ne!(one.name, other.name);
    }
}

#[tokio::test]
async fn no_kind_of_users_makes_a_segment_without_users() {
    for kinds in 1..=9_usize {
        let sandbox = Sandbox::running(default_range()).await;
        let mut vectors = users(72, 1);
        for (number, vector) in vectors.iter_mut().enumerate() {
            *vector = FeatureVector { user_id: format!("u{number}"), ..user(0, 0) };
            set(vector, "behavior.evening_share", (number % kinds) as f32 / 10.0);
        }
        sandbox.features.send(vectors);
        let manifest = sandbox.published(exactly(12)).await;
        let expected = if kinds == 1 { 0 } else { kinds };
        let model = sandbox.model(&manifest).await;
        assert_eq!((manifest.segments as usize, model.segments.len()), (expected, expected));
        for segment in &model.segments {
            assert!(segment.trained_share > 0.0, "{segment:?}");
            assert!(!segment.name.ends_with(|last: char| last.is_ascii_digit()), "{segment:?}");
        }
        let mut names: Vec<&str> = model.segments.iter().map(|segment| &*segment.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), expected, "{names:?}");
    }
}

#[tokio::test]
async fn fewer_segments_than_before_are_published_on_request() {
    let sandbox = Sandbox::running(default_range()).await;
    sandbox.features.send(users(240, 4));
    for segments in [12, 6, 2] {
        assert_eq!(sandbox.published(exactly(segments)).await.segments, segments);
    }
}

#[tokio::test]
async fn segments_come_back_with_their_ids_and_names_after_models_without_any() {
    // Two versions are kept, so that the model with the segments is gone when they come back.
    let sandbox = Sandbox::running(Config { versions_kept: 2, ..config() }).await;
    sandbox.features.send(users_with_histories(180));
    let first = sandbox.first().await;
    let before = sandbox.model(&first).await;
    sandbox.assign(&first).await;
    for version in 2..=4 {
        // The sweep takes the segment of every user.
        let mut few = users_with_histories(30);
        few.iter_mut().for_each(|vector| vector.segment_id.clear());
        sandbox.features.send(few);
        let none = sandbox.first().await;
        assert_eq!((none.version, none.segments, none.next_segment), (version, 0, 4));
        assert_eq!(kinds(&none), ["segments", "items", "behavior", "lookalikes", "former_segments"]);
        let model = sandbox.model(&none).await;
        let ended: Vec<_> = model.retired.iter().map(|retired| (retired.id, retired.to.len())).collect();
        let of_first: Vec<_> = before.segments.iter().map(|segment| (segment.id, 0)).collect();
        assert_eq!(ended, if version == 2 { of_first } else { Vec::new() });
    }
    assert_eq!(sandbox.versions().await, [3, 4]);
    sandbox.features.send(users_with_histories(180));
    let again = sandbox.first().await;
    assert_eq!((again.segments, again.next_segment, again.parent_version), (3, 4, 4));
    assert_eq!(again.quality.expect("it has segments").parent_inertia_per_row, None);
    let after = sandbox.model(&again).await;
    assert_eq!(kinds(&again), ["segments", "items", "behavior", "lookalikes"]);
    for old in &before.segments {
        let new = after.segment(old.id).expect("the same users are a segment again");
        assert_eq!((&new.name, new.first_version, &new.origin), (&old.name, before.version, &Origin::Kept));
    }
    // With a model that has segments the former ones are stored for nothing.
    sandbox.first().await;
    assert_eq!(sandbox.versions().await, [5, 6]);
    let parts = sandbox.store.parts().await.expect("the store is there");
    assert!(!parts.contains(&PartName::of(&before.encode())), "the former segments are removed");
}

#[tokio::test]
async fn a_name_with_a_number_of_an_earlier_release_is_replaced() {
    let sandbox = Sandbox::running(config()).await;
    sandbox.features.send(users(180, 3));
    let first = sandbox.first().await;
    sandbox.assign(&first).await;
    let mut model = sandbox.model(&first).await;
    model.version = ModelVersion::new(2).expect("a version");
    model.segments[0].name = "everyday shoppers 2".to_owned();
    let bytes = model.encode();
    let part = ModelPart {
        name: name_to_wire(PartName::of(&bytes)),
        kind: "segments".to_owned(),
        size: bytes.len() as u64,
    };
    sandbox.store.put_part(bytes.into()).await.expect("the store is there");
    let manifest = ModelManifest { version: 2, parts: vec![part], ..first };
    sandbox.publish(2, manifest.encode_to_vec()).await;
    let third = sandbox.model(&sandbox.first().await).await;
    for old in &model.segments {
        let new = third.segment(old.id).expect("the same users");
        let is_numbered = old.name == "everyday shoppers 2";
        assert_eq!(new.name == old.name, !is_numbered, "{} after {}", new.name, old.name);
        assert!(!new.name.ends_with(|last: char| last.is_ascii_digit()), "{}", new.name);
    }
}

#[tokio::test]
async fn a_predictor_without_data_is_missing_with_the_reason() {
    let sandbox = Sandbox::running(config()).await;
    sandbox.features.send(users(120, 3));
    let manifest = sandbox.first().await;
    assert_eq!(kinds(&manifest), ["segments", "lookalikes"]);
    let parts: Vec<&str> = manifest.shortfalls.iter().map(|shortfall| &*shortfall.part).collect();
    assert_eq!(parts, ["items", "behavior", "propensity", "risk"]);
    for shortfall in &manifest.shortfalls {
        assert!(shortfall.missing && !shortfall.reason.is_empty() && !shortfall.remedy.is_empty());
    }
    // What is switched off is not reported as missing.
    let off = Config { histories_max: 0, examples_max: 0, lookalikes_max: 0, ..config() };
    let sandbox = Sandbox::running(off).await;
    sandbox.features.send(users_with_histories(120));
    assert_eq!(sandbox.first().await.shortfalls, []);
}

#[tokio::test]
async fn drift_is_checked_against_a_model_without_segments() {
    let sandbox = Sandbox::running(config()).await;
    sandbox.features.send(users_with_histories(30));
    assert_eq!(sandbox.first().await.segments, 0);
    let checked = sandbox.client().check_drift(CheckDriftRequest {}).await.expect("a check").into_inner();
    assert_eq!(checked.drift.expect("a status").rows, 30);
    let config = Config { drift_rows: 100, rows_min: 400, ..config() };
    let sandbox = Sandbox::running(config).await;
    sandbox.features.send(users(300, 3));
    assert_eq!(sandbox.first().await.segments, 0);
    sandbox.client().check_drift(CheckDriftRequest {}).await.expect("a check");
    let request = sandbox.features.requests().pop().expect("a request");
    assert_eq!(request.sample_fraction, 2.0 / 3.0, "no ledger counts users without a segment");
}
