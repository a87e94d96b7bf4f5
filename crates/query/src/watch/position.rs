//! Where a subscriber is in each partition, and what became of that place. In come tokens and the store's generations; out
//! go cursors that can be read from, or the debt of a whole partition.

use super::token::{GenerationTag, Place, ResumeToken};
use crate::context::Shared;
use crate::error::Error;
use portrait_profile::PartitionId;
use portrait_proto::request::Shard;
use portrait_proto::v1::ResyncReason;
use portrait_store::{FeedPosition, FeedSeq, PartitionMeta, PositionFate};

/// Where a subscription begins.
#[derive(Clone, Debug)]
pub(crate) enum Start {
    /// With the first change after the call.
    Now,
    /// With the oldest that is kept.
    Earliest,
    /// With every profile.
    Snapshot,
    /// After what a token covers.
    Resume(ResumeToken),
}

/// Where a subscriber is in one partition.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor {
    /// The partition.
    pub(crate) partition: PartitionId,
    /// What the subscriber has of it.
    pub(crate) state: State,
    /// The newest change that this subscriber knows to exist; for its lag only.
    pub(crate) end: FeedSeq,
}

/// What a subscriber has of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Everything up to there.
    At(FeedPosition),
    /// Nothing it can rely on: all profiles are to be sent, for that reason.
    Owed(ResyncReason),
}

impl Cursor {
    /// As the token has it.
    pub(crate) fn place(&self) -> Place {
        match self.state {
            State::At(at) => Place::At { generation: GenerationTag::of(at.generation), seq: at.seq },
            State::Owed(reason) => Place::Owed(reason),
        }
    }

    /// How many changes wait, as far as is known; a whole partition counts as one, since nobody counted its profiles.
    pub(crate) fn lag(&self) -> u64 {
        match self.state {
            State::At(at) => self.end.get().saturating_sub(at.seq.get()),
            State::Owed(_) => 1,
        }
    }
}

/// The cursors of a subscription that begins at `start`.
pub(super) async fn find(shared: &Shared, shard: Shard, start: Start) -> Result<Vec<Cursor>, Error> {
    let mut cursors = Vec::new();
    for (index, partition) in shard.partitions(shared.store.layout().partitions).enumerate() {
        let meta = shared.store.meta(partition).await?;
        let generation = meta.feed_generations.newest();
        let state = match &start {
            Start::Now => State::At(FeedPosition { generation, seq: meta.feed_end }),
            Start::Earliest => State::At(FeedPosition { generation, seq: before(meta.feed_first) }),
            Start::Snapshot => State::Owed(ResyncReason::Snapshot),
            Start::Resume(token) => match token.places[index] {
                Place::At { generation, seq } => resumed(&meta, generation, seq),
                Place::Owed(reason) => State::Owed(reason),
            },
        };
        cursors.push(Cursor { partition, state, end: meta.feed_end });
    }
    Ok(cursors)
}

/// What became of a place, and where it is now: in the newest generation, if nothing before it was lost.
pub(super) fn judged(meta: &PartitionMeta, position: FeedPosition) -> State {
    match meta.feed_generations.fate(position, meta.feed_end) {
        PositionFate::UnknownGeneration => State::Owed(ResyncReason::UnknownGeneration),
        PositionFate::BeyondEnd => State::Owed(ResyncReason::BeyondEnd),
        PositionFate::Valid if position.seq.next() < meta.feed_first => State::Owed(ResyncReason::Lapsed),
        PositionFate::Valid => {
            State::At(FeedPosition { generation: meta.feed_generations.newest(), seq: position.seq })
        }
    }
}

fn resumed(meta: &PartitionMeta, tag: GenerationTag, seq: FeedSeq) -> State {
    let known = meta.feed_generations.iter().find(|generation| GenerationTag::of(generation.id) == tag);
    match known {
        Some(generation) => judged(meta, FeedPosition { generation: generation.id, seq }),
        None => State::Owed(ResyncReason::UnknownGeneration),
    }
}

fn before(seq: FeedSeq) -> FeedSeq {
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

    /// A feed whose second generation begins at 11 and ends at 20; what is before 5 is trimmed.
    fn meta() -> PartitionMeta {
        let mut feed_generations = Generations::begin(generation(1), FeedSeq::new(1));
        feed_generations.renew(generation(2), FeedSeq::new(11));
        PartitionMeta {
            token: None,
            commit_no: CommitNo::ZERO,
            applied_through: LogSeq::ZERO,
            log_end: LogSeq::ZERO,
            log_first: LogSeq::new(1),
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
    fn a_place_is_where_it_was_or_the_whole_partition_is_owed() {
        let rows = [
            (1, 3, Some(ResyncReason::Lapsed)),
            (1, 4, None),
            (1, 10, None),
            (1, 11, Some(ResyncReason::BeyondEnd)),
            (2, 3, Some(ResyncReason::Lapsed)),
            (2, 4, None),
            (2, 20, None),
            (2, 21, Some(ResyncReason::BeyondEnd)),
            (2, u64::MAX, Some(ResyncReason::BeyondEnd)),
            (9, 15, Some(ResyncReason::UnknownGeneration)),
        ];
        for (number, seq, owed) in rows {
            let seq = FeedSeq::new(seq);
            let expected = match owed {
                Some(reason) => State::Owed(reason),
                None => State::At(FeedPosition { generation: generation(2), seq }),
            };
            let position = FeedPosition { generation: generation(number), seq };
            assert_eq!(judged(&meta(), position), expected, "{position:?}");
            assert_eq!(
                resumed(&meta(), GenerationTag::of(generation(number)), seq),
                expected,
                "{position:?}"
            );
        }
    }
}
