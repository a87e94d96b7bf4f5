//! Scaler: transforms, winsorises and standardises raw feature vectors. It is frozen within a model version, and every scaled value
//! lies within ±[`Z_MAX`]. Training refuses values that are not finite; scaling maps them to 0, the mean.

use crate::error::Error;
use ndarray::parallel::prelude::*;
use ndarray::{Array2, ArrayView2};
use portrait_profile::FeatureSchema;
use serde::{Deserialize, Serialize};

/// Bound of scaled values, in standard deviations from the mean.
pub const Z_MAX: f32 = 5.0;

/// Quantiles that a column is winsorised at: values further out count as the quantile.
const WINSOR_QUANTILES: [f64; 2] = [0.005, 0.995];

/// Least number of rows for a mean and a deviation.
const ROWS_MIN: usize = 2;

/// Transform of a column before it is standardised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Transform {
    /// Identity, for values on a bounded or logarithmic scale.
    Linear,
    /// Signed logarithm `sign(x) ln(1 + |x|)`, for counts and sums: the step from 1 to 2 says more than that from 101 to 102, and money
    /// can be negative.
    Log1p,
}

/// Scaler of raw vectors. Part of a model version: vectors of different scalers are not comparable.
///
/// ```
/// use ndarray::array;
/// use portrait_learning::segmentation::{Scaler, Transform};
///
/// let rows = array![[0.0, 0.2], [10.0, 0.4], [1000.0, 0.6]];
/// // Counts are transformed by a logarithm, shares are unchanged.
/// let scaler = Scaler::fit(rows.view(), &[Transform::Log1p, Transform::Linear])?;
/// let scaled = scaler.scale(rows.view());
/// for column in scaled.columns() {
///     assert!(column.mean().unwrap().abs() < 1e-6, "every column has mean 0");
/// }
/// // Values that are not finite count as the mean.
/// assert_eq!(scaler.scale(array![[f32::NAN, 0.4]].view())[[0, 0]], 0.0);
/// # Ok::<(), portrait_learning::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scaler {
    /// Columns in the order of the raw vector.
    columns: Vec<Column>,
}

/// Parameters of one column, in units of the transformed value.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Column {
    transform: Transform,
    /// Lower and upper winsor bound, of training and of scaling.
    winsor: [f64; 2],
    mean: f64,
    /// Population standard deviation, as in scikit-learn's `StandardScaler`; 1 for a constant column.
    deviation: f64,
}

/// Transform of each component of `schema`, in its order: shares, bits and doublings keep their scale, all other units are counts or
/// sums.
pub fn transforms(schema: &FeatureSchema) -> Vec<Transform> {
    schema.components().iter().map(|component| transform_of(component.unit)).collect()
}

fn transform_of(unit: &str) -> Transform {
    match unit {
        "share" | "bits" | "doublings" => Transform::Linear,
        _ => Transform::Log1p,
    }
}

impl Transform {
    fn apply(self, raw: f64) -> f64 {
        match self {
            Self::Linear => raw,
            Self::Log1p => raw.abs().ln_1p().copysign(raw),
        }
    }

    fn invert(self, transformed: f64) -> f64 {
        match self {
            Self::Linear => transformed,
            Self::Log1p => transformed.abs().exp_m1().copysign(transformed),
        }
    }
}

impl Scaler {
    /// Learns from `rows` (`n x d`, raw units) with one transform per column. Mean and population standard deviation are those of the
    /// transformed and winsorised values, in f64.
    ///
    /// # Errors
    ///
    /// [`Error::Width`] if there are not as many transforms as columns, [`Error::TooFew`] below 2 rows, [`Error::NotFinite`] with the
    /// first position in column order whose value is NaN or infinite.
    pub fn fit(rows: ArrayView2<f32>, transforms: &[Transform]) -> Result<Self, Error> {
        if transforms.len() != rows.ncols() {
            return Err(Error::Width { what: "transforms", found: transforms.len(), expected: rows.ncols() });
        }
        if rows.nrows() < ROWS_MIN {
            return Err(Error::TooFew { rows: rows.nrows(), needed: ROWS_MIN });
        }
        // All columns are fitted before the first error is returned, so that the error does not depend on the threads.
        let columns: Vec<Result<Column, Error>> = transforms
            .par_iter()
            .enumerate()
            .map(|(column, transform)| {
                let values = rows.column(column);
                match values.iter().position(|value| !value.is_finite()) {
                    Some(row) => Err(Error::NotFinite { row, column }),
                    None => Ok(Column::fit(
                        values.iter().map(|raw| transform.apply(f64::from(*raw))).collect(),
                        *transform,
                    )),
                }
            })
            .collect();
        Ok(Self { columns: columns.into_iter().collect::<Result<_, _>>()? })
    }

