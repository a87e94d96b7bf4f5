//! Stability of segments on a log: two trainings at two times, run as the model service runs them, and the share of
//! users who keep their segment. The second training starts from the first one's centroids, matches segments by their
//! members, and assigns with hysteresis. Nothing is published or named.

use super::figures::{ConfidenceInterval, Retention, Stability, bootstrap, mean};
use super::history::{EventLog, LogUser};
use anyhow::Result;
use ndarray::{Array2, ArrayView2, Axis};
use portrait_learning::Error;
use portrait_learning::evaluation::adjusted_rand_index;
use portrait_learning::segmentation::{
    KSelectionParams, Params, Space, select_k, fit, fit_warm, match_segments, means, assign_with_hysteresis,
};
use portrait_profile::{FeatureSchema, SegmentId, Timestamp};
use rayon::prelude::*;

/// Users below which no model is trained; the default of `model.rows_min`.
const USERS_MIN: usize = 200;

/// Segments of one training.
struct TrainedSegments {
    space: Space,
    /// Centroids, `k x d`, in scaled components.
    centroids: Array2<f32>,
    ids: Vec<SegmentId>,
    /// First id that was never assigned.
    next: SegmentId,
}

/// Segments of the same users before and after.
struct SegmentMoves<'a> {
    users: &'a [usize],
    before: &'a [SegmentId],
    after: &'a [SegmentId],
}

/// Measures the stability of segments between two shares of the log. None for too few users, or for users that are
/// all alike.
pub(super) fn stability(log: &EventLog, shares: (f64, f64), seed: u64) -> Result<Option<Stability>> {
    let (first, second) = (log.cut(shares.0), log.cut(shares.1));
    let params = Params { seed, ..Params::default() };
    let known = users_before(&log.users, first);
    if known.len() < USERS_MIN {
        return Ok(None);
    }
    let raw = vectors(&log.users, &known, first);
    let trained = match TrainedSegments::first(raw.view(), &params) {
        Err(Error::Alike { .. }) => return Ok(None),
        trained => trained?,
    };
    let at_first = trained.assign(raw.view(), &vec![None; known.len()]);
    // New users get the nearest segment; the others keep theirs unless another is clearly nearer.
    let all = self::users_before(&log.users, second);
    let raw = vectors(&log.users, &all, second);
    let place = |shopper: &usize| known.binary_search(shopper).ok();
    let held: Vec<Option<SegmentId>> =
        all.iter().map(|one| place(one).map(|place| at_first[place])).collect();
    let before = trained.assign(raw.view(), &held);
    let held: Vec<Option<SegmentId>> = before.iter().copied().map(Some).collect();
    let again = trained.retrain(raw.view(), &held, &params)?;
    let after = again.assign(raw.view(), &held);
    let still: Vec<SegmentId> =
        all.iter().zip(&after).filter_map(|(one, after)| place(one).map(|_| *after)).collect();
    Ok(Some(Stability {
        segments: trained.ids.len(),
        retained_segments: again.ids.iter().filter(|id| trained.ids.contains(id)).count(),
        days: second.since(first).as_days_f64(),
        retrained: SegmentMoves { users: &all, before: &before, after: &after }.retention(seed),
        over_time: SegmentMoves { users: &known, before: &at_first, after: &still }.retention(seed),
    }))
}

/// Indices of the users with an event before a timestamp.
fn users_before(shoppers: &[LogUser], at: Timestamp) -> Vec<usize> {
    (0..shoppers.len()).filter(|one| shoppers[*one].records[0].occurred_at < at).collect()
}

/// Raw feature vectors at a timestamp, `n x d`, one row for each of `users`.
fn vectors(shoppers: &[LogUser], whose: &[usize], at: Timestamp) -> Array2<f32> {
    let width = FeatureSchema::current().components().len();
    let of = |shopper: &usize| {
        let shopper = &shoppers[*shopper];
        let before = shopper.records.partition_point(|record| record.occurred_at < at);
        shopper.profile(before).features_at(at)
    };
    let rows: Vec<Vec<f32>> = whose.par_iter().map(of).collect();
    Array2::from_shape_fn((rows.len(), width), |(row, column)| rows[row][column])
}

impl TrainedSegments {
    /// First training: chooses the number of segments from the data.
    fn first(raw: ArrayView2<'_, f32>, params: &Params) -> Result<Self, Error> {
        let (space, scaled) = Space::fit(raw, FeatureSchema::current())?;
        let rows = space.coordinates_of_rows(scaled.view());
        let choice =
            select_k(rows.view(), &KSelectionParams { params: params.clone(), ..KSelectionParams::default() })?;
        let found = fit(rows.view(), choice.k, params)?;
        let centroids = means(scaled.view(), &found.labels, choice.k);
        let ids: Vec<SegmentId> = (1..=choice.k as u32).map(SegmentId::new).collect();
        Ok(Self { space, centroids, ids, next: SegmentId::new(choice.k as u32 + 1) })
    }

