//! Identity of segments across models: new clusters are matched to old segments by the overlap of their members in a panel of users. A
//! segment keeps its id while most of its members stay together; centroids are not compared, since they move with the scaler. An id is
//! never reused for other users.

mod assignment;
mod overlap;

use crate::segmentation::kmeans::nearest;
use ndarray::{ArrayView1, ArrayView2};
use portrait_profile::SegmentId;
use serde::{Deserialize, Serialize};

pub use assignment::hungarian;
use overlap::OverlapTable;

/// Factor by which another centroid must be nearer before a user moves: by a tenth, so that a user between two segments does not
/// change back and forth with every event.
pub const HYSTERESIS: f32 = 0.9;

/// Least Jaccard overlap of a cluster with the segment that it continues. Each half of an evenly split segment has an overlap of 1/2,
/// and four equal segments merged into one have 1/4 each: those continue. Random labels of three or more equal segments overlap by 1/5
/// or less (`1 / (2k - 1)` for `k`): those do not. Two of equal size at the limit share two fifths of their members.
const OVERLAP_MIN: f64 = 0.25;

/// Relation of a cluster to the segments of the previous model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// New cluster without a main source.
    New,
    /// Members are those of the segment with the same id.
    Kept,
    /// At least half of the members come from one segment, which continues in another cluster.
    Split {
        /// Segment that the members come from.
        from: SegmentId,
    },
    /// Members are at least half of several segments, or those of the segment with the same id and at least half of another one that
    /// ended.
    Merged {
        /// Merged segments without that of the same id, the largest source first.
        from: Vec<SegmentId>,
    },
}

/// Segment of one cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MatchedSegment {
    /// Id of the segment, kept or new.
    pub id: SegmentId,
    /// Relation to the previous segments.
    pub origin: Origin,
    /// Jaccard overlap with the previous segment of that id, 0 to 1; 0 for a new id.
    pub overlap: f64,
}

/// Matching of new clusters to old segments.
///
/// ```
/// use portrait_learning::segmentation::{Origin, match_segments};
/// use portrait_profile::SegmentId;
///
/// let [one, two] = [SegmentId::new(1), SegmentId::new(2)];
/// // Six users: the old segment and the new cluster of each.
/// let before = [one, one, one, two, two, two].map(Some);
/// let now = [1, 1, 1, 0, 0, 2];
/// let matching = match_segments(&before, &now, 3, &[one, two], SegmentId::new(3));
///
/// let ids: Vec<u32> = matching.segments.iter().map(|segment| segment.id.get()).collect();
/// assert_eq!(ids, [2, 1, 3], "ids stay with the users; the new cluster gets a new id");
/// assert_eq!(matching.segments[1].origin, Origin::Kept);
/// assert_eq!(matching.segments[2].origin, Origin::Split { from: two });
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SegmentMatching {
    /// Segments by cluster index.
    pub segments: Vec<MatchedSegment>,
    /// Segments that ended, in the old model's order, each with the segments that its members are in now, largest part first.
    pub retired: Vec<(SegmentId, Vec<SegmentId>)>,
    /// First id that was never assigned.
    pub next: SegmentId,
}

/// Returns true if a user at `distance_new` from another centroid and at `distance_old` from the present one moves; false for NaN.
pub fn switches(distance_new: f32, distance_old: f32) -> bool {
    distance_new < HYSTERESIS * distance_old
}

/// Assigns a point to one of `centroids` (`k x axes`): the nearest, or that of the row `assigned` unless another one is nearer by a
/// tenth. Returns its index and distance; `None` without centroids.
pub fn assign_with_hysteresis(
    point: &[f32],
    centroids: ArrayView2<'_, f32>,
    assigned: Option<usize>,
) -> Option<(usize, f32)> {
    let nearest = nearest(point, centroids)?;
    let kept = assigned
        .filter(|index| *index < centroids.nrows())
        .map(|index| (index, distance(point, centroids.row(index))))
        .filter(|(index, distance)| *index == nearest.index || !switches(nearest.distance, *distance));
    Some(kept.unwrap_or((nearest.index, nearest.distance)))
}

