//! Logs: appends, reads and the state of partitions.

use crate::bells::{BellNo, News};
use crate::store::RedisStore;
use crate::stretches::Stretch;
use async_trait::async_trait;
use bytes::Bytes;
use portrait_profile::{PartitionId, Timestamp};
use portrait_store::backend::block::Room;
use portrait_store::backend::limits::within;
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
        let room = Room { records: max_records.max(1), bytes: max_bytes };
        let mut waiting = self.bells.wait(BellNo::of(partition), News::Log, wait);
        loop {
            let found = self.read_stretch(partition, Stretch::Log, after.get(), room).await?;
            if after.get() < found.trimmed {
                let first = LogSeq::new(found.trimmed).next();
                return Err(Error::Trimmed { partition, asked: after.next(), first });
            }
            if found.end > after.get() {
                let records = contiguous(partition, after, found.records)?;
                return Ok(LogPage { records });
            }
            if !waiting.again().await {
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
        let mut waiting = self.bells.wait(BellNo::of(partition), News::Commit, wait);
        loop {
            if self.read_applied(partition).await? >= seq || !waiting.again().await {
                return self.read_meta(partition).await;
            }
        }
    }
}

/// Records as a page has them; that one is missing is never passed over.
fn contiguous(partition: PartitionId, after: LogSeq, records: Vec<(u64, Bytes)>) -> Result<Vec<LogRecord>> {
    let mut expected = after;
    let missing = |seq: LogSeq| Error::Damaged {
        detail: format!("the log of partition {partition} has no record at {seq}"),
    };
    if records.is_empty() {
        return Err(missing(after.next()));
    }
    let record = |(seq, value)| {
        expected = expected.next();
        if seq == expected.get() { Ok(LogRecord { seq: expected, value }) } else { Err(missing(expected)) }
    };
    records.into_iter().map(record).collect()
}
