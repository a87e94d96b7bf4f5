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
const OF_SHOPPER: [f64; 15] =
    [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 300.0, 500.0, 1_000.0, 3_000.0, 1e4, 1e5, 1e12];
/// For everybody.
const OF_EVERYBODY: [f64; 10] = [1.0, 3.0, 10.0, 20.0, 50.0, 100.0, 300.0, 1_000.0, 3_000.0, 1e4];

/// Losses closer than this are the same.
const NOTHING: f64 = 1e-9;

/// One shopper's counts: from, to, how often, each pair once; decayed counts are fine.
pub type OwnCounts<'a> = &'a [(u16, u16, f64)];

/// A level's counts of one transition, left out once: of the symbol, and of all that it competes with.
#[derive(Clone, Copy)]
struct Seen {
    symbol: f64,
    all: f64,
}

/// One transition of one shopper, as each level knows it without it.
struct LeftOut {
    /// How often it was made: what it counts for.
    weight: f64,
    marginal: Seen,
    global: Seen,
    habit: Seen,
    own: Seen,
}

/// Counts of pairs, of what was first, and of what followed; of everybody, or of a shopper.
#[derive(Default)]
struct Sums {
    pairs: HashMap<(u16, u16), f64>,
    from: HashMap<u16, f64>,
    to: HashMap<u16, f64>,
    all: f64,
}

/// The pseudo-counts by which each count of these shoppers is foretold best from all others; the segment's, and all where nobody did
/// anything, are those of `usual`. Counts that are not above 0, and symbols that cannot be, are left out.
pub fn choose(symbols: u16, shoppers: &[OwnCounts<'_>], usual: Params) -> Params {
    let rows = left_out(shoppers);
    if rows.is_empty() {
        return usual;
    }
    let uniform = 1.0 / f64::from(symbols.max(1));
    let everybody = |params: &Params| mean_loss(&rows, |row| row.of_everybody(uniform, params));
    let params = best(&OF_EVERYBODY, |uniform, global| Params { uniform, global, ..usual }, everybody);
    let shopper = |params: &Params| mean_loss(&rows, |row| row.of_shopper(uniform, params));
    best(&OF_SHOPPER, |habit, own| Params { habit, own, ..params }, shopper)
}

/// The mean negative logarithm of the probability of each count when it is left out of all that is known, in nats, by a chain
/// without segments; 0 without any.
pub fn left_out_loss(symbols: u16, shoppers: &[OwnCounts<'_>], params: &Params) -> f64 {
    let uniform = 1.0 / f64::from(symbols.max(1));
    mean_loss(&left_out(shoppers), |row| row.of_shopper(uniform, params))
}

/// Of all pairs of these values the one of the least loss; where it makes no difference, the largest.
fn best(tried: &[f64], params: impl Fn(f64, f64) -> Params, loss: impl Fn(&Params) -> f64) -> Params {
    let largest = tried.last().copied().unwrap_or(1.0);
    let mut best = params(largest, largest);
    let mut least = loss(&best);
    for (one, other) in tried.iter().rev().flat_map(|one| tried.iter().rev().map(move |other| (one, other))) {
        let params = params(*one, *other);
        let found = loss(&params);
        if found < least - NOTHING {
            (best, least) = (params, found);
        }
    }
    best
}

fn mean_loss(rows: &[LeftOut], share: impl Fn(&LeftOut) -> f64) -> f64 {
    let (loss, weights) = rows
        .iter()
        .fold((0.0, 0.0), |(loss, weights), row| (loss - row.weight * share(row).ln(), weights + row.weight));
    loss / f64::max(weights, f64::MIN_POSITIVE)
}

fn left_out(shoppers: &[OwnCounts<'_>]) -> Vec<LeftOut> {
    let mut everybody = Sums::default();
    shoppers.iter().flat_map(|own| usable(own)).for_each(|count| everybody.add(count));
    let of = |counts: &OwnCounts<'_>| {
        let mut own = Sums::default();
        usable(counts).for_each(|count| own.add(count));
        let row = |count: (u16, u16, f64)| LeftOut {
            weight: count.2,
            marginal: everybody.of_symbol(count),
            global: everybody.of_pair(count),
            habit: own.of_symbol(count),
            own: own.of_pair(count),
        };
        usable(counts).map(row).collect::<Vec<_>>()
    };
    shoppers.iter().flat_map(of).collect()
}

fn usable(counts: OwnCounts<'_>) -> impl Iterator<Item = (u16, u16, f64)> {
    let sound = |(from, to, weight): &(u16, u16, f64)| {
        *from < SYMBOLS_MAX && *to < SYMBOLS_MAX && weight.is_finite() && *weight > 0.0
    };
    counts.iter().copied().filter(sound)
}

impl LeftOut {
    /// Its probability, level by level as [`super::Chain::next`] has it.
    fn of_everybody(&self, uniform: f64, params: &Params) -> f64 {
        self.global.on(self.marginal.on(uniform, params.uniform), params.global)
    }

    fn of_shopper(&self, uniform: f64, params: &Params) -> f64 {
        self.own.on(self.habit.on(self.of_everybody(uniform, params), params.habit), params.own)
    }
}

impl Seen {
    /// Of counts with one of `weight` that is left out once: what faded to less than one is left out whole.
    fn without(symbol: f64, all: f64, weight: f64) -> Self {
        let once = weight.min(1.0);
        Self { symbol: (symbol - once).max(0.0), all: (all - once).max(0.0) }
    }

    fn on(self, above: f64, leaning: f64) -> f64 {
        (self.symbol + leaning * above) / (self.all + leaning)
    }
}

impl Sums {
    fn add(&mut self, (from, to, weight): (u16, u16, f64)) {
        *self.pairs.entry((from, to)).or_default() += weight;
        *self.from.entry(from).or_default() += weight;
        *self.to.entry(to).or_default() += weight;
        self.all += weight;
    }

    fn of_symbol(&self, (_, to, weight): (u16, u16, f64)) -> Seen {
        Seen::without(self.to.get(&to).copied().unwrap_or_default(), self.all, weight)
    }

    fn of_pair(&self, (from, to, weight): (u16, u16, f64)) -> Seen {
        let pair = self.pairs.get(&(from, to)).copied().unwrap_or_default();
        Seen::without(pair, self.from.get(&from).copied().unwrap_or_default(), weight)
    }
}
