//! Quality measures: probabilities against labels, and the agreement of two partitions. The figures are those that papers and other
//! libraries report under the same names.

mod partition;
mod probability;

pub use partition::adjusted_rand_index;
pub use probability::{ProbabilityQuality, auc, best_threshold, calibration_error, log_loss, quality};
