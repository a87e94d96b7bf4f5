//! Input of one training: the sample, the served model, and the settings.

use crate::command::{ProgressReporter, SegmentCount};
use crate::config::ValidConfig;
use crate::sample::TrainingSample;
use portrait_learning::Model;
use portrait_profile::{ModelVersion, SegmentId};
use std::sync::Arc;

/// Input of one training.
pub(crate) struct TrainingTask {
    pub(crate) sample: TrainingSample,
    pub(crate) served: Option<Arc<Model>>,
    /// Last model with segments: the served one, or one before it.
    pub(crate) segmented: Option<Arc<Model>>,
    pub(crate) version: ModelVersion,
    /// Least number of users to publish a model for.
    pub(crate) users_min: usize,
    /// First unused segment id.
    pub(crate) next_segment: SegmentId,
    pub(crate) count: SegmentCount,
    pub(crate) config: ValidConfig,
    pub(crate) progress: ProgressReporter,
}
