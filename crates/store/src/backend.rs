//! Parts that backends are built from, so that what is stored in them has one form and one set of checks.

pub mod block;
pub mod dead;
pub mod id_set;
pub mod limits;
pub mod shared_turn;
