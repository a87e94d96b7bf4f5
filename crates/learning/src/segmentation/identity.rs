//! Which new cluster is which old segment. In comes, for a panel of shoppers, the segment each was in and the cluster each
//! is in now; out goes an id for every cluster and what became of every segment. A segment keeps its id while it is the same
//! people: centroids are never looked at, since they move with the scaler while the people stay. An id that was once given
//! is never given to other people.

mod assignment;
mod overlap;

use crate::segmentation::kmeans::nearest;
use ndarray::{ArrayView1, ArrayView2};
use portrait_profile::SegmentId;
use serde::{Deserialize, Serialize};

pub use assignment::hungarian;
use overlap::OverlapTable;

/// How much closer another centroid must be before a shopper moves: by a tenth, so that whoever stands between two segments
/// does not change back and forth with every event.
pub const HYSTERESIS: f32 = 0.9;

/// The least Jaccard overlap of a cluster with the segment that it continues. Each half of a segment cut evenly overlaps it
/// by 1/2, and four equal segments that become one overlap it by 1/4 each: those go on. Labels dealt at random to three or
/// more equal segments overlap by 1/5 or less (`1 / (2k - 1)` for `k`): those do not. Two of the same size at the limit share
/// two fifths of their members.
const OVERLAP_MIN: f64 = 0.25;

/// Where a cluster's people come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// From nowhere in particular.
    New,
    /// They are those of the segment of the same id.
    Kept,
    /// At least half of them were in one segment, which lives on without them.
    Split {
        /// That segment.
        from: SegmentId,
    },
    /// They hold at least half of the members of several segments, or are those of the segment of the same id with at least
    /// half of another that ended.
    Merged {
        /// The segments, without that of the same id; the one that gave most members first.
        from: Vec<SegmentId>,
    },
}

/// The segment that a cluster is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MatchedSegment {
    /// Its id.
    pub id: SegmentId,
    /// Where its people come from.
    pub origin: Origin,
    /// Jaccard overlap with the segment of that id before, between 0 and 1; 0 for a new id.
    pub overlap: f64,
}

/// What became of the old segments.
///
/// ```
/// use portrait_learning::segmentation::{Origin, match_members};
/// use portrait_profile::SegmentId;
///
/// let [one, two] = [SegmentId::new(1), SegmentId::new(2)];
/// // Six users: the segment each was in, and the cluster each is in now.
/// let before = [one, one, one, two, two, two].map(Some);
/// let now = [1, 1, 1, 0, 0, 2];
/// let matching = match_members(&before, &now, 3, &[one, two], SegmentId::new(3));
///
/// let ids: Vec<u32> = matching.segments.iter().map(|segment| segment.id.get()).collect();
/// assert_eq!(ids, [2, 1, 3], "ids stay with the people; the new cluster gets a new one");
/// assert_eq!(matching.segments[1].origin, Origin::Kept);
/// assert_eq!(matching.segments[2].origin, Origin::Split { from: two });
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SegmentMatching {
    /// The segment of each cluster, by the cluster's index.
    pub segments: Vec<MatchedSegment>,
    /// The segments that ended, in the old model's order, each with those that its members are in now, largest part first.
    pub retired: Vec<(SegmentId, Vec<SegmentId>)>,
    /// The first id that was never given.
    pub next: SegmentId,
}

/// Whether a shopper at `distance_new` from another centroid and at `distance_old` from the own one moves; never for NaN.
pub fn switches(distance_new: f32, distance_old: f32) -> bool {
    distance_new < HYSTERESIS * distance_old
}

/// Where a shopper at `place` is of `centroids`, a row each: with the nearest, or with that of the row `held` unless another is clearly
/// nearer: its index and distance. None without centroids.
pub fn assign_with_hysteresis(
    place: &[f32],
    centroids: ArrayView2<'_, f32>,
    held: Option<usize>,
) -> Option<(usize, f32)> {
    let found = nearest(place, centroids)?;
    let own = held.filter(|index| *index < centroids.nrows());
    let own = own.map(|index| (index, distance(place, centroids.row(index))));
    let stays = |own: &(usize, f32)| own.0 == found.index || !switches(found.distance, own.1);
    Some(own.filter(stays).unwrap_or((found.index, found.distance)))
}

