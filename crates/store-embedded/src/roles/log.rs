//! Logs: appends, reads and the state of partitions.

use super::copies::one_copy;
use crate::store::Embedded;
use crate::write_job::WriteJob;
use async_trait::async_trait;
use bytes::Bytes;
use portrait_profile::{PartitionId, Timestamp};
use portrait_store::backend::block::{ReadLimit, encode};
use portrait_store::backend::limits::within;
use portrait_store::backend::stream::StreamKind;
use portrait_store::{
    AckLevel, Appended, Error, LogPage, LogRecord, LogSeq, LogStore, PartitionMeta, Result,
};
use std::time::Duration;

#[async_trait]
impl LogStore for Embedded {
    async fn append(
        &self,
        partition: PartitionId,
        records: Vec<Bytes>,
        arrived_at: Timestamp,
        level: AckLevel,
    ) -> Result<Appended> {
        one_copy(level)?;
        within("an append's number of records", records.len(), self.limits.append_records)?;
        let bytes = records.iter().map(Bytes::len).sum();
        within("an append's size in bytes", bytes, self.limits.append_bytes)?;
        let count = records.len() as u64;
        let block = encode(arrived_at, &records);
        self.submit(|reply| WriteJob::Append { partition, block, count, level, reply }).await
    }

    async fn read_log(
        &self,
        partition: PartitionId,
        after: LogSeq,
        max_records: usize,
        max_bytes: usize,
        wait: Duration,
    ) -> Result<LogPage> {
        let mut state = self.cell(partition).state.subscribe();
        // A timeout is not an error: the page is empty.
        let _ = tokio::time::timeout(wait, state.wait_for(|state| state.log_end > after)).await;
        // One borrow for both fields: a second borrow during the first would wait for a writer that waits for the first.
        let (end, trimmed) = {
            let state = state.borrow();
            (state.log_end, state.log_trimmed)
        };
        if after < trimmed {
            return Err(Error::Trimmed { partition, requested: after.next(), first: trimmed.next() });
        }
        if end <= after {
            return Ok(LogPage::default());
        }
        let limit = ReadLimit { records: max_records, bytes: max_bytes };
        let records = self.records(StreamKind::Log, partition, after.get(), limit).await?;
        let mut expected = after;
        for (seq, _) in &records {
            expected = expected.next();
            // A gap means damage: an owner that skipped a record would lose it for good.
            if *seq != expected.get() {
                let detail = format!("the log of partition {partition} has no record at {expected}");
                return Err(Error::Damaged { detail });
            }
        }
        if records.is_empty() {
            let detail =
                format!("the log of partition {partition} has no record after {after} and ends at {end}");
            return Err(Error::Damaged { detail });
        }
        let records = records.into_iter().map(|(seq, value)| LogRecord { seq: LogSeq::new(seq), value });
        Ok(LogPage { records: records.collect() })
    }

    async fn meta(&self, partition: PartitionId) -> Result<PartitionMeta> {
        Ok(self.cell(partition).meta())
    }

    async fn wait_applied(
        &self,
        partition: PartitionId,
        seq: LogSeq,
        wait: Duration,
    ) -> Result<PartitionMeta> {
        let cell = self.cell(partition);
        let mut state = cell.state.subscribe();
        // A timeout is not an error: the caller reads the position from the state.
        let _ = tokio::time::timeout(wait, state.wait_for(|state| state.applied_through >= seq)).await;
        Ok(cell.meta())
    }
}
