//! Decision tree that gives probabilities. Grown greedily by the Gini impurity (Breiman, Friedman, Olshen and Stone, "Classification
//! and Regression Trees", 1984, chapter 4). Leaves are smoothed towards the overall share of positives (Zadrozny and Elkan,
//! "Obtaining calibrated probability estimates from decision trees", ICML 2001).
//!
//! Own code instead of `linfa-trees`, which gives classes: it merges leaves of the same majority, and with less than half positives
//! that removes most differences between probabilities. The cost of that is measured in `docs/results/models.md`.

use super::odds::probability;
use super::rows::{LabelWeights, LabelledRows};
use crate::evaluation::log_loss;
use ndarray::ArrayView1;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Candidate leaf sizes, in weight of rows.
const LEAVES: [f64; 5] = [10.0, 20.0, 40.0, 80.0, 160.0];
/// Largest depth of a tree.
pub(super) const DEPTH_MAX: usize = 10;
/// Pseudo-count of the overall share in each node.
const SMOOTHING: f64 = 2.0;

/// Hyperparameters of a tree.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct TreeShape {
    pub(super) depth: usize,
    /// Least weight of a leaf.
    pub(super) leaf: f64,
}

/// Decision tree as a list of nodes, the root first; children come after their parent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tree {
    nodes: Vec<TreeNode>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct TreeNode {
    /// Log-odds of the rows of this node.
    log_odds: f64,
    split: Option<TreeSplit>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct TreeSplit {
    column: u32,
    threshold: f32,
    /// Child of the rows at or below the threshold, and child of the others.
    below: u32,
    above: u32,
}

/// Decision on the path from the root to a leaf.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TreeStep {
    /// Column that is compared.
    pub column: usize,
    /// Threshold of the comparison.
    pub threshold: f32,
    /// Result: true if the value is above the threshold.
    pub above: bool,
    /// Change of the log-odds by this decision.
    pub log_odds: f64,
}

/// Rows of a node by column, in the order of the column's values.
type SortedColumns = Vec<Vec<u32>>;

/// Best split found for a node.
#[derive(Clone, Copy)]
struct BestSplit {
    impurity: f64,
    column: usize,
    threshold: f32,
}

/// Grows trees on the older rows and returns the best on the newest, with its hyperparameters.
pub(super) fn tuned(older: LabelledRows, newest: LabelledRows) -> (Tree, TreeShape) {
    let mut best: Option<(f64, Tree, TreeShape)> = None;
    for leaf in LEAVES {
        // Each depth is a prefix of the deepest tree, so one growth per leaf size is enough.
        let deep = grow(older, TreeShape { depth: DEPTH_MAX, leaf });
        for depth in 1..=DEPTH_MAX {
            let tree = deep.cut(depth);
            let shares: Vec<f64> =
                newest.values.outer_iter().map(|row| probability(tree.log_odds(row))).collect();
            let loss = log_loss(newest.labels, &shares);
            if best.as_ref().is_none_or(|(least, ..)| loss < *least) {
                best = Some((loss, tree, TreeShape { depth, leaf }));
            }
        }
    }
    best.map_or_else(
        || (Tree { nodes: Vec::new() }, TreeShape { depth: 1, leaf: 1.0 }),
        |(_, tree, shape)| (tree, shape),
    )
}

/// Grows a tree on all rows.
pub(super) fn grow(rows: LabelledRows, shape: TreeShape) -> Tree {
    let columns: Vec<ArrayView1<f32>> = rows.values.columns().into_iter().collect();
    let orders: SortedColumns = columns.into_par_iter().map(sorted_rows).collect();
    let weights = rows.label_weights();
    let share = weights.positive / weights.total;
    let mut grower = TreeGrower { rows, shape, share, nodes: Vec::new() };
    grower.grow(orders, 0);
    Tree { nodes: grower.nodes }
}

/// Row indices in the order of a column's values.
fn sorted_rows(column: ArrayView1<f32>) -> Vec<u32> {
    let mut order: Vec<u32> = (0..column.len() as u32).collect();
    order.sort_by(|left, right| column[*left as usize].total_cmp(&column[*right as usize]));
    order
}

struct TreeGrower<'a> {
    rows: LabelledRows<'a>,
    shape: TreeShape,
    share: f64,
    nodes: Vec<TreeNode>,
}

