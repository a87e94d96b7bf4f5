//! Test models: one with two segments, of users with few views and of users with many, and one without segments. They are made as a
//! training would make them.

use crate::drift::{DriftFeatures, DriftSample};
use crate::model::{Model, Retired, Segment, TypicalCategory};
use crate::segmentation::identity::Origin;
use crate::segmentation::naming::Defining;
use crate::segmentation::space::Space;
use ndarray::Array2;
use portrait_profile::{
    Action, Body, Event, FeatureSchema, ModelVersion, Profile, Record, RecordId, SegmentId, Timestamp, UserId,
};

/// Number of views of a user near the first segment's centroid.
pub const FEW_USERS: usize = 1;
/// Number of views of a user near the second segment's centroid.
pub const MANY_USERS: usize = 40;

/// Creates a view of a user at `at`, with an id of its own.
///
/// # Panics
/// Panics if `user` is not a valid id.
pub fn view(user: &str, number: usize, at: Timestamp) -> Record {
    Record {
        user_id: UserId::parse(user).expect("an id"),
        record_id: RecordId::parse(&format!("view-{number}")).ok(),
        occurred_at: at,
        accepted_at: at,
        trace: None,
        source: None,
        body: Body::Event(Event {
            action: Action::View,
            utc_offset_minutes: 0,
            item_id: None,
            category: Some("shoes".into()),
            brand: None,
            price: None,
            quantity: 1.0,
            order_id: None,
            order_line: 0,
            strength: None,
            context: None,
        }),
    }
}

/// Creates a model at `at` that assigns users with few views to the first of `ids` and users with many to the second.
///
/// # Panics
/// Does not panic for two different ids.
pub fn by_views(version: ModelVersion, ids: [u32; 2], at: Timestamp) -> Model {
    let schema = FeatureSchema::current();
    let vector = |views: usize| {
        let mut profile = Profile::new(UserId::parse("user").expect("an id"));
        (0..views).for_each(|number| {
            profile.apply(&view("user", number, at));
        });
        profile.features_at(at)
    };
    let vectors: Vec<Vec<f32>> =
        (0..10).flat_map(|more| [vector(FEW_USERS + more % 3), vector(MANY_USERS + more)]).collect();
    let rows = Array2::from_shape_fn((vectors.len(), schema.components().len()), |(row, column)| {
        vectors[row][column]
    });
    let (space, scaled) = Space::fit(rows.view(), schema).expect("finite rows that differ");
    let mut centroids = Array2::zeros((2, scaled.ncols()));
    for (row, values) in scaled.outer_iter().enumerate() {
        for (column, value) in values.iter().enumerate() {
            centroids[[row % 2, column]] += value / 10.0;
        }
    }
    let segments = ids.iter().zip(["few views", "many views"]).map(|(id, name)| Segment {
        id: SegmentId::new(*id),
        name: name.to_owned(),
        description: format!("users with {name}"),
        defining: vec![Defining { component: 1, z: 1.0 }],
        trained_share: 0.5,
        origin: Origin::New,
        overlap: 0.0,
        first_version: version,
        categories: vec![TypicalCategory { name: "shoes".to_owned(), share: 1.0, lift: 1.5 }],
    });
    let draft = Model::draft(
        version,
        None,
        at,
        schema.hash(),
        space,
        segments.collect(),
        Vec::new(),
        SegmentId::new(ids[0].max(ids[1]) + 1),
        DriftFeatures::current().reference(&DriftSample { raw: rows.view(), latest_category: Vec::new() }),
    );
    draft.with_centroids(centroids.view()).expect("it fits together")
}

/// Creates a model at `at` without segments, in which those of `ended` have ended.
///
/// # Panics
/// Does not panic for two different ids.
pub fn without_segments(version: ModelVersion, ended: [u32; 2], at: Timestamp) -> Model {
    let mut model = by_views(version, ended, at);
    for Segment { id, name, .. } in std::mem::take(&mut model.segments) {
        model.retired.push(Retired { id, name, to: Vec::new() });
    }
    let none = Array2::zeros((0, model.width()));
    model.with_centroids(none.view()).expect("it fits together")
}
