//! Dimension 4, relations: bounded edges to other users. For each neighbour the newest statement wins.

use crate::id::UserId;
use crate::record::{Relation, RelationKind};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Maximum number of edges of a profile, removed ones included.
pub const EDGES_MAX: usize = 64;
/// Maximum size of the edges, in bytes.
pub(crate) const EDGES_BUDGET_BYTES: usize = 2000;

/// Edges from one user, sorted by neighbour.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Social {
    edges: Vec<StatedEdge>,
}

/// Edge with the time of its statement. A weight of 0 is a removal, kept so that an older statement cannot restore the
/// edge.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct StatedEdge {
    /// User at the other end.
    pub(crate) user_id: UserId,
    /// Kind of the relation.
    pub(crate) kind: RelationKind,
    /// Strength of the relation, 0 to 1.
    pub(crate) weight: f64,
    /// Time of the statement.
    pub(crate) at: Timestamp,
}

impl StatedEdge {
    fn bytes(&self) -> usize {
        // Encoded: a length of 2 bytes, the kind, the weight of 8 and a time of at most 10.
        self.user_id.as_str().len() + 21
    }
}

impl Social {
    /// Records a statement made at `at`. Beyond the limits the weakest edge is evicted.
    pub(crate) fn set_edge(&mut self, at: Timestamp, relation: &Relation) {
        // Ingest validates weights; a record of another writer must not break the order of edges.
        let weight = if relation.weight.is_nan() { 0.0 } else { relation.weight.clamp(0.0, 1.0) };
        let stated = StatedEdge { user_id: relation.other_user_id.clone(), kind: relation.kind, weight, at };
        match self.edges.binary_search_by(|known| known.user_id.cmp(&stated.user_id)) {
            Ok(index) => {
                let known = &mut self.edges[index];
                // Of two statements at one time the larger kind and weight win, so that the order of arrival does not matter.
                let newer = (stated.at, stated.kind) > (known.at, known.kind);
                let same_but_stronger =
                    (stated.at, stated.kind) == (known.at, known.kind) && weight > known.weight;
                if newer || same_but_stronger {
                    *known = stated;
                }
            }
            Err(index) => self.edges.insert(index, stated),
        }
        self.enforce_limits();
    }

    /// Removes the edges, removed ones included, for which `is_erased` returns true, given the neighbour and the time of
    /// the statement. Returns whether any was removed.
    pub(crate) fn remove_edges(&mut self, is_erased: impl Fn(&UserId, Timestamp) -> bool) -> bool {
        let before = self.edges.len();
        self.edges.retain(|edge| !is_erased(&edge.user_id, edge.at));
        self.edges.len() < before
    }

    /// Returns the edges with a weight above 0.
    pub(crate) fn active(&self) -> impl Iterator<Item = &StatedEdge> {
        self.edges.iter().filter(|edge| edge.weight > 0.0)
    }

    fn enforce_limits(&mut self) {
        let mut bytes: usize = self.edges.iter().map(StatedEdge::bytes).sum();
        while self.edges.len() > EDGES_MAX || bytes > EDGES_BUDGET_BYTES {
            // Among equals the oldest: removals have weight 0, so they go first, and the newest removals last.
            let weakest = (0..self.edges.len()).min_by(|one, other| {
                let (one, other) = (&self.edges[*one], &self.edges[*other]);
                one.weight.total_cmp(&other.weight).then(one.at.cmp(&other.at))
            });
            let Some(weakest) = weakest else { return };
            bytes -= self.edges.remove(weakest).bytes();
        }
    }
}
