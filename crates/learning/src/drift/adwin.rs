//! A window that shrinks when its mean has changed. In comes one number after the other, such as the loss of each prediction;
//! out goes whether the older part of the window differs from the newer by more than chance. Values are not kept: the window
//! is a list of buckets whose sizes double, so that memory grows with the logarithm of its width.
//!
//! Bifet and Gavaldà, "Learning from Time-Changing Data with Adaptive Windowing", SDM 2007 (ADWIN2, on
//! the exponential histogram), with the choices of the Python library river (`drift.ADWIN`), with which it agrees detection by
//! detection.

use serde::{Deserialize, Serialize};

/// Buckets of one size; one more and the two oldest become one of the next size.
const BUCKETS_MAX: usize = 5;

/// A cut is looked for at every so many values.
const CLOCK: u64 = 32;

/// The least number of values on either side of a cut.
const SIDE_MIN: f64 = 5.0;

/// Windows that are not wider are never cut.
const GRACE: f64 = 10.0;

/// A window over a stream of numbers. After a cut the mean and width are those of what was left of the window; the value
/// after begins a new one, since what was left may still hold some of the old world.
///
/// ```
/// use portrait_learning::drift::Adwin;
///
/// let mut window = Adwin::new(0.002);
/// // A loss of about 0.1, then of about 0.9.
/// let loss = |number: u32| f64::from(number % 7) / 100.0 + if number < 300 { 0.1 } else { 0.9 };
/// let found = (0..600).find(|number| window.update(loss(*number)));
/// assert!((300..400).contains(&found.unwrap()), "the change is found soon after it, and not before");
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Adwin {
    delta: f64,
    window: Window,
    cut: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Window {
    /// Row `i` holds buckets of `2^i` values, the oldest first; the oldest of all are in the last row.
    rows: Vec<Vec<Bucket>>,
    sums: Sums,
    updates: u64,
}

/// The sum of some values, and that of their squared distances to their mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Bucket {
    total: f64,
    deviation: f64,
}

/// A bucket of any number of values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Sums {
    count: f64,
    total: f64,
    deviation: f64,
}

impl Adwin {
    /// An empty window. `delta` is the probability that a stream which does not change is cut at one look, between 0 and 1:
    /// the smaller, the later a change is seen. Out of range it is brought into it, and 0.002 is taken for NaN.
    pub fn new(delta: f64) -> Self {
        let delta = if delta.is_nan() { 0.002 } else { delta.clamp(f64::MIN_POSITIVE, 1.0) };
        Self { delta, window: Window::default(), cut: false }
    }

    /// Takes one value and says whether the mean has changed, in which case the window was cut. Values that are not finite
    /// are left out.
    pub fn update(&mut self, value: f64) -> bool {
        if !value.is_finite() {
            return false;
        }
        if std::mem::take(&mut self.cut) {
            self.window = Window::default();
        }
        self.window.add(value);
        if self.window.updates.is_multiple_of(CLOCK) && self.window.sums.count > GRACE {
            self.cut = self.window.shrink(self.delta);
        }
        self.cut
    }

    /// The mean of the values in the window; 0 if there are none.
    pub fn mean(&self) -> f64 {
        if self.window.sums.count > 0.0 { self.window.sums.mean() } else { 0.0 }
    }

    /// How many values are in the window.
    pub fn width(&self) -> usize {
        self.window.rows.iter().enumerate().map(|(row, buckets)| buckets.len() << row).sum()
    }
}

impl Window {
    fn add(&mut self, value: f64) {
        self.updates += 1;
        self.sums = self.sums.with(Sums { count: 1.0, total: value, deviation: 0.0 });
        let mut carried = Some(Bucket { total: value, deviation: 0.0 });
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

    /// The two oldest buckets of a row that is too long, as one of the next row.
    fn merge_oldest(&mut self, row: usize) -> Option<Bucket> {
        if self.rows[row].len() <= BUCKETS_MAX {
            return None;
        }
        let older = Sums::of(self.rows[row].remove(0), row);
        let merged = older.with(Sums::of(self.rows[row].remove(0), row));
        Some(Bucket { total: merged.total, deviation: merged.deviation })
    }

    /// Drops the oldest bucket as long as there is a cut; says whether one was dropped.
    fn shrink(&mut self, delta: f64) -> bool {
        let mut shrunk = false;
        while self.has_cut(delta) {
            self.drop_oldest();
            shrunk = true;
        }
        shrunk
    }

    /// Whether the window falls, between any two buckets, into two whose means differ by more than the bound.
    fn has_cut(&self, delta: f64) -> bool {
        let oldest_first = self
            .rows
            .iter()
            .enumerate()
            .rev()
            .flat_map(|(row, buckets)| buckets.iter().map(move |bucket| Sums::of(*bucket, row)));
        let mut older = Sums::default();
        for bucket in oldest_first {
            older.count += bucket.count;
            older.total += bucket.total;
            let newer = Sums {
                count: self.sums.count - older.count,
                total: self.sums.total - older.total,
                deviation: 0.0,
            };
            let wide = older.count >= SIDE_MIN && newer.count >= SIDE_MIN;
            if wide && (older.mean() - newer.mean()).abs() > self.bound(delta, older.count, newer.count) {
                return true;
            }
        }
        false
    }

    /// The largest difference of means that chance explains: `sqrt(2/m s^2 ln(2 ln(n) / delta)) + 2/(3m) ln(2 ln(n) / delta)`
    /// with `1/m = 1/n0 + 1/n1` (the paper's bound for small variance), the sides counted from their least width.
    fn bound(&self, delta: f64, older: f64, newer: f64) -> f64 {
        let variance = (self.sums.deviation / self.sums.count).max(0.0);
        let confidence = (2.0 * self.sums.count.ln() / delta).ln();
        let reciprocal = 1.0 / (older - SIDE_MIN + 1.0) + 1.0 / (newer - SIDE_MIN + 1.0);
        (2.0 * reciprocal * variance * confidence).sqrt() + 2.0 / 3.0 * confidence * reciprocal
    }

    fn drop_oldest(&mut self) {
        let Some(oldest_row) = self.rows.len().checked_sub(1) else { return };
        let oldest = Sums::of(self.rows[oldest_row].remove(0), oldest_row);
        self.sums = self.sums.without(oldest);
        if self.rows[oldest_row].is_empty() {
            self.rows.pop();
        }
    }
}

impl Sums {
    fn of(bucket: Bucket, row: usize) -> Self {
        Self { count: (1_u64 << row) as f64, total: bucket.total, deviation: bucket.deviation }
    }

    fn mean(self) -> f64 {
        self.total / self.count
    }

    /// Both together (Chan, Golub and LeVeque, "Algorithms for Computing the Sample Variance", 1983).
    fn with(self, other: Self) -> Self {
        Self {
            count: self.count + other.count,
            total: self.total + other.total,
            deviation: self.deviation + other.deviation + self.between(other),
        }
    }

    /// What is left when a part is taken out.
    fn without(self, part: Self) -> Self {
        let rest = Self { count: self.count - part.count, total: self.total - part.total, deviation: 0.0 };
        Self { deviation: self.deviation - part.deviation - rest.between(part), ..rest }
    }

    /// What the distance of two means adds to the deviation.
    fn between(self, other: Self) -> f64 {
        if self.count == 0.0 || other.count == 0.0 {
            return 0.0;
        }
        let apart = self.mean() - other.mean();
        apart * apart * self.count * other.count / (self.count + other.count)
    }
}
