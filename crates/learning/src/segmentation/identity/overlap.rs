//! Overlap of new clusters and old segments in a panel of users: counts and Jaccard overlaps by index.

use ndarray::Array2;
use portrait_profile::SegmentId;
use std::collections::HashMap;

/// Counts by cluster (row) and old segment (column).
pub(super) struct OverlapTable {
    shared: Array2<u64>,
    /// Members of each cluster, with or without an old segment.
    clusters: Vec<u64>,
    /// Members of each old segment, in any cluster.
    segments: Vec<u64>,
}

impl OverlapTable {
    /// Counts users; user `i` was in `old[i]` and is in `new[i]`.
    pub(super) fn count(old: &[Option<SegmentId>], new: &[u32], clusters: usize, live: &[SegmentId]) -> Self {
        // Reversed, so that the first of two equal ids is kept.
        let indices: HashMap<SegmentId, usize> =
            live.iter().enumerate().rev().map(|(index, id)| (*id, index)).collect();
        let mut panel = Self {
            shared: Array2::zeros((clusters, live.len())),
            clusters: vec![0; clusters],
            segments: vec![0; live.len()],
        };
        for (old, new) in old.iter().zip(new) {
            let segment = old.and_then(|id| indices.get(&id).copied());
            let cluster = usize::try_from(*new).ok().filter(|cluster| *cluster < clusters);
            // Each side is counted alone, too: users who left or who are new make the overlap smaller.
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

    /// Jaccard overlap: members in both divided by members in either; 0 if there are none.
    pub(super) fn jaccard(&self, cluster: usize, segment: usize) -> f64 {
        let shared = self.shared[[cluster, segment]];
        let either = self.clusters[cluster] + self.segments[segment] - shared;
        if either == 0 { 0.0 } else { shared as f64 / either as f64 }
    }

    /// Jaccard overlaps of all pairs, `clusters x segments`.
    pub(super) fn overlaps(&self) -> Array2<f64> {
        Array2::from_shape_fn(self.shared.dim(), |(cluster, segment)| self.jaccard(cluster, segment))
    }

    /// Segments with at least half of their members in the cluster, the largest source first.
    pub(super) fn absorbed(&self, cluster: usize) -> Vec<usize> {
        let shared = self.shared.row(cluster);
        let mut absorbed: Vec<usize> = (0..self.segments.len())
            .filter(|segment| shared[*segment] > 0 && 2 * shared[*segment] >= self.segments[*segment])
            .collect();
        absorbed.sort_by_key(|segment| std::cmp::Reverse(shared[*segment]));
        absorbed
    }

    /// Segment that at least half of the cluster's members were in.
    pub(super) fn main_source(&self, cluster: usize) -> Option<usize> {
        // Of two exact halves the first in the old model's order.
        (0..self.segments.len()).find(|segment| {
            let shared = self.shared[[cluster, *segment]];
            shared > 0 && 2 * shared >= self.clusters[cluster]
        })
    }

    /// Clusters of a segment's members, the one with most of them first.
    pub(super) fn destinations(&self, segment: usize) -> impl Iterator<Item = usize> {
        let shared = self.shared.column(segment);
        let mut clusters: Vec<usize> =
            (0..self.clusters.len()).filter(|cluster| shared[*cluster] > 0).collect();
        clusters.sort_by_key(|cluster| std::cmp::Reverse(shared[*cluster]));
        clusters.into_iter()
    }
}
