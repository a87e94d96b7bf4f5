//! Membership of the workers.

use crate::store::RedisStore;
use async_trait::async_trait;
use portrait_profile::{TimeDelta, Timestamp};
use portrait_store::backend::limits::within;
use portrait_store::{MEMBER_NAME_MAX, Member, MemberId, MembershipStore, Result};

#[async_trait]
impl MembershipStore for RedisStore {
    async fn heartbeat(&self, member: &Member, ttl: TimeDelta, now: Timestamp) -> Result<Vec<Member>> {
        within("a member's name in bytes", member.name.len(), MEMBER_NAME_MAX)?;
        self.read_members(Some((member, ttl)), now).await
    }

    async fn members(&self, now: Timestamp) -> Result<Vec<Member>> {
        self.read_members(None, now).await
    }

    async fn deregister(&self, id: MemberId) -> Result<()> {
        self.remove_member(id).await
    }
}
