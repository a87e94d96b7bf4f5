//! What the people around a shopper are like. In come who knows whom, how well, and a vector for each; out goes for each the mean of
//! the vectors of those around, each weighing what the tie to them weighs. It never looks further than one tie, and never knows
//! how ties came about.
//!
//! `z_i = (sum over j of w_ij x_j) / (sum over j of w_ij)`: the mean aggregation of Hamilton, Ying and Leskovec, "Inductive
//! Representation Learning on Large Graphs", NIPS 2017, section 3.3, with weights. Each row is divided by its own sum (random
//! walk normalisation), not by the root of both ends' sums (Kipf and Welling, "Semi-Supervised Classification with Graph
//! Convolutional Networks", ICLR 2017, equation 2), so that `z_i` is a vector like any other whether few or many are around, and
//! can be worked out from the shopper's own ties alone.

use crate::error::Error;
use ndarray::parallel::prelude::*;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};

/// The most ties of one shopper that count: the heaviest.
pub const TIES_MAX: usize = 1_000;

/// Who is tied to whom: rows of (neighbour, weight).
#[derive(Clone, Debug, PartialEq)]
pub struct SocialGraph {
    /// Where each shopper's ties begin in the list, and where the last one's end.
    starts: Vec<usize>,
    /// Neighbour and weight; a shopper's by neighbour, each once.
    list: Vec<(u32, f32)>,
}

impl SocialGraph {
    /// From loose ties (from, to, weight) among `shoppers`, in any order and one way each; those of the same two are added up. Of
    /// a shopper with more than `most` only the heaviest count, of equals those of the lowest number.
    ///
    /// # Errors
    /// [`Error::Parameter`] if a tie leads beyond `shoppers`, its weight is not a finite number above 0, or `most` is not within 1
    /// to [`TIES_MAX`].
    pub fn new(shoppers: usize, mut ties: Vec<(u32, u32, f32)>, most: usize) -> Result<Self, Error> {
        let refused = |parameter, problem: String| Err(Error::Parameter { parameter, problem });
        if !(1..=TIES_MAX).contains(&most) {
            return refused("most", format!("is {most}, not within 1 to {TIES_MAX}"));
        }
        let wrong = |(from, to, weight): &&(u32, u32, f32)| {
            *from as usize >= shoppers || *to as usize >= shoppers || !(weight.is_finite() && *weight > 0.0)
        };
        if let Some((from, to, weight)) = ties.iter().find(wrong) {
            return refused("ties", format!("have one from {from} to {to} of weight {weight}"));
        }
        ties.sort_by_key(|(from, to, _)| (*from, *to));
        ties.dedup_by(|next, kept| {
            let same = (next.0, next.1) == (kept.0, kept.1);
            kept.2 += if same { next.2 } else { 0.0 };
            same
        });
        let (mut starts, mut list) = (vec![0; shoppers + 1], Vec::with_capacity(ties.len()));
        for of_one in ties.chunk_by_mut(|one, other| one.0 == other.0) {
            if of_one.len() > most {
                of_one.sort_by(|one, other| other.2.total_cmp(&one.2).then(one.1.cmp(&other.1)));
                of_one[..most].sort_by_key(|(_, to, _)| *to);
            }
            let counted = &of_one[..most.min(of_one.len())];
            starts[counted[0].0 as usize + 1] = counted.len();
            list.extend(counted.iter().map(|(_, to, weight)| (*to, *weight)));
        }
        (0..shoppers).for_each(|shopper| starts[shopper + 1] += starts[shopper]);
        Ok(Self { starts, list })
    }

    /// How many shoppers there are.
    pub fn users(&self) -> usize {
        self.starts.len() - 1
    }

    /// Who is around a shopper, and how close; nobody around one that is not known.
    pub fn of(&self, shopper: usize) -> &[(u32, f32)] {
        let (Some(start), Some(end)) = (self.starts.get(shopper), self.starts.get(shopper + 1)) else {
            return &[];
        };
        &self.list[*start..*end]
    }

    /// The mean of those around each shopper, a row each, as wide as `vectors` (a row a shopper); zeros for who has nobody.
    ///
    /// # Errors
    /// [`Error::Width`] if there are not as many vectors as shoppers; [`Error::NotFinite`] for a value in them.
    pub fn aggregate(&self, vectors: ArrayView2<f32>) -> Result<Array2<f32>, Error> {
        if vectors.nrows() != self.users() {
            return Err(Error::Width {
                what: "vectors, turned around,",
                found: vectors.nrows(),
                expected: self.users(),
            });
        }
        if let Some(((row, column), _)) = vectors.indexed_iter().find(|(_, value)| !value.is_finite()) {
            return Err(Error::NotFinite { row, column });
        }
        let mut found = Array2::zeros(vectors.dim());
        found.axis_iter_mut(Axis(0)).into_par_iter().enumerate().for_each(|(shopper, mut found)| {
            let around =
                self.of(shopper).iter().map(|(other, weight)| (vectors.row(*other as usize), *weight));
            found.assign(&mean(around, vectors.ncols()));
        });
        Ok(found)
    }
}

/// The mean of the vectors around one shopper, as [`Ties::aggregate`] has it, of vectors that were fetched for them alone. Vectors of
/// another width, or with a value or weight that is not finite, and weights that are not above 0, are left out.
pub fn mean_around<'a>(
    around: impl Iterator<Item = (ArrayView1<'a, f32>, f32)>,
    width: usize,
) -> Array1<f32> {
    let usable = |(vector, weight): &(ArrayView1<f32>, f32)| {
        let sound = vector.len() == width && vector.iter().all(|value| value.is_finite());
        sound && weight.is_finite() && *weight > 0.0
    };
    mean(around.filter(usable).take(TIES_MAX), width)
}

fn mean<'a>(around: impl Iterator<Item = (ArrayView1<'a, f32>, f32)>, width: usize) -> Array1<f32> {
    let (mut sums, mut total) = (Array1::<f64>::zeros(width), 0.0);
    for (vector, weight) in around {
        sums.zip_mut_with(&vector, |sum, value| *sum += f64::from(weight) * f64::from(*value));
        total += f64::from(weight);
    }
    sums.mapv(|sum| if total > 0.0 { (sum / total) as f32 } else { 0.0 })
}
