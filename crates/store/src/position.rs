//! Positions in a partition's log and feed, and the tokens that prove ownership. Newtypes, so that no two numbers can be
//! swapped.
//!
//! ```text
//!            trimmed          kept                       not yet written
//! log    ───────────┤ first ......... applied_through ......... end ├──────
//!                                     └── applied ──┘└─── lag ────┘
//! ```
//!
//! Sequence numbers begin at 1 and have no gaps; 0 is the position before the first. A generation is a range of sequence
//! numbers written without a loss in between: a store begins a new one whenever it may have lost its newest records.

pub use portrait_profile::{FeedSeq, LogSeq};
use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(u64);

        impl $name {
            /// Position before the first one.
            pub const ZERO: Self = Self(0);

            /// Wraps the number `value`.
            pub const fn new(value: u64) -> Self {
                Self(value)
            }

            /// Returns the wrapped number.
            pub const fn get(self) -> u64 {
                self.0
            }

            /// Returns the following number.
            pub const fn next(self) -> Self {
                Self(self.0 + 1)
            }

            /// Returns the number `count` later.
            pub const fn plus(self, count: u64) -> Self {
                Self(self.0 + count)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number!(
    /// Number of commits of a partition; every commit expects the number before it.
    CommitNo
);
number!(
    /// Number of times a partition's lease changed owners.
    Epoch
);
number!(
    /// Number of changes of the model registry; every change expects the number before it.
    RegistryNo
);

/// 128 random bits, unique to an owner or a generation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Nonce(u128);

/// Proof of owning a partition. The epoch alone is not enough, since after a fail-over two owners can hold the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LeaseToken {
    /// Number that grows with every acquisition.
    pub epoch: Epoch,
    /// Random bits of the owner.
    pub nonce: Nonce,
}

/// Name of a generation of a log or a feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct GenerationId(Nonce);

/// Generation and its first position; it ends where the next one begins, or at the end of the log or feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generation<Seq> {
    /// Name of the generation.
    pub id: GenerationId,
    /// First position of the generation.
    pub first: Seq,
}

/// Position that is distinguishable from the same number after a loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position<Seq> {
    /// Generation that was the newest when the position was read.
    pub generation: GenerationId,
    /// Sequence number of the position.
    pub seq: Seq,
}

/// Position in a log.
pub type LogPosition = Position<LogSeq>;
/// Position in a feed.
pub type FeedPosition = Position<FeedSeq>;

/// Generations of a log or feed that are still known, oldest first; never empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generations<Seq> {
    list: Vec<Generation<Seq>>,
}

/// Validity of a position after possible losses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PositionFate {
    /// Nothing up to the position was lost.
    Valid,
    /// The generation is not known.
    UnknownGeneration,
    /// The position lies beyond the end of its generation: the record there is lost.
    BeyondEnd,
}

/// Generations retained; a position of an older one counts as unknown. A backend begins one for each restart, so 64 cover two
/// months of daily restarts.
pub const GENERATIONS_KEPT: usize = 64;

impl Nonce {
    /// Draws 128 fresh random bits.
    pub fn random() -> Self {
        Self(rand::random())
    }

    /// Wraps the given bits.
    pub const fn new(bits: u128) -> Self {
        Self(bits)
    }

    /// Returns the bits as one number.
    pub const fn get(self) -> u128 {
        self.0
    }
}

impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl GenerationId {
    /// Returns the generation named by `nonce`.
    pub const fn new(nonce: Nonce) -> Self {
        Self(nonce)
    }

    /// Returns the nonce that names the generation.
    pub const fn nonce(self) -> Nonce {
        self.0
    }
}

impl<Seq: Copy + Ord> Generations<Seq> {
    /// Returns the generations of a log or feed whose first generation begins at `first`.
    pub fn begin(id: GenerationId, first: Seq) -> Self {
        Self { list: vec![Generation { id, first }] }
    }

