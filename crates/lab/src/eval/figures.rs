//! Figures of an evaluation with their 95% confidence intervals, by resampling users (paired bootstrap: Efron and
//! Tibshirani, "An Introduction to the Bootstrap", 1993, section 8.3).

use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use serde::Serialize;
use std::collections::BTreeMap;

/// Resamples of the bootstrap.
const DRAWS: usize = 400;
/// Outcomes below which no comparison is reported.
const OUTCOMES_MIN: usize = 50;

/// Report of the evaluation of a log.
#[derive(Debug, Serialize)]
pub(super) struct EvalReport {
    pub(super) log: String,
    pub(super) events: usize,
    pub(super) users: usize,
    pub(super) days: f64,
    pub(super) subjects: Vec<SubjectReport>,
    /// Stability of segments; none for a log with too few users.
    pub(super) segments: Option<Stability>,
}

/// Figures for items, or for categories.
#[derive(Debug, Serialize)]
pub(super) struct SubjectReport {
    pub(super) subject: &'static str,
    pub(super) hit_top: usize,
    pub(super) items: usize,
    pub(super) targets: usize,
    pub(super) users: usize,
    /// Share of targets that the user had interacted with before.
    pub(super) repeat_share: f64,
    /// Figures by age of the profile, live first.
    pub(super) ages: Vec<AgeFigures>,
    /// Figures of each recommendation part alone, and of baselines.
    pub(super) parts: Vec<PartFigures>,
    /// Reliability diagram of the live profile: groups of targets by predicted probability, ascending.
    pub(super) calibration: Vec<Reliability>,
}

/// Figures of the profiles of one age.
#[derive(Debug, Serialize)]
pub(super) struct AgeFigures {
    pub(super) age: String,
    pub(super) recall: ConfidenceInterval,
    pub(super) ndcg: f64,
    /// Mean negative log-likelihood of the item that followed, in nats; a uniform prediction has the logarithm of the
    /// number of items. None if the scores were not calibrated.
    pub(super) log_loss: Option<ConfidenceInterval>,
    /// Expected calibration error of the top-rank probability, in ten bins of equal width.
    pub(super) calibration_error: Option<f64>,
    /// Share of targets whose user has a non-empty profile of this age.
    pub(super) known: f64,
    /// Comparison with live on targets where this profile is not empty.
    pub(super) matched: Option<LiveStaleComparison>,
    /// Comparison on items that the user had not interacted with.
    pub(super) new: Option<LiveStaleComparison>,
    /// Comparison on items that the user had interacted with.
    pub(super) repeat: Option<LiveStaleComparison>,
    /// Control of `matched`: each user's later events are shuffled over the same times.
    pub(super) control: Option<LiveStaleComparison>,
}

/// Figures of one way to recommend from a live profile, compared with the served one.
#[derive(Debug, Serialize)]
pub(super) struct PartFigures {
    pub(super) name: &'static str,
    pub(super) recall: ConfidenceInterval,
    pub(super) ndcg: f64,
    /// Recall of the served recommendation minus that of this one.
    pub(super) served_less_this: Option<ConfidenceInterval>,
    /// Served (as live) against this one (as stale), on items that the user had not interacted with.
    pub(super) new: Option<LiveStaleComparison>,
    /// Comparison on items that the user had interacted with.
    pub(super) repeat: Option<LiveStaleComparison>,
}

/// Group of targets with about the same predicted probability.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Reliability {
    /// Mean predicted probability of a hit.
    pub(super) predicted: f64,
    /// Observed share of hits.
    pub(super) observed: ConfidenceInterval,
    pub(super) targets: usize,
}

/// Stability of segments between two trainings.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Stability {
    /// Segments of the first training.
    pub(super) segments: usize,
    /// Segments of the first training that the second one retains.
    pub(super) retained_segments: usize,
    /// Days between the trainings.
    pub(super) days: f64,
    /// Same profiles, assigned by the first model and by the second.
    pub(super) retrained: Retention,
    /// Users of the first training, then and at the second one: users whose behaviour changes move as well.
    pub(super) over_time: Retention,
}

/// Share of users who keep their segment.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Retention {
    pub(super) users: usize,
    pub(super) share: ConfidenceInterval,
    /// Adjusted Rand index of the two partitions, independent of segment names.
    pub(super) agreement: ConfidenceInterval,
}

/// Comparison of live with stale on the same targets.
#[derive(Clone, Debug, Serialize)]
pub(super) struct LiveStaleComparison {
    pub(super) targets: usize,
    pub(super) live: f64,
    pub(super) stale: f64,
    /// Ratio of live to stale; none if the stale one has no hit in some resample.
    pub(super) ratio: Option<ConfidenceInterval>,
    pub(super) difference: ConfidenceInterval,
}

/// Value with its 95% confidence interval.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct ConfidenceInterval {
    pub(super) value: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

/// Outcomes of one target under both conditions.
#[derive(Clone, Copy, Debug)]
pub(super) struct UserPair {
    pub(super) user: u32,
    pub(super) live: f64,
    pub(super) stale: f64,
}

