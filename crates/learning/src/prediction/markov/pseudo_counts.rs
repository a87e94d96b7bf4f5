//! Choice of a chain's pseudo-counts by the leave-one-out likelihood: each count is predicted from all others (as for Dirichlet
//! smoothing by Zhai and Lafferty, "Two-Stage Language Models for Information Retrieval", SIGIR 2002, section 4.1). No chain is
//! trained for it: the probability of a left-out count follows from seven sums, which are gathered once.
//!
//! The population's pseudo-counts are chosen first, so that its chain is the best one by itself; then the user's on top of it. The
//! segment's is not chosen: segments are made of their members' actions, so a left-out count would still be in them.

use super::params::{Params, SYMBOLS_MAX};
use std::collections::HashMap;

/// Candidates for the user's levels; with the last one a level leaves everything to the level above.
const USER_PSEUDO_COUNTS: [f64; 15] =
    [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 300.0, 500.0, 1_000.0, 3_000.0, 1e4, 1e5, 1e12];
/// Candidates for the population's levels.
const GLOBAL_PSEUDO_COUNTS: [f64; 10] = [1.0, 3.0, 10.0, 20.0, 50.0, 100.0, 300.0, 1_000.0, 3_000.0, 1e4];

/// Difference of losses, in nats, that counts as a tie.
const LOSS_TIE_MAX: f64 = 1e-9;

/// Counts of one user as (from, to, decayed count), each pair once.
pub type UserCounts<'a> = &'a [(u16, u16, f64)];

/// Counts of one level without one transition: of its symbol, and of all symbols that it competes with.
#[derive(Clone, Copy)]
struct LevelCounts {
    symbol: f64,
    total: f64,
}

/// One transition of one user, with the counts of each level without it.
struct LeaveOneOut {
    /// Count of the transition, its weight in the loss.
    weight: f64,
    marginal: LevelCounts,
    global: LevelCounts,
    habit: LevelCounts,
    user: LevelCounts,
}

/// Counts of pairs, of first symbols, and of second symbols; of the population or of a user.
#[derive(Default)]
struct TransitionSums {
    pairs: HashMap<(u16, u16), f64>,
    from: HashMap<u16, f64>,
    to: HashMap<u16, f64>,
    total: f64,
}

/// Chooses the pseudo-counts with the least leave-one-out loss over the counts of `users`. The segment's pseudo-count, and all of them
/// without counts, are those of `default`. Counts that are not above 0 and symbols beyond [`SYMBOLS_MAX`] are ignored.
pub fn choose_pseudo_counts(symbols: u16, users: &[UserCounts<'_>], default: Params) -> Params {
    let rows = leave_one_out(users);
    if rows.is_empty() {
        return default;
    }
    let uniform = 1.0 / f64::from(symbols.max(1));
    let params = best(
        &GLOBAL_PSEUDO_COUNTS,
        |uniform, global| Params { uniform, global, ..default },
        |params| mean_loss(&rows, |row| row.global_probability(uniform, params)),
    );
    best(
        &USER_PSEUDO_COUNTS,
        |habit, user| Params { habit, user, ..params },
        |params| mean_loss(&rows, |row| row.user_probability(uniform, params)),
    )
}

/// Mean negative log-probability of each count, in nats, left out of all counts of a chain without segments; 0 without counts.
pub fn leave_one_out_loss(symbols: u16, users: &[UserCounts<'_>], params: &Params) -> f64 {
    let uniform = 1.0 / f64::from(symbols.max(1));
    mean_loss(&leave_one_out(users), |row| row.user_probability(uniform, params))
}

/// Pair of candidates with the least loss; among ties the largest, which smooths most.
fn best(candidates: &[f64], params: impl Fn(f64, f64) -> Params, loss: impl Fn(&Params) -> f64) -> Params {
    let largest = candidates.last().copied().unwrap_or(1.0);
    let mut best = params(largest, largest);
    let mut loss_min = loss(&best);
    for first in candidates.iter().rev() {
        for second in candidates.iter().rev() {
            let params = params(*first, *second);
            let loss = loss(&params);
            if loss < loss_min - LOSS_TIE_MAX {
                best = params;
                loss_min = loss;
            }
        }
    }
    best
}

fn mean_loss(rows: &[LeaveOneOut], probability: impl Fn(&LeaveOneOut) -> f64) -> f64 {
    let mut loss = 0.0;
    let mut weights = 0.0;
    for row in rows {
        loss -= row.weight * probability(row).ln();
        weights += row.weight;
    }
    loss / f64::max(weights, f64::MIN_POSITIVE)
}

fn leave_one_out(users: &[UserCounts<'_>]) -> Vec<LeaveOneOut> {
    // Sums of all counts first: a count is left out by subtraction.
    let mut population = TransitionSums::default();
    users.iter().flat_map(|counts| usable(counts)).for_each(|count| population.add(count));
    let mut rows = Vec::new();
    for counts in users {
        let mut user = TransitionSums::default();
        usable(counts).for_each(|count| user.add(count));
        rows.extend(usable(counts).map(|count| LeaveOneOut {
            weight: count.2,
            marginal: population.of_symbol(count),
            global: population.of_pair(count),
            habit: user.of_symbol(count),
            user: user.of_pair(count),
        }));
    }
    rows
}

fn usable(counts: UserCounts<'_>) -> impl Iterator<Item = (u16, u16, f64)> {
    counts.iter().copied().filter(|(from, to, weight)| {
        *from < SYMBOLS_MAX && *to < SYMBOLS_MAX && weight.is_finite() && *weight > 0.0
    })
}

impl LeaveOneOut {
    /// Probability by the population's levels, as in [`super::Chain::next`].
    fn global_probability(&self, uniform: f64, params: &Params) -> f64 {
        self.global.smoothed(self.marginal.smoothed(uniform, params.uniform), params.global)
    }

    fn user_probability(&self, uniform: f64, params: &Params) -> f64 {
        self.user.smoothed(
            self.habit.smoothed(self.global_probability(uniform, params), params.habit),
            params.user,
        )
    }
}

impl LevelCounts {
    /// Removes one occurrence. A count that has decayed below 1 is removed completely.
    fn excluding(symbol: f64, total: f64, weight: f64) -> Self {
        // Sums of decayed counts are rounded. A rest below 0 could make a probability negative, and the loss
        // NaN.
        let once = weight.min(1.0);
        Self { symbol: (symbol - once).max(0.0), total: (total - once).max(0.0) }
    }

    /// Probability of the symbol, smoothed towards the level above.
    fn smoothed(self, above: f64, pseudo_count: f64) -> f64 {
        (self.symbol + pseudo_count * above) / (self.total + pseudo_count)
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
