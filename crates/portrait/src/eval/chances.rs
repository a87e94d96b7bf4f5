//! How likely a recommendation is what comes next. In go scores, out go probabilities of all things: each is chosen by its worth (the
//! axiom of choice, Luce, "Individual Choice Behavior", 1959, chapter 1), which is a power of how far its score is above the least,
//!
//! ```text
//!   p_j = v_j / sum of v,    v_j = ((score_j - least) / scale + floor)^power
//! ```
//!
//! `scale` being the distance of the best score from the least: that of the shopper's own, that of the mean shopper, or the geometric
//! mean of both, since whoever did more has higher scores and is not always surer. Which, floor and power are found where what followed is
//! most likely, on events before those that are judged: a stale profile is as sure as it may be, and not as sure as if it were live.

use portrait_learning::prediction::recommend::{Blend, Continued, Recommender};
use rayon::prelude::*;
use serde::Serialize;

/// Floors that are tried, as shares of the scale: what nothing speaks for is worth so much.
const FLOORS: [f64; 4] = [1e-3, 1e-2, 1e-1, 1.0];
/// How much the shopper's own scale counts beside that of the mean.
const OWN: [f64; 3] = [0.0, 0.5, 1.0];
/// Within these the power is sought, in so many halvings.
const POWERS: (f64, f64) = (0.0, 32.0);
const HALVINGS: usize = 11;
/// Examples that it is found on at most, spread evenly over all.
const EXAMPLES_MAX: usize = 300;

/// How scores become probabilities.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Chances {
    scale: f64,
    own: f64,
    floor: f64,
    power: f64,
}

/// What a contender said of a target before it was known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    /// The negative logarithm of its probability, in nats.
    pub(super) loss: f64,
    /// The probability that it would be among the first that count as found.
    pub(super) among_first: f64,
}

/// The scores of all things of one example, and what followed.
struct Scored {
    scores: Vec<f32>,
    next: usize,
}

impl Chances {
    /// Those under which what followed the examples is most likely; none without examples, or where scores say nothing.
    pub(super) fn fit(recommender: &Recommender, blend: &Blend, examples: &[Continued]) -> Option<Self> {
        let every = examples.len().div_ceil(EXAMPLES_MAX).max(1);
        let scored = |example: &Continued| {
            let mut scores = Vec::new();
            recommender.score(&example.past, Some(blend), &mut scores);
            Scored { scores, next: example.next as usize }
        };
        let scored: Vec<Scored> = examples.par_iter().step_by(every).map(scored).collect();
        let spread = |one: &Scored| {
            let (least, most) = ends(&one.scores);
            f64::from(most - least)
        };
        let scale = scored.iter().map(spread).sum::<f64>() / scored.len().max(1) as f64;
        if !(scale.is_finite() && scale > 0.0) {
            return None;
        }
        let tried = OWN.iter().flat_map(|own| FLOORS.iter().map(|floor| (*own, *floor)));
        let fits = tried.map(|(own, floor)| {
            let chances = Self { scale, own, floor, power: 1.0 };
            let logs: Vec<Vec<f64>> = scored.par_iter().map(|one| chances.logs(&one.scores)).collect();
            let power = power(&scored, &logs);
            let loss = mean(&scored, &logs, |logs, next| -log_share(logs, next, power));
            (Self { power, ..chances }, loss)
        });
        fits.min_by(|one, other| one.1.total_cmp(&other.1)).map(|(chances, _)| chances)
    }

    /// The logarithm of each worth before it is raised to a power.
    fn logs(&self, scores: &[f32]) -> Vec<f64> {
        let (least, most) = ends(scores);
        let own = f64::from(most - least).max(self.scale * 1e-6);
        let scale = self.scale.powf(1.0 - self.own) * own.powf(self.own);
        scores.iter().map(|score| (f64::from(score - least) / scale + self.floor).ln()).collect()
    }

