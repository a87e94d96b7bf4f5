//! Latent factors by implicit alternating least squares (iALS): vectors of items from a sparse interaction matrix, and at read time the
//! vector of a user from that user's items alone (fold-in). The product of the two vectors scores an item for a user.
//!
//! Hu, Koren and Volinsky, "Collaborative Filtering for Implicit Feedback Datasets", ICDM 2008, section 4, in the parametrisation of
//! Rendle, Krichene, Zhang and Koren, "Revisiting the Performance of iALS on Item Recommendation Benchmarks", RecSys 2022. With `c`
//! the confidence of an observed pair (set `S`), training minimises
//!
//! ```text
//!   sum over (u, i) in S of  c_ui (x_u . y_i - 1)^2   +   alpha0  sum over all u, i of  (x_u . y_i)^2
//!     +  lambda ( sum over u of (|S_u| + alpha0 items)^nu |x_u|^2  +  sum over i of (|S_i| + alpha0 users)^nu |y_i|^2 )
//! ```
//!
//! Each row is solved exactly, by Cholesky, not by a few steps of conjugate gradients: fold-in then gives the vector that a training
//! would give. This module knows only rows and columns.

mod basis;
mod fold_in;
mod interactions;
mod params;
mod quantized;
mod solve;
mod tile;
mod training;

pub use fold_in::{FactorError, Factors, UserStats};
pub use interactions::InteractionMatrix;
pub use params::{Confidence, Params, WIDTH_MAX};
pub use training::{TrainedFactors, train, train_from};