impl TreeGrower<'_> {
    /// Adds a node of these rows and its subtree; returns the index of the node.
    fn grow(&mut self, orders: SortedColumns, depth: usize) -> u32 {
        let mut weights = LabelWeights::default();
        orders[0].iter().for_each(|row| self.add(&mut weights, *row));
        // No leaf is certain, so that all log-odds are finite.
        let share = (weights.positive + SMOOTHING * self.share) / (weights.total + SMOOTHING);
        // Before its children, so that they come after it: decoding relies on that order.
        let index = self.nodes.len();
        self.nodes.push(TreeNode { log_odds: (share / (1.0 - share)).ln(), split: None });
        let split = if depth < self.shape.depth { self.best_split(&orders, weights) } else { None };
        if let Some(BestSplit { column, threshold, .. }) = split {
            let values = self.rows.values.column(column);
            // A partition keeps the order, so that nothing is sorted again below the root.
            let (below, above): (SortedColumns, SortedColumns) = orders
                .into_par_iter()
                .map(|order| {
                    order.into_iter().partition::<Vec<u32>, _>(|row| values[*row as usize] <= threshold)
                })
                .unzip();
            let below = self.grow(below, depth + 1);
            let above = self.grow(above, depth + 1);
            self.nodes[index].split = Some(TreeSplit { column: column as u32, threshold, below, above });
        }
        index as u32
    }

    fn add(&self, weights: &mut LabelWeights, row: u32) {
        weights.add(self.rows.labels[row as usize], self.rows.weights[row as usize]);
    }

    /// Split with the least impurity; among equal ones that of the first column.
    fn best_split(&self, orders: &SortedColumns, weights: LabelWeights) -> Option<BestSplit> {
        let splits: Vec<Option<BestSplit>> = orders
            .par_iter()
            .enumerate()
            .map(|(column, order)| self.split_column(column, order, weights))
            .collect();
        // Columns are compared in order, so that the result does not depend on the threads.
        let mut best: Option<BestSplit> = None;
        for split in splits.into_iter().flatten() {
            if best.is_none_or(|best| split.impurity < best.impurity) {
                best = Some(split);
            }
        }
        let whole = impurity(weights.positive, weights.total);
        // A gain within rounding would split a node without any difference between its children.
        best.filter(|best| best.impurity < whole - 1e-9 * weights.total)
    }

    fn split_column(&self, column: usize, order: &[u32], weights: LabelWeights) -> Option<BestSplit> {
        let values = self.rows.values.column(column);
        let mut best: Option<BestSplit> = None;
        let mut below = LabelWeights::default();
        for two in order.windows(2) {
            self.add(&mut below, two[0]);
            let value = values[two[0] as usize];
            let next = values[two[1] as usize];
            // No threshold separates equal values.
            if value == next || below.total < self.shape.leaf {
                continue;
            }
            let above_total = weights.total - below.total;
            // The upper side only gets smaller from here on.
            if above_total < self.shape.leaf {
                break;
            }
            let impurity = impurity(below.positive, below.total)
                + impurity(weights.positive - below.positive, above_total);
            if best.is_none_or(|best| impurity < best.impurity) {
                // Midpoint; the lower value where f32 has nothing in between.
                let middle = value + (next - value) / 2.0;
                let threshold = if middle < next && middle.is_finite() { middle } else { value };
                best = Some(BestSplit { impurity, column, threshold });
            }
        }
        best
    }
}

/// Gini impurity times the weight of the rows.
fn impurity(positive: f64, total: f64) -> f64 {
    2.0 * positive * (total - positive) / total
}

impl Tree {
    /// Copy of the tree without nodes below `depth`.
    fn cut(&self, depth: usize) -> Self {
        let mut nodes = self.nodes.clone();
        let mut depths = vec![0; nodes.len()];
        for index in 0..nodes.len() {
            // Children come after their parents: one pass sees each depth before it is used.
            if let Some(split) = nodes[index].split {
                depths[split.below as usize] = depths[index] + 1;
                depths[split.above as usize] = depths[index] + 1;
            }
            if depths[index] >= depth {
                nodes[index].split = None;
            }
        }
        Self { nodes }
    }

    /// Decisions for a row, from the root to its leaf.
    fn path(&self, row: ArrayView1<f32>) -> impl Iterator<Item = TreeStep> {
        let mut index = 0;
        std::iter::from_fn(move || {
            let split = self.nodes[index].split?;
            let above = row[split.column as usize] > split.threshold;
            let before = self.nodes[index].log_odds;
            index = if above { split.above } else { split.below } as usize;
            Some(TreeStep {
                column: split.column as usize,
                threshold: split.threshold,
                above,
                log_odds: self.nodes[index].log_odds - before,
            })
        })
    }

    pub(super) fn log_odds(&self, row: ArrayView1<f32>) -> f64 {
        self.base() + self.path(row).map(|step| step.log_odds).sum::<f64>()
    }

    /// Log-odds of all training rows.
    pub(super) fn base(&self) -> f64 {
        self.nodes[0].log_odds
    }

    /// Decisions for a row; their changes sum to the row's log-odds minus [`Self::base`].
    pub(super) fn steps(&self, row: ArrayView1<f32>) -> Vec<TreeStep> {
        self.path(row).collect()
    }

    /// Checks that all children come after their parent and exist, which decoded bytes do not guarantee. Paths then end.
    pub(super) fn is_sound(&self, columns: usize) -> bool {
        let nodes = self.nodes.len();
        !self.nodes.is_empty()
            && self.nodes.iter().enumerate().all(|(index, node)| {
                node.log_odds.is_finite()
                    && node.split.is_none_or(|split| split.is_sound(index, nodes, columns))
            })
    }
}

impl TreeSplit {
    fn is_sound(&self, parent: usize, nodes: usize, columns: usize) -> bool {
        let children = parent + 1..nodes;
        children.contains(&(self.below as usize))
            && children.contains(&(self.above as usize))
            && (self.column as usize) < columns
            && self.threshold.is_finite()
    }
}