    /// What these scores say of a thing, of which the first `within` count as found.
    pub(super) fn tell(&self, scores: &[f32], thing: u32, within: usize) -> Told {
        let logs = self.logs(scores);
        let mut worth: Vec<f64> = logs.iter().map(|log| (self.power * log).exp()).collect();
        let all: f64 = worth.iter().sum();
        let own = worth.get(thing as usize).copied().unwrap_or_default();
        if worth.len() > within {
            worth.select_nth_unstable_by(within, |one, other| other.total_cmp(one));
            worth.truncate(within);
        }
        Told { loss: -(own / all).ln(), among_first: (worth.iter().sum::<f64>() / all).min(1.0) }
    }
}

fn ends(scores: &[f32]) -> (f32, f32) {
    let ends = (f32::INFINITY, f32::NEG_INFINITY);
    scores.iter().fold(ends, |(least, most), score| (least.min(*score), most.max(*score)))
}

fn log_share(logs: &[f64], next: usize, power: f64) -> f64 {
    let all: f64 = logs.iter().map(|log| (power * log).exp()).sum();
    power * logs[next] - all.ln()
}

/// The power at which the mean loss is least: it is convex, and its slope is the mean logarithm of worth that is expected less that
/// of what followed.
fn power(scored: &[Scored], logs: &[Vec<f64>]) -> f64 {
    let slope = |power: f64| {
        mean(scored, logs, |logs, next| {
            let (mut all, mut expected) = (0.0, 0.0);
            for log in logs {
                let worth = (power * log).exp();
                (all, expected) = (all + worth, expected + worth * log);
            }
            expected / all - logs[next]
        })
    };
    let (mut low, mut high) = POWERS;
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        if slope(middle) < 0.0 { low = middle } else { high = middle }
    }
    f64::midpoint(low, high)
}

/// Over examples, in their order, so that it is the same on every machine.
fn mean(scored: &[Scored], logs: &[Vec<f64>], of: impl Fn(&[f64], usize) -> f64 + Sync) -> f64 {
    let each: Vec<f64> = scored.par_iter().zip(logs).map(|(one, logs)| of(logs, one.next)).collect();
    each.iter().sum::<f64>() / each.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scores that are the same for all, of which thing `j` follows as often as `shares` says.
    fn scored(scores: &[f32], times: &[usize]) -> Vec<Scored> {
        let one = |next: usize| Scored { scores: scores.to_vec(), next };
        times.iter().enumerate().flat_map(|(next, times)| (0..*times).map(move |_| one(next))).collect()
    }

    #[test]
    fn the_power_is_that_by_which_things_followed() {
        // Worth of 1, 2 and 4 times the floor; chosen by their squares.
        let scored = scored(&[0.0, 1.0, 3.0], &[100, 400, 1_600]);
        let chances = Chances { scale: 1.0, own: 0.0, floor: 1.0, power: 1.0 };
        let logs: Vec<Vec<f64>> = scored.iter().map(|one| chances.logs(&one.scores)).collect();
        let found = power(&scored, &logs);
        assert!((found - 2.0).abs() < 0.02, "{found}");
    }

    #[test]
    fn probabilities_add_up_and_the_first_are_the_likeliest() {
        let chances = Chances { scale: 1.0, own: 0.0, floor: 1.0, power: 2.0 };
        let scores = [0.0, 1.0, 3.0];
        let told: Vec<Told> = (0..3).map(|thing| chances.tell(&scores, thing, 1)).collect();
        let sum: f64 = told.iter().map(|told| (-told.loss).exp()).sum();
        assert!((sum - 1.0).abs() < 1e-12, "{told:?}");
        assert!(told.iter().all(|told| (told.among_first - 16.0 / 21.0).abs() < 1e-12), "{told:?}");
        assert!((chances.tell(&scores, 0, 3).among_first - 1.0).abs() < 1e-12);
    }
}