    /// Begins a new generation at `first`, and drops the oldest beyond [`GENERATIONS_KEPT`].
    pub fn renew(&mut self, id: GenerationId, first: Seq) {
        self.list.push(Generation { id, first });
        // The list is part of the state that every commit writes, so it must not grow with every restart.
        let surplus = self.list.len().saturating_sub(GENERATIONS_KEPT);
        self.list.drain(..surplus);
    }

    /// Returns the newest generation.
    pub fn newest(&self) -> GenerationId {
        self.list[self.list.len() - 1].id
    }

    /// Returns the validity of `position` when `end` is the newest position that was written.
    ///
    /// A position at the very end of an older generation stays valid: nothing after it was lost.
    pub fn fate(&self, position: Position<Seq>, end: Seq) -> PositionFate {
        let Some(index) = self.list.iter().position(|generation| generation.id == position.generation) else {
            return PositionFate::UnknownGeneration;
        };
        let beyond = match self.list.get(index + 1) {
            // The next generation's first record took the number of a record that may be lost.
            Some(next) => position.seq >= next.first,
            None => position.seq > end,
        };
        if beyond { PositionFate::BeyondEnd } else { PositionFate::Valid }
    }

    /// Returns all known generations, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Generation<Seq>> {
        self.list.iter()
    }
}

impl Generations<LogSeq> {
    /// Returns the newest record that was in the log when `position` was read and still is; none if the generation of
    /// `position` is not known. Records of the same numbers as lost ones are newer than `position`.
    pub fn retained_through(&self, position: LogPosition) -> Option<LogSeq> {
        let read_in = self.list.iter().position(|generation| generation.id == position.generation)?;
        let later = self.list[read_in + 1..].iter().map(|generation| generation.first.previous());
        Some(later.fold(position.seq, LogSeq::min))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_valid_only_within_its_generation() {
        let first = GenerationId::new(Nonce::new(1));
        let second = GenerationId::new(Nonce::new(2));
        let unknown = GenerationId::new(Nonce::new(3));
        let mut generations = Generations::begin(first, FeedSeq::new(1));
        generations.renew(second, FeedSeq::new(11));
        let end = FeedSeq::new(15);
        let rows = [
            (first, 10, PositionFate::Valid),
            (first, 11, PositionFate::BeyondEnd),
            (second, 15, PositionFate::Valid),
            (second, 16, PositionFate::BeyondEnd),
            (unknown, 1, PositionFate::UnknownGeneration),
        ];
        for (generation, seq, fate) in rows {
            let position = Position { generation, seq: FeedSeq::new(seq) };
            assert_eq!(generations.fate(position, end), fate, "{position:?}");
        }
    }

    #[test]
    fn a_record_that_took_the_number_of_a_lost_one_is_newer_than_a_position_before_the_loss() {
        let [first, second, third] = [1, 2, 3].map(|bits| GenerationId::new(Nonce::new(bits)));
        let mut generations = Generations::begin(first, LogSeq::new(1));
        generations.renew(second, LogSeq::new(11));
        generations.renew(third, LogSeq::new(8));
        let unknown = GenerationId::new(Nonce::new(4));
        let rows = [
            (first, 5, Some(5)),
            (first, 12, Some(7)),
            (second, 12, Some(7)),
            (third, 12, Some(12)),
            (unknown, 1, None),
        ];
        for (generation, seq, expected) in rows {
            let position = Position { generation, seq: LogSeq::new(seq) };
            assert_eq!(generations.retained_through(position).map(LogSeq::get), expected, "{position:?}");
        }
    }

    #[test]
    fn generations_are_bounded() {
        let mut generations = Generations::begin(GenerationId::new(Nonce::new(0)), LogSeq::new(1));
        for number in 1..1000 {
            generations.renew(GenerationId::new(Nonce::new(number)), LogSeq::new(number as u64));
        }
        assert_eq!(generations.iter().count(), GENERATIONS_KEPT);
    }
}
