//! The panel counted: how many shoppers of each old segment are in each new cluster. In come labels, out go counts and
//! overlaps by index; no ids are given here.

use ndarray::Array2;
use portrait_profile::SegmentId;
use std::collections::HashMap;

/// Counts by cluster (row) and old segment (column).
pub(super) struct OverlapTable {
    shared: Array2<u64>,
    /// Members of each cluster, whether they were in a segment or not.
    clusters: Vec<u64>,
    /// Members of each old segment, wherever they are now.
    segments: Vec<u64>,
}

impl OverlapTable {
    /// Counts shopper `i`, who was in `old[i]` and is in `new[i]`.
    pub(super) fn count(old: &[Option<SegmentId>], new: &[u32], clusters: usize, live: &[SegmentId]) -> Self {
        let places: HashMap<SegmentId, usize> =
            live.iter().enumerate().rev().map(|(place, id)| (*id, place)).collect();
        let mut panel = Self {
            shared: Array2::zeros((clusters, live.len())),
            clusters: vec![0; clusters],
            segments: vec![0; live.len()],
        };
        for (old, new) in old.iter().zip(new) {
            let segment = old.and_then(|id| places.get(&id).copied());
            let cluster = usize::try_from(*new).ok().filter(|cluster| *cluster < clusters);
            if let Some(segment) = segment {
                panel.segments[segment] += 1;
            }
            if let Some(cluster) = cluster {
                panel.clusters[cluster] += 1;
            }
            if let (Some(cluster), Some(segment)) = (cluster, segment) {
                panel.shared[[cluster, segment]] += 1;
            }
        }
        panel
    }

    /// Members in both by members in either; 0 if there are none.
    pub(super) fn jaccard(&self, cluster: usize, segment: usize) -> f64 {
        let shared = self.shared[[cluster, segment]];
        let either = self.clusters[cluster] + self.segments[segment] - shared;
        if either == 0 { 0.0 } else { shared as f64 / either as f64 }
    }

    /// [`Self::jaccard`] of all pairs.
    pub(super) fn overlaps(&self) -> Array2<f64> {
        Array2::from_shape_fn(self.shared.dim(), |(cluster, segment)| self.jaccard(cluster, segment))
    }

    /// The segments of which the cluster holds at least half, the one that gave most first.
    pub(super) fn absorbed(&self, cluster: usize) -> Vec<usize> {
        let shared = |segment: usize| self.shared[[cluster, segment]];
        let mut absorbed: Vec<usize> = (0..self.segments.len())
            .filter(|segment| shared(*segment) > 0 && 2 * shared(*segment) >= self.segments[*segment])
            .collect();
        absorbed.sort_by_key(|segment| std::cmp::Reverse(shared(*segment)));
        absorbed
    }

    /// The segment that at least half of the cluster's members were in.
    pub(super) fn main_source(&self, cluster: usize) -> Option<usize> {
        // Of two halves the first in the old model's order.
        (0..self.segments.len()).find(|segment| {
            let shared = self.shared[[cluster, *segment]];
            shared > 0 && 2 * shared >= self.clusters[cluster]
        })
    }

    /// The clusters that a segment's members are in, the one that holds most first.
    pub(super) fn destinations(&self, segment: usize) -> impl Iterator<Item = usize> {
        let shared = self.shared.column(segment);
        let mut clusters: Vec<usize> =
            (0..self.clusters.len()).filter(|cluster| shared[*cluster] > 0).collect();
        clusters.sort_by_key(|cluster| std::cmp::Reverse(shared[*cluster]));
        clusters.into_iter()
    }
}
