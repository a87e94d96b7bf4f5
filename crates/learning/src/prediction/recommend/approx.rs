//! The best of many things without reading all factors: scores that are near say which things may be among the best, and of those alone
//! the scores are worked out. What comes out is what would come out of all scores.

use crate::prediction::factors::Factors;
use ndarray::Array1;
use std::cmp::Ordering;

/// So many scores are kept at least before the lower ones are left out.
const CANDIDATES_MIN: usize = 256;

/// What is not sure of rough scores: how much taste adds to them.
pub(super) struct ApproxScores<'a> {
    query: Option<LatentQuery<'a>>,
    /// How much each thing is wanted, about; nothing without a taste.
    latent: Vec<f32>,
    /// By how much each score may be wrong.
    error_bounds: Vec<f32>,
}

/// By whom things are wanted.
struct LatentQuery<'a> {
    factors: &'a Factors,
    user: Array1<f32>,
    weight: f32,
}

impl<'a> ApproxScores<'a> {
    /// Of scores in which taste has no part.
    pub(super) fn exact(things: usize) -> Self {
        Self { query: None, latent: Vec::new(), error_bounds: vec![0.0; things] }
    }

    /// Of scores to which taste adds with this weight.
    pub(super) fn of(factors: &'a Factors, taste: Array1<f32>, weight: f32) -> Self {
        let (latent, mut doubts) = factors.approx_scores(taste.view());
        doubts.iter_mut().for_each(|doubt| *doubt *= weight.abs());
        Self { query: Some(LatentQuery { factors, user: taste, weight }), latent, error_bounds: doubts }
    }

    /// How much each thing is wanted, about; nothing without a taste.
    pub(super) fn latent(&self) -> &[f32] {
        &self.latent
    }

    /// By how much each score may be wrong.
    pub(super) fn error_bounds(&self) -> &[f32] {
        &self.error_bounds
    }

    /// The same, to be told of more things.
    pub(super) fn error_bounds_mut(&mut self) -> &mut Vec<f32> {
        &mut self.error_bounds
    }

    /// What the score of a thing lacks.
    pub(super) fn correction(&self, thing: u32) -> f32 {
        let Some(LatentQuery { factors, user: taste, weight }) = &self.query else { return 0.0 };
        let exact = factors.items().row(thing as usize).dot(taste);
        weight * (exact - self.latent[thing as usize])
    }
}

/// The places of the highest scores, highest first, of those that are `allowed`, where each may be wrong by its doubt and `correction`
/// is what it lacks.
pub(super) fn best(
    scores: &[f32],
    doubts: &[f32],
    count: usize,
    allowed: impl Fn(u32) -> bool,
    correction: impl Fn(u32) -> f32,
) -> Vec<u32> {
    let Some(bound) = bound(scores, doubts, count, &allowed) else { return Vec::new() };
    let may_be = |thing: &u32| {
        let most = scores[*thing as usize] + doubts[*thing as usize];
        most.total_cmp(&bound) != Ordering::Less && allowed(*thing)
    };
    let exact = |thing: u32| (scores[thing as usize] + correction(thing), thing);
    let mut found: Vec<(f32, u32)> = (0..scores.len() as u32).filter(may_be).map(exact).collect();
    found.sort_unstable_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(&other.1)));
    found.into_iter().take(count).map(|(_, thing)| thing).collect()
}

/// So many that are `allowed` are at least this good, or all if there are fewer: whatever cannot be is none of the best. None if there are
/// none.
fn bound(scores: &[f32], doubts: &[f32], count: usize, allowed: impl Fn(u32) -> bool) -> Option<f32> {
    let mut place = count.checked_sub(1)?;
    let mut highest: Vec<f32> = Vec::new();
    let mut bound = f32::NEG_INFINITY;
    // Of most it is seen at once that they are worse than enough others: those are neither kept nor asked about.
    for (thing, (score, doubt)) in scores.iter().zip(doubts).enumerate() {
        let least = score - doubt;
        if least.total_cmp(&bound) == Ordering::Less || !allowed(thing as u32) {
            continue;
        }
        highest.push(least);
        if highest.len() >= count.saturating_mul(2).max(CANDIDATES_MIN) {
            bound = cut(&mut highest, place);
        }
    }
    place = place.min(highest.len().checked_sub(1)?);
    Some(cut(&mut highest, place))
}

/// Keeps the highest up to that of a place, and tells it.
fn cut(values: &mut Vec<f32>, place: usize) -> f32 {
    let (_, least, _) = values.select_nth_unstable_by(place, |one, other| other.total_cmp(one));
    let least = *least;
    values.truncate(place + 1);
    least
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_are_those_of_the_true_scores_however_many_are_asked_for() {
        let things = 3_000_u32;
        let exact = |thing: u32| f32::from(u16::try_from(thing * 7_919 % 2_003).expect("small")) / 100.0;
        let off = |thing: u32| (f32::from(u16::try_from(thing * 31 % 17).expect("small")) - 8.0) / 10.0;
        let scores: Vec<f32> = (0..things).map(|thing| exact(thing) - off(thing)).collect();
        let doubts: Vec<f32> = (0..things).map(|thing| off(thing).abs() + 1e-4).collect();
        let allowed = |thing: u32| !thing.is_multiple_of(3);
        let mut all: Vec<u32> = (0..things).filter(|thing| allowed(*thing)).collect();
        all.sort_by_key(|thing| (std::cmp::Reverse((exact(*thing) * 100.0).round() as i32), *thing));
        // Of things that are alike, corrections may round differently: they are compared by what they are worth.
        let worth = |found: &[u32]| {
            found.iter().map(|thing| (exact(*thing) * 100.0).round() as i32).collect::<Vec<i32>>()
        };
        for count in [0, 1, 20, 127, 129, 1_999, 2_000, 9_000] {
            let found = best(&scores, &doubts, count, allowed, off);
            assert_eq!(worth(&found), worth(&all[..count.min(all.len())]), "{count}");
            assert!(found.iter().all(|thing| allowed(*thing)), "{count}");
        }
        assert_eq!(best(&scores, &doubts, 5, |_| false, off), []);
    }
}
