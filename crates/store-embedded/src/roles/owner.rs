//! Operations of a partition's owner.

use crate::store::Embedded;
use crate::write_job::WriteJob;
use async_trait::async_trait;
use portrait_profile::{PartitionId, TimeDelta, Timestamp};
use portrait_store::backend::limits::{check_commit, within};
use portrait_store::{
    Acquisition, Commit, Committed, DeadLetter, Error, LeaseClaim, LeaseToken, LogSeq, MEMBER_NAME_MAX,
    OwnerStore, Result, SeenQuery, StoreSpace, Trim, Trimmed,
};

#[async_trait]
impl OwnerStore for Embedded {
    async fn acquire(
        &self,
        partition: PartitionId,
        claim: &LeaseClaim,
        ttl: TimeDelta,
        now: Timestamp,
    ) -> Result<Acquisition> {
        within("a member's name in bytes", claim.name.len(), MEMBER_NAME_MAX)?;
        let claim = claim.clone();
        self.submit(|reply| WriteJob::Acquire { partition, claim, ttl, now, reply }).await
    }

    async fn renew(
        &self,
        partition: PartitionId,
        token: LeaseToken,
        ttl: TimeDelta,
        now: Timestamp,
    ) -> Result<bool> {
        self.submit(|reply| WriteJob::Renew { partition, token, ttl, now, reply }).await
    }

    async fn release(&self, partition: PartitionId, token: LeaseToken) -> Result<()> {
        self.submit(|reply| WriteJob::Release { partition, token, reply }).await
    }

    async fn seen(&self, partition: PartitionId, ids: &[SeenQuery]) -> Result<Vec<bool>> {
        within("a lookup's number of ids", ids.len(), self.limits.page_items)?;
        let cell = self.cell(partition);
        let (mut seen, mut sources) = (cell.seen(), cell.sources());
        let answers = ids.iter().map(|query| {
            Ok(seen.has(&self.keyspaces.seen, query)? || sources.has(&self.keyspaces.sources, query)?)
        });
        answers.collect::<fjall::Result<_>>().map_err(Error::unavailable)
    }

    async fn commit(&self, partition: PartitionId, commit: Commit) -> Result<Committed> {
        check_commit(&commit, &self.limits)?;
        let commit = Box::new(commit);
        self.submit(|reply| WriteJob::Commit { partition, commit, reply }).await
    }

    async fn rewrite_files(&self) -> Result<()> {
        self.rewrite().await
    }

    async fn trim(&self, partition: PartitionId, what: Trim) -> Result<Trimmed> {
        let before = self.cell(partition).state.borrow().clone();
        let plan = Box::new(self.plan_trim(partition, what).await?);
        // The first 6 bytes of a key are partition and window, and keys are in order: duplicates are adjacent.
        let mut windows: Vec<&[u8]> = plan.seen.iter().filter_map(|key| key.get(..6)).collect();
        windows.dedup();
        let mut trimmed = Trimmed {
            log_records: plan.log.through().saturating_sub(before.log_trimmed.get()),
            changes: plan.feed.through().saturating_sub(before.feed_trimmed.get()),
            seen_windows: windows.len() as u64,
            log_oldest_at: plan.log.oldest_at,
            more: plan.more,
            ..Trimmed::default()
        };
        // A trim that found nothing does not reach the writer, where it would cost a write.
        let blocks = plan.log.blocks.len() + plan.feed.blocks.len();
        if blocks + plan.seen.len() + plan.dead.len() > 0 {
            self.submit(|reply| WriteJob::Trim { partition, plan, reply }).await?;
        }
        trimmed.log_bytes = self.cell(partition).state.borrow().log_bytes();
        Ok(trimmed)
    }

    async fn space(&self) -> Result<StoreSpace> {
        // Journals are left out: the database bounds them.
        let used_bytes: u64 = self.keyspaces.all().iter().map(|keyspace| keyspace.disk_space()).sum();
        let left_bytes = self.space.left_bytes()?;
        Ok(StoreSpace { used_bytes, capacity_bytes: Some(used_bytes + left_bytes) })
    }

    async fn dead_letters(
        &self,
        partition: PartitionId,
        after: LogSeq,
        max_letters: usize,
    ) -> Result<Vec<DeadLetter>> {
        within("a page's number of dead letters", max_letters, self.limits.page_items)?;
        self.letters(partition, after, max_letters).await
    }
}
