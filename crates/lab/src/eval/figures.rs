//! What an evaluation found: numbers with the intervals in which they lie, from drawing shoppers anew (paired bootstrap: Efron and
//! Tibshirani, "An Introduction to the Bootstrap", 1993, section 8.3). In go outcomes, out go figures.

use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use serde::Serialize;
use std::collections::BTreeMap;

/// How often shoppers are drawn anew.
const DRAWS: usize = 400;
/// Fewer outcomes say nothing.
const OUTCOMES_MIN: usize = 50;

/// Everything that was found in a log.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) log: String,
    pub(super) events: usize,
    pub(super) shoppers: usize,
    pub(super) days: f64,
    pub(super) subjects: Vec<SubjectReport>,
    /// None of too few shoppers.
    pub(super) segments: Option<Stability>,
}

/// What was found of items, or of categories.
#[derive(Debug, Serialize)]
pub(super) struct SubjectReport {
    pub(super) subject: &'static str,
    pub(super) found_within: usize,
    pub(super) things: usize,
    pub(super) targets: usize,
    pub(super) shoppers: usize,
    /// The share of targets that the shopper had before.
    pub(super) again: f64,
    /// One line for each age of the profile, live first.
    pub(super) ages: Vec<AgeFigures>,
    /// One line for each part of the recommendation on its own, and baselines.
    pub(super) parts: Vec<PartFigures>,
    /// Of the live profile, the surest last: what was told of things being among the first, and how often they were.
    pub(super) calibration: Vec<Reliability>,
}

/// A profile of one age.
#[derive(Debug, Serialize)]
pub(super) struct AgeFigures {
    pub(super) age: String,
    pub(super) recall: Interval,
    pub(super) ndcg: f64,
    /// The mean negative logarithm of the probability of what came, in nats; the logarithm of the number of things is that of who
    /// knows nothing. None where scores told nothing on the events before.
    pub(super) log_loss: Option<Interval>,
    /// How far what was told of things being among the first is from how often they were, in ten bins of equal width.
    pub(super) calibration_error: Option<f64>,
    /// The share of targets whose shopper has a profile of this age that is not empty.
    pub(super) known: f64,
    /// Against live, where this profile is not empty.
    pub(super) matched: Option<Compared>,
    /// The same, of things that the shopper had not had.
    pub(super) new: Option<Compared>,
    /// The same, of things that the shopper had had.
    pub(super) again: Option<Compared>,
    /// `matched` with each shopper's later events dealt anew over the same times.
    pub(super) control: Option<Compared>,
}

/// One way to recommend from a live profile, against what is served.
#[derive(Debug, Serialize)]
pub(super) struct PartFigures {
    pub(super) name: &'static str,
    pub(super) recall: Interval,
    pub(super) ndcg: f64,
    /// Served less this, in recall.
    pub(super) served_less_this: Option<Interval>,
    /// Served (as live) beside this (as stale), of things that the shopper had not had.
    pub(super) new: Option<Compared>,
    /// The same, of things that the shopper had had.
    pub(super) again: Option<Compared>,
}

/// Targets of which about the same was told.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Reliability {
    /// The mean probability to be among the first.
    pub(super) told: f64,
    /// The share that was.
    pub(super) found: Interval,
    pub(super) targets: usize,
}

/// Whether shoppers are where they were.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Stability {
    /// How many segments the first training found, and how many of them the second still has.
    pub(super) segments: usize,
    pub(super) kept_segments: usize,
    /// Days from the first training to the second.
    pub(super) days: f64,
    /// The same profiles by the model before and by that of the second training.
    pub(super) retrained: Kept,
    /// Those of the first training then and at the second: who shops differently moves, too.
    pub(super) over_time: Kept,
}

/// How many kept their segment.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Kept {
    pub(super) shoppers: usize,
    pub(super) share: Interval,
    /// How far the two partitions agree, whatever segments are called (adjusted Rand index).
    pub(super) agreement: Interval,
}

/// Live beside stale on the same targets.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Compared {
    pub(super) targets: usize,
    pub(super) live: f64,
    pub(super) stale: f64,
    /// None where nothing was found by the stale one in some draws.
    pub(super) ratio: Option<Interval>,
    pub(super) difference: Interval,
}

/// A number and where 95% of the draws lie.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Interval {
    pub(super) value: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

/// One target: whose, and what it gave.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair {
    pub(super) shopper: u32,
    pub(super) live: f64,
    pub(super) stale: f64,
}

