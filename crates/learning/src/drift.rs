//! Drift detection: compares the users a model was trained on with the users of today. Inputs are feature rows, category counts, or
//! a stream of one number per user; outputs are statistics with alarms. The reaction to an alarm is decided by the model service.

mod adwin;
mod baseline;
mod category_shares;
mod features;

pub use adwin::Adwin;
pub use baseline::{Baseline, FeatureDrift, PSI_ALARM, PSI_ROWS_MIN};
pub use category_shares::{CategoryShares, CategoryShift};
pub use features::{DriftFeatures, DriftReference, DriftSample};
