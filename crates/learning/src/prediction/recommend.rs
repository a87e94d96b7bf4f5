//! Recommendations: scores of all items (or categories) for a user's history, as a weighted sum of parts that explain themselves. Items
//! are indices.
//!
//! Parts: repeated items; sequences (Markov chain of first order over items); co-occurrence (item-to-item collaborative filtering with
//! cosine weights: Sarwar, Karypis, Konstan and Riedl, "Item-based Collaborative Filtering Recommendation Algorithms", WWW 2001,
//! section 3); latent factors ([`crate::prediction::factors`]); popularity in the user's segment, among all users, and recently.
//! Weights are fitted on holdout examples ([`ScoreWeights`]). Items without interactions score as the mean of their category and brand
//! ([`ItemRecommender::with_cold_start`]).

mod approx;
mod cold_start;
mod fit;
mod history;
mod item_model;
mod items;
mod neighbours;
mod recommender;
mod training_set;
mod weights;

pub use cold_start::ItemDescription;
pub use fit::{HoldoutExample, WeightFitOptions, fit_weights};
pub use history::{History, Interaction};
pub use item_model::{PairCount, RecommenderError};
pub use items::ItemRecommender;
pub use recommender::{Recommended, Recommender};
pub use training_set::TrainingSet;
pub use weights::{PARTS, ScorePart, ScoreWeights};