/// The mean, from (shopper, value).
pub(super) fn mean(outcomes: impl Iterator<Item = (u32, f64)>, seed: u64) -> Interval {
    let pairs: Vec<Pair> = outcomes.map(|(shopper, live)| Pair { shopper, live, stale: 0.0 }).collect();
    let sums = Sums::of(&pairs);
    let whole = sums.whole();
    interval(whole.live / whole.count.max(1.0), sums.draws(seed).map(|drawn| drawn.live / drawn.count))
}

/// Live beside stale; none of too few.
pub(super) fn compared(pairs: &[Pair], seed: u64) -> Option<Compared> {
    if pairs.len() < OUTCOMES_MIN {
        return None;
    }
    let sums = Sums::of(pairs);
    let whole = sums.whole();
    let difference = |drawn: &Drawn| (drawn.live - drawn.stale) / drawn.count;
    let drawn: Vec<Drawn> = sums.draws(seed).collect();
    let ratio = drawn
        .iter()
        .all(|drawn| drawn.stale > 0.0)
        .then(|| interval(whole.live / whole.stale, drawn.iter().map(|drawn| drawn.live / drawn.stale)));
    Some(Compared {
        targets: pairs.len(),
        live: whole.live / whole.count,
        stale: whole.stale / whole.count,
        ratio,
        difference: interval(difference(&whole), drawn.iter().map(difference)),
    })
}

/// A figure of `count` shoppers, given by their places; some come more than once in a draw.
pub(super) fn drawn(count: usize, figure: impl Fn(&[usize]) -> f64, seed: u64) -> Interval {
    let mut chance = StdRng::seed_from_u64(seed);
    let all: Vec<usize> = (0..count).collect();
    let mut draw = || -> Vec<usize> { all.iter().map(|_| chance.random_range(0..count)).collect() };
    let draws: Vec<f64> = (0..if count == 0 { 0 } else { DRAWS }).map(|_| figure(&draw())).collect();
    interval(figure(&all), draws.into_iter())
}

/// Sums by shopper.
struct Sums(Vec<Drawn>);

/// Sums over some shoppers.
#[derive(Clone, Copy, Debug, Default)]
struct Drawn {
    live: f64,
    stale: f64,
    count: f64,
}

impl Drawn {
    fn add(&mut self, other: &Self) {
        self.live += other.live;
        self.stale += other.stale;
        self.count += other.count;
    }
}

impl Sums {
    fn of(pairs: &[Pair]) -> Self {
        let mut sums: BTreeMap<u32, Drawn> = BTreeMap::new();
        for pair in pairs {
            let one = Drawn { live: pair.live, stale: pair.stale, count: 1.0 };
            sums.entry(pair.shopper).or_default().add(&one);
        }
        Self(sums.into_values().collect())
    }

    fn whole(&self) -> Drawn {
        let mut whole = Drawn::default();
        self.0.iter().for_each(|one| whole.add(one));
        whole
    }

    /// As many shoppers as there are, drawn with replacement, again and again.
    fn draws(&self, seed: u64) -> impl Iterator<Item = Drawn> {
        let mut chance = StdRng::seed_from_u64(seed);
        (0..if self.0.is_empty() { 0 } else { DRAWS }).map(move |_| self.draw(&mut chance))
    }

    fn draw(&self, chance: &mut impl Rng) -> Drawn {
        let mut drawn = Drawn::default();
        for _ in 0..self.0.len() {
            drawn.add(&self.0[chance.random_range(0..self.0.len())]);
        }
        drawn
    }
}

fn interval(value: f64, draws: impl Iterator<Item = f64>) -> Interval {
    let mut draws: Vec<f64> = draws.collect();
    draws.sort_by(f64::total_cmp);
    let at = |share: f64| draws.get((share * draws.len() as f64) as usize).copied().unwrap_or(value);
    Interval { value, low: at(0.025), high: at(0.975) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shoppers_are_drawn_and_not_events() {
        // One shopper has all the events: the interval is as wide as that shopper's luck.
        let pair = |shopper: u32, live: f64| Pair { shopper, live, stale: 0.5 };
        let mut pairs = vec![pair(0, 1.0); 1000];
        pairs.extend((1..100).map(|shopper| pair(shopper, 0.0)));
        let found = compared(&pairs, 1).expect("enough");
        assert!((found.live - 1000.0 / 1099.0).abs() < 1e-12);
        assert!(found.difference.low < -0.4 && found.difference.high > 0.4, "{found:?}");
        assert!(compared(&pairs[..49], 1).is_none(), "too few say nothing");
    }

    #[test]
    fn nothing_found_by_the_stale_one_is_no_ratio() {
        let pairs: Vec<Pair> = (0..60).map(|shopper| Pair { shopper, live: 1.0, stale: 0.0 }).collect();
        assert!(compared(&pairs, 1).expect("enough").ratio.is_none());
    }
}
