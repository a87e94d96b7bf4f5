//! Dimension 4, whom the shopper is connected to: bounded edges. For each neighbour the newest statement wins.

use crate::id::UserId;
use crate::record::{Relation, RelationKind};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// How many edges a profile keeps, removed ones included.
pub const EDGES_MAX: usize = 64;
/// How many bytes they may take.
pub(crate) const EDGES_BUDGET_BYTES: usize = 2000;

/// The edges from one shopper, sorted by neighbour.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Social {
    edges: Vec<StatedEdge>,
}

/// An edge and when it was stated; a weight of 0 is a removal, kept so that an older statement cannot bring it back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct StatedEdge {
    /// The other end.
    pub(crate) user_id: UserId,
    /// What connects them.
    pub(crate) kind: RelationKind,
    /// How strong it is, 0 to 1.
    pub(crate) weight: f64,
    /// When it was stated.
    pub(crate) at: Timestamp,
}

impl StatedEdge {
    fn bytes(&self) -> usize {
        self.user_id.as_str().len() + 21
    }
}

impl Social {
    /// Takes a statement made at `at`. Above the bounds the weakest edge gives way.
    pub(crate) fn state(&mut self, at: Timestamp, relation: &Relation) {
        let weight = if relation.weight.is_nan() { 0.0 } else { relation.weight.clamp(0.0, 1.0) };
        let stated = StatedEdge { user_id: relation.other_user_id.clone(), kind: relation.kind, weight, at };
        match self.edges.binary_search_by(|known| known.user_id.cmp(&stated.user_id)) {
            Ok(place) => {
                let known = &mut self.edges[place];
                let newer = (stated.at, stated.kind) > (known.at, known.kind);
                let same_but_stronger =
                    (stated.at, stated.kind) == (known.at, known.kind) && weight > known.weight;
                if newer || same_but_stronger {
                    *known = stated;
                }
            }
            Err(place) => self.edges.insert(place, stated),
        }
        self.enforce_limits();
    }

    /// Drops edges to those who are `gone`, removed ones too, by neighbour and when it was stated. Whether there were any.
    pub(crate) fn forget(&mut self, gone: impl Fn(&UserId, Timestamp) -> bool) -> bool {
        let before = self.edges.len();
        self.edges.retain(|edge| !gone(&edge.user_id, edge.at));
        self.edges.len() < before
    }

    /// The edges that hold.
    pub(crate) fn active(&self) -> impl Iterator<Item = &StatedEdge> {
        self.edges.iter().filter(|edge| edge.weight > 0.0)
    }

    fn enforce_limits(&mut self) {
        let mut bytes: usize = self.edges.iter().map(StatedEdge::bytes).sum();
        while self.edges.len() > EDGES_MAX || bytes > EDGES_BUDGET_BYTES {
            let strength = |index: &usize| (self.edges[*index].weight, self.edges[*index].at);
            let by_strength = |one: &usize, other: &usize| {
                let ((weight, at), (other_weight, other_at)) = (strength(one), strength(other));
                weight.total_cmp(&other_weight).then(at.cmp(&other_at))
            };
            let Some(weakest) = (0..self.edges.len()).min_by(by_strength) else { return };
            bytes -= self.edges.remove(weakest).bytes();
        }
    }
}
