//! Stability of segments on a log: two trainings at two times, run as the model service runs them, and the share of
//! users who keep their segment. The second training starts from the first one's centroids, matches segments by their
//! members, and assigns with hysteresis. Nothing is published or named.

use super::figures::{Retention, Stability, bootstrap, mean};
use super::history::{EventLog, LogUser};
use anyhow::Result;
use ndarray::{Array2, ArrayView2, Axis};
use portrait_learning::Error;
use portrait_learning::evaluation::adjusted_rand_index;
use portrait_learning::segmentation::{
    KSelectionParams, Params, Space, assign_with_hysteresis, fit, fit_warm, match_segments, means, select_k,
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
    let first_at = log.cut(shares.0);
    let second_at = log.cut(shares.1);
    // One seed for both trainings: a difference comes from the data.
    let params = Params { seed, ..Params::default() };
    let first_users = users_before(&log.users, first_at);
    if first_users.len() < USERS_MIN {
        return Ok(None);
    }
    let raw = vectors(&log.users, &first_users, first_at);
    let trained = match TrainedSegments::first(raw.view(), &params) {
        Err(Error::Alike { .. }) => return Ok(None),
        trained => trained?,
    };
    let at_first = trained.assign(raw.view(), &vec![None; first_users.len()]);
    // New users get the nearest segment; the others keep theirs unless another is clearly nearer.
    let all_users = users_before(&log.users, second_at);
    let raw = vectors(&log.users, &all_users, second_at);
    let assigned: Vec<Option<SegmentId>> = all_users
        .iter()
        .map(|user| first_users.binary_search(user).ok().map(|index| at_first[index]))
        .collect();
    let before = trained.assign(raw.view(), &assigned);
    let assigned: Vec<Option<SegmentId>> = before.iter().copied().map(Some).collect();
    let retrained = trained.retrain(raw.view(), &assigned, &params)?;
    let after = retrained.assign(raw.view(), &assigned);
    let first_users_after: Vec<SegmentId> = all_users
        .iter()
        .zip(&after)
        .filter(|(user, _)| first_users.binary_search(user).is_ok())
        .map(|(_, after)| *after)
        .collect();
    Ok(Some(Stability {
        segments: trained.ids.len(),
        retained_segments: retrained.ids.iter().filter(|id| trained.ids.contains(id)).count(),
        days: second_at.since(first_at).as_days_f64(),
        retrained: SegmentMoves { users: &all_users, before: &before, after: &after }.retention(seed),
        over_time: SegmentMoves { users: &first_users, before: &at_first, after: &first_users_after }
            .retention(seed),
    }))
}

/// Indices of the users with an event before a timestamp.
fn users_before(users: &[LogUser], at: Timestamp) -> Vec<usize> {
    (0..users.len()).filter(|index| users[*index].records[0].occurred_at < at).collect()
}

/// Raw feature vectors at a timestamp, `n x d`, one row for each of `users`.
fn vectors(log_users: &[LogUser], users: &[usize], at: Timestamp) -> Array2<f32> {
    let width = FeatureSchema::current().components().len();
    let rows: Vec<Vec<f32>> = users
        .par_iter()
        .map(|index| {
            let user = &log_users[*index];
            let before = user.records.partition_point(|record| record.occurred_at < at);
            user.profile(before).features_at(at)
        })
        .collect();
    Array2::from_shape_fn((rows.len(), width), |(row, column)| rows[row][column])
}

impl TrainedSegments {
    /// First training: chooses the number of segments from the data.
    fn first(raw: ArrayView2<'_, f32>, params: &Params) -> Result<Self, Error> {
        let (space, scaled) = Space::fit(raw, FeatureSchema::current())?;
        let rows = space.coordinates_of_rows(scaled.view());
        let selection = select_k(
            rows.view(),
            &KSelectionParams { params: params.clone(), ..KSelectionParams::default() },
        )?;
        let clusters = fit(rows.view(), selection.k, params)?;
        // In scaled units, not in coordinates: the space of the next training can convert them.
        let centroids = means(scaled.view(), &clusters.labels, selection.k);
        let ids: Vec<SegmentId> = (1..=selection.k as u32).map(SegmentId::new).collect();
        Ok(Self { space, centroids, ids, next: SegmentId::new(selection.k as u32 + 1) })
    }

    /// Later training: starts from these segments, to which `assigned` users belong, and keeps their ids.
    fn retrain(
        &self,
        raw: ArrayView2<'_, f32>,
        assigned: &[Option<SegmentId>],
        params: &Params,
    ) -> Result<Self, Error> {
        let (space, scaled) = Space::fit(raw, FeatureSchema::current())?;
        let rows = space.coordinates_of_rows(scaled.view());
        // The second training has a space of its own: old centroids are converted into it before the warm start.
        let start = space.convert_centroids(&self.space, self.centroids.view());
        let clusters = fit_warm(rows.view(), start.view(), params)?;
        let count = start.nrows();
        let matching = match_segments(assigned, &clusters.labels, count, &self.ids, self.next);
        let centroids = means(scaled.view(), &clusters.labels, count);
        let ids = matching.segments.into_iter().map(|matched| matched.id).collect();
        Ok(Self { space, centroids, ids, next: matching.next })
    }

    /// Assigns each row to a segment, with hysteresis for rows that already have one.
    fn assign(&self, raw: ArrayView2<'_, f32>, assigned: &[Option<SegmentId>]) -> Vec<SegmentId> {
        let rows = self.space.coordinates_of_rows(self.space.scaler().scale(raw).view());
        let centroids = self.space.coordinates_of_rows(self.centroids.view());
        let mut segments = Vec::with_capacity(assigned.len());
        for (row, assigned) in rows.axis_iter(Axis(0)).zip(assigned) {
            let current = assigned.and_then(|id| self.ids.iter().position(|known| *known == id));
            let nearest = assign_with_hysteresis(&row.to_vec(), centroids.view(), current);
            segments.push(self.ids[nearest.map_or(0, |(index, _)| index)]);
        }
        segments
    }
}

impl SegmentMoves<'_> {
    fn retention(&self, seed: u64) -> Retention {
        let kept =
            self.before.iter().zip(self.after).map(|(before, after)| f64::from(u8::from(before == after)));
        let users = self.users.iter().map(|user| *user as u32);
        let agreement = bootstrap(
            self.users.len(),
            |rows| adjusted_rand_index(&labels(self.before, rows), &labels(self.after, rows)),
            seed,
        );
        Retention { users: self.users.len(), share: mean(users.zip(kept), seed), agreement }
    }
}

fn labels(segments: &[SegmentId], rows: &[usize]) -> Vec<u32> {
    rows.iter().map(|row| segments[*row].get()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::testing::{event, record};
    use portrait_profile::{Action, Event, TimeDelta};

    /// Users of four kinds, who view, buy, search and add to the cart to different degrees; some change their kind
    /// half-way.
    fn shop(users: u32, changed: u32) -> EventLog {
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
        EventLog::of((0..users).map(of).collect(), 1).expect("it has events")
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
