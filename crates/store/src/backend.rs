//! Parts shared by the backends, so that stored values have one encoding and one set of checks.

pub mod block;
pub mod dead;
pub mod id_set;
pub mod limits;
pub mod log_size;
pub mod single_flight;
pub mod stream;
