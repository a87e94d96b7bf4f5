//! Who is there: the workers of a deployment that say so again and again. A store knows names and times, not what they do.

use super::info::StoreInfo;
use crate::error::Result;
use crate::position::Nonce;
use async_trait::async_trait;
use portrait_profile::{Span, Timestamp};

/// The longest name of a worker, in bytes.
pub const WORKER_NAME_MAX: usize = 256;
/// Workers that may be there at once.
pub const WORKERS_MAX: usize = 1_024;

/// Members of a deployment: the workers that are present, each for a time that it extends.
#[async_trait]
pub trait MembershipStore: StoreInfo {
    /// Says that `worker` is there for `ttl` more, and gives all workers who are there, `worker` among them, in the order of
    /// their nonces.
    ///
    /// MUST fail with `TooBig` for a longer name than [`WORKER_NAME_MAX`], and with `Full` beyond [`WORKERS_MAX`]. `now` is the
    /// caller's clock; MAY use a clock of its own.
    async fn attend(&self, worker: &Worker, ttl: Span, now: Timestamp) -> Result<Vec<Worker>>;

    /// All workers who are there, in the order of their nonces.
    async fn workers(&self, now: Timestamp) -> Result<Vec<Worker>>;

    /// Says that a worker is there no longer. MUST ignore one that is not.
    async fn leave(&self, nonce: Nonce) -> Result<()>;
}

/// One worker.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Worker {
    /// What it acquires leases by.
    pub nonce: Nonce,
    /// What people call it, as `http://features-1:50051`; at most [`WORKER_NAME_MAX`] bytes.
    pub name: String,
}
