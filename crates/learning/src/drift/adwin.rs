//! Adaptive window (ADWIN) over a stream of numbers. The window shrinks when the means of its older and its newer part differ
//! significantly. Values are not stored: the window is an exponential histogram whose bucket sizes double, so memory grows with the
//! logarithm of its width.
//!
//! Bifet and Gavaldà, "Learning from Time-Changing Data with Adaptive Windowing", SDM 2007 (ADWIN2, section 4, on the exponential
//! histogram), with the parameters of the Python library river (`drift.ADWIN`), with which it agrees detection by detection.

use serde::{Deserialize, Serialize};

/// Buckets of one size; beyond it the two oldest are merged into one of the next size (`M` of the paper).
const BUCKETS_MAX: usize = 5;

/// Number of updates between two checks for a cut, as in river.
const CLOCK: u64 = 32;

/// Least number of values on either side of a cut.
const SUBWINDOW_ROWS_MIN: f64 = 5.0;

/// Windows up to this width are never cut.
const GRACE: f64 = 10.0;

/// Adaptive window over a stream of numbers. After a cut [`Self::mean`] and [`Self::width`] describe the remaining part; the next
/// value starts a new window, because the remaining part may still hold values from before the change.
///
/// ```
/// use portrait_learning::drift::Adwin;
///
/// let mut window = Adwin::new(0.002);
/// // A loss of about 0.1, then of about 0.9.
/// let loss = |index: u32| f64::from(index % 7) / 100.0 + if index < 300 { 0.1 } else { 0.9 };
/// let detected = (0..600).find(|index| window.update(loss(*index)));
/// assert!((300..400).contains(&detected.unwrap()), "the change is detected soon after it, and not before");
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Adwin {
    delta: f64,
    window: AdwinWindow,
    cut: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct AdwinWindow {
    /// Row `i` holds buckets of `2^i` values, oldest first; the last row holds the oldest of all.
    rows: Vec<Vec<AdwinBucket>>,
    sums: WindowMoments,
    updates: u64,
}

/// Sum of the values of a bucket, and the sum of their squared distances to their mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct AdwinBucket {
    total: f64,
    deviation: f64,
}

/// Count, sum and sum of squared deviations of any number of values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct WindowMoments {
    count: f64,
    total: f64,
    deviation: f64,
}

impl Adwin {
    /// Creates an empty window. `delta`, in (0, 1], bounds the probability of a false cut at one check: the smaller, the later a
    /// change is detected. Values out of range are clamped; NaN becomes 0.002, the default of the paper and of river.
    pub fn new(delta: f64) -> Self {
        let delta = if delta.is_nan() { 0.002 } else { delta.clamp(f64::MIN_POSITIVE, 1.0) };
        Self { delta, window: AdwinWindow::default(), cut: false }
    }

    /// Adds one value and returns true if the mean has changed, in which case the window was cut. Values that are not finite are
    /// ignored.
    pub fn update(&mut self, value: f64) -> bool {
        if !value.is_finite() {
            return false;
        }
        // As in river, the window starts afresh after a detection, before the value is added.
        if std::mem::take(&mut self.cut) {
            self.window = AdwinWindow::default();
        }
        self.window.add(value);
        // A check costs a pass over all buckets, so not every value pays for one.
        if self.window.updates.is_multiple_of(CLOCK) && self.window.sums.count > GRACE {
            self.cut = self.window.shrink(self.delta);
        }
        self.cut
    }

    /// Mean of the values in the window; 0 for an empty window.
    pub fn mean(&self) -> f64 {
        if self.window.sums.count > 0.0 { self.window.sums.mean() } else { 0.0 }
    }

    /// Number of values in the window.
    pub fn width(&self) -> usize {
        self.window.rows.iter().enumerate().map(|(row, buckets)| buckets.len() << row).sum()
    }
}

impl AdwinWindow {
    fn add(&mut self, value: f64) {
        self.updates += 1;
        self.sums = self.sums.with(WindowMoments { count: 1.0, total: value, deviation: 0.0 });
        let mut carried = Some(AdwinBucket { total: value, deviation: 0.0 });
        let mut row = 0;
        while let Some(bucket) = carried {
            if row == self.rows.len() {
                self.rows.push(Vec::with_capacity(BUCKETS_MAX + 1));
            }
            self.rows[row].push(bucket);
            carried = self.merge_oldest(row);
            row += 1;
        }
    }

