//! Do shoppers keep their segments? In goes a log; out go two trainings as the model service does them, at two cuts of it, and how many
//! shoppers are where they were. The second training begins where the segments are, keeps their identity by their members, and
//! whoever is in a segment leaves it only for one that is clearly nearer. Nothing is published or named.

use super::figures::{Interval, Kept, Stability, drawn, mean};
use super::history::{Log, Shopper};
use anyhow::Result;
use ndarray::{Array2, ArrayView2, Axis};
use portrait_learning::Error;
use portrait_learning::evaluation::adjusted_rand_index;
use portrait_learning::segmentation::{
    ChoiceParams, Params, Space, choose_k, fit, fit_warm, match_members, means, settled,
};
use portrait_profile::{FeatureSchema, SegmentId, Timestamp};
use rayon::prelude::*;

/// Of fewer shoppers no model is trained, as `model.rows_min`.
const SHOPPERS_MIN: usize = 200;

/// What a training found.
struct Trained {
    space: Space,
    /// Of each segment, in scaled components.
    centroids: Array2<f32>,
    ids: Vec<SegmentId>,
    /// The first id that was never given.
    next: SegmentId,
}

/// Segments before and after, by shopper.
struct Moved<'a> {
    whose: &'a [usize],
    before: &'a [SegmentId],
    after: &'a [SegmentId],
}

/// How stable segments are from one share of the log to a later one; none of too few shoppers, or of such as are all alike.
pub(super) fn stability(log: &Log, shares: (f64, f64), seed: u64) -> Result<Option<Stability>> {
    let (first, second) = (log.cut(shares.0), log.cut(shares.1));
    let params = Params { seed, ..Params::default() };
    let known = known(&log.shoppers, first);
    if known.len() < SHOPPERS_MIN {
        return Ok(None);
    }
    let raw = vectors(&log.shoppers, &known, first);
    let trained = match Trained::first(raw.view(), &params) {
        Err(Error::Alike { .. }) => return Ok(None),
        trained => trained?,
    };
    let at_first = trained.assign(raw.view(), &vec![None; known.len()]);
    // Those who came since are where they are nearest; the others are held where they were.
    let all = self::known(&log.shoppers, second);
    let raw = vectors(&log.shoppers, &all, second);
    let place = |shopper: &usize| known.binary_search(shopper).ok();
    let held: Vec<Option<SegmentId>> =
        all.iter().map(|one| place(one).map(|place| at_first[place])).collect();
    let before = trained.assign(raw.view(), &held);
    let held: Vec<Option<SegmentId>> = before.iter().copied().map(Some).collect();
    let again = trained.again(raw.view(), &held, &params)?;
    let after = again.assign(raw.view(), &held);
    let still: Vec<SegmentId> =
        all.iter().zip(&after).filter_map(|(one, after)| place(one).map(|_| *after)).collect();
    Ok(Some(Stability {
        segments: trained.ids.len(),
        kept_segments: again.ids.iter().filter(|id| trained.ids.contains(id)).count(),
        days: second.since(first).as_days_f64(),
        retrained: Moved { whose: &all, before: &before, after: &after }.kept(seed),
        over_time: Moved { whose: &known, before: &at_first, after: &still }.kept(seed),
    }))
}

/// Who did anything before a moment, by their places.
fn known(shoppers: &[Shopper], at: Timestamp) -> Vec<usize> {
    (0..shoppers.len()).filter(|one| shoppers[*one].records[0].occurred_at < at).collect()
}

/// What is known of them at that moment, a row a shopper.
fn vectors(shoppers: &[Shopper], whose: &[usize], at: Timestamp) -> Array2<f32> {
    let width = FeatureSchema::current().components().len();
    let of = |shopper: &usize| {
        let shopper = &shoppers[*shopper];
        let before = shopper.records.partition_point(|record| record.occurred_at < at);
        shopper.profile(before).features_at(at)
    };
    let rows: Vec<Vec<f32>> = whose.par_iter().map(of).collect();
    Array2::from_shape_fn((rows.len(), width), |(row, column)| rows[row][column])
}

impl Trained {
    fn first(raw: ArrayView2<'_, f32>, params: &Params) -> Result<Self, Error> {
        let (space, scaled) = Space::fit(raw, FeatureSchema::current())?;
        let rows = space.places(scaled.view());
        let choice =
            choose_k(rows.view(), &ChoiceParams { params: params.clone(), ..ChoiceParams::default() })?;
        let found = fit(rows.view(), choice.k, params)?;
        let centroids = means(scaled.view(), &found.labels, choice.k);
        let ids: Vec<SegmentId> = (1..=choice.k as u32).map(SegmentId::new).collect();
        Ok(Self { space, centroids, ids, next: SegmentId::new(choice.k as u32 + 1) })
    }

