//! Operations of a partition's owner.

use crate::partition::{LeaseAction, was_held};
use crate::store::RedisStore;
use async_trait::async_trait;
use portrait_profile::{PartitionId, TimeDelta, Timestamp};
use portrait_store::backend::limits::{check_commit, within};
use portrait_store::{
    Acquisition, Commit, Committed, DeadLetter, LeaseClaim, LeaseToken, LogSeq, MEMBER_NAME_MAX, OwnerStore,
    Result, SeenQuery, StoreSpace, Trim, Trimmed,
};

#[async_trait]
impl OwnerStore for RedisStore {
    async fn acquire(
        &self,
        partition: PartitionId,
        claim: &LeaseClaim,
        ttl: TimeDelta,
        now: Timestamp,
    ) -> Result<Acquisition> {
        within("a member's name in bytes", claim.name.len(), MEMBER_NAME_MAX)?;
        self.lease(partition, LeaseAction::Acquire(claim), ttl, now).await
    }

    async fn renew(
        &self,
        partition: PartitionId,
        token: LeaseToken,
        ttl: TimeDelta,
        now: Timestamp,
    ) -> Result<bool> {
        self.lease(partition, LeaseAction::Renew(token), ttl, now).await.map(was_held)
    }

    async fn release(&self, partition: PartitionId, token: LeaseToken) -> Result<()> {
        // The next owner adds ids that this process does not see.
        self.forget_seen(partition).await;
        self.lease(partition, LeaseAction::Release(token), TimeDelta::ZERO, Timestamp::EPOCH)
            .await
            .map(|_| ())
    }

    async fn seen(&self, partition: PartitionId, ids: &[SeenQuery]) -> Result<Vec<bool>> {
        within("a lookup's number of ids", ids.len(), self.limits.page_items)?;
        self.find_seen(partition, ids).await
    }

    async fn commit(&self, partition: PartitionId, commit: Commit) -> Result<Committed> {
        check_commit(&commit, &self.limits)?;
        self.do_commit(partition, commit).await
    }

    async fn rewrite_files(&self) -> Result<()> {
        self.rewrite().await
    }

    async fn trim(&self, partition: PartitionId, what: Trim) -> Result<Trimmed> {
        self.forget(partition, what).await
    }

    async fn space(&self) -> Result<StoreSpace> {
        self.fullest_server().await
    }

    async fn dead_letters(
        &self,
        partition: PartitionId,
        after: LogSeq,
        max_letters: usize,
    ) -> Result<Vec<DeadLetter>> {
        within("a page's number of dead letters", max_letters, self.limits.page_items)?;
        self.read_dead_letters(partition, after, max_letters).await
    }
}
