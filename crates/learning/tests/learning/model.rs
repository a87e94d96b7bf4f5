//! Published model: encoding round-trips, vectors are assigned and explained, and damaged or foreign models are refused with the reason.

use ndarray::{Array2, ArrayView2};
use portrait_learning::drift::{DriftFeatures, DriftSample};
use portrait_learning::prediction::{Lookalikes, Predictors};
use portrait_learning::segmentation::{Origin, Space};
use portrait_learning::{Model, ModelError, Segment};
use portrait_profile::{FeatureSchema, ModelVersion, SegmentId, Timestamp, UserId};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::sync::Arc;

fn rows() -> Array2<f32> {
    let mut chance = StdRng::seed_from_u64(5);
    let width = FeatureSchema::current().components().len();
    Array2::from_shape_fn((400, width), |(row, _)| {
        let centre = if row % 2 == 0 { 1.0 } else { 9.0 };
        centre + chance.random_range(0.0..1.0_f32)
    })
}

fn segment(number: u32, name: &str) -> Segment {
    Segment {
        id: SegmentId::new(number),
        name: name.to_owned(),
        description: format!("they are {name}"),
        defining: Vec::new(),
        trained_share: 0.5,
        origin: Origin::New,
        overlap: 0.0,
        first_version: ModelVersion::FIRST,
        categories: Vec::new(),
    }
}

fn draft(rows: ArrayView2<'_, f32>, ids: [u32; 2], next: u32) -> (Model, Array2<f32>) {
    let schema = FeatureSchema::current();
    let (space, scaled) = Space::fit(rows, schema).expect("a space");
    let mut centroids = Array2::zeros((2, scaled.ncols()));
    for (index, mut centroid) in centroids.outer_iter_mut().enumerate() {
        for (column, value) in centroid.iter_mut().enumerate() {
            *value = scaled.column(column).iter().skip(index).step_by(2).sum::<f32>() / 200.0;
        }
    }
    let segments = vec![segment(ids[0], "small"), segment(ids[1], "large")];
    let reference = DriftFeatures::current()
        .reference(&DriftSample { raw: rows, latest_category: vec![Some("shoes"); rows.nrows()] });
    let draft = Model::draft(
        ModelVersion::FIRST,
        None,
        Timestamp::from_millis(7),
        schema.hash(),
        space,
        segments,
        Vec::new(),
        SegmentId::new(next),
        reference,
    );
    (draft, centroids)
}

fn model() -> Model {
    let rows = rows();
    let (draft, centroids) = draft(rows.view(), [3, 5], 6);
    draft.with_centroids(centroids.view()).expect("it fits together")
}

#[test]
fn a_model_comes_back_as_it_went_and_any_cut_is_refused() {
    let model = model();
    let schema = FeatureSchema::current();
    let bytes = model.encode();
    assert_eq!(Model::decode(&bytes, schema), Ok(model));
    for length in (0..bytes.len()).step_by(7) {
        assert!(
            matches!(Model::decode(&bytes[..length], schema), Err(ModelError::Damaged(_))),
            "{length} bytes"
        );
    }
    let longer = [&bytes[..], &[0]].concat();
    assert!(matches!(Model::decode(&longer, schema), Err(ModelError::Damaged(_))));
    let mut newer = bytes;
    newer[0] = 99;
    assert_eq!(Model::decode(&newer, schema), Err(ModelError::Newer { found: 99 }));
    newer[0] = 1;
    assert_eq!(Model::decode(&newer, schema), Err(ModelError::Older { found: 1 }));
}

#[test]
fn what_cannot_be_served_is_refused_with_the_reason() {
    let rows = rows();
    let schema = FeatureSchema::current();
    let (draft_of_other, centroids) = draft(rows.view(), [3, 5], 6);
    let mut other = draft_of_other.clone();
    other.schema_hash = 1;
    let other = other.with_centroids(centroids.view()).expect("it fits together");
    let refused = Model::decode(&other.encode(), schema);
    assert_eq!(refused, Err(ModelError::OtherSchema { found: 1, known: schema.hash() }));

    let mut not_finite = centroids.clone();
    not_finite[[1, 3]] = f32::NAN;
    assert!(matches!(
        draft_of_other.clone().with_centroids(not_finite.view()),
        Err(ModelError::NotFinite(_))
    ));
    let (one, _) = centroids.view().split_at(ndarray::Axis(0), 1);
    assert!(matches!(draft_of_other.with_centroids(one), Err(ModelError::Inconsistent(_))));
    for (ids, next) in [([3, 3], 6), ([3, 5], 5)] {
        let (draft, centroids) = draft(rows.view(), ids, next);
        let refused = draft.with_centroids(centroids.view());
        assert!(matches!(refused, Err(ModelError::Inconsistent(_))), "{ids:?} {next}: {refused:?}");
    }
}

