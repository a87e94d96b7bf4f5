//! Published model: space, centroids, and segments with names and origins. Decoding checks a model as a whole; a raw vector is then
//! assigned to a segment, with an explanation on request. A model is immutable once it is made. One of too few or too equal users has no
//! segments; its predictors do not need any.

use crate::drift::{Baseline, DriftFeatures, DriftReference};
use crate::prediction::{PredictorError, Predictors};
use crate::segmentation::identity::{Origin, assign_with_hysteresis, distance};
use crate::segmentation::naming::Defining;
use crate::segmentation::space::Space;
use ndarray::ArrayView2;
use portrait_profile::{FeatureSchema, ModelVersion, Profile, SegmentId, Timestamp};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::sync::Arc;

/// Newest model of a process; `None` before the first one arrives.
pub type ServedModel = Option<Arc<Model>>;

/// Version byte of an encoded model.
const FORMAT: u8 = 3;

/// One model version: the result of a training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// Version in the model registry.
    pub version: ModelVersion,
    /// Version that was active when this one was trained.
    pub parent: Option<ModelVersion>,
    /// Timestamp that the feature vectors were read at.
    pub as_of: Timestamp,
    /// Hash of the feature schema that the model is made for.
    pub schema_hash: u64,
    /// Scaler and facet weights: the space that distances are measured in.
    pub space: Space,
    /// Segments, one per centroid, in the order of the centroids; empty if the users could not be distinguished.
    pub segments: Vec<Segment>,
    /// Segments of the parent that no longer exist.
    pub retired: Vec<Retired>,
    /// First segment id that was never assigned.
    pub next_segment: SegmentId,
    /// Distribution of the training users, for drift detection.
    pub drift_reference: DriftReference,
    /// Means of the segments in scaled components, row-major `k x d`.
    centroids: Vec<f32>,
    /// Centroids in coordinates of the space, row-major `k x axes`; derived, hence not stored.
    #[serde(skip)]
    coordinates: Vec<f32>,
    /// Predictors, stored as separate parts because they are large.
    #[serde(skip)]
    predictors: Predictors,
}

/// Segment of a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Segment {
    /// Stable id, kept across models while the members stay the same.
    pub id: SegmentId,
    /// Display name, at most 48 characters.
    pub name: String,
    /// Sentence about the strongest differences from the average user.
    pub description: String,
    /// Components with the strongest differences, strongest first.
    pub defining: Vec<Defining>,
    /// Share of the training users in the segment, 0 to 1.
    pub trained_share: f64,
    /// Relation to the parent's segments.
    pub origin: Origin,
    /// Jaccard overlap of the members with the parent's segment of the same id; 0 for a new id.
    pub overlap: f64,
    /// Version in which the id appeared first.
    pub first_version: ModelVersion,
    /// Categories that members prefer more often than all users, strongest first.
    pub categories: Vec<TypicalCategory>,
}

/// Category that the members of a segment prefer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TypicalCategory {
    /// Name of the category.
    pub name: String,
    /// Share of the segment's users whose top category it is, 0 to 1.
    pub share: f64,
    /// Ratio of that share to the share among all users.
    pub lift: f64,
}

/// Segment that no longer exists.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Retired {
    /// Id of the segment.
    pub id: SegmentId,
    /// Last display name of the segment.
    pub name: String,
    /// Segments that its members are in now, the largest part first.
    pub to: Vec<SegmentId>,
}

/// Segment of a vector and the distance to it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SegmentAssignment {
    /// Id of the assigned segment.
    pub segment_id: SegmentId,
    /// Euclidean distance to the centroid in coordinates of the [`Space`].
    pub distance: f32,
}

/// Explanation of an assignment by components.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// Euclidean distance to the segment's centroid, in coordinates of the space.
    pub distance: f32,
    /// Nearest other segment and the distance to its centroid; `None` for a single segment.
    pub runner_up: Option<(SegmentId, f32)>,
    /// Scaled value of each component and its contribution: its part of the squared distance to the runner-up minus that to the
    /// segment; 0 for a component outside the space. Contributions sum to the difference of the squared distances.
    pub contributions: Vec<(f32, f32)>,
}

