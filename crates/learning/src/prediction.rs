//! Predictions about one shopper: the next action, items to recommend, the probability of a purchase or of a bad outcome, and similar
//! shoppers. Each is learned by itself and served as a part of its own ([`Learned`]).

pub mod behavior;
pub mod factors;
mod learned;
pub mod learners;
mod lookalikes;
pub mod markov;
pub mod recommend;
pub mod social;

pub use learned::{LOOKALIKES, Learned, PartError};
pub use lookalikes::{Lookalikes, LookalikesError};
