//! Predictors of one user's behaviour: next action, recommended items, probability of a purchase or of a bad outcome, and similar
//! users. Each is trained separately and stored as a separate part ([`Predictors`]).

pub mod factors;
pub mod learners;
mod lookalikes;
pub mod markov;
pub mod next_action;
mod predictors;
pub mod recommend;
pub mod social;

pub use lookalikes::{Lookalikes, LookalikesError};
pub use predictors::{BEHAVIOR, ITEMS, LOOKALIKES, PROPENSITY, PredictorError, Predictors, RISK};