    /// Merges the two oldest buckets of a row that is too long into one of the next row.
    fn merge_oldest(&mut self, row: usize) -> Option<AdwinBucket> {
        if self.rows[row].len() <= BUCKETS_MAX {
            return None;
        }
        // Precision is given up where the values are oldest; a recent change is located exactly.
        let older = WindowMoments::of(self.rows[row].remove(0), row);
        let merged = older.with(WindowMoments::of(self.rows[row].remove(0), row));
        Some(AdwinBucket { total: merged.total, deviation: merged.deviation })
    }

    /// Drops oldest buckets while there is a cut; returns true if one was dropped.
    fn shrink(&mut self, delta: f64) -> bool {
        let mut shrunk = false;
        while self.has_cut(delta) {
            self.drop_oldest();
            shrunk = true;
        }
        shrunk
    }

    /// Returns true if, at any bucket boundary, the means of the two parts differ by more than the bound.
    fn has_cut(&self, delta: f64) -> bool {
        let oldest_first = self
            .rows
            .iter()
            .enumerate()
            .rev()
            .flat_map(|(row, buckets)| buckets.iter().map(move |bucket| WindowMoments::of(*bucket, row)));
        let mut older = WindowMoments::default();
        for bucket in oldest_first {
            older.count += bucket.count;
            older.total += bucket.total;
            // Only means are compared, so the deviations of the parts stay 0.
            let newer = WindowMoments {
                count: self.sums.count - older.count,
                total: self.sums.total - older.total,
                deviation: 0.0,
            };
            // A cut near an end would compare a mean of a few values, which the bound does not hold for.
            let wide = older.count >= SUBWINDOW_ROWS_MIN && newer.count >= SUBWINDOW_ROWS_MIN;
            if wide && (older.mean() - newer.mean()).abs() > self.bound(delta, older.count, newer.count) {
                return true;
            }
        }
        false
    }

    /// Largest difference of means that chance explains: `sqrt(2/m s^2 ln(2 ln(n) / delta)) + 2/(3m) ln(2 ln(n) / delta)` with
    /// `1/m = 1/n0 + 1/n1` (section 3.1 of the paper, the bound for small variance). As in river, sides are counted from their
    /// least width.
    fn bound(&self, delta: f64, older: f64, newer: f64) -> f64 {
        // Dropping buckets subtracts deviations and can leave a tiny negative rest; its root would be NaN,
        // and NaN is never above a bound.
        let variance = (self.sums.deviation / self.sums.count).max(0.0);
        // ln(2 / delta') with delta' = delta / ln(n): about ln(n) boundaries are tested, and delta is divided
        // among them.
        let confidence = (2.0 * self.sums.count.ln() / delta).ln();
        let reciprocal = 1.0 / (older - SUBWINDOW_ROWS_MIN + 1.0) + 1.0 / (newer - SUBWINDOW_ROWS_MIN + 1.0);
        (2.0 * reciprocal * variance * confidence).sqrt() + 2.0 / 3.0 * confidence * reciprocal
    }

    fn drop_oldest(&mut self) {
        let Some(oldest_row) = self.rows.len().checked_sub(1) else { return };
        let oldest = WindowMoments::of(self.rows[oldest_row].remove(0), oldest_row);
        self.sums = self.sums.without(oldest);
        // The next drop takes the first bucket of the last row, which must exist.
        if self.rows[oldest_row].is_empty() {
            self.rows.pop();
        }
    }
}

impl WindowMoments {
    fn of(bucket: AdwinBucket, row: usize) -> Self {
        Self { count: (1_u64 << row) as f64, total: bucket.total, deviation: bucket.deviation }
    }

    fn mean(self) -> f64 {
        self.total / self.count
    }

    /// Moments of both sets together (Chan, Golub and LeVeque, "Algorithms for Computing the Sample Variance", 1983, equation 1.5b).
    fn with(self, other: Self) -> Self {
        Self {
            count: self.count + other.count,
            total: self.total + other.total,
            deviation: self.deviation + other.deviation + self.between(other),
        }
    }

    /// Moments of the remaining values after `part` is removed.
    fn without(self, part: Self) -> Self {
        let rest = Self { count: self.count - part.count, total: self.total - part.total, deviation: 0.0 };
        Self { deviation: self.deviation - part.deviation - rest.between(part), ..rest }
    }

    /// Contribution of the distance between two means to the squared deviation.
    fn between(self, other: Self) -> f64 {
        if self.count == 0.0 || other.count == 0.0 {
            return 0.0;
        }
        let difference = self.mean() - other.mean();
        difference * difference * self.count * other.count / (self.count + other.count)
    }
}