    /// Writes the scaled values of `raw` into `scaled`, in standard deviations within ±[`Z_MAX`]. A value that is missing or not finite
    /// becomes 0, the mean; values beyond [`Scaler::width`] are ignored, and positions beyond it are 0.
    pub fn scale_into(&self, raw: &[f32], scaled: &mut [f32]) {
        for (index, place) in scaled.iter_mut().enumerate() {
            *place = match (self.columns.get(index), raw.get(index)) {
                (Some(column), Some(value)) => column.scale(*value),
                _ => 0.0,
            };
        }
    }

    /// Scales all `rows` (`n x d`), as [`Scaler::scale_into`] does.
    pub fn scale(&self, rows: ArrayView2<f32>) -> Array2<f32> {
        let mut scaled = Array2::zeros((rows.nrows(), self.width()));
        let rows = rows.as_standard_layout();
        scaled.outer_iter_mut().into_par_iter().zip(rows.outer_iter()).for_each(|(mut place, row)| {
            if let (Some(place), Some(row)) = (place.as_slice_mut(), row.as_slice()) {
                self.scale_into(row, place);
            }
        });
        scaled
    }

    /// Number of columns `d`.
    pub fn width(&self) -> usize {
        self.columns.len()
    }

    /// Checks that every number is usable, which decoded bytes do not guarantee.
    pub fn is_finite(&self) -> bool {
        self.columns.iter().all(Column::is_finite)
    }

    /// Raw value of `z` standard deviations in a column; 0 for an unknown column. What the winsor bounds and ±[`Z_MAX`] cut off is lost.
    pub fn unscale(&self, column: usize, z: f32) -> f32 {
        self.columns.get(column).map_or(0.0, |column| column.unscale(z))
    }
}

impl Column {
    fn fit(mut transformed: Vec<f64>, transform: Transform) -> Self {
        // Bounds before moments: a single bot with a million events would otherwise set the deviation of its
        // columns.
        let winsor = WINSOR_QUANTILES.map(|share| quantile(&mut transformed, share));
        let count = transformed.len() as f64;
        let winsorised = || transformed.iter().map(|value| value.clamp(winsor[0], winsor[1]));
        let mean = winsorised().sum::<f64>() / count;
        let variance = winsorised().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
        // A constant column has a variance from rounding alone; the bound is scikit-learn's.
        let rounding = count * f64::EPSILON * variance + (count * mean * f64::EPSILON).powi(2);
        let deviation = if variance <= rounding { 1.0 } else { variance.sqrt() };
        Self { transform, winsor, mean, deviation }
    }

    fn scale(&self, raw: f32) -> f32 {
        if !raw.is_finite() {
            return 0.0;
        }
        // Not `clamp`, which panics on bounds out of order, as decoded bytes may have.
        let value = self.transform.apply(f64::from(raw)).max(self.winsor[0]).min(self.winsor[1]);
        let z = (value - self.mean) / self.deviation;
        if z.is_nan() { 0.0 } else { (z as f32).clamp(-Z_MAX, Z_MAX) }
    }

    fn unscale(&self, z: f32) -> f32 {
        let z = if z.is_nan() { 0.0 } else { f64::from(z) };
        // The inverse of the logarithm exceeds f32 for a large value; infinity would spread into every
        // distance.
        (self.transform.invert(z * self.deviation + self.mean) as f32).clamp(f32::MIN, f32::MAX)
    }

    fn is_finite(&self) -> bool {
        let [low, high] = self.winsor;
        let finite = [low, high, self.mean, self.deviation].iter().all(|number| number.is_finite());
        finite && self.deviation > 0.0 && low <= high
    }
}

