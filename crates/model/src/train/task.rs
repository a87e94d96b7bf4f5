//! The task of one training: the sample it learns from, the model before it, and the settings.

use crate::config::ValidConfig;
use crate::demand::{Count, Progress};
use crate::sample::Sample;
use portrait_learning::Model;
use portrait_profile::{ModelVersion, SegmentId};
use std::sync::Arc;

/// Everything that a training starts from.
pub(crate) struct Task {
    pub(crate) sample: Sample,
    pub(crate) live: Option<Arc<Model>>,
    pub(crate) version: ModelVersion,
    /// The first segment id that was never given.
    pub(crate) next_segment: SegmentId,
    pub(crate) count: Count,
    pub(crate) config: ValidConfig,
    pub(crate) progress: Progress,
}
