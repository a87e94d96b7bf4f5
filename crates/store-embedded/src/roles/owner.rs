//! Steps of the owners of partitions.

use crate::store::Embedded;
use crate::writer::Job;
use async_trait::async_trait;
use portrait_profile::{PartitionId, Span, Timestamp};
use portrait_store::backend::limits::{check_commit, within};
use portrait_store::{
    Commit, Committed, DeadLetter, Error, LeaseToken, LogSeq, Nonce, OwnerStore, Result, SeenQuery, Trim,
    Trimmed,
};

#[async_trait]
impl OwnerStore for Embedded {
    async fn acquire(
        &self,
        partition: PartitionId,
        nonce: Nonce,
        ttl: Span,
        now: Timestamp,
    ) -> Result<Option<LeaseToken>> {
        self.ask(|answer| Job::Acquire { partition, nonce, ttl, now, answer }).await
    }

    async fn renew(
        &self,
        partition: PartitionId,
        token: LeaseToken,
        ttl: Span,
        now: Timestamp,
    ) -> Result<bool> {
        self.ask(|answer| Job::Renew { partition, token, ttl, now, answer }).await
    }

    async fn release(&self, partition: PartitionId, token: LeaseToken) -> Result<()> {
        self.ask(|answer| Job::Release { partition, token, answer }).await
    }

    async fn seen(&self, partition: PartitionId, ids: &[SeenQuery]) -> Result<Vec<bool>> {
        within("a lookup's number of ids", ids.len(), self.limits.page_items)?;
        let mut seen = self.shelf(partition).seen();
        let answers = ids.iter().map(|query| seen.has(&self.keyspaces.seen, query));
        answers.collect::<fjall::Result<_>>().map_err(Error::unavailable)
    }

    async fn commit(&self, partition: PartitionId, commit: Commit) -> Result<Committed> {
        check_commit(&commit, &self.limits)?;
        let commit = Box::new(commit);
        self.ask(|answer| Job::Commit { partition, commit, answer }).await
    }

    async fn rewrite_files(&self) -> Result<()> {
        self.rewrite().await
    }

    async fn trim(&self, partition: PartitionId, what: Trim) -> Result<Trimmed> {
        let before = self.shelf(partition).standing.borrow().clone();
        let found = Box::new(self.find_old(partition, what).await?);
        let mut windows: Vec<&[u8]> = found.seen.iter().filter_map(|key| key.get(..6)).collect();
        windows.dedup();
        let trimmed = Trimmed {
            log_records: found.log_through.get().saturating_sub(before.log_trimmed.get()),
            changes: found.feed_through.get().saturating_sub(before.feed_trimmed.get()),
            seen_windows: windows.len() as u64,
        };
        if trimmed != Trimmed::default() || !found.dead.is_empty() {
            self.ask(|answer| Job::Trim { partition, found, answer }).await?;
        }
        Ok(trimmed)
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