    /// Later training: starts from these segments, to which `assigned` users belong, and keeps their ids.
    fn retrain(
        &self,
        raw: ArrayView2<'_, f32>,
        held: &[Option<SegmentId>],
        params: &Params,
    ) -> Result<Self, Error> {
        let (space, scaled) = Space::fit(raw, FeatureSchema::current())?;
        let rows = space.coordinates_of_rows(scaled.view());
        let live = space.convert_centroids(&self.space, self.centroids.view());
        let found = fit_warm(rows.view(), live.view(), params)?;
        let clusters = live.nrows();
        let matching = match_segments(held, &found.labels, clusters, &self.ids, self.next);
        let centroids = means(scaled.view(), &found.labels, clusters);
        let ids = matching.segments.into_iter().map(|matched| matched.id).collect();
        Ok(Self { space, centroids, ids, next: matching.next })
    }

    /// Assigns each row to a segment, with hysteresis for rows that already have one.
    fn assign(&self, raw: ArrayView2<'_, f32>, held: &[Option<SegmentId>]) -> Vec<SegmentId> {
        let rows = self.space.coordinates_of_rows(self.space.scaler().scale(raw).view());
        let centroids = self.space.coordinates_of_rows(self.centroids.view());
        let of = |(row, held): (ndarray::ArrayView1<'_, f32>, &Option<SegmentId>)| {
            let own = held.and_then(|id| self.ids.iter().position(|known| *known == id));
            let found = assign_with_hysteresis(&row.to_vec(), centroids.view(), own);
            self.ids[found.map_or(0, |(index, _)| index)]
        };
        rows.axis_iter(Axis(0)).zip(held).map(of).collect()
    }
}

impl SegmentMoves<'_> {
    fn retention(&self, seed: u64) -> Retention {
        let same =
            self.before.iter().zip(self.after).map(|(before, after)| f64::from(u8::from(before == after)));
        let whose = self.users.iter().map(|shopper| *shopper as u32);
        let labels = |of: &[SegmentId], rows: &[usize]| -> Vec<u32> {
            rows.iter().map(|row| of[*row].get()).collect()
        };
        let agreement =
            |rows: &[usize]| adjusted_rand_index(&labels(self.before, rows), &labels(self.after, rows));
        let agreement: ConfidenceInterval = bootstrap(self.users.len(), agreement, seed);
        Retention { users: self.users.len(), share: mean(whose.zip(same), seed), agreement }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::testing::{record, event};
    use portrait_profile::{Action, Event, TimeDelta};

    /// Users of four kinds, who view, buy, search and add to the cart to different degrees; some change their kind
    /// half-way.
    fn shop(shoppers: u32, changed: u32) -> EventLog {
        const LIKED: [Action; 4] = [Action::View, Action::Purchase, Action::Search, Action::AddToCart];
        let of = |user: u32| {
            let does = |step: u32| {
                let kind = if step >= 33 && user < changed { user + 1 } else { user };
                let often =
                    if step.is_multiple_of(7) { Action::View } else { LIKED[(kind % 4) as usize].clone() };
                let minutes = i64::from(step) * 1_000 + i64::from(user);
                let price = (often == Action::Purchase).then_some(20.0);
                let at = Timestamp::EPOCH.plus(TimeDelta::from_minutes(minutes));
                record(user, at, Event { price, ..event(often) })
            };
            (0..60).map(does).collect()
        };
        EventLog::of((0..shoppers).map(of).collect(), 1).expect("it has events")
    }

    #[test]
    fn users_with_unchanged_behaviour_keep_their_segment_and_others_move() {
        let steady = stability(&shop(400, 0), (0.55, 0.7), 1).expect("it trains").expect("enough");
        assert_eq!(steady.retained_segments, steady.segments);
        // Users within a kind differ by noise only, and there are more segments than kinds.
        assert!(steady.retrained.share.value > 0.75 && steady.over_time.share.value > 0.6, "{steady:?}");
        assert!(steady.over_time.agreement.value > 0.5, "{steady:?}");
        let changing = stability(&shop(400, 200), (0.55, 0.95), 1).expect("it trains").expect("enough");
        assert!(changing.over_time.share.value < steady.over_time.share.value - 0.1, "{changing:?}");
        assert!(stability(&shop(100, 0), (0.55, 0.7), 1).expect("it trains").is_none(), "too few");
    }
}
