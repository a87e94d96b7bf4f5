//! Measures of what was learned: of probabilities against outcomes, and of one partition of rows against another. In come labels and
//! predictions; out go the figures that papers and other libraries report under the same names.

mod partition;
mod probability;

pub use partition::adjusted_rand_index;
pub use probability::{Quality, auc, best_threshold, calibration_error, log_loss, quality};
