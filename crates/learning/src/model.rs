//! A model as it is published and served: space, centroids, and segments with their names and origins. In come the bytes of
//! its part, out goes a model that was checked whole; in comes a raw vector, out goes the segment and why. A model never
//! changes once it is made.

use crate::drift::{Baseline, Lately, Reference};
use crate::prediction::{Learned, PartError};
use crate::segmentation::identity::{Origin, distance, settled};
use crate::segmentation::naming::Defining;
use crate::segmentation::space::Space;
use ndarray::ArrayView2;
use portrait_profile::{FeatureSchema, ModelVersion, Profile, SegmentId, Timestamp};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::sync::Arc;

/// The newest model, as a process has it: none before there is one.
pub type ServedModel = Option<Arc<Model>>;

/// The version byte of an encoded model.
const FORMAT: u8 = 3;

/// One version of what was learned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// Its version.
    pub version: ModelVersion,
    /// The version that was active when it was trained.
    pub parent: Option<ModelVersion>,
    /// The moment that its vectors were read at.
    pub as_of: Timestamp,
    /// The feature schema it is made for.
    pub schema_hash: u64,
    /// Where shoppers are near each other.
    pub space: Space,
    /// One segment for each centroid, in their order.
    pub segments: Vec<Segment>,
    /// Segments of the parent that are no more.
    pub retired: Vec<Retired>,
    /// The first segment id that was never given.
    pub next_segment: SegmentId,
    /// How the shoppers were that it was made from, for looks at drift.
    pub reference: Reference,
    /// The mean of each segment in scaled components, one after the other.
    centroids: Vec<f32>,
    /// The places of the centroids, one after the other: what distances are measured to.
    #[serde(skip)]
    places: Vec<f32>,
    /// What is known beside segments: parts of their own, since they are large.
    #[serde(skip)]
    learned: Learned,
}

/// A segment as a model knows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Segment {
    /// Its stable id.
    pub id: SegmentId,
    /// What people call it.
    pub name: String,
    /// What makes it different, in words.
    pub description: String,
    /// The same as components, strongest first.
    pub defining: Vec<Defining>,
    /// The share of shoppers in it when the model was trained.
    pub trained_share: f64,
    /// How it came about.
    pub origin: Origin,
    /// Members in common with the segment of that id before (Jaccard).
    pub overlap: f64,
    /// The model it appeared in first.
    pub first_version: ModelVersion,
    /// The categories that are liked more than elsewhere, strongest first.
    pub categories: Vec<TypicalCategory>,
}

/// A category that is liked in a segment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TypicalCategory {
    /// The category.
    pub name: String,
    /// The share of the segment's shoppers who like it most.
    pub share: f64,
    /// That share divided by the share among all shoppers.
    pub lift: f64,
}

/// A segment that is no more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Retired {
    /// Its id.
    pub id: SegmentId,
    /// What people called it.
    pub name: String,
    /// Where its shoppers went, most of them first.
    pub to: Vec<SegmentId>,
}

/// Where a vector belongs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Assigned {
    /// The segment.
    pub segment_id: SegmentId,
    /// Euclidean distance to its centroid in places ([`Space`]).
    pub distance: f32,
}

/// Why a vector belongs there.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// Distance to the segment's centroid, in places.
    pub distance: f32,
    /// The nearest other segment and the distance to its centroid; none if there is no other.
    pub runner_up: Option<(SegmentId, f32)>,
    /// For each component, its scaled value and what it adds to the squared distance to the runner-up less that to the
    /// segment; nothing for a component that has no part in places. They add up to that difference.
    pub contributions: Vec<(f32, f32)>,
}

