//! Who is there: the workers of a deployment that say so again and again. A store knows names and times, not what they do.

use crate::position::Nonce;

/// The longest name of a worker, in bytes.
pub const WORKER_NAME_MAX: usize = 256;
/// Workers that may be there at once.
pub const WORKERS_MAX: usize = 1_024;

/// One worker.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Worker {
    /// What it acquires leases by.
    pub nonce: Nonce,
    /// What people call it, as `http://features-1:50051`; at most [`WORKER_NAME_MAX`] bytes.
    pub name: String,
}
