//! Similar users: nearest neighbours by Euclidean distance among a sample of users. Coordinates are those of the training; callers
//! re-rank the result by present coordinates.

use crate::segmentation::kmeans::squared_distance;
use portrait_profile::UserId;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// Sample of users with their coordinates in the model's space.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Lookalikes {
    ids: Vec<UserId>,
    /// Coordinates of the users, row-major `n x axes`.
    coordinates: Vec<f32>,
    axes: usize,
}

/// Error of decoding a sample.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookalikesError {
    /// The bytes are damaged.
    #[error("the sample's bytes are damaged: {0}")]
    Damaged(String),
    /// Ids and coordinates differ in number, or a coordinate is not finite.
    #[error("the sample does not fit together")]
    Inconsistent,
}

/// Neighbour, ordered by distance and then by index.
#[derive(PartialEq)]
struct Neighbour {
    squared_distance: f32,
    index: usize,
}

impl Eq for Neighbour {}

impl Ord for Neighbour {
    fn cmp(&self, other: &Self) -> Ordering {
        self.squared_distance.total_cmp(&other.squared_distance).then(self.index.cmp(&other.index))
    }
}

impl PartialOrd for Neighbour {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Lookalikes {
    /// Creates an empty sample of points with `axes` coordinates.
    pub fn new(axes: usize) -> Self {
        Self { axes, ..Self::default() }
    }

    /// Adds a user. A point with another number of coordinates, or with one that is not finite, is ignored.
    pub fn add(&mut self, id: UserId, point: &[f32]) {
        if point.len() == self.axes && point.iter().all(|value| value.is_finite()) {
            self.ids.push(id);
            self.coordinates.extend(point);
        }
    }

    /// Number of users.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Returns true for an empty sample.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Returns true if points have `axes` coordinates.
    pub(crate) fn has_axes(&self, axes: usize) -> bool {
        self.axes == axes
    }

    /// Returns the `count` users nearest to `point`, nearest first; none if `point` has another number of coordinates.
    pub fn nearest(&self, point: &[f32], count: usize) -> Vec<&UserId> {
        if point.len() != self.axes {
            return Vec::new();
        }
        // Users who were all alike in training are all as near.
        if self.axes == 0 {
            return self.ids.iter().take(count).collect();
        }
        // A bounded max-heap: one pass over the sample without sorting all of it.
        let mut nearest: BinaryHeap<Neighbour> = BinaryHeap::with_capacity(count + 1);
        for (index, other) in self.coordinates.chunks_exact(self.axes).enumerate() {
            let squared_distance = squared_distance(point, other);
            // Strictly nearer: of users at the same distance the first in the sample stays, for the same
            // answer each time.
            if nearest.len() < count
                || nearest.peek().is_some_and(|last| squared_distance < last.squared_distance)
            {
                nearest.push(Neighbour { squared_distance, index });
                if nearest.len() > count {
                    nearest.pop();
                }
            }
        }
        nearest.into_sorted_vec().into_iter().map(|neighbour| &self.ids[neighbour.index]).collect()
    }

    /// Encodes the sample with postcard.
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_extend(self, Vec::new())
            .expect("writing to memory cannot fail: every type here has a known length")
    }

    /// Decodes and checks a sample.
    ///
    /// # Errors
    /// [`LookalikesError`] for damaged bytes, or ids and coordinates that do not fit together.
    pub fn decode(bytes: &[u8]) -> Result<Self, LookalikesError> {
        let sample: Self =
            postcard::from_bytes(bytes).map_err(|error| LookalikesError::Damaged(error.to_string()))?;
        // Decoded lengths may be anything: their product must not overflow.
        let fits = sample.ids.len().checked_mul(sample.axes) == Some(sample.coordinates.len());
        if fits && sample.coordinates.iter().all(|value| value.is_finite()) {
            Ok(sample)
        } else {
            Err(LookalikesError::Inconsistent)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(index: usize) -> UserId {
        UserId::parse(&format!("u{index}")).expect("an id")
    }

    #[test]
    fn the_nearest_come_first_and_bytes_are_checked() {
        let mut sample = Lookalikes::new(2);
        (0..100).for_each(|index| sample.add(id(index), &[index as f32, 0.0]));
        sample.add(id(100), &[f32::NAN, 0.0]);
        sample.add(id(101), &[0.0]);
        let nearest: Vec<&str> = sample.nearest(&[40.2, 0.0], 3).into_iter().map(UserId::as_str).collect();
        assert_eq!(nearest, ["u40", "u41", "u39"]);
        assert_eq!(sample.nearest(&[0.0; 2], 1000).len(), 100);
        assert!(sample.nearest(&[0.0; 3], 5).is_empty());
        assert_eq!(Lookalikes::decode(&sample.encode()), Ok(sample.clone()));
        let mut alike = Lookalikes::new(0);
        (0..5).for_each(|index| alike.add(id(index), &[]));
        assert_eq!(alike.nearest(&[], 2), [&id(0), &id(1)]);
        assert_eq!(Lookalikes::decode(&alike.encode()), Ok(alike));
        let uneven = Lookalikes { axes: 3, ..sample };
        assert_eq!(Lookalikes::decode(&uneven.encode()), Err(LookalikesError::Inconsistent));
    }
}
