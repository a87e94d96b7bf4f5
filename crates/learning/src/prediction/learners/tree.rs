//! A decision tree. In come rows; out goes a tree whose every split is on one column at one threshold, and which gives
//! probabilities. It is grown greedily by the Gini impurity (Breiman, Friedman, Olshen and Stone, "Classification and Regression
//! Trees", 1984, chapter 4). Leaves are smoothed towards the share of all rows, as if two rows of it had been seen in each
//! (Zadrozny and Elkan, "Obtaining calibrated probability estimates from decision trees", ICML 2001).
//!
//! It is own code since `linfa-trees` answers with classes: it joins leaves of the same majority, and where less than half
//! happens most of what tells probabilities apart is joined with them. `MODELS.md` has what that costs.

use super::odds::probability;
use super::rows::LabelledRows;
use crate::evaluation::log_loss;
use ndarray::ArrayView1;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// What leaves are tried with, and how deep trees are at most.
const LEAVES: [f64; 5] = [10.0, 20.0, 40.0, 80.0, 160.0];
pub(super) const DEPTH_MAX: usize = 10;
/// As if so many rows of the share of all had been seen in each node.
const SMOOTHING: f64 = 2.0;

/// How a tree is grown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct TreeShape {
    pub(super) depth: usize,
    /// The least weight of a leaf.
    pub(super) leaf: f64,
}

/// The root first; a node's children come after it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tree {
    nodes: Vec<TreeNode>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct TreeNode {
    /// The logarithm of the odds of what comes here.
    log_odds: f64,
    split: Option<TreeSplit>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct TreeSplit {
    column: u32,
    threshold: f32,
    /// Where rows go that are not above the threshold, and the others.
    below: u32,
    above: u32,
}

/// One step from the root to a leaf.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TreeStep {
    /// The column that was looked at.
    pub column: usize,
    /// What it was compared with.
    pub threshold: f32,
    /// Whether it was above.
    pub above: bool,
    /// What the step added to the logarithm of the odds.
    pub log_odds: f64,
}

/// A node's rows by each column, in the order of its values.
type SortedColumns = Vec<Vec<u32>>;

/// A split that was found.
#[derive(Clone, Copy)]
struct BestSplit {
    impurity: f64,
    column: usize,
    threshold: f32,
}

/// The tree that is best on the newest rows, grown from the older.
pub(super) fn tuned(older: LabelledRows, newest: LabelledRows) -> (Tree, TreeShape) {
    let mut best: Option<(f64, Tree, TreeShape)> = None;
    for leaf in LEAVES {
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

pub(super) fn grow(rows: LabelledRows, shape: TreeShape) -> Tree {
    let order = |column: ArrayView1<f32>| {
        let mut order: Vec<u32> = (0..column.len() as u32).collect();
        order.sort_by(|one, other| column[*one as usize].total_cmp(&column[*other as usize]));
        order
    };
    let columns: Vec<ArrayView1<f32>> = rows.values.columns().into_iter().collect();
    let orders: SortedColumns = columns.into_par_iter().map(order).collect();
    let (happened, all) = rows.totals();
    let mut growing = TreeGrower { rows, shape, share: happened / all, nodes: Vec::new() };
    growing.grow(orders, 0);
    Tree { nodes: growing.nodes }
}

struct TreeGrower<'a> {
    rows: LabelledRows<'a>,
    shape: TreeShape,
    share: f64,
    nodes: Vec<TreeNode>,
}

impl TreeGrower<'_> {
    /// Adds a node of these rows and all below it; answers its number.
    fn grow(&mut self, orders: SortedColumns, depth: usize) -> u32 {
        let (happened, all) = orders[0].iter().fold((0.0, 0.0), |sums, row| self.add(sums, *row));
        let share = (happened + SMOOTHING * self.share) / (all + SMOOTHING);
        let number = self.nodes.len();
        self.nodes.push(TreeNode { log_odds: (share / (1.0 - share)).ln(), split: None });
        let found = if depth < self.shape.depth { self.split(&orders, happened, all) } else { None };
        if let Some(BestSplit { column, threshold, .. }) = found {
            let values = self.rows.values.column(column);
            let goes_below = |row: &u32| values[*row as usize] <= threshold;
            let (below, above): (SortedColumns, SortedColumns) = orders
                .into_par_iter()
                .map(|order| order.into_iter().partition::<Vec<u32>, _>(goes_below))
                .unzip();
            let (below, above) = (self.grow(below, depth + 1), self.grow(above, depth + 1));
            self.nodes[number].split = Some(TreeSplit { column: column as u32, threshold, below, above });
        }
        number as u32
    }

    fn add(&self, (happened, all): (f64, f64), row: u32) -> (f64, f64) {
        let weight = f64::from(self.rows.weights[row as usize]);
        (happened + if self.rows.labels[row as usize] { weight } else { 0.0 }, all + weight)
    }

    /// The split that leaves the least impurity; of equals that of the first column.
    fn split(&self, orders: &SortedColumns, happened: f64, all: f64) -> Option<BestSplit> {
        let whole = impurity(happened, all);
        let least = |one: Option<BestSplit>, other: Option<BestSplit>| match (one, other) {
            (Some(one), Some(other)) => Some(if other.impurity < one.impurity { other } else { one }),
            (one, other) => one.or(other),
        };
        let found: Vec<Option<BestSplit>> = orders
            .par_iter()
            .enumerate()
            .map(|(column, order)| self.split_column(column, order, happened, all))
            .collect();
        found.into_iter().fold(None, least).filter(|found| found.impurity < whole - 1e-9 * all)
    }

    fn split_column(&self, column: usize, order: &[u32], happened: f64, all: f64) -> Option<BestSplit> {
        let values = self.rows.values.column(column);
        let mut best: Option<BestSplit> = None;
        let mut below = (0.0, 0.0);
        for two in order.windows(2) {
            below = self.add(below, two[0]);
            let (value, next) = (values[two[0] as usize], values[two[1] as usize]);
            if value == next || below.1 < self.shape.leaf {
                continue;
            }
            if all - below.1 < self.shape.leaf {
                break;
            }
            let impurity = impurity(below.0, below.1) + impurity(happened - below.0, all - below.1);
            if best.is_none_or(|best| impurity < best.impurity) {
                // Half the way; the lower one where f32 has nothing between.
                let middle = value + (next - value) / 2.0;
                let threshold = if middle < next && middle.is_finite() { middle } else { value };
                best = Some(BestSplit { impurity, column, threshold });
            }
        }
        best
    }
}

