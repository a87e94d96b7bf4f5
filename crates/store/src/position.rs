//! Places in a partition's log and feed, and what proves who may write. Newtypes, so that no two numbers can be swapped.
//!
//! ```text
//!            trimmed          kept                       not yet written
//! log    ───────────┤ first ......... applied_through ......... end ├──────
//!                                     └── applied ──┘└─── lag ────┘
//! ```
//!
//! Sequence numbers begin at 1 and have no gaps; 0 is the place before the first. A generation is a stretch of sequence
//! numbers written without losing anything in between: a store begins a new one whenever it may have lost its newest end.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(u64);

        impl $name {
            /// Before the first.
            pub const ZERO: Self = Self(0);

            /// The number `value`.
            pub const fn new(value: u64) -> Self {
                Self(value)
            }

            /// The number.
            pub const fn get(self) -> u64 {
                self.0
            }

            /// The one after.
            pub const fn next(self) -> Self {
                Self(self.0 + 1)
            }

            /// The one `count` later.
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
    /// The place of a record in a partition's log.
    LogSeq
);
number!(
    /// The place of a change in a partition's feed.
    FeedSeq
);
number!(
    /// How many commits a partition has had; every commit expects the number before it.
    CommitNo
);
number!(
    /// How often a partition's lease changed hands.
    Epoch
);
number!(
    /// How often the models of a deployment changed; every change expects the number before it.
    RegistryNo
);

/// 128 random bits that no other owner or generation has.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Nonce(u128);

/// Proof of owning a partition: the epoch alone is not enough, since after a fail-over two owners can hold the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LeaseToken {
    /// Grows with every acquisition.
    pub epoch: Epoch,
    /// The owner's own.
    pub nonce: Nonce,
}

/// The name of a generation of a log or a feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct GenerationId(Nonce);

/// A generation and where it begins; it ends where the next one begins, or at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generation<Seq> {
    /// Its name.
    pub id: GenerationId,
    /// Its first place.
    pub first: Seq,
}

/// A place that can be told from the same number after a loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position<Seq> {
    /// The generation it was seen in.
    pub generation: GenerationId,
    /// The number.
    pub seq: Seq,
}

/// A place in a log.
pub type LogPosition = Position<LogSeq>;
/// A place in a feed.
pub type FeedPosition = Position<FeedSeq>;

/// The generations of a log or feed that are still known, oldest first, and its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generations<Seq> {
    list: Vec<Generation<Seq>>,
}

/// What became of a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PositionFate {
    /// It is where it was.
    Valid,
    /// Its generation is not known.
    UnknownGeneration,
    /// It lies beyond the end of its generation: what was there is lost.
    BeyondEnd,
}

/// How many generations are remembered; a position of an older one counts as unknown.
pub const GENERATIONS_KEPT: usize = 64;

impl Nonce {
    /// 128 fresh random bits.
    pub fn random() -> Self {
        Self(rand::random())
    }

    /// From its number.
    pub const fn new(bits: u128) -> Self {
        Self(bits)
    }

    /// The bits.
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
    /// The generation of that nonce.
    pub const fn new(nonce: Nonce) -> Self {
        Self(nonce)
    }

    /// Its nonce.
    pub const fn nonce(self) -> Nonce {
        self.0
    }
}

impl<Seq: Copy + Ord> Generations<Seq> {
    /// A log or feed whose first generation begins at `first`.
    pub fn begin(id: GenerationId, first: Seq) -> Self {
        Self { list: vec![Generation { id, first }] }
    }

    /// Begins a new generation at `first`, and forgets the oldest above [`GENERATIONS_KEPT`].
    pub fn renew(&mut self, id: GenerationId, first: Seq) {
        self.list.push(Generation { id, first });
        let surplus = self.list.len().saturating_sub(GENERATIONS_KEPT);
        self.list.drain(..surplus);
    }

    /// The newest.
    pub fn newest(&self) -> GenerationId {
        self.list[self.list.len() - 1].id
    }

    /// What became of `position` when `end` is the newest place that was written.
    ///
    /// A position at the very end of an older generation stays valid: nothing after it was lost.
    pub fn fate(&self, position: Position<Seq>, end: Seq) -> PositionFate {
        let Some(index) = self.list.iter().position(|generation| generation.id == position.generation) else {
            return PositionFate::UnknownGeneration;
        };
        let beyond = match self.list.get(index + 1) {
            Some(next) => position.seq >= next.first,
            None => position.seq > end,
        };
        if beyond { PositionFate::BeyondEnd } else { PositionFate::Valid }
    }

    /// All of them, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Generation<Seq>> {
        self.list.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_valid_only_within_its_generation() {
        let (first, second, strange) = (
            GenerationId::new(Nonce::new(1)),
            GenerationId::new(Nonce::new(2)),
            GenerationId::new(Nonce::new(3)),
        );
        let mut generations = Generations::begin(first, FeedSeq::new(1));
        generations.renew(second, FeedSeq::new(11));
        let end = FeedSeq::new(15);
        let rows = [
            (first, 10, PositionFate::Valid),
            (first, 11, PositionFate::BeyondEnd),
            (second, 15, PositionFate::Valid),
            (second, 16, PositionFate::BeyondEnd),
            (strange, 1, PositionFate::UnknownGeneration),
        ];
        for (generation, seq, fate) in rows {
            let position = Position { generation, seq: FeedSeq::new(seq) };
            assert_eq!(generations.fate(position, end), fate, "{position:?}");
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
