//! The assignment problem. In comes a matrix of costs, out goes the pairing of its rows and columns whose summed cost is
//! least. It is never NaN that decides: what has no finite cost is paired only when nothing else is left.

use ndarray::{Array2, ArrayView2};

/// No cost counts as larger, so that sums stay finite.
const COST_MAX: f64 = 1e150;

/// The column of each row in the assignment of least total cost (Kuhn-Munkres with potentials and shortest augmenting paths,
/// `O(n^3)`: Kuhn, "The Hungarian Method for the Assignment Problem", 1955; Jonker and Volgenant, "A Shortest Augmenting Path
/// Algorithm", Computing 38, 1987). Of a matrix with more rows than columns as many rows as there are columns have one.
///
/// NaN and positive infinity count as worse than all finite costs together; costs are cut at 1e150 either way.
pub fn hungarian(cost: ArrayView2<f64>) -> Vec<Option<usize>> {
    let cost = bounded(cost);
    let (rows, columns) = cost.dim();
    if rows <= columns {
        return assign_rows(&cost).into_iter().map(Some).collect();
    }
    let mut assigned = vec![None; rows];
    for (column, row) in assign_rows(&cost.reversed_axes()).into_iter().enumerate() {
        assigned[row] = Some(column);
    }
    assigned
}

fn bounded(cost: ArrayView2<f64>) -> Array2<f64> {
    let has_cost = |value: f64| value < f64::INFINITY;
    let cut = |value: f64| value.clamp(-COST_MAX, COST_MAX);
    let finite = cost.iter().copied().filter(|value| has_cost(*value)).map(cut);
    let (least, most) =
        finite.fold((0.0_f64, 0.0_f64), |(least, most), value| (least.min(value), most.max(value)));
    // One of these outweighs whatever could be saved on all other rows.
    let pairs = cost.nrows().min(cost.ncols()) as f64;
    let worst = most + (most - least + 1.0) * (pairs + 1.0);
    cost.mapv(|value| if has_cost(value) { cut(value) } else { worst })
}

/// The column of each row; there are at least as many columns as rows.
fn assign_rows(cost: &Array2<f64>) -> Vec<usize> {
    let (rows, columns) = cost.dim();
    let mut search = HungarianSearch {
        cost,
        row_potential: vec![0.0; rows],
        column_potential: vec![0.0; columns],
        row_of: vec![None; columns],
    };
    (0..rows).for_each(|row| search.add(row));
    let mut assigned = vec![0; rows];
    for (column, row) in search.row_of.iter().enumerate() {
        if let Some(row) = row {
            assigned[*row] = column;
        }
    }
    assigned
}

/// An assignment of the first rows that is optimal. The potentials prove it: no reduced cost `cost - row - column` is negative,
/// and those of assigned pairs are zero.
struct HungarianSearch<'a> {
    cost: &'a Array2<f64>,
    row_potential: Vec<f64>,
    column_potential: Vec<f64>,
    row_of: Vec<Option<usize>>,
}

/// The shortest paths from the new row to the columns, as far as they are known.
struct AugmentingPaths {
    distance: Vec<f64>,
    /// The column before on the path; none where it starts at the new row.
    before: Vec<Option<usize>>,
    done: Vec<bool>,
}

impl HungarianSearch<'_> {
    /// Gives one more row a column, and moves others along the shortest augmenting path.
    fn add(&mut self, new: usize) {
        let columns = self.row_of.len();
        let mut paths = AugmentingPaths {
            distance: vec![f64::INFINITY; columns],
            before: vec![None; columns],
            done: vec![false; columns],
        };
        let (mut row, mut last) = (new, None);
        let free = loop {
            self.relax(&mut paths, row, last);
            let Some(nearest) = paths.nearest() else { return };
            self.shift(&mut paths, new, nearest);
            paths.done[nearest] = true;
            match self.row_of[nearest] {
                Some(taken_by) => (row, last) = (taken_by, Some(nearest)),
                None => break nearest,
            }
        };
        let mut column = free;
        while let Some(before) = paths.before[column] {
            self.row_of[column] = self.row_of[before];
            column = before;
        }
        self.row_of[column] = Some(new);
    }

    /// Looks for shorter ways over `row`, which was reached over the column `last`.
    fn relax(&self, paths: &mut AugmentingPaths, row: usize, last: Option<usize>) {
        for column in 0..self.row_of.len() {
            let reduced = self.cost[[row, column]] - self.row_potential[row] - self.column_potential[column];
            if !paths.done[column] && reduced < paths.distance[column] {
                paths.distance[column] = reduced;
                paths.before[column] = last;
            }
        }
    }

    /// Moves the potentials so that the way to `nearest` costs nothing.
    fn shift(&mut self, paths: &mut AugmentingPaths, new: usize, nearest: usize) {
        let step = paths.distance[nearest];
        self.row_potential[new] += step;
        for column in 0..self.row_of.len() {
            if !paths.done[column] {
                paths.distance[column] -= step;
            } else if let Some(row) = self.row_of[column] {
                self.row_potential[row] += step;
                self.column_potential[column] -= step;
            }
        }
    }
}

impl AugmentingPaths {
    fn nearest(&self) -> Option<usize> {
        (0..self.distance.len())
            .filter(|column| !self.done[*column])
            .min_by(|a, b| self.distance[*a].total_cmp(&self.distance[*b]))
    }
}
