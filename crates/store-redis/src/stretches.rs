//! Logs and feeds: blocks in streams, whose ids are the places of their last records. In come records or a place; out go
//! places or records. What is read comes with the state at that very moment, so that a gap is never taken for an end.

use super::dialer::Request;
use super::nodes::How;
use super::partition::{fresh_nonce, read_generation};
use super::reply::{self, Fields};
use super::scripts::{self, Call};
use super::store::RedisStore;
use super::trouble::Unexpected;
use bytes::Bytes;
use portrait_profile::{PartitionId, Timestamp};
use portrait_store::backend::block::{self, Block, Room};
use portrait_store::{AckLevel, Appended, GenerationId, LogSeq, Position, Result};

/// How much one read takes from a server at most, so that it is not kept from others.
const READ_BYTES: usize = 1 << 20;

/// Which of the two a partition has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stretch {
    Log,
    Feed,
}

/// What a read found.
pub(super) struct Found {
    /// The newest generation.
    pub(super) generation: GenerationId,
    /// The newest place.
    pub(super) end: u64,
    /// The newest place that is trimmed.
    pub(super) trimmed: u64,
    /// Records with their places.
    pub(super) records: Vec<(u64, Bytes)>,
}

impl Stretch {
    /// Name of the stream, and fields of its end and of what is trimmed.
    fn names(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Log => ("log", "log_end", "log_trimmed"),
            Self::Feed => ("changes", "feed_end", "feed_trimmed"),
        }
    }
}

impl RedisStore {
    /// Appends one block of records.
    pub(super) async fn append_block(
        &self,
        partition: PartitionId,
        records: &[Bytes],
        arrived_at: Timestamp,
        level: AckLevel,
    ) -> Result<Appended> {
        let tagged = self.keys.partition(partition);
        let block = block::encode(arrived_at, records);
        // No records are no block.
        Block::new(0, block.clone())?;
        let call = Call::new(&scripts::APPEND, vec![tagged.key("meta"), tagged.key("log")]);
        let call = call.arg(fresh_nonce()).arg(tagged.bell()).number(records.len()).arg(block);
        let reply = self.nodes.ask(tagged.slot, &Request::Call(call), self.how(level)).await?;
        let mut reply = Fields::of(reply, "an append")?;
        reply.value()?;
        let generation = read_generation(&reply.value()?)?;
        let last: u64 = reply.number()?;
        let first = (last + 1).saturating_sub(records.len() as u64);
        Ok(Appended {
            first: LogSeq::new(first),
            last: Position { generation, seq: LogSeq::new(last) },
            applied_through: LogSeq::new(reply.number()?),
        })
    }

    /// Records after `after`, and how far the stretch goes.
    pub(super) async fn read_stretch(
        &self,
        partition: PartitionId,
        stretch: Stretch,
        after: u64,
        room: Room,
    ) -> Result<Found> {
        let tagged = self.keys.partition(partition);
        let (stream, end, trimmed) = stretch.names();
        let call = Call::new(&scripts::READ, vec![tagged.key("meta"), tagged.key(stream)])
            .arg(end)
            .arg(trimmed)
            .number(after)
            .number(room.records)
            .number(room.bytes.min(READ_BYTES));
        let request = Request::Call(call);
        let mut reply = Fields::of(self.nodes.ask(tagged.slot, &request, How::Read).await?, "a read")?;
        let home = reply.text()?;
        if !self.nodes.is_home(tagged.slot, &home) {
            self.settle(&tagged).await?;
            reply = Fields::of(self.nodes.ask(tagged.slot, &request, How::Read).await?, "a read")?;
            reply.value()?;
        }
        let generation = read_generation(&reply.value()?)?;
        let (end, trimmed) = (reply.number()?, reply.number()?);
        let blocks = read_blocks(reply.value()?)?;
        let records = block::take(blocks.into_iter(), after, room)?;
        Ok(Found { generation, end, trimmed, records })
    }
}

/// Reads `(first place, block)*`.
fn read_blocks(value: redis::Value) -> Result<Vec<Result<Block>>> {
    let mut values = reply::list(value, "a read")?.into_iter();
    let mut blocks = Vec::with_capacity(values.len() / 2);
    while let (Some(first), Some(block)) = (values.next(), values.next()) {
        let block = reply::bytes(block, "a read")?.ok_or(Unexpected("a read"))?;
        blocks.push(Block::new(reply::number(&first, "a read")?, block));
    }
    Ok(blocks)
}