/// Why bytes are no model that can be served.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ModelError {
    /// They are not what was encoded.
    #[error("the model's bytes are damaged: {0}")]
    Damaged(String),
    /// A later release made it.
    #[error("the model has format {found}, this release reads {FORMAT}: run the release that made it")]
    Newer {
        /// Its format.
        found: u8,
    },
    /// An earlier release made it.
    #[error("the model has format {found}, this release reads {FORMAT}: train one here")]
    Older {
        /// Its format.
        found: u8,
    },
    /// It is made for other components.
    #[error(
        "the model is made for feature schema {found:016x} and this process computes {known:016x}: train one here"
    )]
    OtherSchema {
        /// The model's.
        found: u64,
        /// Ours.
        known: u64,
    },
    /// A number in it is NaN or infinite.
    #[error("{0} of the model has a value that is not finite")]
    NotFinite(&'static str),
    /// Its parts do not fit together.
    #[error("the model does not fit together: {0}")]
    Inconsistent(String),
    /// A part beside segments cannot be served.
    #[error(transparent)]
    Part(#[from] PartError),
}

impl Model {
    /// Adds centroids (one row a segment, all scaled components) to what else a model is.
    ///
    /// # Errors
    /// If the parts do not fit together, or a number is not finite.
    pub fn with_centroids(mut self, centroids: ArrayView2<'_, f32>) -> Result<Self, ModelError> {
        self.centroids = centroids.iter().copied().collect();
        self.complete()
    }

    /// A model without centroids, to be completed by [`Self::with_centroids`].
    #[expect(clippy::too_many_arguments, reason = "each is a field, and the centroids must not be forgotten")]
    pub fn draft(
        version: ModelVersion,
        parent: Option<ModelVersion>,
        as_of: Timestamp,
        schema_hash: u64,
        space: Space,
        segments: Vec<Segment>,
        retired: Vec<Retired>,
        next_segment: SegmentId,
        reference: Reference,
    ) -> Self {
        Self {
            version,
            parent,
            as_of,
            schema_hash,
            space,
            segments,
            retired,
            next_segment,
            reference,
            centroids: Vec::new(),
            places: Vec::new(),
            learned: Learned::default(),
        }
    }

    /// The bytes of its part: a version byte and postcard.
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_extend(self, vec![FORMAT])
            .expect("writing to memory cannot fail: every type here has a known length")
    }

    /// The model of such bytes, checked whole, for vectors of `schema`.
    ///
    /// # Errors
    /// Whatever makes it unfit to be served.
    pub fn decode(bytes: &[u8], schema: &FeatureSchema) -> Result<Self, ModelError> {
        let (&found, rest) = bytes.split_first().ok_or(ModelError::Damaged("no bytes".to_owned()))?;
        match found.cmp(&FORMAT) {
            Ordering::Greater => return Err(ModelError::Newer { found }),
            Ordering::Less => return Err(ModelError::Older { found }),
            Ordering::Equal => {}
        }
        let (model, left): (Self, &[u8]) =
            postcard::take_from_bytes(rest).map_err(|error| ModelError::Damaged(error.to_string()))?;
        if !left.is_empty() {
            return Err(ModelError::Damaged(format!("{} bytes too many", left.len())));
        }
        if model.schema_hash != schema.hash() {
            return Err(ModelError::OtherSchema { found: model.schema_hash, known: schema.hash() });
        }
        let model = model.complete()?;
        if model.width() != schema.components().len() {
            let (found, known) = (model.width(), schema.components().len());
            return Err(ModelError::Inconsistent(format!("{found} components, the schema has {known}")));
        }
        Ok(model)
    }

    /// Checks what there is, and works out where the centroids are.
    fn complete(mut self) -> Result<Self, ModelError> {
        self.check()?;
        self.places = self.space.places(self.centroids()).into_iter().collect();
        Ok(self)
    }

    fn check(&self) -> Result<(), ModelError> {
        let (segments, width) = (self.segments.len(), self.width());
        if segments == 0 || width == 0 || self.centroids.len() != segments * width {
            let numbers = self.centroids.len();
            let problem = format!("{numbers} numbers for {segments} centroids of {width} components");
            return Err(ModelError::Inconsistent(problem));
        }
        let (spread, watched) =
            (self.reference.components.as_ref().map(Baseline::width), Lately::current().components().len());
        if let Some(spread) = spread.filter(|spread| *spread != watched) {
            let problem = format!("a baseline of {spread} components, not {watched}");
            return Err(ModelError::Inconsistent(problem));
        }
        if !self.centroids.iter().all(|value| value.is_finite()) {
            return Err(ModelError::NotFinite("a centroid"));
        }
        if !self.space.is_sound() {
            return Err(ModelError::NotFinite("the scaler or a weight"));
        }
        let mut ids: Vec<SegmentId> = self.segments.iter().map(|segment| segment.id).collect();
        ids.sort_unstable();
        ids.dedup();
        let next = self.next_segment;
        if ids.len() != segments || ids.last().is_some_and(|last| *last >= next) {
            return Err(ModelError::Inconsistent("segment ids are not unique or not given yet".to_owned()));
        }
        Ok(())
    }

    /// The same with what is known beside segments.
    ///
    /// # Errors
    /// If a sample of shoppers is of places that are not this model's.
    pub fn with_learned(mut self, learned: Learned) -> Result<Self, ModelError> {
        let axes = self.space.axes().len();
        if learned.lookalikes.as_ref().is_some_and(|sample| !sample.has_axes(axes)) {
            return Err(ModelError::Inconsistent("a sample of shoppers in another space".to_owned()));
        }
        self.learned = learned;
        Ok(self)
    }

    /// What is known beside segments.
    pub fn learned(&self) -> &Learned {
        &self.learned
    }

    /// The place of a raw vector: who is near each other is alike.
    pub fn located(&self, raw: &[f32]) -> Vec<f32> {
        self.space.place(&self.scaled(raw))
    }

    /// The place of a segment among those of the model.
    pub fn place(&self, id: SegmentId) -> Option<u32> {
        self.index(id).and_then(|index| u32::try_from(index).ok())
    }

    /// The place of the segment that a profile is in, among those of this model; none if it is in none of them.
    pub fn place_of(&self, profile: &Profile) -> Option<u32> {
        profile.segment().and_then(|held| self.place(held.segment_id))
    }

    /// How many components a vector has.
    pub fn width(&self) -> usize {
        self.space.scaler().width()
    }

    /// The mean of each segment in scaled components, one row a segment.
    pub fn centroids(&self) -> ArrayView2<'_, f32> {
        ArrayView2::from_shape((self.segments.len(), self.width()), &self.centroids)
            .expect("the number of centroids was checked")
    }

    /// A segment of the model.
    pub fn segment(&self, id: SegmentId) -> Option<&Segment> {
        self.index(id).map(|index| &self.segments[index])
    }

    /// What people call a segment, of this model or of the one before.
    pub fn name(&self, id: SegmentId) -> Option<&str> {
        let retired = || self.retired.iter().find(|retired| retired.id == id);
        self.segment(id).map_or_else(|| retired().map(|one| &*one.name), |one| Some(&*one.name))
    }

    /// Where a raw vector belongs. Who is in a segment of the model leaves it only for one that is clearly nearer.
    pub fn assign(&self, raw: &[f32], held: Option<SegmentId>) -> Assigned {
        let held = held.and_then(|id| self.index(id));
        let (index, distance) = settled(&self.located(raw), self.places(), held).unwrap_or_default();
        Assigned { segment_id: self.segments[index].id, distance }
    }

    /// Why a raw vector belongs to a segment of the model; none if it has no such segment.
    pub fn explain(&self, raw: &[f32], id: SegmentId) -> Option<Explanation> {
        let own = self.index(id)?;
        let scaled = self.scaled(raw);
        let place = self.space.place(&scaled);
        let places = self.places();
        let others = (0..self.segments.len()).filter(|index| *index != own);
        let runner_up = others
            .map(|index| (index, distance(&place, places.row(index))))
            .min_by(|one, other| one.1.total_cmp(&other.1));
        let mut contributions: Vec<(f32, f32)> = scaled.into_iter().map(|z| (z, 0.0)).collect();
        if let Some((next, _)) = runner_up {
            for (axis, (component, _)) in self.space.axes().enumerate() {
                let squared = |index: usize| (place[axis] - places[[index, axis]]).powi(2);
                contributions[component].1 = squared(next) - squared(own);
            }
        }
        Some(Explanation {
            distance: distance(&place, places.row(own)),
            runner_up: runner_up.map(|(index, distance)| (self.segments[index].id, distance)),
            contributions,
        })
    }

    /// The raw value of a component at a segment's centroid.
    pub fn value_at_centroid(&self, id: SegmentId, component: usize) -> Option<f32> {
        let index = self.index(id)?;
        let z = self.centroids().row(index).get(component).copied()?;
        Some(self.space.scaler().unscale(component, z))
    }

    fn scaled(&self, raw: &[f32]) -> Vec<f32> {
        let mut scaled = vec![0.0; self.width()];
        self.space.scaler().scale_into(raw, &mut scaled);
        scaled
    }

    fn places(&self) -> ArrayView2<'_, f32> {
        ArrayView2::from_shape((self.segments.len(), self.space.axes().len()), &self.places)
            .expect("they were made from the centroids")
    }

    fn index(&self, id: SegmentId) -> Option<usize> {
        self.segments.iter().position(|segment| segment.id == id)
    }
}
