//! Membership of the workers.

use crate::store::Embedded;
use async_trait::async_trait;
use portrait_profile::{TimeDelta, Timestamp};
use portrait_store::backend::limits::within;
use portrait_store::backend::membership::Membership;
use portrait_store::{MEMBER_NAME_MAX, Member, MemberId, MembershipStore, Result};
use std::sync::{MutexGuard, PoisonError};

#[async_trait]
impl MembershipStore for Embedded {
    async fn heartbeat(&self, worker: &Member, ttl: TimeDelta, now: Timestamp) -> Result<Vec<Member>> {
        within("a member's name in bytes", worker.name.len(), MEMBER_NAME_MAX)?;
        self.membership().heartbeat(worker, ttl, now)
    }

    async fn members(&self, now: Timestamp) -> Result<Vec<Member>> {
        Ok(self.membership().members(now))
    }

    async fn deregister(&self, id: MemberId) -> Result<()> {
        self.membership().deregister(id);
        Ok(())
    }
}

impl Embedded {
    fn membership(&self) -> MutexGuard<'_, Membership> {
        self.membership.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
