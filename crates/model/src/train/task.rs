//! Input of one training: the sample, the served model, and the settings.

use crate::config::ValidConfig;
use crate::demand::{Count, Progress};
use crate::sample::Sample;
use portrait_learning::Model;
use portrait_profile::{ModelVersion, SegmentId};
use std::sync::Arc;

/// Input of one training.
pub(crate) struct Task {
    pub(crate) sample: Sample,
    pub(crate) live: Option<Arc<Model>>,
    pub(crate) version: ModelVersion,
    /// First unused segment id.
    pub(crate) next_segment: SegmentId,
    pub(crate) count: Count,
    pub(crate) config: ValidConfig,
    pub(crate) progress: Progress,
}
