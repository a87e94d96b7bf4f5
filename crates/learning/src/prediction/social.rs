//! Social neighbourhood: for each user the weighted mean of the vectors of directly connected users. The edges come from the caller;
//! only one step is taken.
//!
//! `z_i = (sum over j of w_ij x_j) / (sum over j of w_ij)`: mean aggregation (Hamilton, Ying and Leskovec, "Inductive Representation
//! Learning on Large Graphs", NIPS 2017, section 3.3) with weights. Each row is divided by its own sum (random walk normalisation),
//! not by the root of both ends' sums (Kipf and Welling, "Semi-Supervised Classification with Graph Convolutional Networks",
//! ICLR 2017, equation 2), so that `z_i` has the scale of a vector for any number of neighbours and needs the user's own edges only.

use crate::error::Error;
use ndarray::parallel::prelude::*;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};

/// Number of edges of one user that count at most: the heaviest.
pub const TIES_MAX: usize = 1_000;

/// Directed weighted graph of users as an adjacency list.
#[derive(Clone, Debug, PartialEq)]
pub struct SocialGraph {
    /// Start of each user's edges in the list, and the end of the last user's.
    starts: Vec<usize>,
    /// Edges as (neighbour, weight), each user's by ascending neighbour, each once.
    list: Vec<(u32, f32)>,
}

impl SocialGraph {
    /// Creates a graph of `users` from (from, to, weight) edges in any order; weights of equal edges are added. A user with more than
    /// `edges_max` edges keeps the heaviest, among equal ones those of the lowest index.
    ///
    /// # Errors
    /// [`Error::Parameter`] if an edge leads beyond `users`, its weight is not finite and above 0, or `edges_max` is not within 1 to
    /// [`TIES_MAX`].
    pub fn new(users: usize, mut edges: Vec<(u32, u32, f32)>, edges_max: usize) -> Result<Self, Error> {
        if !(1..=TIES_MAX).contains(&edges_max) {
            return Err(Error::parameter("edges_max", format!("is {edges_max}, not within 1 to {TIES_MAX}")));
        }
        let invalid = edges.iter().find(|(from, to, weight)| {
            *from as usize >= users || *to as usize >= users || !(weight.is_finite() && *weight > 0.0)
        });
        if let Some((from, to, weight)) = invalid {
            return Err(Error::parameter(
                "edges",
                format!("have one from {from} to {to} of weight {weight}"),
            ));
        }
        edges.sort_by_key(|(from, to, _)| (*from, *to));
        edges.dedup_by(|next, kept| {
            let same = (next.0, next.1) == (kept.0, kept.1);
            kept.2 += if same { next.2 } else { 0.0 };
            same
        });
        let mut starts = vec![0; users + 1];
        let mut list = Vec::with_capacity(edges.len());
        for of_user in edges.chunk_by_mut(|left, right| left.0 == right.0) {
            // Without the bound one user with a million edges would cost as much as all others.
            if of_user.len() > edges_max {
                of_user.sort_by(|left, right| right.2.total_cmp(&left.2).then(left.1.cmp(&right.1)));
                of_user[..edges_max].sort_by_key(|(_, to, _)| *to);
            }
            let counted = &of_user[..edges_max.min(of_user.len())];
            starts[counted[0].0 as usize + 1] = counted.len();
            list.extend(counted.iter().map(|(_, to, weight)| (*to, *weight)));
        }
        (0..users).for_each(|user| starts[user + 1] += starts[user]);
        Ok(Self { starts, list })
    }

    /// Number of users `n` of the graph.
    pub fn users(&self) -> usize {
        self.starts.len() - 1
    }

    /// Neighbours of a user with weights; empty for an unknown user.
    pub fn of(&self, user: usize) -> &[(u32, f32)] {
        let (Some(start), Some(end)) = (self.starts.get(user), self.starts.get(user + 1)) else {
            return &[];
        };
        &self.list[*start..*end]
    }

    /// Weighted mean of the neighbours' `vectors` (`n x d`) for each user, `n x d`; zeros for a user without neighbours.
    ///
    /// # Errors
    /// [`Error::Width`] if there are not as many vectors as users; [`Error::NotFinite`] for a value that is not finite.
    pub fn aggregate(&self, vectors: ArrayView2<f32>) -> Result<Array2<f32>, Error> {
        if vectors.nrows() != self.users() {
            return Err(Error::Width {
                what: "the transposed vectors",
                found: vectors.nrows(),
                expected: self.users(),
            });
        }
        if let Some(((row, column), _)) = vectors.indexed_iter().find(|(_, value)| !value.is_finite()) {
            return Err(Error::NotFinite { row, column });
        }
        let mut means = Array2::zeros(vectors.dim());
        // Each row is summed by one thread, in the order of the list, so that the result does not depend on
        // the threads.
        means.axis_iter_mut(Axis(0)).into_par_iter().enumerate().for_each(|(user, mut output)| {
            let neighbours =
                self.of(user).iter().map(|(other, weight)| (vectors.row(*other as usize), *weight));
            output.assign(&mean(neighbours, vectors.ncols()));
        });
        Ok(means)
    }
}

/// Weighted mean of the vectors around one user (`d`), as in [`SocialGraph::aggregate`], for vectors fetched for this user alone.
/// Vectors of another width, vectors or weights that are not finite, and weights that are not above 0 are ignored.
pub fn mean_around<'a>(
    around: impl Iterator<Item = (ArrayView1<'a, f32>, f32)>,
    width: usize,
) -> Array1<f32> {
    let usable = around.filter(|(vector, weight)| {
        let is_valid = vector.len() == width && vector.iter().all(|value| value.is_finite());
        is_valid && weight.is_finite() && *weight > 0.0
    });
    mean(usable.take(TIES_MAX), width)
}

fn mean<'a>(neighbours: impl Iterator<Item = (ArrayView1<'a, f32>, f32)>, width: usize) -> Array1<f32> {
    let mut sums = Array1::<f64>::zeros(width);
    let mut total = 0.0;
    for (vector, weight) in neighbours {
        sums.zip_mut_with(&vector, |sum, value| *sum += f64::from(weight) * f64::from(*value));
        total += f64::from(weight);
    }
    sums.mapv(|sum| if total > 0.0 { (sum / total) as f32 } else { 0.0 })
}