    /// A training on what is known later, of shoppers who are held in these segments.
    fn again(
        &self,
        raw: ArrayView2<'_, f32>,
        held: &[Option<SegmentId>],
        params: &Params,
    ) -> Result<Self, Error> {
        let (space, scaled) = Space::fit(raw, FeatureSchema::current())?;
        let rows = space.places(scaled.view());
        let live = space.places_from(&self.space, self.centroids.view());
        let found = fit_warm(rows.view(), live.view(), params)?;
        let clusters = live.nrows();
        let matching = match_members(held, &found.labels, clusters, &self.ids, self.next);
        let centroids = means(scaled.view(), &found.labels, clusters);
        let ids = matching.segments.into_iter().map(|matched| matched.id).collect();
        Ok(Self { space, centroids, ids, next: matching.next })
    }

    /// Where shoppers are, of whom some are held by a segment.
    fn assign(&self, raw: ArrayView2<'_, f32>, held: &[Option<SegmentId>]) -> Vec<SegmentId> {
        let rows = self.space.places(self.space.scaler().scale(raw).view());
        let centroids = self.space.places(self.centroids.view());
        let of = |(row, held): (ndarray::ArrayView1<'_, f32>, &Option<SegmentId>)| {
            let own = held.and_then(|id| self.ids.iter().position(|known| *known == id));
            let found = settled(&row.to_vec(), centroids.view(), own);
            self.ids[found.map_or(0, |(index, _)| index)]
        };
        rows.axis_iter(Axis(0)).zip(held).map(of).collect()
    }
}

impl Moved<'_> {
    fn kept(&self, seed: u64) -> Kept {
        let same =
            self.before.iter().zip(self.after).map(|(before, after)| f64::from(u8::from(before == after)));
        let whose = self.whose.iter().map(|shopper| *shopper as u32);
        let labels = |of: &[SegmentId], rows: &[usize]| -> Vec<u32> {
            rows.iter().map(|row| of[*row].get()).collect()
        };
        let agreement =
            |rows: &[usize]| adjusted_rand_index(&labels(self.before, rows), &labels(self.after, rows));
        let agreement: Interval = drawn(self.whose.len(), agreement, seed);
        Kept { shoppers: self.whose.len(), share: mean(whose.zip(same), seed), agreement }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::testing::{did, event};
    use portrait_profile::{Action, Event, Span};

    /// Shoppers of four kinds, who look, buy, search and put into the cart to different degrees; some change the kind at half-time.
    fn shop(shoppers: u32, changed: u32) -> Log {
        const LIKED: [Action; 4] = [Action::View, Action::Purchase, Action::Search, Action::AddToCart];
        let of = |user: u32| {
            let does = |step: u32| {
                let kind = if step >= 33 && user < changed { user + 1 } else { user };
                let often =
                    if step.is_multiple_of(7) { Action::View } else { LIKED[(kind % 4) as usize].clone() };
                let minutes = i64::from(step) * 1_000 + i64::from(user);
                let price = (often == Action::Purchase).then_some(20.0);
                let at = Timestamp::EPOCH.plus(Span::from_minutes(minutes));
                did(user, at, Event { price, ..event(often) })
            };
            (0..60).map(does).collect()
        };
        Log::of((0..shoppers).map(of).collect(), 1).expect("it has events")
    }

    #[test]
    fn who_shops_as_before_stays_and_who_does_not_moves() {
        let steady = stability(&shop(400, 0), (0.55, 0.7), 1).expect("it trains").expect("enough");
        assert_eq!(steady.kept_segments, steady.segments);
        // Within the four kinds nothing tells shoppers apart but chance, and there are more segments than kinds.
        assert!(steady.retrained.share.value > 0.75 && steady.over_time.share.value > 0.6, "{steady:?}");
        assert!(steady.over_time.agreement.value > 0.5, "{steady:?}");
        let changing = stability(&shop(400, 200), (0.55, 0.95), 1).expect("it trains").expect("enough");
        assert!(changing.over_time.share.value < steady.over_time.share.value - 0.1, "{changing:?}");
        assert!(stability(&shop(100, 0), (0.55, 0.7), 1).expect("it trains").is_none(), "too few");
    }
}