/// The Gini impurity, times the weight.
fn impurity(happened: f64, all: f64) -> f64 {
    2.0 * happened * (all - happened) / all
}

impl Tree {
    /// Without what lies deeper.
    fn cut(&self, depth: usize) -> Self {
        let mut nodes = self.nodes.clone();
        let mut depths = vec![0; nodes.len()];
        for number in 0..nodes.len() {
            if let Some(split) = nodes[number].split {
                depths[split.below as usize] = depths[number] + 1;
                depths[split.above as usize] = depths[number] + 1;
            }
            if depths[number] >= depth {
                nodes[number].split = None;
            }
        }
        Self { nodes }
    }

    /// From the root to the leaf of a row: the splits and the node after each.
    fn path(&self, row: ArrayView1<f32>) -> impl Iterator<Item = (TreeSplit, bool, f64)> {
        let mut number = 0;
        std::iter::from_fn(move || {
            let split = self.nodes[number].split?;
            let above = row[split.column as usize] > split.threshold;
            let before = self.nodes[number].log_odds;
            number = if above { split.above } else { split.below } as usize;
            Some((split, above, self.nodes[number].log_odds - before))
        })
    }

    pub(super) fn log_odds(&self, row: ArrayView1<f32>) -> f64 {
        self.base() + self.path(row).map(|(.., change)| change).sum::<f64>()
    }

    /// Of all rows.
    pub(super) fn base(&self) -> f64 {
        self.nodes[0].log_odds
    }

    /// What was asked of a row on the way to its leaf; the changes add up to its logarithm of odds less that of all rows.
    pub(super) fn steps(&self, row: ArrayView1<f32>) -> Vec<TreeStep> {
        let step = |(split, above, log_odds): (TreeSplit, bool, f64)| TreeStep {
            column: split.column as usize,
            threshold: split.threshold,
            above,
            log_odds,
        };
        self.path(row).map(step).collect()
    }

    /// Whether it is a tree over `columns` columns; what was read from outside may not be.
    pub(super) fn is_sound(&self, columns: usize) -> bool {
        let sound = |(number, node): (usize, &TreeNode)| {
            let children = node.split.is_none_or(|split| {
                let after = |child: u32| (child as usize) > number && (child as usize) < self.nodes.len();
                after(split.below)
                    && after(split.above)
                    && (split.column as usize) < columns
                    && split.threshold.is_finite()
            });
            node.log_odds.is_finite() && children
        };
        !self.nodes.is_empty() && self.nodes.iter().enumerate().all(sound)
    }
}