/// The Euclidean distance of a place from a centroid.
pub(crate) fn distance(one: &[f32], other: ArrayView1<'_, f32>) -> f32 {
    one.iter().zip(other).map(|(one, other)| (one - other).powi(2)).sum::<f32>().sqrt()
}

/// Gives every one of `clusters` a segment: shopper `i` of the panel was in `old[i]` and is in cluster `new[i]`. `live` are
/// the ids of the old model in its order, `next` the first id never used.
///
/// The pairs are those whose summed Jaccard overlap is largest, over pairs of at least a quarter. Where the two slices differ
/// in length the rest is left out, a cluster beyond `clusters` is nobody's, and a segment that is not in `live` is none. With
/// no panel nothing is known: all clusters are born, all segments retired.
pub fn match_segments(
    old: &[Option<SegmentId>],
    new: &[u32],
    clusters: usize,
    live: &[SegmentId],
    next: SegmentId,
) -> SegmentMatching {
    let panel = OverlapTable::count(old, new, clusters, live);
    let continued = kept_segment(&panel);
    let mut next = live.iter().map(|id| following(*id)).fold(next, SegmentId::max);
    let mut fresh = || {
        let id = next;
        next = following(id);
        id
    };
    let ids: Vec<SegmentId> =
        continued.iter().map(|segment| segment.map_or_else(&mut fresh, |segment| live[segment])).collect();
    let is_live = |segment: usize| continued.contains(&Some(segment));
    let segments = (0..clusters)
        .map(|cluster| MatchedSegment {
            id: ids[cluster],
            origin: origin(&panel, cluster, continued[cluster], live, &is_live),
            overlap: continued[cluster].map_or(0.0, |segment| panel.jaccard(cluster, segment)),
        })
        .collect();
    let retired = (0..live.len())
        .filter(|segment| !is_live(*segment))
        .map(|segment| (live[segment], panel.destinations(segment).map(|cluster| ids[cluster]).collect()))
        .collect();
    SegmentMatching { segments, retired, next }
}

/// The segment that each cluster continues, by its index in the old model.
fn kept_segment(panel: &OverlapTable) -> Vec<Option<usize>> {
    // A pair that is no match costs as much as none, so that it never displaces one that is.
    let overlaps = panel.overlaps();
    let cost = overlaps.mapv(|overlap| if overlap >= OVERLAP_MIN { 1.0 - overlap } else { 1.0 });
    hungarian(cost.view())
        .into_iter()
        .enumerate()
        .map(|(cluster, segment)| segment.filter(|segment| overlaps[[cluster, *segment]] >= OVERLAP_MIN))
        .collect()
}

fn origin(
    panel: &OverlapTable,
    cluster: usize,
    continued: Option<usize>,
    live: &[SegmentId],
    is_live: &impl Fn(usize) -> bool,
) -> Origin {
    let named = |segments: Vec<usize>| segments.into_iter().map(|segment| live[segment]).collect();
    let absorbed = panel.absorbed(cluster);
    if continued.is_some() {
        let ended: Vec<usize> = absorbed.into_iter().filter(|segment| !is_live(*segment)).collect();
        return if ended.is_empty() { Origin::Kept } else { Origin::Merged { from: named(ended) } };
    }
    match panel.main_source(cluster).filter(|segment| is_live(*segment)) {
        Some(segment) => Origin::Split { from: live[segment] },
        None if absorbed.len() >= 2 => Origin::Merged { from: named(absorbed) },
        None => Origin::New,
    }
}

/// The id after; the last of four billion is never reached.
fn following(id: SegmentId) -> SegmentId {
    SegmentId::new(id.get().saturating_add(1))
}