#[test]
fn a_vector_goes_to_the_nearest_segment_and_stays_unless_another_is_clearly_nearer() {
    let model = model();
    let (small, large) = (Some(SegmentId::new(3)), Some(SegmentId::new(5)));
    let width = model.width();
    let rows: [(f32, Option<SegmentId>, u32); 6] = [
        (1.5, None, 3),
        (9.5, None, 5),
        (1.5, large, 3),
        (9.5, Some(SegmentId::new(99)), 5),
        (1.5, small, 3),
        (9.5, large, 5),
    ];
    for (value, held, expected) in rows {
        let assigned = model.assign(&vec![value; width], held);
        let assigned = assigned.map(|assigned| assigned.segment_id);
        assert_eq!(assigned, Some(SegmentId::new(expected)), "{value} held by {held:?}");
    }
    // Between the two: a user of either segment stays in it.
    let between = (10..95).map(|tenth| tenth as f32 / 10.0).find(|value| {
        let raw = vec![*value; width];
        let apart = model.explain(&raw, SegmentId::new(3)).expect("a segment");
        let next = apart.runner_up.expect("another").1;
        (apart.distance - next).abs() < 0.05 * next
    });
    let raw = vec![between.expect("some value lies between"); width];
    for held in [small, large] {
        assert_eq!(model.assign(&raw, held).map(|assigned| assigned.segment_id), held);
    }
}

#[test]
fn contributions_add_up_to_the_difference_of_the_squared_distances() {
    let model = model();
    let rows = rows();
    for row in rows.outer_iter().take(50) {
        let raw: Vec<f32> = row.to_vec();
        let id = model.assign(&raw, None).expect("it has segments").segment_id;
        let explanation = model.explain(&raw, id).expect("a segment of the model");
        let (_, next) = explanation.runner_up.expect("there are two");
        let sum: f32 = explanation.contributions.iter().map(|(_, contribution)| contribution).sum();
        let difference = next.powi(2) - explanation.distance.powi(2);
        assert!((sum - difference).abs() <= 1e-3 * difference.abs().max(1.0), "{sum} is not {difference}");
        assert!(explanation.distance <= next);
    }
    assert_eq!(model.explain(&[0.0], SegmentId::new(99)), None);
}

#[test]
fn a_model_without_segments_is_served_with_its_predictors_and_assigns_no_user() {
    let rows = rows();
    let schema = FeatureSchema::current();
    let (mut draft, _) = draft(rows.view(), [3, 5], 6);
    draft.segments.clear();
    let width = draft.width();
    let model = draft.with_centroids(Array2::zeros((0, width)).view()).expect("it fits together");
    let mut sample = Lookalikes::new(model.space.axes().len());
    sample.add(UserId::parse("lena").expect("an id"), &model.embed(&rows.row(0).to_vec()));
    let learned = Predictors { lookalikes: Some(Arc::new(sample)), ..Predictors::default() };
    let decoded = Model::decode(&model.encode(), schema).expect("it can be read");
    assert_eq!(decoded, model);
    let model = decoded.with_predictors(learned).expect("of the same space");
    assert_eq!(model.probe(), Ok(()));
    let raw = rows.row(1).to_vec();
    assert_eq!(model.assign(&raw, None), None);
    assert_eq!(model.assign(&raw, Some(SegmentId::new(3))), None, "nor is a user kept in a former segment");
    assert_eq!(model.explain(&raw, SegmentId::new(3)), None);
}

#[test]
fn users_who_are_all_alike_make_a_model_without_axes_that_has_no_segment() {
    let schema = FeatureSchema::current();
    let alike = Array2::from_elem((40, schema.components().len()), 1.0);
    let (space, _) = Space::fit_any(alike.view(), schema).expect("they are finite");
    let rows = rows();
    let (mut one_segment, centroids) = draft(rows.view(), [3, 5], 6);
    one_segment.space = space;
    let refused = one_segment.clone().with_centroids(centroids.view());
    assert!(matches!(refused, Err(ModelError::Inconsistent(_))), "{refused:?}");
    one_segment.segments.clear();
    let none = Array2::zeros((0, one_segment.width()));
    let model = one_segment.with_centroids(none.view()).expect("no segment needs an axis");
    assert_eq!(model.probe(), Ok(()));
    assert!(model.embed(&alike.row(0).to_vec()).is_empty());
    assert_eq!(Model::decode(&model.encode(), schema), Ok(model));
}