/// Euclidean distance of a point to a centroid.
pub(crate) fn distance(point: &[f32], centroid: ArrayView1<'_, f32>) -> f32 {
    point.iter().zip(centroid).map(|(left, right)| (left - right).powi(2)).sum::<f32>().sqrt()
}

/// Matches `clusters` clusters to segments: user `i` of the panel was in `old[i]` and is in cluster `new[i]`. `live` has the ids of
/// the old model in its order, `next` is the first id never used.
///
/// Maximises the sum of the Jaccard overlaps over pairs with an overlap of at least a quarter. If the two slices differ in length the
/// rest is ignored; clusters beyond `clusters` and segments outside `live` are ignored too. Without a panel all clusters are new and
/// all segments retired.
pub fn match_segments(
    old: &[Option<SegmentId>],
    new: &[u32],
    clusters: usize,
    live: &[SegmentId],
    next: SegmentId,
) -> SegmentMatching {
    let panel = OverlapTable::count(old, new, clusters, live);
    let kept = kept_segment(&panel);
    // Above every live id too: a `next` that is too small must not give one id to two segments.
    let mut next = live.iter().map(|id| following(*id)).fold(next, SegmentId::max);
    let mut new_id = || {
        let id = next;
        next = following(id);
        id
    };
    let ids: Vec<SegmentId> =
        kept.iter().map(|segment| segment.map_or_else(&mut new_id, |segment| live[segment])).collect();
    let segments = (0..clusters)
        .map(|cluster| MatchedSegment {
            id: ids[cluster],
            origin: origin(&panel, cluster, &kept, live),
            overlap: kept[cluster].map_or(0.0, |segment| panel.jaccard(cluster, segment)),
        })
        .collect();
    let retired = (0..live.len())
        .filter(|segment| !kept.contains(&Some(*segment)))
        .map(|segment| (live[segment], panel.destinations(segment).map(|cluster| ids[cluster]).collect()))
        .collect();
    SegmentMatching { segments, retired, next }
}

/// Segment that each cluster continues, by its index in the old model.
fn kept_segment(panel: &OverlapTable) -> Vec<Option<usize>> {
    // A pair below the limit costs as much as no pair, so that it never displaces one above.
    let overlaps = panel.overlaps();
    let cost = overlaps.mapv(|overlap| if overlap >= OVERLAP_MIN { 1.0 - overlap } else { 1.0 });
    hungarian(cost.view())
        .into_iter()
        .enumerate()
        // The assignment pairs as many as it can; a pair below the limit is none.
        .map(|(cluster, segment)| segment.filter(|segment| overlaps[[cluster, *segment]] >= OVERLAP_MIN))
        .collect()
}

/// Origin of a cluster; `kept` has the segment that each cluster continues.
fn origin(panel: &OverlapTable, cluster: usize, kept: &[Option<usize>], live: &[SegmentId]) -> Origin {
    let mut absorbed = panel.absorbed(cluster);
    let is_continued = kept[cluster].is_some();
    if is_continued {
        // A segment that lives on in another cluster was not merged into this one.
        absorbed.retain(|segment| !kept.contains(&Some(*segment)));
    }
    // Only a segment that lives on can be split off from; one that ended was merged or scattered.
    let split = panel.main_source(cluster).filter(|segment| kept.contains(&Some(*segment)));
    let from: Vec<SegmentId> = absorbed.into_iter().map(|segment| live[segment]).collect();
    match split {
        _ if is_continued && from.is_empty() => Origin::Kept,
        _ if is_continued => Origin::Merged { from },
        Some(segment) => Origin::Split { from: live[segment] },
        None if from.len() >= 2 => Origin::Merged { from },
        None => Origin::New,
    }
}

/// Next id; four billion ids do not run out.
fn following(id: SegmentId) -> SegmentId {
    SegmentId::new(id.get().saturating_add(1))
}
