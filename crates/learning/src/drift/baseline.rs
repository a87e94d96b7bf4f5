//! The distribution of every feature when a model was learned, and how far newer rows are from it. In come rows, out go a few
//! numbers a column: neither a row nor whose it was is kept. Alarms are about one column each and never about a shopper.

use crate::Error;
use ndarray::{ArrayView1, ArrayView2};
use serde::{Deserialize, Serialize};
use statrs::distribution::{ChiSquared, ContinuousCDF};

/// The least population stability index that is worth an alarm: above it a scorecard is customarily rebuilt (Siddiqi, "Credit
/// Risk Scorecards", 2006).
pub const PSI_ALARM: f64 = 0.2;

/// Fewer rows than these never raise an alarm.
pub const PSI_ROWS_MIN: usize = 2_000;

/// Deciles.
const BINS_MAX: usize = 10;

/// Added to the count of every bin, so that an empty one has a logarithm.
const COUNT_CORRECTION: f64 = 0.5;

/// How often one comparison of all columns may find a difference where there is none.
const FALSE_ALARMS: f64 = 0.001;

/// Quantile bins of each column of the rows that a model was learned from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    rows: usize,
    columns: Vec<Bins>,
}

/// How far one column is from its baseline.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeatureDrift {
    /// The population stability index: `sum((q - p) ln(q / p))` over the bins, 0 for the same shares.
    pub psi: f64,
    /// What the index exceeds by chance once in a thousand comparisons of all columns.
    pub critical: f64,
    /// Whether the index is larger than both that and [`PSI_ALARM`], with rows enough to say so.
    pub alarm: bool,
}

/// Bins of one column, from below: a bin holds what is at most its edge and above the edge before. The last has no edge.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Bins {
    edges: Vec<f32>,
    counts: Vec<u64>,
}

impl Baseline {
    /// Learns the bins of rows, at least 10 of them; any scale will do, since only the order of values matters.
    ///
    /// # Errors
    /// [`Error::TooFew`], and [`Error::NotFinite`] if a value is NaN or infinite.
    pub fn fit(rows: ArrayView2<f32>) -> Result<Self, Error> {
        check(rows, BINS_MAX)?;
        let columns = rows.columns().into_iter().map(Bins::fit).collect();
        Ok(Self { rows: rows.nrows(), columns })
    }

    /// How many columns there are.
    pub fn width(&self) -> usize {
        self.columns.len()
    }

    /// How far `rows` are from the baseline, for each column in order; fewer rows than `rows_min` (by default
    /// [`PSI_ROWS_MIN`]) raise no alarm.
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
                what: "what is compared with the baseline",
                found: rows.ncols(),
                expected: self.width(),
            });
        }
        check(rows, 1)?;
        let enough = rows.nrows() >= rows_min;
        let compare = |(bins, column): (&Bins, ArrayView1<f32>)| {
            let psi = bins.psi(self.rows, column);
            let critical = self.critical(bins, rows.nrows())?;
            Ok(FeatureDrift { psi, critical, alarm: enough && psi > PSI_ALARM && psi > critical })
        };
        self.columns.iter().zip(rows.columns()).map(compare).collect()
    }

    fn critical(&self, bins: &Bins, rows: usize) -> Result<f64, Error> {
        let freedom = bins.edges.len() as f64;
        let distribution = ChiSquared::new(freedom)
            .map_err(|error| Error::Parameter { parameter: "baseline", problem: error.to_string() })?;
        let quantile = distribution.inverse_cdf(1.0 - FALSE_ALARMS / self.width() as f64);
        Ok((1.0 / self.rows as f64 + 1.0 / rows as f64) * quantile)
    }
}

impl Bins {
    /// Bins between the deciles; equal ones are one. Deciles are values that occur, so that a value which many rows share,
    /// as zero, has a bin of its own.
    fn fit(column: ArrayView1<f32>) -> Self {
        let mut sorted = column.to_vec();
        sorted.sort_by(f32::total_cmp);
        let decile = |tenths: usize| sorted[(tenths * sorted.len()).div_ceil(BINS_MAX) - 1];
        let mut edges: Vec<f32> = (1..BINS_MAX).map(decile).collect();
        // One value only: whatever lies below it must fall elsewhere, as does whatever lies above.
        if sorted.first() == sorted.last() {
            edges.insert(0, sorted[0].next_down());
        }
        edges.dedup();
        let counts = count(&edges, column);
        Self { edges, counts }
    }

    fn psi(&self, rows_before: usize, column: ArrayView1<f32>) -> f64 {
        let correction = COUNT_CORRECTION * self.counts.len() as f64;
        let share = |count: u64, rows: usize| (count as f64 + COUNT_CORRECTION) / (rows as f64 + correction);
        self.counts
            .iter()
            .zip(count(&self.edges, column))
            .map(|(before, now)| (share(*before, rows_before), share(now, column.len())))
            .map(|(before, now)| (now - before) * (now / before).ln())
            .sum()
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
