//! Whether the world is still the one that a model was learned from. In come the rows of then and those of now, or one number
//! of model quality after the other; out goes whether they differ by more than chance. What to do about it is decided
//! elsewhere.

mod adwin;
mod baseline;
mod lately;
mod mix;

pub use adwin::Adwin;
pub use baseline::{Baseline, FeatureDrift, PSI_ALARM, PSI_ROWS_MIN};
pub use lately::{Lately, Reference, Seen};
pub use mix::{Mix, ShareMoved};
