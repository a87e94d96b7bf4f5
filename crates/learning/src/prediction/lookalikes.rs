//! Who is like whom. In come the places of a sample of shoppers, once; in comes a place at any time, out go those of the sample who
//! are nearest. It knows how they were when the model was made: whoever asks looks at how they are now.

use crate::segmentation::kmeans::squared_distance;
use portrait_profile::UserId;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// A sample of shoppers and where they are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Lookalikes {
    ids: Vec<UserId>,
    /// Their places, one after the other.
    places: Vec<f32>,
    axes: usize,
}

/// Why bytes are no such sample.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookalikesError {
    /// They are not what was encoded.
    #[error("the sample's bytes are damaged: {0}")]
    Damaged(String),
    /// Shoppers and places do not fit together, or a place is not finite.
    #[error("the sample does not fit together")]
    Inconsistent,
}

/// Somebody near, ordered by distance.
#[derive(PartialEq)]
struct Near {
    squared: f32,
    number: usize,
}

impl Eq for Near {}

impl Ord for Near {
    fn cmp(&self, other: &Self) -> Ordering {
        self.squared.total_cmp(&other.squared).then(self.number.cmp(&other.number))
    }
}

impl PartialOrd for Near {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Lookalikes {
    /// A sample of nobody yet, of places of so many axes.
    pub fn new(axes: usize) -> Self {
        Self { axes, ..Self::default() }
    }

    /// Adds somebody; a place of another number of axes, or that is not finite, is left out.
    pub fn add(&mut self, id: UserId, place: &[f32]) {
        if place.len() == self.axes && place.iter().all(|value| value.is_finite()) {
            self.ids.push(id);
            self.places.extend(place);
        }
    }

    /// Whether nobody is in it.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Whether places are of so many axes.
    pub(crate) fn has_axes(&self, axes: usize) -> bool {
        self.axes == axes
    }

    /// At most `count` of the sample who are nearest to a place, the nearest first.
    pub fn near(&self, place: &[f32], count: usize) -> Vec<&UserId> {
        if place.len() != self.axes || self.axes == 0 {
            return Vec::new();
        }
        let mut nearest: BinaryHeap<Near> = BinaryHeap::with_capacity(count + 1);
        for (number, other) in self.places.chunks_exact(self.axes).enumerate() {
            let squared = squared_distance(place, other);
            if nearest.len() < count || nearest.peek().is_some_and(|last| squared < last.squared) {
                nearest.push(Near { squared, number });
                if nearest.len() > count {
                    nearest.pop();
                }
            }
        }
        nearest.into_sorted_vec().into_iter().map(|near| &self.ids[near.number]).collect()
    }

    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_extend(self, Vec::new())
            .expect("writing to memory cannot fail: every type here has a known length")
    }

    /// What such bytes have, checked whole.
    ///
    /// # Errors
    /// Whatever makes it unfit to be served.
    pub fn decode(bytes: &[u8]) -> Result<Self, LookalikesError> {
        let found: Self =
            postcard::from_bytes(bytes).map_err(|error| LookalikesError::Damaged(error.to_string()))?;
        let fits = found.ids.len().checked_mul(found.axes) == Some(found.places.len());
        if fits && found.places.iter().all(|value| value.is_finite()) {
            Ok(found)
        } else {
            Err(LookalikesError::Inconsistent)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: usize) -> UserId {
        UserId::parse(&format!("u{number}")).expect("an id")
    }

    #[test]
    fn the_nearest_come_first_and_bytes_are_checked() {
        let mut sample = Lookalikes::new(2);
        (0..100).for_each(|number| sample.add(id(number), &[number as f32, 0.0]));
        sample.add(id(100), &[f32::NAN, 0.0]);
        sample.add(id(101), &[0.0]);
        let near: Vec<&str> = sample.near(&[40.2, 0.0], 3).into_iter().map(UserId::as_str).collect();
        assert_eq!(near, ["u40", "u41", "u39"]);
        assert_eq!(sample.near(&[0.0; 2], 1000).len(), 100);
        assert!(sample.near(&[0.0; 3], 5).is_empty());
        assert_eq!(Lookalikes::decode(&sample.encode()), Ok(sample.clone()));
        let uneven = Lookalikes { axes: 3, ..sample };
        assert_eq!(Lookalikes::decode(&uneven.encode()), Err(LookalikesError::Inconsistent));
    }
}