/// Error of decoding or completing a model.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ModelError {
    /// The bytes are damaged.
    #[error("the model's bytes are damaged: {0}")]
    Damaged(String),
    /// A newer release wrote the model.
    #[error("the model has format {found}, this release reads {FORMAT}: run the release that made it")]
    Newer {
        /// Format of the model.
        found: u8,
    },
    /// An older release wrote the model.
    #[error("the model has format {found}, this release reads {FORMAT}: train one here")]
    Older {
        /// Format of the model.
        found: u8,
    },
    /// The model was trained for another feature schema.
    #[error(
        "the model is made for feature schema {found:016x} and this process computes {known:016x}: train one here"
    )]
    OtherSchema {
        /// Schema hash of the model.
        found: u64,
        /// Schema hash of this process.
        known: u64,
    },
    /// A number of the model is NaN or infinite.
    #[error("{0} of the model has a value that is not finite")]
    NotFinite(&'static str),
    /// Parts of the model contradict each other.
    #[error("the model does not fit together: {0}")]
    Inconsistent(String),
    /// A predictor cannot be decoded.
    #[error(transparent)]
    Part(#[from] PredictorError),
    /// A part gives an answer that cannot be served.
    #[error("the part {part:?} fails the check of the {check}: {value}")]
    Probe {
        /// Kind of the part.
        part: &'static str,
        /// Checked answer.
        check: &'static str,
        /// Value of the answer.
        value: String,
    },
}

impl Model {
    /// Adds the centroids (`k x d`, scaled components) to a draft and checks the model.
    ///
    /// # Errors
    /// [`ModelError::Inconsistent`] if the parts do not fit together, [`ModelError::NotFinite`] for a number that is not finite.
    pub fn with_centroids(mut self, centroids: ArrayView2<'_, f32>) -> Result<Self, ModelError> {
        self.centroids = centroids.iter().copied().collect();
        self.complete()
    }

    /// Creates a model without centroids, to be completed by [`Self::with_centroids`].
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
        reference: DriftReference,
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
            drift_reference: reference,
            centroids: Vec::new(),
            coordinates: Vec::new(),
            predictors: Predictors::default(),
        }
    }

    /// Encodes the segments part: a version byte and postcard. Predictors are encoded by [`Predictors::encode`].
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_extend(self, vec![FORMAT])
            .expect("writing to memory cannot fail: every type here has a known length")
    }

    /// Decodes and checks a model for vectors of `schema`.
    ///
    /// # Errors
    /// Any [`ModelError`] that makes the model unfit to be served.
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
            let found = model.width();
            let known = schema.components().len();
            return Err(ModelError::Inconsistent(format!("{found} components, the schema has {known}")));
        }
        Ok(model)
    }

    /// Checks the stored parts and derives the centroids' coordinates.
    fn complete(mut self) -> Result<Self, ModelError> {
        self.check()?;
        self.coordinates = self.space.coordinates_of_rows(self.centroids()).into_iter().collect();
        Ok(self)
    }

    fn check(&self) -> Result<(), ModelError> {
        let segments = self.segments.len();
        let width = self.width();
        if width == 0 || self.centroids.len() != segments * width {
            let numbers = self.centroids.len();
            let problem = format!("{numbers} numbers for {segments} centroids of {width} components");
            return Err(ModelError::Inconsistent(problem));
        }
        let watched = DriftFeatures::current().components().len();
        let baseline = self.drift_reference.components.as_ref().map(Baseline::width);
        if let Some(baseline) = baseline.filter(|baseline| *baseline != watched) {
            let problem = format!("a baseline of {baseline} components, not {watched}");
            return Err(ModelError::Inconsistent(problem));
        }
        if !self.centroids.iter().all(|value| value.is_finite()) {
            return Err(ModelError::NotFinite("a centroid"));
        }
        if !self.space.is_sound() {
            return Err(ModelError::NotFinite("the scaler or a weight"));
        }
        if segments > 0 && self.space.axes().len() == 0 {
            let problem = format!("{segments} segments in a space without axes");
            return Err(ModelError::Inconsistent(problem));
        }
        let mut ids: Vec<SegmentId> = self.segments.iter().map(|segment| segment.id).collect();
        ids.sort_unstable();
        ids.dedup();
        let next = self.next_segment;
        if ids.len() != segments || ids.last().is_some_and(|last| *last >= next) {
            return Err(ModelError::Inconsistent(
                "segment ids are not unique or not assigned yet".to_owned(),
            ));
        }
        Ok(())
    }

    /// Adds predictors to the model.
    ///
    /// # Errors
    /// [`ModelError::Inconsistent`] if the similar-users sample has coordinates of another space.
    pub fn with_predictors(mut self, learned: Predictors) -> Result<Self, ModelError> {
        let axes = self.space.axes().len();
        if learned.lookalikes.as_ref().is_some_and(|sample| !sample.has_axes(axes)) {
            return Err(ModelError::Inconsistent("a sample of users in another space".to_owned()));
        }
        self.predictors = learned;
        Ok(self)
    }

    /// Predictors of the model.
    pub fn predictors(&self) -> &Predictors {
        &self.predictors
    }

    /// Coordinates of a raw vector in the space: similar users are near each other.
    pub fn embed(&self, raw: &[f32]) -> Vec<f32> {
        self.space.coordinates(&self.scaled(raw))
    }

    /// Index of a segment in this model.
    pub fn segment_index(&self, id: SegmentId) -> Option<u32> {
        self.index(id).and_then(|index| u32::try_from(index).ok())
    }

    /// Index of the segment that a profile is assigned to; `None` if it is not a segment of this model.
    pub fn segment_index_of(&self, profile: &Profile) -> Option<u32> {
        profile.segment().and_then(|assigned| self.segment_index(assigned.segment_id))
    }

    /// Number of components `d` of a vector.
    pub fn width(&self) -> usize {
        self.space.scaler().width()
    }

    /// Means of the segments in scaled components, `k x d`.
    pub fn centroids(&self) -> ArrayView2<'_, f32> {
        ArrayView2::from_shape((self.segments.len(), self.width()), &self.centroids)
            .expect("the number of centroids was checked")
    }

    /// Segment with the given id.
    pub fn segment(&self, id: SegmentId) -> Option<&Segment> {
        self.index(id).map(|index| &self.segments[index])
    }

    /// Display name of a segment of this model or of a retired one.
    pub fn segment_name(&self, id: SegmentId) -> Option<&str> {
        self.segment(id)
            .map(|segment| &*segment.name)
            .or_else(|| self.retired.iter().find(|retired| retired.id == id).map(|retired| &*retired.name))
    }

    /// Assigns a raw vector to a segment; `None` if the model has none. A user of the segment `assigned` leaves it only for one that is
    /// nearer by a tenth.
    pub fn assign(&self, raw: &[f32], assigned: Option<SegmentId>) -> Option<SegmentAssignment> {
        // Before the vector is embedded, which would be for nothing.
        if self.segments.is_empty() {
            return None;
        }
        let assigned = assigned.and_then(|id| self.index(id));
        let (index, distance) =
            assign_with_hysteresis(&self.embed(raw), self.centroid_coordinates(), assigned)?;
        Some(SegmentAssignment { segment_id: self.segments[index].id, distance })
    }

    /// Explains the assignment of a raw vector to a segment; `None` for an unknown segment.
    pub fn explain(&self, raw: &[f32], id: SegmentId) -> Option<Explanation> {
        let segment = self.index(id)?;
        let scaled = self.scaled(raw);
        let coordinates = self.space.coordinates(&scaled);
        let centroids = self.centroid_coordinates();
        let runner_up = (0..self.segments.len())
            .filter(|index| *index != segment)
            .map(|index| (index, distance(&coordinates, centroids.row(index))))
            .min_by(|left, right| left.1.total_cmp(&right.1));
        let mut contributions: Vec<(f32, f32)> = scaled.into_iter().map(|z| (z, 0.0)).collect();
        if let Some((next, _)) = runner_up {
            for (axis, (component, _)) in self.space.axes().enumerate() {
                let to_next = (coordinates[axis] - centroids[[next, axis]]).powi(2);
                let to_segment = (coordinates[axis] - centroids[[segment, axis]]).powi(2);
                contributions[component].1 = to_next - to_segment;
            }
        }
        Some(Explanation {
            distance: distance(&coordinates, centroids.row(segment)),
            runner_up: runner_up.map(|(index, distance)| (self.segments[index].id, distance)),
            contributions,
        })
    }

    /// Raw value of a component at a segment's centroid; `None` for an unknown segment or component.
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

    fn centroid_coordinates(&self) -> ArrayView2<'_, f32> {
        ArrayView2::from_shape((self.segments.len(), self.space.axes().len()), &self.coordinates)
            .expect("they were made from the centroids")
    }

    fn index(&self, id: SegmentId) -> Option<usize> {
        self.segments.iter().position(|segment| segment.id == id)
    }
}
