//! Position of a subscriber in each partition, and its validity. Input: tokens and the store's generations. Output:
//! cursors that can be read from, or the need of a resync.

use super::token::{GenerationTag, ResumeToken, TokenPosition};
use crate::context::QueryContext;
use crate::error::Error;
use portrait_profile::PartitionId;
use portrait_proto::request::Shard;
use portrait_proto::v1::ResyncReason;
use portrait_store::{FeedPosition, FeedSeq, PartitionMeta, PositionFate};

/// Start of a subscription.
#[derive(Clone, Debug)]
pub(crate) enum WatchFrom {
    /// First change after the call.
    Now,
    /// Oldest change that the feed still holds.
    Earliest,
    /// Snapshot of every profile, then changes.
    Snapshot,
    /// First change that the token does not cover.
    Resume(ResumeToken),
}

/// Position of a subscriber in one partition.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PartitionCursor {
    /// Partition of the feed.
    pub(crate) partition: PartitionId,
    /// State of the subscriber's copy.
    pub(crate) state: CursorState,
    /// Newest change known to this subscriber; used for its lag only.
    pub(crate) end: FeedSeq,
}

/// State of a subscriber's copy of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CursorState {
    /// Complete up to this position.
    At(FeedPosition),
    /// Invalid: all profiles must be sent, for this reason.
    NeedsResync(ResyncReason),
}

impl PartitionCursor {
    /// Returns the position as encoded in a token.
    pub(crate) fn token_position(&self) -> TokenPosition {
        match self.state {
            CursorState::At(at) => {
                TokenPosition::At { generation: GenerationTag::of(at.generation), seq: at.seq }
            }
            CursorState::NeedsResync(reason) => TokenPosition::NeedsResync(reason),
        }
    }

    /// Number of pending changes, as far as known; a resync counts as one, since its profiles are not counted.
    pub(crate) fn lag(&self) -> u64 {
        match self.state {
            CursorState::At(at) => self.end.get().saturating_sub(at.seq.get()),
            CursorState::NeedsResync(_) => 1,
        }
    }
}

/// Returns the cursors of a subscription that begins at `start`.
pub(super) async fn find(
    shared: &QueryContext,
    shard: Shard,
    start: WatchFrom,
) -> Result<Vec<PartitionCursor>, Error> {
    let mut cursors = Vec::new();
    for (index, partition) in shard.partitions(shared.store.layout().partitions).enumerate() {
        let meta = shared.store.meta(partition).await?;
        let generation = meta.feed_generations.newest();
        let state = match &start {
            WatchFrom::Now => CursorState::At(FeedPosition { generation, seq: meta.feed_end }),
            WatchFrom::Earliest => {
                // A position is that of the last change that is covered: the one before the first makes the
                // first the next.
                CursorState::At(FeedPosition { generation, seq: position_before(meta.feed_first) })
            }
            WatchFrom::Snapshot => CursorState::NeedsResync(ResyncReason::Snapshot),
            WatchFrom::Resume(token) => match token.positions[index] {
                TokenPosition::At { generation, seq } => resume(&meta, generation, seq),
                TokenPosition::NeedsResync(reason) => CursorState::NeedsResync(reason),
            },
        };
        cursors.push(PartitionCursor { partition, state, end: meta.feed_end });
    }
    Ok(cursors)
}

/// Resolves a position against the generations of the feed: the same position in the newest generation if nothing
/// before it was lost, or the reason for a resync.
pub(super) fn resolve(meta: &PartitionMeta, position: FeedPosition) -> CursorState {
    match meta.feed_generations.fate(position, meta.feed_end) {
        PositionFate::UnknownGeneration => CursorState::NeedsResync(ResyncReason::UnknownGeneration),
        PositionFate::BeyondEnd => CursorState::NeedsResync(ResyncReason::BeyondEnd),
        // The change after the position is trimmed: the subscriber has missed it.
        PositionFate::Valid if position.seq.next() < meta.feed_first => {
            CursorState::NeedsResync(ResyncReason::Expired)
        }
        PositionFate::Valid => {
            CursorState::At(FeedPosition { generation: meta.feed_generations.newest(), seq: position.seq })
        }
    }
}

fn resume(meta: &PartitionMeta, tag: GenerationTag, seq: FeedSeq) -> CursorState {
    // The token has only half of the generation id, so it is searched among those of the partition.
    let known = meta.feed_generations.iter().find(|generation| GenerationTag::of(generation.id) == tag);
    match known {
        Some(generation) => resolve(meta, FeedPosition { generation: generation.id, seq }),
        None => CursorState::NeedsResync(ResyncReason::UnknownGeneration),
    }
}

fn position_before(seq: FeedSeq) -> FeedSeq {
    FeedSeq::new(seq.get().saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use portrait_profile::Timestamp;
    use portrait_store::{CommitNo, Counters, GenerationId, Generations, LogSeq, Nonce};

    fn generation(number: u128) -> GenerationId {
        GenerationId::new(Nonce::new(number))
    }

    /// Feed whose second generation begins at 11 and ends at 20, trimmed before 5.
    fn meta() -> PartitionMeta {
        let mut feed_generations = Generations::begin(generation(1), FeedSeq::new(1));
        feed_generations.renew(generation(2), FeedSeq::new(11));
        PartitionMeta {
            token: None,
            holder: None,
            commit_no: CommitNo::ZERO,
            applied_through: LogSeq::ZERO,
            log_end: LogSeq::ZERO,
            log_first: LogSeq::new(1),
            log_bytes: 0,
            log_generations: Generations::begin(generation(3), LogSeq::new(1)),
            feed_end: FeedSeq::new(20),
            feed_first: FeedSeq::new(5),
            feed_generations,
            clock: Timestamp::EPOCH,
            counters: Counters::default(),
            note: bytes::Bytes::new(),
        }
    }

    #[test]
    fn a_position_resolves_to_itself_or_to_a_resync() {
        let rows = [
            (1, 3, Some(ResyncReason::Expired)),
            (1, 4, None),
            (1, 10, None),
            (1, 11, Some(ResyncReason::BeyondEnd)),
            (2, 3, Some(ResyncReason::Expired)),
            (2, 4, None),
            (2, 20, None),
            (2, 21, Some(ResyncReason::BeyondEnd)),
            (2, u64::MAX, Some(ResyncReason::BeyondEnd)),
            (9, 15, Some(ResyncReason::UnknownGeneration)),
        ];
        for (number, seq, resync) in rows {
            let seq = FeedSeq::new(seq);
            let expected = match resync {
                Some(reason) => CursorState::NeedsResync(reason),
                None => CursorState::At(FeedPosition { generation: generation(2), seq }),
            };
            let position = FeedPosition { generation: generation(number), seq };
            assert_eq!(resolve(&meta(), position), expected, "{position:?}");
            assert_eq!(resume(&meta(), GenerationTag::of(generation(number)), seq), expected, "{position:?}");
        }
    }
}
