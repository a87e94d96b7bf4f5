//! Workers that are present.

use crate::store::RedisStore;
use async_trait::async_trait;
use portrait_profile::{TimeDelta, Timestamp};
use portrait_store::backend::limits::within;
use portrait_store::{MembershipStore, Nonce, Result, MEMBER_NAME_MAX, Member};

#[async_trait]
impl MembershipStore for RedisStore {
    async fn heartbeat(&self, worker: &Member, ttl: TimeDelta, now: Timestamp) -> Result<Vec<Member>> {
        within("a worker's name in bytes", worker.name.len(), MEMBER_NAME_MAX)?;
        self.read_members(Some((worker, ttl)), now).await
    }

    async fn members(&self, now: Timestamp) -> Result<Vec<Member>> {
        self.read_members(None, now).await
    }

    async fn deregister(&self, nonce: Nonce) -> Result<()> {
        self.remove_member(nonce).await
    }
}
