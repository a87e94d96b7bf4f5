//! A model for tests: it has two segments, of shoppers with few views and of those with many. In come a version and the
//! segments' ids, out goes a model as a training would make it.

use crate::drift::{Lately, Seen};
use crate::model::{Model, Segment, TypicalCategory};
use crate::segmentation::identity::Origin;
use crate::segmentation::naming::Defining;
use crate::segmentation::space::Space;
use ndarray::Array2;
use portrait_profile::{
    Action, Body, Event, FeatureSchema, ModelVersion, Profile, Record, RecordId, SegmentId, Timestamp, UserId,
};

/// How many views a shopper has in the middle of each segment.
pub const FEW: usize = 1;
/// See [`FEW`].
pub const MANY: usize = 40;

/// A view of a shopper at `at`, with an id of its own.
///
/// # Panics
/// If `user` is no id.
pub fn view(user: &str, number: usize, at: Timestamp) -> Record {
    Record {
        user_id: UserId::parse(user).expect("an id"),
        record_id: RecordId::parse(&format!("view-{number}")).ok(),
        occurred_at: at,
        accepted_at: at,
        trace: None,
        body: Body::Event(Event {
            action: Action::View,
            utc_offset_minutes: 0,
            item_id: None,
            category: Some("shoes".into()),
            brand: None,
            price: None,
            quantity: 1.0,
            order_id: None,
            context: None,
        }),
    }
}

/// A model that was made at `at` and puts shoppers with few views then into the first of `ids`, others into the second.
///
/// # Panics
/// Never, for two different ids.
pub fn by_views(version: ModelVersion, ids: [u32; 2], at: Timestamp) -> Model {
    let schema = FeatureSchema::current();
    let vector = |views: usize| {
        let mut profile = Profile::new(UserId::parse("somebody").expect("an id"));
        (0..views).for_each(|number| {
            profile.apply(&view("somebody", number, at));
        });
        profile.features_at(at)
    };
    let vectors: Vec<Vec<f32>> =
        (0..10).flat_map(|more| [vector(FEW + more % 3), vector(MANY + more)]).collect();
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
        description: format!("shoppers with {name}"),
        defining: vec![Defining { component: 1, z: 1.0 }],
        trained_share: 0.5,
        origin: Origin::Born,
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
        Lately::current().reference(&Seen { raw: rows.view(), latest: Vec::new() }),
    );
    draft.with_centroids(centroids.view()).expect("it fits together")
}
