//! Assignment problem: the pairing of rows and columns of a cost matrix with the least total cost. Pairs without a finite cost are used
//! only if nothing else is left.

use ndarray::{Array2, ArrayView2};

/// Bound of costs, so that sums stay finite.
const COST_MAX: f64 = 1e150;

/// Column of each row in the assignment of least total cost (Kuhn-Munkres with potentials and shortest augmenting paths, `O(n^3)`:
/// Kuhn, "The Hungarian Method for the Assignment Problem", 1955; Jonker and Volgenant, "A Shortest Augmenting Path Algorithm",
/// Computing 38, 1987). With more rows than columns some rows have no column.
///
/// NaN and positive infinity count as worse than all finite costs together; costs are clamped to ±1e150.
pub fn hungarian(cost: ArrayView2<f64>) -> Vec<Option<usize>> {
    let cost = bounded(cost);
    let (rows, columns) = cost.dim();
    // Every row that is added needs a free column; the transposed problem has the same pairs.
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
    let mut cost_min = 0.0_f64;
    let mut cost_max = 0.0_f64;
    for value in cost.iter().filter(|value| has_cost(**value)) {
        cost_min = cost_min.min(clamped(*value));
        cost_max = cost_max.max(clamped(*value));
    }
    // One such cost outweighs all that could be saved on the other rows.
    let pairs = cost.nrows().min(cost.ncols()) as f64;
    let worst = cost_max + (cost_max - cost_min + 1.0) * (pairs + 1.0);
    cost.mapv(|value| if has_cost(value) { clamped(value) } else { worst })
}

/// False for NaN, too.
fn has_cost(value: f64) -> bool {
    value < f64::INFINITY
}

fn clamped(value: f64) -> f64 {
    value.clamp(-COST_MAX, COST_MAX)
}

/// Column of each row, for at least as many columns as rows.
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

/// Optimal assignment of the rows added so far. The potentials prove it: no reduced cost `cost - row - column` is negative, and those
/// of assigned pairs are zero.
struct HungarianSearch<'a> {
    cost: &'a Array2<f64>,
    row_potential: Vec<f64>,
    column_potential: Vec<f64>,
    row_of: Vec<Option<usize>>,
}

/// Shortest paths from the new row to the columns, as far as they are known.
struct AugmentingPaths {
    distance: Vec<f64>,
    /// Previous column on the path; `None` where it starts at the new row.
    before: Vec<Option<usize>>,
    done: Vec<bool>,
}

impl HungarianSearch<'_> {
    /// Adds a row and reassigns others along the shortest augmenting path.
    fn add(&mut self, new: usize) {
        let columns = self.row_of.len();
        let mut paths = AugmentingPaths {
            distance: vec![f64::INFINITY; columns],
            before: vec![None; columns],
            done: vec![false; columns],
        };
        let mut row = new;
        let mut last = None;
        let free = loop {
            self.relax(&mut paths, row, last);
            // Never none: fewer rows than columns have been added before.
            let Some(nearest) = paths.nearest() else { return };
            // At every step, not once at the end: the path so far then costs nothing, and `relax` need not
            // add its length.
            self.shift(&mut paths, new, nearest);
            paths.done[nearest] = true;
            match self.row_of[nearest] {
                Some(assigned) => {
                    row = assigned;
                    last = Some(nearest);
                }
                None => break nearest,
            }
        };
        // Each column on the path takes the row of the column before it.
        let mut column = free;
        while let Some(before) = paths.before[column] {
            self.row_of[column] = self.row_of[before];
            column = before;
        }
        self.row_of[column] = Some(new);
    }

    /// Shortens paths over `row`, which was reached over the column `last`.
    fn relax(&self, paths: &mut AugmentingPaths, row: usize, last: Option<usize>) {
        for column in 0..self.row_of.len() {
            let reduced = self.cost[[row, column]] - self.row_potential[row] - self.column_potential[column];
            if !paths.done[column] && reduced < paths.distance[column] {
                paths.distance[column] = reduced;
                paths.before[column] = last;
            }
        }
    }

    /// Moves the potentials so that the path to `nearest` costs nothing.
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
