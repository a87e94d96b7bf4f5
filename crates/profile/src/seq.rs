//! Sequence numbers of a partition's log and of its feed. Newtypes, so that the two can never be swapped.
//!
//! They begin at 1 and have no gaps; 0 is the position before the first. The store assigns them; tombstones and the ledger of
//! erasures keep them, which is why the types are defined here.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! seq {
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

            /// Returns the preceding number; for 0 that is 0.
            pub const fn previous(self) -> Self {
                Self(self.0.saturating_sub(1))
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

seq!(
    /// Position of a record in a partition's log, from 1.
    ///
    /// ```
    /// use portrait_profile::LogSeq;
    ///
    /// let first = LogSeq::ZERO.next();
    /// assert_eq!(first.get(), 1);
    /// assert_eq!(first.plus(4), LogSeq::new(5));
    /// assert_eq!(LogSeq::ZERO.previous(), LogSeq::ZERO);
    /// ```
    LogSeq
);
seq!(
    /// Position of a change in a partition's feed, from 1.
    FeedSeq
);
