//! Logs and feeds: blocks in streams, whose entry ids hold the positions of their last records. A read returns the state of the same
//! moment, so that a gap is never mistaken for the end.

use super::cluster::WriteConcern;
use super::dialer::Request;
use super::failure::UnexpectedReply;
use super::partition::{fresh_nonce, read_generation};
use super::reply::{self, ReplyFields};
use super::scripts::{self, ScriptCall};
use super::store::RedisStore;
use bytes::Bytes;
use portrait_profile::{PartitionId, Timestamp};
use portrait_store::backend::block::{self, Block, ReadLimit};
use portrait_store::backend::stream::StreamKind;
use portrait_store::{AckLevel, Appended, GenerationId, LogSeq, Position, Result};

/// Largest read in bytes, so that no read blocks the server for long.
const READ_BYTES: usize = 1 << 20;

/// Result of a range read.
pub(super) struct RangePage {
    /// Newest generation of the partition.
    pub(super) generation: GenerationId,
    /// Newest position of the stream.
    pub(super) end: u64,
    /// Newest position that is trimmed.
    pub(super) trimmed: u64,
    /// Records with their positions.
    pub(super) records: Vec<(u64, Bytes)>,
}

impl RedisStore {
    /// Appends records as one block.
    pub(super) async fn append_block(
        &self,
        partition: PartitionId,
        records: &[Bytes],
        arrived_at: Timestamp,
        level: AckLevel,
    ) -> Result<Appended> {
        let tagged = self.keys.partition(partition);
        let block = block::encode(arrived_at, records);
        // A block without records is refused here, before the server assigns it a position.
        Block::new(0, block.clone())?;
        let call = ScriptCall::new(&scripts::APPEND, vec![tagged.key("meta"), tagged.key("log")]);
        let call = call.arg(fresh_nonce()).arg(tagged.channel()).number(records.len()).arg(block);
        let request = Request::Call(call);
        self.ensure_known(partition).await?;
        let mut reply = self.cluster.request(tagged.slot, &request, WriteConcern::of(level)).await?;
        if reply == redis::Value::Nil {
            self.begin_generation(partition, true).await?;
            reply = self.cluster.request(tagged.slot, &request, WriteConcern::of(level)).await?;
        }
        self.identity.has_data(partition);
        let mut reply = ReplyFields::of(reply, "an append")?;
        reply.value()?;
        let generation = read_generation(&reply.value()?)?;
        let last: u64 = reply.number()?;
        // The script returns the last position; the records are contiguous up to it.
        let first = (last + 1).saturating_sub(records.len() as u64);
        Ok(Appended {
            first: LogSeq::new(first),
            last: Position { generation, seq: LogSeq::new(last) },
            applied_through: LogSeq::new(reply.number()?),
        })
    }

    /// Reads records of a stream after `after`, with the end of the stream.
    pub(super) async fn read_range(
        &self,
        partition: PartitionId,
        kind: StreamKind,
        after: u64,
        limit: ReadLimit,
    ) -> Result<RangePage> {
        let tagged = self.keys.partition(partition);
        let keys = stream_keys(kind);
        let call = ScriptCall::new(&scripts::READ, vec![tagged.key("meta"), tagged.key(keys.stream)])
            .arg(keys.end_field)
            .arg(keys.trimmed_field)
            .number(after)
            .number(limit.records)
            .number(limit.bytes.min(READ_BYTES));
        let request = Request::Call(call);
        let mut reply = ReplyFields::of(
            self.cluster.request(tagged.slot, &request, WriteConcern::Read).await?,
            "a read",
        )?;
        let incarnation = reply.text()?;
        // As in `read_meta`: the page must name a generation of the current incarnation.
        if !self.cluster.is_current(tagged.slot, &incarnation) {
            self.begin_generation(partition, incarnation.is_empty()).await?;
            reply = ReplyFields::of(
                self.cluster.request(tagged.slot, &request, WriteConcern::Read).await?,
                "a read",
            )?;
            reply.value()?;
        }
        self.identity.has_data(partition);
        let generation = read_generation(&reply.value()?)?;
        let end = reply.number()?;
        let trimmed = reply.number()?;
        let blocks = read_blocks(reply.value()?)?;
        let records = block::take(blocks.into_iter(), after, limit)?;
        Ok(RangePage { generation, end, trimmed, records })
    }
}

/// Keys and fields of a stream. All of them are stored names and do not change.
struct StreamKeys {
    /// Name of the stream's key after the partition's tag.
    stream: &'static str,
    /// Field of the partition's state with the newest position.
    end_field: &'static str,
    /// Field of the partition's state with the newest trimmed position.
    trimmed_field: &'static str,
}

/// Returns the keys and fields of a stream.
fn stream_keys(kind: StreamKind) -> StreamKeys {
    match kind {
        StreamKind::Log => StreamKeys { stream: "log", end_field: "log_end", trimmed_field: "log_trimmed" },
        StreamKind::Feed => {
            StreamKeys { stream: "changes", end_field: "feed_end", trimmed_field: "feed_trimmed" }
        }
    }
}

/// Decodes `(first position, block)*`.
fn read_blocks(value: redis::Value) -> Result<Vec<Result<Block>>> {
    let mut values = reply::list(value, "a read")?.into_iter();
    let mut blocks = Vec::with_capacity(values.len() / 2);
    while let (Some(first), Some(block)) = (values.next(), values.next()) {
        let block = reply::bytes(block, "a read")?.ok_or(UnexpectedReply("a read"))?;
        blocks.push(Block::new(reply::number(&first, "a read")?, block));
    }
    Ok(blocks)
}
