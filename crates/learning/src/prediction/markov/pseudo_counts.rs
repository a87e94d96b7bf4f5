//! How much levels of a chain should lean on those above. In come what shoppers did after what; out go the pseudo-counts under which each
//! count is foretold best from all the others, itself left out of the shopper's and of everybody's (leave-one-out likelihood, as for
//! Dirichlet smoothing by Zhai and Lafferty, "Two-Stage Language Models for Information Retrieval", SIGIR 2002, section 4.1).
//! Nothing is trained for it: a count's probability follows from seven sums, which are gathered once.
//!
//! Everybody's are sought first, so that everybody's chain is as good as it can be by itself; then the shopper's on top of it. That of
//! the segment is never chosen: segments are made of what their shoppers did, so that a count that is left out is still in them.

use super::{Params, SYMBOLS_MAX};
use std::collections::HashMap;

/// Pseudo-counts that are tried for a shopper: with the last a level leaves everything to the one above.
const USER_PSEUDO_COUNTS: [f64; 15] =
    [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 300.0, 500.0, 1_000.0, 3_000.0, 1e4, 1e5, 1e12];
/// For everybody.
const GLOBAL_PSEUDO_COUNTS: [f64; 10] = [1.0, 3.0, 10.0, 20.0, 50.0, 100.0, 300.0, 1_000.0, 3_000.0, 1e4];

/// Losses closer than this are the same.
const LOSS_TIE_MAX: f64 = 1e-9;

/// One shopper's counts: from, to, how often, each pair once; decayed counts are fine.
pub type UserCounts<'a> = &'a [(u16, u16, f64)];

/// A level's counts of one transition, left out once: of the symbol, and of all that it competes with.
#[derive(Clone, Copy)]
struct LevelCounts {
    symbol: f64,
    total: f64,
}

/// One transition of one shopper, as each level knows it without it.
struct LeaveOneOut {
    /// How often it was made: what it counts for.
    weight: f64,
    marginal: LevelCounts,
    global: LevelCounts,
    habit: LevelCounts,
    user: LevelCounts,
}

/// Counts of pairs, of what was first, and of what followed; of everybody, or of a shopper.
#[derive(Default)]
struct TransitionSums {
    pairs: HashMap<(u16, u16), f64>,
    from: HashMap<u16, f64>,
    to: HashMap<u16, f64>,
    total: f64,
}

/// The pseudo-counts by which each count of these shoppers is foretold best from all others; the segment's, and all where nobody did
/// anything, are those of `usual`. Counts that are not above 0, and symbols that cannot be, are left out.
pub fn choose_pseudo_counts(symbols: u16, shoppers: &[UserCounts<'_>], usual: Params) -> Params {
    let rows = leave_one_out(shoppers);
    if rows.is_empty() {
        return usual;
    }
    let uniform = 1.0 / f64::from(symbols.max(1));
    let everybody = |params: &Params| mean_loss(&rows, |row| row.global_probability(uniform, params));
    let params =
        best(&GLOBAL_PSEUDO_COUNTS, |uniform, global| Params { uniform, global, ..usual }, everybody);
    let shopper = |params: &Params| mean_loss(&rows, |row| row.user_probability(uniform, params));
    best(&USER_PSEUDO_COUNTS, |habit, own| Params { habit, user: own, ..params }, shopper)
}

/// The mean negative logarithm of the probability of each count when it is left out of all that is known, in nats, by a chain
/// without segments; 0 without any.
pub fn leave_one_out_loss(symbols: u16, shoppers: &[UserCounts<'_>], params: &Params) -> f64 {
    let uniform = 1.0 / f64::from(symbols.max(1));
    mean_loss(&leave_one_out(shoppers), |row| row.user_probability(uniform, params))
}

/// Of all pairs of these values the one of the least loss; where it makes no difference, the largest.
fn best(tried: &[f64], params: impl Fn(f64, f64) -> Params, loss: impl Fn(&Params) -> f64) -> Params {
    let largest = tried.last().copied().unwrap_or(1.0);
    let mut best = params(largest, largest);
    let mut least = loss(&best);
    for (one, other) in tried.iter().rev().flat_map(|one| tried.iter().rev().map(move |other| (one, other))) {
        let params = params(*one, *other);
        let found = loss(&params);
        if found < least - LOSS_TIE_MAX {
            (best, least) = (params, found);
        }
    }
    best
}

fn mean_loss(rows: &[LeaveOneOut], share: impl Fn(&LeaveOneOut) -> f64) -> f64 {
    let (loss, weights) = rows
        .iter()
        .fold((0.0, 0.0), |(loss, weights), row| (loss - row.weight * share(row).ln(), weights + row.weight));
    loss / f64::max(weights, f64::MIN_POSITIVE)
}

fn leave_one_out(shoppers: &[UserCounts<'_>]) -> Vec<LeaveOneOut> {
    let mut everybody = TransitionSums::default();
    shoppers.iter().flat_map(|own| usable(own)).for_each(|count| everybody.add(count));
    let of = |counts: &UserCounts<'_>| {
        let mut own = TransitionSums::default();
        usable(counts).for_each(|count| own.add(count));
        let row = |count: (u16, u16, f64)| LeaveOneOut {
            weight: count.2,
            marginal: everybody.of_symbol(count),
            global: everybody.of_pair(count),
            habit: own.of_symbol(count),
            user: own.of_pair(count),
        };
        usable(counts).map(row).collect::<Vec<_>>()
    };
    shoppers.iter().flat_map(of).collect()
}

fn usable(counts: UserCounts<'_>) -> impl Iterator<Item = (u16, u16, f64)> {
    let sound = |(from, to, weight): &(u16, u16, f64)| {
        *from < SYMBOLS_MAX && *to < SYMBOLS_MAX && weight.is_finite() && *weight > 0.0
    };
    counts.iter().copied().filter(sound)
}

impl LeaveOneOut {
    /// Its probability, level by level as [`super::Chain::next`] has it.
    fn global_probability(&self, uniform: f64, params: &Params) -> f64 {
        self.global.on(self.marginal.on(uniform, params.uniform), params.global)
    }

    fn user_probability(&self, uniform: f64, params: &Params) -> f64 {
        self.user.on(self.habit.on(self.global_probability(uniform, params), params.habit), params.user)
    }
}

impl LevelCounts {
    /// Of counts with one of `weight` that is left out once: what faded to less than one is left out whole.
    fn excluding(symbol: f64, all: f64, weight: f64) -> Self {
        let once = weight.min(1.0);
        Self { symbol: (symbol - once).max(0.0), total: (all - once).max(0.0) }
    }

    fn on(self, above: f64, leaning: f64) -> f64 {
        (self.symbol + leaning * above) / (self.total + leaning)
    }
}

impl TransitionSums {
    fn add(&mut self, (from, to, weight): (u16, u16, f64)) {
        *self.pairs.entry((from, to)).or_default() += weight;
        *self.from.entry(from).or_default() += weight;
        *self.to.entry(to).or_default() += weight;
        self.total += weight;
    }

    fn of_symbol(&self, (_, to, weight): (u16, u16, f64)) -> LevelCounts {
        LevelCounts::excluding(self.to.get(&to).copied().unwrap_or_default(), self.total, weight)
    }

    fn of_pair(&self, (from, to, weight): (u16, u16, f64)) -> LevelCounts {
        let pair = self.pairs.get(&(from, to)).copied().unwrap_or_default();
        LevelCounts::excluding(pair, self.from.get(&from).copied().unwrap_or_default(), weight)
    }
}
