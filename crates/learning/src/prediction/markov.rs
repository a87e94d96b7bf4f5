//! Markov chain of first order over a bounded alphabet: actions, or categories. Trained on counts of the population and of segments;
//! at prediction time the user's own counts and last symbol are added, and not stored. Unseen symbols get a small probability, never 0.
//!
//! Each level is smoothed towards the one above it by a pseudo-count `k` (Dirichlet smoothing; MacKay and Peto, "A Hierarchical
//! Dirichlet Language Model", Natural Language Engineering 1(3), 1995). With `a` the last symbol and `n` counts,
//!
//! ```text
//!   uniform            p0(b)   = 1 / symbols
//!   global marginal    p1(b)   = (n(b)      + k_uniform  p0(b))   / (n      + k_uniform)
//!   global             p2(b|a) = (n(a,b)    + k_global   p1(b))   / (n(a)   + k_global)
//!   segment            p3(b|a) = (n_s(a,b)  + k_segment  p2(b|a)) / (n_s(a) + k_segment)
//!   user habit         p4(b|a) = (n_u(b)    + k_habit    p3(b|a)) / (n_u    + k_habit)
//!   user               p5(b|a) = (n_u(a,b)  + k_user     p4(b|a)) / (n_u(a) + k_user)
//! ```
//!
//! where `n(b)` counts how often `b` followed anything. Without a last symbol the marginals replace the rows.

mod params;
mod pseudo_counts;
mod table;

pub use params::{Params, SYMBOLS_MAX};
pub use pseudo_counts::{UserCounts, choose_pseudo_counts, leave_one_out_loss};

use crate::error::Error;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use table::{COUNT_MAX, ProbabilityRow, TransitionTable};

/// Largest number of segments with a table of their own.
pub const SEGMENTS_MAX: usize = 1_024;
/// Version byte of an encoded chain.
const FORMAT: u8 = 1;

/// TransitionCount of one transition.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TransitionCount {
    /// Segment of the users; `None` for users without one.
    pub segment: Option<u32>,
    /// Symbol before the transition.
    pub from: u16,
    /// Symbol after the transition.
    pub to: u16,
    /// Number of occurrences, from 0 to 10^15; decayed counts are allowed.
    pub weight: f64,
}

/// Transition counts of the population and of each segment.
///
/// ```
/// use portrait_learning::prediction::markov::{Chain, TransitionCount, Params};
///
/// let [view, cart, buy] = [0, 1, 2];
/// let count = |from, to, weight| TransitionCount { segment: None, from, to, weight };
/// let counts = [count(view, view, 900.0), count(view, cart, 100.0), count(cart, buy, 500.0)];
/// let chain = Chain::train(3, &counts, Params::default())?;
///
/// // Without counts of the user: the population's distribution after a view.
/// let population = chain.next(None, &[], Some(view));
/// assert!((population.iter().sum::<f64>() - 1.0).abs() < 1e-9);
/// assert!(population[usize::from(buy)] > 0.0, "an unseen transition is unlikely, not impossible");
///
/// // Transitions of the user shift the distribution towards them.
/// let user = chain.next(None, &[(view, cart, 1_000.0)], Some(view));
/// assert!(user[usize::from(cart)] > population[usize::from(cart)]);
/// # Ok::<(), portrait_learning::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Chain {
    params: Params,
    global: TransitionTable,
    segments: BTreeMap<u32, TransitionTable>,
}

/// Error of decoding a chain.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ChainError {
    /// The bytes are damaged.
    #[error("the chain's bytes are damaged: {0}")]
    Damaged(String),
    /// Another release wrote the chain.
    #[error("the chain has format {found}, this release reads {FORMAT}")]
    Format {
        /// Format of the chain.
        found: u8,
    },
    /// Parts of the chain contradict each other, or a count is out of range.
    #[error("the chain does not fit together: {0}")]
    Inconsistent(&'static str),
}

/// Encoded form: per symbol the counts of its successors.
#[derive(Serialize, Deserialize)]
struct StoredChain {
    params: Params,
    symbols: u16,
    global: Vec<ProbabilityRow>,
    segments: Vec<(u32, Vec<ProbabilityRow>)>,
}

impl Chain {
    /// Trains on counts over an alphabet of `symbols`, numbered from 0. Every count belongs to the population and to its segment.
    ///
    /// # Errors
    /// [`Error::Parameter`] for an alphabet that is empty or larger than [`SYMBOLS_MAX`], a symbol outside it, a weight outside 0 to
    /// 10^15, a pseudo-count that is not above 0, or more than [`SEGMENTS_MAX`] segments.
    pub fn train(symbols: u16, counts: &[TransitionCount], params: Params) -> Result<Self, Error> {
        if symbols == 0 || symbols > SYMBOLS_MAX {
            let problem = format!("is {symbols}, not within 1 to {SYMBOLS_MAX}");
            return Err(Error::parameter("symbols", problem));
        }
        params.check()?;
        let mut chain = Self { params, global: TransitionTable::new(symbols), segments: BTreeMap::new() };
        counts.iter().try_for_each(|count| chain.learn(*count))?;
        Ok(chain)
    }

