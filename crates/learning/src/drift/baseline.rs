//! Distribution of every feature at training time and its distance to newer rows. A baseline holds a few numbers per column and no
//! rows, so nothing in it belongs to one user. Alarms are about columns.

use crate::Error;
use ndarray::{ArrayView1, ArrayView2};
use serde::{Deserialize, Serialize};
use statrs::distribution::{ChiSquared, ContinuousCDF};

/// Population stability index above which a column may raise an alarm: the customary limit for rebuilding a scorecard (Siddiqi,
/// "Credit Risk Scorecards", 2006).
pub const PSI_ALARM: f64 = 0.2;

/// Least number of rows for an alarm.
pub const PSI_ROWS_MIN: usize = 2_000;

/// Number of quantile bins: deciles.
const BINS_MAX: usize = 10;

/// Addition to the count of every bin, so that an empty bin has a finite logarithm.
const COUNT_CORRECTION: f64 = 0.5;

/// Probability of a false alarm in one comparison of all columns.
const FALSE_ALARMS: f64 = 0.001;

/// Quantile bins of each column of the training rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    rows: usize,
    columns: Vec<Bins>,
}

/// Distance of one column to its baseline.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeatureDrift {
    /// Population stability index: `sum((q - p) ln(q / p))` over the bins, 0 for equal shares.
    pub psi: f64,
    /// Value that the index exceeds by chance once in a thousand comparisons of all columns.
    pub critical: f64,
    /// True if the index exceeds both `critical` and [`PSI_ALARM`], and there are enough rows.
    pub alarm: bool,
}

/// Bins of one column in ascending order: a bin holds values above the previous edge and up to its own. The last has no edge.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Bins {
    edges: Vec<f32>,
    counts: Vec<u64>,
}

impl Baseline {
    /// Learns the bins of `rows` (`n x d`, `n >= 10`), in any unit, since only the order of values matters.
    ///
    /// # Errors
    /// [`Error::TooFew`] below 10 rows, [`Error::NotFinite`] for a value that is NaN or infinite.
    pub fn fit(rows: ArrayView2<f32>) -> Result<Self, Error> {
        check(rows, BINS_MAX)?;
        let columns = rows.columns().into_iter().map(Bins::fit).collect();
        Ok(Self { rows: rows.nrows(), columns })
    }

    /// Number of columns `d`.
    pub fn width(&self) -> usize {
        self.columns.len()
    }

    /// Drift of `rows` (`n x d`) for each column, in order. With fewer rows than `rows_min` (default [`PSI_ROWS_MIN`]) no column
    /// raises an alarm.
    ///
    /// The index of two samples of `n` and `m` rows of one distribution is asymptotically `(1/n + 1/m)` times chi-squared
    /// with as many degrees of freedom as there are bins but one (Yurdakul, "Statistical Properties of Population Stability
    /// Index", PhD thesis, Western Michigan University, 2018). The critical value is its quantile at 0.999, divided among the
    /// columns after Bonferroni.
    ///
    /// # Errors
    /// [`Error::Width`], [`Error::TooFew`] if there is no row, and [`Error::NotFinite`] if a value is NaN or infinite.
    pub fn psi(&self, rows: ArrayView2<f32>, rows_min: usize) -> Result<Vec<FeatureDrift>, Error> {
        if rows.ncols() != self.width() {
            return Err(Error::Width {
                what: "the rows compared with the baseline",
                found: rows.ncols(),
                expected: self.width(),
            });
        }
        check(rows, 1)?;
        let enough = rows.nrows() >= rows_min;
        self.columns
            .iter()
            .zip(rows.columns())
            .map(|(bins, column)| {
                let psi = bins.psi(self.rows, column);
                let critical = self.critical(bins, rows.nrows())?;
                // Both limits: with many rows the critical value is tiny, with few rows the customary limit is crossed by chance.
                Ok(FeatureDrift { psi, critical, alarm: enough && psi > PSI_ALARM && psi > critical })
            })
            .collect()
    }

    fn critical(&self, bins: &Bins, rows: usize) -> Result<f64, Error> {
        // There is one bin more than edges, and shares sum to 1: as many are free as there are edges.
        let freedom = bins.edges.len() as f64;
        let distribution = ChiSquared::new(freedom)
            .map_err(|error| Error::Parameter { parameter: "baseline", problem: error.to_string() })?;
        let quantile = distribution.inverse_cdf(1.0 - FALSE_ALARMS / self.width() as f64);
        Ok((1.0 / self.rows as f64 + 1.0 / rows as f64) * quantile)
    }
}

impl Bins {
    /// Bins between the deciles; equal deciles give one bin. Deciles are values that occur in the column, so a value that many
    /// rows share, such as zero, has a bin of its own.
    fn fit(column: ArrayView1<f32>) -> Self {
        let mut sorted = column.to_vec();
        sorted.sort_by(f32::total_cmp);
        let mut edges: Vec<f32> =
            (1..BINS_MAX).map(|tenths| sorted[(tenths * sorted.len()).div_ceil(BINS_MAX) - 1]).collect();
        // A constant column: values below it must fall into another bin, as values above it do.
        if sorted.first() == sorted.last() {
            edges.insert(0, sorted[0].next_down());
        }
        edges.dedup();
        let counts = count(&edges, column);
        Self { edges, counts }
    }

    fn psi(&self, rows_before: usize, column: ArrayView1<f32>) -> f64 {
        self.counts
            .iter()
            .zip(count(&self.edges, column))
            .map(|(before, now)| (self.share(*before, rows_before), self.share(now, column.len())))
            .map(|(before, now)| (now - before) * (now / before).ln())
            .sum()
    }

    /// Corrected share of `rows` rows that a bin with `count` rows has.
    fn share(&self, count: u64, rows: usize) -> f64 {
        (count as f64 + COUNT_CORRECTION) / (rows as f64 + COUNT_CORRECTION * self.counts.len() as f64)
    }
}

fn count(edges: &[f32], column: ArrayView1<f32>) -> Vec<u64> {
    let mut counts = vec![0; edges.len() + 1];
    for value in column {
        counts[edges.partition_point(|edge| edge < value)] += 1;
    }
    counts
}

fn check(rows: ArrayView2<f32>, needed: usize) -> Result<(), Error> {
    if rows.nrows() < needed {
        return Err(Error::TooFew { rows: rows.nrows(), needed });
    }
    match rows.indexed_iter().find(|(_, value)| !value.is_finite()) {
        Some(((row, column), _)) => Err(Error::NotFinite { row, column }),
        None => Ok(()),
    }
}
