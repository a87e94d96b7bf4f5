//! What a shopper does next. In come counts of what was followed by what, of everybody and by segment; and at any moment the
//! shopper's own, with what they did last. Out goes a probability for each symbol of a bounded alphabet: actions, or categories.
//! It never answers 0 for what was never seen, and never keeps anything of a shopper.
//!
//! Each level leans on the one above it by a pseudo-count `k`, as Dirichlet smoothing does (MacKay and Peto, "A Hierarchical
//! Dirichlet Language Model", Natural Language Engineering 1(3), 1995). With `a` the last symbol and `n` counts,
//!
//! ```text
//!   uniform            p0(b)   = 1 / symbols
//!   global marginal    p1(b)   = (n(b)      + k_uniform  p0(b))   / (n      + k_uniform)
//!   global             p2(b|a) = (n(a,b)    + k_global   p1(b))   / (n(a)   + k_global)
//!   segment            p3(b|a) = (n_s(a,b)  + k_segment  p2(b|a)) / (n_s(a) + k_segment)
//!   own habit          p4(b|a) = (n_u(b)    + k_habit    p3(b|a)) / (n_u    + k_habit)
//!   own                p5(b|a) = (n_u(a,b)  + k_own      p4(b|a)) / (n_u(a) + k_own)
//! ```
//!
//! where `n(b)` counts how often `b` followed anything. Without a last symbol the marginals stand for rows.

mod pseudo_counts;
mod table;

pub use pseudo_counts::{UserCounts, choose_pseudo_counts, leave_one_out_loss};

use crate::error::Error;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use table::{COUNT_MAX, ProbabilityRow, TransitionTable};

/// The most symbols an alphabet has: a table of all pairs stays small enough to send.
pub const SYMBOLS_MAX: u16 = 4_096;
/// The most segments that have a table of their own.
pub const SEGMENTS_MAX: usize = 1_024;
/// The version byte of an encoded chain.
const FORMAT: u8 = 1;

/// How much each level leans on the one above: as if that had been seen so many times. All above 0.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Params {
    /// Of what the shopper did after the last symbol.
    pub user: f64,
    /// Of what the shopper does at all.
    pub habit: f64,
    /// Of the segment.
    pub segment: f64,
    /// Of everybody after the last symbol.
    pub global: f64,
    /// Of what everybody does at all.
    pub uniform: f64,
}

impl Default for Params {
    /// Near what is best on the actions and categories that were tried, for when there is nothing to [`choose`] them from. Segments count
    /// for little: they are made of what their shoppers do, which the shopper's own levels tell better.
    fn default() -> Self {
        Self { user: 100.0, habit: 300.0, segment: 1e6, global: 300.0, uniform: 10.0 }
    }
}

/// How often one symbol was followed by another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TransitionCount {
    /// Of whom; none if the shoppers are in no segment.
    pub segment: Option<u32>,
    /// What was done first.
    pub from: u16,
    /// What was done next.
    pub to: u16,
    /// How often, from 0 to 10^15; decayed counts are fine.
    pub weight: f64,
}

/// What everybody and each segment does after what.
///
/// ```
/// use portrait_learning::prediction::markov::{Chain, Count, Params};
///
/// let [view, cart, buy] = [0, 1, 2];
/// let count = |from, to, weight| Count { segment: None, from, to, weight };
/// let counts = [count(view, view, 900.0), count(view, cart, 100.0), count(cart, buy, 500.0)];
/// let chain = Chain::train(3, &counts, Params::default())?;
///
/// // Without counts of the user: what everybody does after a view.
/// let everybody = chain.next(None, &[], Some(view));
/// assert!((everybody.iter().sum::<f64>() - 1.0).abs() < 1e-9);
/// assert!(everybody[usize::from(buy)] > 0.0, "what was never seen is unlikely, not impossible");
///
/// // The user's own steps pull the answer towards them.
/// let own = chain.next(None, &[(view, cart, 1_000.0)], Some(view));
/// assert!(own[usize::from(cart)] > everybody[usize::from(cart)]);
/// # Ok::<(), portrait_learning::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Chain {
    params: Params,
    global: TransitionTable,
    segments: BTreeMap<u32, TransitionTable>,
}

/// Why bytes are no chain that can be served.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ChainError {
    /// They are not what was encoded.
    #[error("the chain's bytes are damaged: {0}")]
    Damaged(String),
    /// Another release made them.
    #[error("the chain has format {found}, this release reads {FORMAT}")]
    Format {
        /// Theirs.
        found: u8,
    },
    /// Its parts do not fit together, or a count is no count.
    #[error("the chain does not fit together: {0}")]
    Inconsistent(&'static str),
}

/// As it is encoded: for each symbol what followed it.
#[derive(Serialize, Deserialize)]
struct StoredChain {
    params: Params,
    symbols: u16,
    global: Vec<ProbabilityRow>,
    segments: Vec<(u32, Vec<ProbabilityRow>)>,
}