    /// Adds one count.
    ///
    /// # Errors
    /// As [`Self::train`]; the chain is unchanged then.
    pub fn learn(&mut self, count: TransitionCount) -> Result<(), Error> {
        let symbols = self.symbols();
        if count.from >= symbols || count.to >= symbols {
            let problem = format!("have {} or {} of an alphabet of {symbols}", count.from, count.to);
            return Err(Error::parameter("counts", problem));
        }
        if !(0.0..=COUNT_MAX).contains(&count.weight) {
            return Err(Error::parameter("counts", format!("have a weight of {}", count.weight)));
        }
        // The segment first: it may be refused, and the chain must be unchanged then.
        if let Some(segment) = count.segment {
            if self.segments.len() >= SEGMENTS_MAX && !self.segments.contains_key(&segment) {
                return Err(Error::parameter("counts", format!("have more than {SEGMENTS_MAX} segments")));
            }
            let table = self.segments.entry(segment).or_insert_with(|| TransitionTable::new(symbols));
            table.add(count.from, count.to, count.weight);
        }
        self.global.add(count.from, count.to, count.weight);
        Ok(())
    }

    /// Number of symbols in the alphabet.
    pub fn symbols(&self) -> u16 {
        self.global.symbols()
    }

    /// Pseudo-counts of the chain.
    pub fn params(&self) -> Params {
        self.params
    }

    /// Replaces the pseudo-counts, with the same counts.
    ///
    /// # Errors
    /// [`Error::Parameter`] if one is not above 0.
    pub fn with_params(self, params: Params) -> Result<Self, Error> {
        params.check()?;
        Ok(Self { params, ..self })
    }

    /// Probability of each symbol to be next; they sum to 1. `user` has the user's counts as (from, to, weight), in any order; those
    /// outside the alphabet or with a weight that is not above 0 are ignored, as is an unknown segment.
    pub fn next(&self, segment: Option<u32>, user: &[(u16, u16, f64)], last: Option<u16>) -> Vec<f64> {
        let symbols = self.symbols();
        let last = last.filter(|last| *last < symbols);
        let mut probabilities = vec![1.0 / f64::from(symbols); usize::from(symbols)];
        // From the broadest level to the narrowest: each one smooths towards the result so far.
        self.global.blend_marginal(&mut probabilities, self.params.uniform);
        self.global.blend(&mut probabilities, last, self.params.global);
        if let Some(table) = segment.and_then(|segment| self.segments.get(&segment)) {
            // One level per segment: the marginal only stands in for a row that cannot be chosen.
            match last {
                Some(_) => table.blend(&mut probabilities, last, self.params.segment),
                None => table.blend_marginal(&mut probabilities, self.params.segment),
            }
        }
        // A prediction never fails on a profile: what is outside the alphabet is left out.
        let usable = user.iter().filter(|(from, to, weight)| {
            *from < symbols && *to < symbols && *weight > 0.0 && *weight <= COUNT_MAX
        });
        let after_last = usable.clone().filter(|(from, ..)| Some(*from) == last);
        table::blend(&mut probabilities, usable.map(|(_, to, weight)| (*to, *weight)), self.params.habit);
        table::blend(&mut probabilities, after_last.map(|(_, to, weight)| (*to, *weight)), self.params.user);
        probabilities
    }

    /// Encodes the chain: a version byte and postcard.
    pub fn encode(&self) -> Vec<u8> {
        let stored = StoredChain {
            params: self.params,
            symbols: self.symbols(),
            global: self.global.rows().to_vec(),
            segments: self.segments.iter().map(|(id, table)| (*id, table.rows().to_vec())).collect(),
        };
        postcard::to_extend(&stored, vec![FORMAT])
            .expect("writing to memory cannot fail: every type here has a known length")
    }

    /// Decodes and checks a chain.
    ///
    /// # Errors
    /// Any [`ChainError`] that makes the chain unfit to be served.
    pub fn decode(bytes: &[u8]) -> Result<Self, ChainError> {
        let (&found, rest) = bytes.split_first().ok_or(ChainError::Damaged("no bytes".to_owned()))?;
        if found != FORMAT {
            return Err(ChainError::Format { found });
        }
        let (stored, left): (StoredChain, &[u8]) =
            postcard::take_from_bytes(rest).map_err(|error| ChainError::Damaged(error.to_string()))?;
        if !left.is_empty() {
            return Err(ChainError::Damaged(format!("{} bytes too many", left.len())));
        }
        if stored.symbols == 0 || stored.symbols > SYMBOLS_MAX || !stored.params.is_sound() {
            return Err(ChainError::Inconsistent("an alphabet or a pseudo-count that is out of range"));
        }
        let table = |rows| {
            TransitionTable::of(stored.symbols, rows)
                .ok_or(ChainError::Inconsistent("a table that is no table of counts"))
        };
        let global = table(stored.global)?;
        let count = stored.segments.len();
        let segments: BTreeMap<u32, TransitionTable> =
            stored.segments.into_iter().map(|(id, rows)| Ok((id, table(rows)?))).collect::<Result<_, _>>()?;
        // The map keeps one of two tables with the same id.
        if segments.len() != count || count > SEGMENTS_MAX {
            return Err(ChainError::Inconsistent("segments that are too many or not unique"));
        }
        Ok(Self { params: stored.params, global, segments })
    }
}
