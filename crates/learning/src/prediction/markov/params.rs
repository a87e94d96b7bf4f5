//! Pseudo-counts of a chain's levels, and the bound of its alphabet.

use super::table::COUNT_MAX;
use crate::error::Error;
use serde::{Deserialize, Serialize};

/// Largest number of symbols of an alphabet: a table of all pairs stays small enough to send.
pub const SYMBOLS_MAX: u16 = 4_096;

/// Pseudo-counts: how strongly each level is smoothed towards the level above it. All above 0.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Params {
    /// Pseudo-count of the user's transitions after the last symbol.
    pub user: f64,
    /// Pseudo-count of the user's marginal (habit).
    pub habit: f64,
    /// Pseudo-count of the segment's transitions.
    pub segment: f64,
    /// Pseudo-count of the population's transitions.
    pub global: f64,
    /// Pseudo-count of the population's marginal.
    pub uniform: f64,
}

impl Default for Params {
    /// Values near the optimum on the actions and categories of `scripts/bench_markov`, for too little data to choose them. The
    /// segment's level has next to no weight: segments are made of their members' actions, which the user's levels describe better.
    fn default() -> Self {
        Self { user: 100.0, habit: 300.0, segment: 1e6, global: 300.0, uniform: 10.0 }
    }
}

impl Params {
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.is_sound() {
            Ok(())
        } else {
            Err(Error::parameter("params", "has a pseudo-count that is not a number above 0"))
        }
    }

    pub(super) fn is_sound(&self) -> bool {
        let all = [self.user, self.habit, self.segment, self.global, self.uniform];
        all.iter().all(|count| *count > 0.0 && *count <= COUNT_MAX)
    }
}
