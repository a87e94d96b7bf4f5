//! The best of many things without reading all factors: scores that are near say which things may be among the best, and of those alone
//! the scores are worked out. What comes out is what would come out of all scores.

use crate::factors::Factors;
use ndarray::Array1;
use std::cmp::Ordering;

/// What is not sure of rough scores: how much taste adds to them.
pub(super) struct Rough<'a> {
    wanted: Option<Wanted<'a>>,
    /// How much each thing is wanted, about; nothing without a taste.
    latent: Vec<f32>,
    /// By how much each score may be wrong.
    doubts: Vec<f32>,
}

/// By whom things are wanted.
struct Wanted<'a> {
    factors: &'a Factors,
    taste: Array1<f32>,
    weight: f32,
}

impl<'a> Rough<'a> {
    /// Of scores in which taste has no part.
    pub(super) fn sure(things: usize) -> Self {
        Self { wanted: None, latent: Vec::new(), doubts: vec![0.0; things] }
    }

    /// Of scores to which taste adds with this weight.
    pub(super) fn of(factors: &'a Factors, taste: Array1<f32>, weight: f32) -> Self {
        let (latent, mut doubts) = factors.rough_scores(taste.view());
        doubts.iter_mut().for_each(|doubt| *doubt *= weight.abs());
        Self { wanted: Some(Wanted { factors, taste, weight }), latent, doubts }
    }

    /// How much each thing is wanted, about; nothing without a taste.
    pub(super) fn latent(&self) -> &[f32] {
        &self.latent
    }

    /// By how much each score may be wrong.
    pub(super) fn doubts(&self) -> &[f32] {
        &self.doubts
    }

    /// What the score of a thing lacks.
    pub(super) fn correction(&self, thing: u32) -> f32 {
        let Some(Wanted { factors, taste, weight }) = &self.wanted else { return 0.0 };
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
    let all = || (0..scores.len() as u32).filter(|thing| allowed(*thing));
    let mut least: Vec<f32> = all().map(|thing| scores[thing as usize] - doubts[thing as usize]).collect();
    if count == 0 || least.is_empty() {
        return Vec::new();
    }
    // So many are at least this good: whatever cannot be is none of the best.
    let place = count.min(least.len()) - 1;
    let (_, bound, _) = least.select_nth_unstable_by(place, |one, other| other.total_cmp(one));
    let may_be = |thing: &u32| {
        let most = scores[*thing as usize] + doubts[*thing as usize];
        most.total_cmp(bound) != Ordering::Less
    };
    let exact = |thing: u32| (scores[thing as usize] + correction(thing), thing);
    let mut found: Vec<(f32, u32)> = all().filter(may_be).map(exact).collect();
    found.sort_unstable_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(&other.1)));
    found.into_iter().take(count).map(|(_, thing)| thing).collect()
}
