//! Logs: appends, reads and the state of partitions.

use crate::notifier::{ChannelId, Topic};
use crate::store::RedisStore;
use async_trait::async_trait;
use bytes::Bytes;
use portrait_profile::{PartitionId, Timestamp};
use portrait_store::backend::block::ReadLimit;
use portrait_store::backend::limits::within;
use portrait_store::backend::stream::StreamKind;
use portrait_store::{
    AckLevel, Appended, Error, LogPage, LogRecord, LogSeq, LogStore, PartitionMeta, Result,
};
use std::time::Duration;

#[async_trait]
impl LogStore for RedisStore {
    async fn append(
        &self,
        partition: PartitionId,
        records: Vec<Bytes>,
        arrived_at: Timestamp,
        level: AckLevel,
    ) -> Result<Appended> {
        within("an append's number of records", records.len(), self.limits.append_records)?;
        let bytes = records.iter().map(Bytes::len).sum();
        within("an append's size in bytes", bytes, self.limits.append_bytes)?;
        self.append_block(partition, &records, arrived_at, level).await
    }

    async fn read_log(
        &self,
        partition: PartitionId,
        after: LogSeq,
        max_records: usize,
        max_bytes: usize,
        wait: Duration,
    ) -> Result<LogPage> {
        let limit = ReadLimit { records: max_records.max(1), bytes: max_bytes };
        // The wait begins before the first read, so that a record between the two is not missed.
        let mut waiting = self.notifier.wait(ChannelId::of_partition(partition), Topic::Log, wait);
        loop {
            let page = self.read_range(partition, StreamKind::Log, after.get(), limit).await?;
            // Checked before the records: a page behind the trimmed part would skip positions.
            if after.get() < page.trimmed {
                let first = LogSeq::new(page.trimmed).next();
                return Err(Error::Trimmed { partition, requested: after.next(), first });
            }
            if page.end > after.get() {
                let records = contiguous(partition, after, page.records)?;
                return Ok(LogPage { records });
            }
            if !waiting.changed_or_timeout().await {
                return Ok(LogPage::default());
            }
        }
    }

    async fn meta(&self, partition: PartitionId) -> Result<PartitionMeta> {
        self.read_meta(partition).await
    }

    async fn wait_applied(
        &self,
        partition: PartitionId,
        seq: LogSeq,
        wait: Duration,
    ) -> Result<PartitionMeta> {
        let mut waiting = self.notifier.wait(ChannelId::of_partition(partition), Topic::Commit, wait);
        loop {
            // One field instead of the state: this read repeats with every commit while the caller waits.
            if self.read_applied(partition).await? >= seq || !waiting.changed_or_timeout().await {
                return self.read_meta(partition).await;
            }
        }
    }
}

/// Returns the records of a page; a gap is an error.
fn contiguous(partition: PartitionId, after: LogSeq, records: Vec<(u64, Bytes)>) -> Result<Vec<LogRecord>> {
    // The log ends behind `after`, so an empty page is a gap, too.
    if records.is_empty() {
        return Err(missing(partition, after.next()));
    }
    let mut expected = after;
    let mut contiguous = Vec::with_capacity(records.len());
    for (seq, value) in records {
        expected = expected.next();
        if seq != expected.get() {
            return Err(missing(partition, expected));
        }
        contiguous.push(LogRecord { seq: expected, value });
    }
    Ok(contiguous)
}

fn missing(partition: PartitionId, seq: LogSeq) -> Error {
    Error::Damaged { detail: format!("the log of partition {partition} has no record at {seq}") }
}