/// Mean of `(user, value)` pairs, with an interval from resampling users.
pub(super) fn mean(outcomes: impl Iterator<Item = (u32, f64)>, seed: u64) -> ConfidenceInterval {
    let pairs: Vec<UserPair> = outcomes.map(|(user, live)| UserPair { user, live, stale: 0.0 }).collect();
    let sums = BootstrapSums::of(&pairs);
    let whole = sums.whole();
    interval(
        whole.live / whole.count.max(1.0),
        sums.draws(seed).map(|draw_sums| draw_sums.live / draw_sums.count),
    )
}

/// Comparison of live with stale; none for fewer than [`OUTCOMES_MIN`] pairs.
pub(super) fn compare(pairs: &[UserPair], seed: u64) -> Option<LiveStaleComparison> {
    if pairs.len() < OUTCOMES_MIN {
        return None;
    }
    // Live and stale are resampled together: pairing removes the variance between users from the difference.
    let sums = BootstrapSums::of(pairs);
    let whole = sums.whole();
    let draw_sums: Vec<BootstrapDraw> = sums.draws(seed).collect();
    let ratio = draw_sums.iter().all(|draw_sums| draw_sums.stale > 0.0).then(|| {
        interval(whole.live / whole.stale, draw_sums.iter().map(|draw_sums| draw_sums.live / draw_sums.stale))
    });
    Some(LiveStaleComparison {
        targets: pairs.len(),
        live: whole.live / whole.count,
        stale: whole.stale / whole.count,
        ratio,
        difference: interval(whole.difference(), draw_sums.iter().map(BootstrapDraw::difference)),
    })
}

/// Bootstrap of a figure of `count` users, who are given by index; a resample may repeat an index.
pub(super) fn bootstrap(count: usize, figure: impl Fn(&[usize]) -> f64, seed: u64) -> ConfidenceInterval {
    let mut rng = StdRng::seed_from_u64(seed);
    let all: Vec<usize> = (0..count).collect();
    let mut draw = || -> Vec<usize> { all.iter().map(|_| rng.random_range(0..count)).collect() };
    // The figure of all users is the value; resamples only give the interval.
    let draws: Vec<f64> = (0..if count == 0 { 0 } else { DRAWS }).map(|_| figure(&draw())).collect();
    interval(figure(&all), draws.into_iter())
}

/// Sums of each user.
struct BootstrapSums(Vec<BootstrapDraw>);

/// Sums over the users of one resample.
#[derive(Clone, Copy, Debug, Default)]
struct BootstrapDraw {
    live: f64,
    stale: f64,
    count: f64,
}

impl BootstrapDraw {
    fn add(&mut self, other: &Self) {
        self.live += other.live;
        self.stale += other.stale;
        self.count += other.count;
    }

    /// Mean of live minus stale.
    fn difference(&self) -> f64 {
        (self.live - self.stale) / self.count
    }
}

impl BootstrapSums {
    fn of(pairs: &[UserPair]) -> Self {
        // Users are resampled, not events: the events of one user are not independent.
        let mut sums: BTreeMap<u32, BootstrapDraw> = BTreeMap::new();
        for pair in pairs {
            let outcome = BootstrapDraw { live: pair.live, stale: pair.stale, count: 1.0 };
            sums.entry(pair.user).or_default().add(&outcome);
        }
        Self(sums.into_values().collect())
    }

    fn whole(&self) -> BootstrapDraw {
        let mut whole = BootstrapDraw::default();
        self.0.iter().for_each(|sums| whole.add(sums));
        whole
    }

    /// Resamples of as many users as there are, with replacement.
    fn draws(&self, seed: u64) -> impl Iterator<Item = BootstrapDraw> {
        let mut rng = StdRng::seed_from_u64(seed);
        (0..if self.0.is_empty() { 0 } else { DRAWS }).map(move |_| self.draw(&mut rng))
    }

    fn draw(&self, rng: &mut impl Rng) -> BootstrapDraw {
        let mut draw_sums = BootstrapDraw::default();
        for _ in 0..self.0.len() {
            draw_sums.add(&self.0[rng.random_range(0..self.0.len())]);
        }
        draw_sums
    }
}

fn interval(value: f64, draws: impl Iterator<Item = f64>) -> ConfidenceInterval {
    let mut draws: Vec<f64> = draws.collect();
    // Percentile interval: it needs no assumption on the distribution of the figure.
    draws.sort_by(f64::total_cmp);
    // Without draws the interval collapses to the value.
    let at = |share: f64| draws.get((share * draws.len() as f64) as usize).copied().unwrap_or(value);
    ConfidenceInterval { value, low: at(0.025), high: at(0.975) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_resampled_and_not_events() {
        // One user has nearly all events: the interval is as wide as that user's luck.
        let pair = |user: u32, live: f64| UserPair { user, live, stale: 0.5 };
        let mut pairs = vec![pair(0, 1.0); 1000];
        pairs.extend((1..100).map(|user| pair(user, 0.0)));
        let comparison = compare(&pairs, 1).expect("enough");
        assert!((comparison.live - 1000.0 / 1099.0).abs() < 1e-12);
        assert!(comparison.difference.low < -0.4 && comparison.difference.high > 0.4, "{comparison:?}");
        assert!(compare(&pairs[..49], 1).is_none(), "too few say nothing");
    }

    #[test]
    fn a_stale_profile_without_hits_gives_no_ratio() {
        let pairs: Vec<UserPair> = (0..60).map(|user| UserPair { user, live: 1.0, stale: 0.0 }).collect();
        assert!(compare(&pairs, 1).expect("enough").ratio.is_none());
    }
}