/// Quantile of `values`, which must not be empty and are reordered, by linear interpolation as in numpy's default (Hyndman and Fan,
/// "Sample Quantiles in Statistical Packages", 1996, definition 7).
fn quantile(values: &mut [f64], share: f64) -> f64 {
    let position = (values.len() - 1) as f64 * share;
    let part = position.fract();
    let (_, below, above) = values.select_nth_unstable_by(position as usize, f64::total_cmp);
    let below = *below;
    let above = above.iter().copied().min_by(f64::total_cmp).unwrap_or(below);
    // From the nearer end, as in numpy, so that equal neighbours give exactly themselves.
    if part < 0.5 { below + (above - below) * part } else { above - (above - below) * (1.0 - part) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Axis, array};

    #[test]
    fn every_unit_of_the_schema_has_its_transform() {
        let linear = ["share", "bits", "doublings"];
        let logarithmic = [
            "traits", "events", "days", "orders", "money", "visits", "seconds", "kinds", "items", "edges",
            "weight",
        ];
        let schema = FeatureSchema::current();
        for (component, transform) in schema.components().iter().zip(transforms(schema)) {
            let unit = component.unit;
            assert!(
                linear.contains(&unit) || logarithmic.contains(&unit),
                "decide on the transform of {unit}"
            );
            let expected = if linear.contains(&unit) { Transform::Linear } else { Transform::Log1p };
            assert_eq!(transform, expected, "{unit}");
        }
        assert_eq!(transforms(schema).len(), schema.components().len());
    }

    #[test]
    fn quantiles_lie_between_neighbours() {
        let rows: [(&[f64], f64, f64); 6] = [
            (&[3.0], 0.005, 3.0),
            (&[2.0, 1.0], 0.5, 1.5),
            (&[2.0, 1.0], 0.75, 1.75),
            (&[5.0, 1.0, 4.0, 2.0, 3.0], 0.25, 2.0),
            (&[5.0, 1.0, 4.0, 2.0, 3.0], 0.3, 2.2),
            (&[5.0, 1.0, 4.0, 2.0, 3.0], 1.0, 5.0),
        ];
        for (values, share, expected) in rows {
            let found = quantile(&mut values.to_vec(), share);
            assert!((found - expected).abs() < 1e-12, "{values:?} at {share}: {found}");
        }
    }

    #[test]
    fn a_transform_and_its_inverse_cancel() {
        for transform in [Transform::Linear, Transform::Log1p] {
            for raw in [-1e9, -2.5, -1e-12, 0.0, 1e-12, 0.5, 1.0, 1e15] {
                let back = transform.invert(transform.apply(raw));
                assert!(
                    (back - raw).abs() <= 1e-12 * f64::abs(raw),
                    "{transform:?} of {raw} comes back as {back}"
                );
            }
        }
    }

    #[test]
    fn a_constant_column_scales_to_zero_and_comes_back() {
        for value in [0.0_f32, 0.1, 1e9, -7.3] {
            let scaler =
                Scaler::fit(Array2::from_elem((1000, 1), value).view(), &[Transform::Linear]).unwrap();
            let mut scaled = [9.0];
            scaler.scale_into(&[value], &mut scaled);
            assert!(scaled[0].abs() < 1e-5, "{value} scales to {}", scaled[0]);
            assert!((scaler.unscale(0, 0.0) - value).abs() <= 1e-6 * value.abs());
        }
    }

    #[test]
    fn any_value_can_be_scaled_and_stays_within_the_bounds() {
        let rows = array![[0.0_f32, 10.0], [1.0, -20.0], [2.0, 30.0], [1e9, 3.0]];
        let scaler = Scaler::fit(rows.view(), &[Transform::Linear, Transform::Log1p]).unwrap();
        let wild = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN, 0.0, -0.0, 1e-40];
        for raw in wild {
            for width in 0..4 {
                let mut scaled = vec![9.0; 3];
                scaler.scale_into(&vec![raw; width], &mut scaled);
                assert!(scaled.iter().all(|z| z.abs() <= Z_MAX), "{raw} gives {scaled:?}");
                assert_eq!(scaled[2], 0.0);
                assert!(raw.is_finite() || scaled == [0.0; 3], "{raw} gives {scaled:?}");
            }
            assert!(scaler.unscale(0, raw).is_finite() && scaler.unscale(7, raw) == 0.0);
            assert!(scaler.unscale(1, raw).is_finite());
        }
        assert_eq!(scaler.scale(array![[f32::NAN], [1.0]].view()).dim(), (2, 2));
    }

    #[test]
    fn rows_that_are_not_finite_or_too_few_are_refused() {
        let bad = array![[1.0_f32, 2.0], [3.0, f32::NAN], [f32::INFINITY, 1.0]];
        let linear = [Transform::Linear; 2];
        let rows = [
            (bad.view(), &linear[..], Error::NotFinite { row: 2, column: 0 }),
            (bad.view(), &linear[..1], Error::Width { what: "transforms", found: 1, expected: 2 }),
            (bad.view().split_at(Axis(0), 1).0, &linear[..], Error::TooFew { rows: 1, needed: 2 }),
            (bad.view().split_at(Axis(0), 0).0, &linear[..], Error::TooFew { rows: 0, needed: 2 }),
        ];
        for (given, transforms, expected) in rows {
            assert_eq!(Scaler::fit(given, transforms), Err(expected));
        }
    }

    #[test]
    fn a_scaler_survives_encoding_and_detects_invalid_numbers() {
        let rows = array![[0.1_f32, 10.0], [1.7, -20.0], [2.3, 30.0]];
        let scaler = Scaler::fit(rows.view(), &[Transform::Linear, Transform::Log1p]).unwrap();
        let read: Scaler = postcard::from_bytes(&postcard::to_stdvec(&scaler).unwrap()).unwrap();
        assert_eq!(read, scaler);
        assert!(read.is_finite());
        for broken in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let mut columns = scaler.columns.clone();
            columns[1].deviation = broken;
            let scaler = Scaler { columns };
            assert!(!scaler.is_finite());
            assert!(scaler.scale(rows.view()).iter().all(|z| z.abs() <= Z_MAX));
        }
    }
}
