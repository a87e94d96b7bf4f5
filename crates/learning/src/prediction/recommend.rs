//! What a shopper may want next. In come the pasts of many shoppers, as their profiles have them; out goes a recommender that
//! scores every thing for one past, as a sum of parts that each say why. Things are numbers: items, or categories.
//!
//! The parts: what the shopper had before, what follows what was had last (Markov chain of first order over things), what is had
//! together (item-to-item collaborative filtering with cosine weights: Sarwar, Karypis, Konstan, Riedl, "Item-based
//! Collaborative Filtering Recommendation Algorithms", WWW 2001, section 3), latent factors ([`crate::prediction::factors`]), what the
//! shopper's segment has, and what everybody has, ever and lately. How much each counts is found on pasts that go on ([`ScoreWeights`]).
//! Items that nobody had yet are worth what the others of their category and brand are worth on average ([`ItemRecommender::with_newcomers`]).

mod approx;
mod cold_start;
mod fit;
mod history;
mod items;
mod neighbours;
mod recommender;
mod training_set;
mod weights;

pub use cold_start::ItemDescription;
pub use fit::{HoldoutExample, WeightFitOptions, fit_weights};
pub use history::{History, Interaction};
pub use items::ItemRecommender;
pub use recommender::{Recommended, Recommender, RecommenderError};
pub use training_set::TrainingSet;
pub use weights::{PARTS, ScorePart, ScoreWeights};
