//! Parts shared by the backends, so that stored values have one encoding and one set of checks, and leases one set of rules.

pub mod block;
pub mod cached_ids;
pub mod dead;
pub mod id_set;
pub mod lease;
pub mod limits;
pub mod log_size;
pub mod membership;
pub mod seen_sets;
pub mod single_flight;
pub mod stream;