impl Chain {
    /// Learns from counts over an alphabet of `symbols`, numbered from 0. Every count is of everybody, and of its segment too.
    ///
    /// # Errors
    /// [`Error::Parameter`] if the alphabet is empty or too large, a symbol is not of it, a weight is not a number from 0, a
    /// pseudo-count is not above 0, or there are too many segments.
    pub fn train(symbols: u16, counts: &[TransitionCount], params: Params) -> Result<Self, Error> {
        if symbols == 0 || symbols > SYMBOLS_MAX {
            let problem = format!("is {symbols}, not within 1 to {SYMBOLS_MAX}");
            return Err(Error::Parameter { parameter: "symbols", problem });
        }
        params.check()?;
        let mut chain = Self { params, global: TransitionTable::new(symbols), segments: BTreeMap::new() };
        counts.iter().try_for_each(|count| chain.learn(*count))?;
        Ok(chain)
    }

    /// Adds one count.
    ///
    /// # Errors
    /// As [`Self::train`]; nothing is added then.
    pub fn learn(&mut self, count: TransitionCount) -> Result<(), Error> {
        let refused = |problem: String| Err(Error::Parameter { parameter: "counts", problem });
        let symbols = self.symbols();
        if count.from >= symbols || count.to >= symbols {
            return refused(format!("have {} or {} of an alphabet of {symbols}", count.from, count.to));
        }
        if !(0.0..=COUNT_MAX).contains(&count.weight) {
            return refused(format!("have a weight of {}", count.weight));
        }
        if let Some(segment) = count.segment {
            if self.segments.len() >= SEGMENTS_MAX && !self.segments.contains_key(&segment) {
                return refused(format!("have more than {SEGMENTS_MAX} segments"));
            }
            let table = self.segments.entry(segment).or_insert_with(|| TransitionTable::new(symbols));
            table.add(count.from, count.to, count.weight);
        }
        self.global.add(count.from, count.to, count.weight);
        Ok(())
    }

    /// How many symbols there are.
    pub fn symbols(&self) -> u16 {
        self.global.symbols()
    }

    /// How much levels lean on each other.
    pub fn params(&self) -> Params {
        self.params
    }

    /// The same counts with other pseudo-counts.
    ///
    /// # Errors
    /// [`Error::Parameter`] if one is not above 0.
    pub fn with_params(self, params: Params) -> Result<Self, Error> {
        params.check()?;
        Ok(Self { params, ..self })
    }

    /// The probability of each symbol to be next; they add up to 1. `own` are the shopper's counts (from, to, weight), in any
    /// order; what of them is not of the alphabet, or not above 0, or no count, is left out. A segment that is not known is none.
    pub fn next(&self, segment: Option<u32>, own: &[(u16, u16, f64)], last: Option<u16>) -> Vec<f64> {
        let symbols = self.symbols();
        let last = last.filter(|last| *last < symbols);
        let mut shares = vec![1.0 / f64::from(symbols); usize::from(symbols)];
        self.global.blend_marginal(&mut shares, self.params.uniform);
        self.global.blend(&mut shares, last, self.params.global);
        if let Some(table) = segment.and_then(|segment| self.segments.get(&segment)) {
            match last {
                Some(_) => table.blend(&mut shares, last, self.params.segment),
                None => table.blend_marginal(&mut shares, self.params.segment),
            }
        }
        let usable = |(from, to, weight): &&(u16, u16, f64)| {
            *from < symbols && *to < symbols && *weight > 0.0 && *weight <= COUNT_MAX
        };
        let own = || own.iter().filter(usable);
        let after_last = own().filter(|(from, ..)| Some(*from) == last);
        table::blend(&mut shares, own().map(|(_, to, weight)| (*to, *weight)), self.params.habit);
        table::blend(&mut shares, after_last.map(|(_, to, weight)| (*to, *weight)), self.params.user);
        shares
    }

    /// A version byte and postcard.
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

    /// The chain of such bytes, checked whole.
    ///
    /// # Errors
    /// Whatever makes it unfit to be served.
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
            return Err(ChainError::Inconsistent("an alphabet or a pseudo-count that cannot be"));
        }
        let table = |rows| {
            TransitionTable::of(stored.symbols, rows)
                .ok_or(ChainError::Inconsistent("a table that is no table of counts"))
        };
        let global = table(stored.global)?;
        let count = stored.segments.len();
        let segments: BTreeMap<u32, TransitionTable> =
            stored.segments.into_iter().map(|(id, rows)| Ok((id, table(rows)?))).collect::<Result<_, _>>()?;
        if segments.len() != count || count > SEGMENTS_MAX {
            return Err(ChainError::Inconsistent("segments that are too many or not unique"));
        }
        Ok(Self { params: stored.params, global, segments })
    }
}

impl Params {
    fn check(&self) -> Result<(), Error> {
        let problem = || "has a pseudo-count that is not a number above 0".to_owned();
        if self.is_sound() {
            Ok(())
        } else {
            Err(Error::Parameter { parameter: "params", problem: problem() })
        }
    }

    fn is_sound(&self) -> bool {
        let all = [self.user, self.habit, self.segment, self.global, self.uniform];
        all.iter().all(|count| *count > 0.0 && *count <= COUNT_MAX)
    }
}
