//! Workers that are present.

use crate::store::RedisStore;
use async_trait::async_trait;
use portrait_profile::{Span, Timestamp};
use portrait_store::backend::limits::within;
use portrait_store::{MembershipStore, Nonce, Result, WORKER_NAME_MAX, Worker};

#[async_trait]
impl MembershipStore for RedisStore {
    async fn attend(&self, worker: &Worker, ttl: Span, now: Timestamp) -> Result<Vec<Worker>> {
        within("a worker's name in bytes", worker.name.len(), WORKER_NAME_MAX)?;
        self.roll(Some((worker, ttl)), now).await
    }

    async fn workers(&self, now: Timestamp) -> Result<Vec<Worker>> {
        self.roll(None, now).await
    }

    async fn leave(&self, nonce: Nonce) -> Result<()> {
        self.strike(nonce).await
    }
}
