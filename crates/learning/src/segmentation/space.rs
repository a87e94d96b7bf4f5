//! Space that distances between users are measured in: scaled components, weighted so that each facet of behaviour counts the same.
//!
//! A schema has dozens of components that all grow with activity, and a handful about rhythm or preference. Without weights segments
//! would be levels of activity. So each facet is divided by the square root of its first eigenvalue, as in multiple factor analysis
//! (Escofier and Pagès, "Multiple factor analysis (AFMULT package)", 1994, section 2): no facet has more variance along its strongest
//! direction than another.

use crate::error::Error;
use crate::segmentation::scaler::{Scaler, transforms};
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis as Side};
use portrait_profile::{Facet, FeatureSchema};
use serde::{Deserialize, Serialize};

/// Rows whose products are summed at once.
const CHUNK_ROWS: usize = 4_096;
/// Largest number of power iterations, and the relative change of the eigenvalue that ends them.
const STEPS_MAX: usize = 1_000;
const TOLERANCE: f64 = 1e-12;
/// First eigenvalue below which a facet separates no users and is left out.
const VARIANCE_MIN: f64 = 1e-9;

/// Map from raw rows to coordinates. Part of a model version: coordinates of different spaces are not comparable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Space {
    scaler: Scaler,
    axes: Vec<Axis>,
}

/// Component with its weight in the space.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Axis {
    component: usize,
    weight: f32,
}

impl Space {
    /// Learns a space from raw rows (`n x d`) of `schema`. Returns it with the scaled rows (`n x d`).
    ///
    /// # Errors
    /// As [`Scaler::fit`], and [`Error::Alike`] if no component of any facet varies.
    pub fn fit(raw: ArrayView2<f32>, schema: &FeatureSchema) -> Result<(Self, Array2<f32>), Error> {
        let (space, scaled) = Self::fit_any(raw, schema)?;
        if space.axes.is_empty() { Err(Error::Alike { rows: raw.nrows() }) } else { Ok((space, scaled)) }
    }

    /// Learns a space as [`Self::fit`] does; of users that are all alike one without axes, in which all are at the same point.
    ///
    /// # Errors
    /// As [`Scaler::fit`].
    pub fn fit_any(raw: ArrayView2<f32>, schema: &FeatureSchema) -> Result<(Self, Array2<f32>), Error> {
        let scaler = Scaler::fit(raw, &transforms(schema))?;
        let scaled = scaler.scale(raw);
        let facets: Vec<Option<Facet>> =
            schema.components().iter().map(|component| component.facet).collect();
        let mut axes: Vec<Axis> = Vec::new();
        // Components without a facet get no axis, such as those that change within a visit or without any event.
        for facet in Facet::ALL {
            let components = (0..facets.len()).filter(|component| facets[*component] == Some(facet));
            axes.extend(axes_of_facet(scaled.view(), components.collect()));
        }
        Ok((Self { scaler, axes }, scaled))
    }

    /// Scaler of raw components.
    pub fn scaler(&self) -> &Scaler {
        &self.scaler
    }

    /// Components of the space with their weights: coordinates per standard deviation.
    pub fn axes(&self) -> impl ExactSizeIterator<Item = (usize, f32)> {
        self.axes.iter().map(|axis| (axis.component, axis.weight))
    }

    /// Coordinates of a scaled row.
    pub fn coordinates(&self, scaled: &[f32]) -> Vec<f32> {
        self.axes.iter().map(|axis| scaled.get(axis.component).map_or(0.0, |z| z * axis.weight)).collect()
    }

    /// Coordinates (`n x axes`) of scaled rows (`n x d`).
    pub fn coordinates_of_rows(&self, scaled: ArrayView2<f32>) -> Array2<f32> {
        Array2::from_shape_fn((scaled.nrows(), self.axes.len()), |(row, axis)| {
            let Axis { component, weight } = self.axes[axis];
            scaled[[row, component]] * weight
        })
    }

    /// Coordinates in this space of centroids (`k x d`) that are scaled as in another space.
    pub fn convert_centroids(&self, other: &Self, centroids: ArrayView2<f32>) -> Array2<f32> {
        // Raw units are the only ones that two scalers share.
        let raw = Array2::from_shape_fn(centroids.dim(), |(row, column)| {
            other.scaler.unscale(column, centroids[[row, column]])
        });
        self.coordinates_of_rows(self.scaler.scale(raw.view()).view())
    }

    /// Checks that every number is usable and every axis a component, which decoded bytes do not guarantee.
    pub fn is_sound(&self) -> bool {
        let width = self.scaler.width();
        let all_sound = self.axes.iter().all(|axis| axis.weight.is_finite() && axis.component < width);
        self.scaler.is_finite() && all_sound
    }
}

/// Axes of one facet; none if its components hardly vary.
fn axes_of_facet(scaled: ArrayView2<f32>, components: Vec<usize>) -> Vec<Axis> {
    let variance = first_eigenvalue(&covariance(scaled, &components));
    if variance < VARIANCE_MIN {
        return Vec::new();
    }
    let weight = (1.0 / variance.sqrt()) as f32;
    components.into_iter().map(|component| Axis { component, weight }).collect()
}

/// Covariance matrix of some columns.
fn covariance(rows: ArrayView2<f32>, columns: &[usize]) -> Array2<f64> {
    let mut sums = Array1::<f64>::zeros(columns.len());
    let mut products = Array2::<f64>::zeros((columns.len(), columns.len()));
    for chunk in rows.axis_chunks_iter(Side(0), CHUNK_ROWS) {
        let chunk = chunk.select(Side(1), columns).mapv(f64::from);
        sums += &chunk.sum_axis(Side(0));
        products += &chunk.t().dot(&chunk);
    }
    let count = rows.nrows().max(1) as f64;
    let means = sums / count;
    Array2::from_shape_fn(products.dim(), |(row, column)| {
        // Scaled values lie within ±5 around a mean near 0, so this difference loses no digits that matter.
        products[[row, column]] / count - means[row] * means[column]
    })
}

/// Largest eigenvalue of a covariance matrix by the power method (Golub and Van Loan, "Matrix Computations", section 7.3.1), starting
/// from the longest column.
fn first_eigenvalue(covariance: &Array2<f64>) -> f64 {
    // A column is a product of the matrix, so it is not orthogonal to the first eigenvector.
    let longest =
        covariance.columns().into_iter().max_by(|left, right| length(*left).total_cmp(&length(*right)));
    let Some(mut direction) = longest.map(|column| column.to_owned()) else { return 0.0 };
    let mut previous = 0.0;
    for _ in 0..STEPS_MAX {
        let size = length(direction.view());
        // A matrix of zeros has no direction to normalise.
        if size < VARIANCE_MIN {
            return 0.0;
        }
        direction /= size;
        let next = covariance.dot(&direction);
        let eigenvalue = direction.dot(&next);
        direction = next;
        if (eigenvalue - previous).abs() <= TOLERANCE * eigenvalue {
            return eigenvalue;
        }
        previous = eigenvalue;
    }
    // With two nearly equal eigenvalues the direction still turns, but their value has converged long before.
    previous
}

fn length(column: ArrayView1<f64>) -> f64 {
    column.dot(&column).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn the_first_eigenvalue_does_not_depend_on_signs() {
        // Characteristic polynomials by hand.
        for (matrix, expected) in [
            (array![[2.0, 1.0], [1.0, 2.0]], 3.0),
            (array![[2.0, -1.0], [-1.0, 2.0]], 3.0),
            (array![[4.0, 0.0], [0.0, 1.0]], 4.0),
            (array![[1.0, 0.0], [0.0, 1.0]], 1.0),
            (array![[1.0, 1.0, 1.0], [1.0, 1.0, 1.0], [1.0, 1.0, 1.0]], 3.0),
            (array![[0.0, 0.0], [0.0, 0.0]], 0.0),
            (Array2::zeros((0, 0)), 0.0),
        ] {
            let found = first_eigenvalue(&matrix);
            assert!((found - expected).abs() < 1e-9, "{matrix}: {found}");
        }
    }

    /// Rows in which views and searches agree, and the night share varies independently.
    fn rows(count: usize) -> Array2<f32> {
        let schema = FeatureSchema::current();
        let place = |name: &str| schema.position(name).expect("a component");
        let mut rows = Array2::zeros((count, schema.components().len()));
        for (number, mut row) in rows.outer_iter_mut().enumerate() {
            for component in ["view.7d", "view.90d", "search.7d", "search.90d"] {
                row[place(&format!("behavior.{component}"))] = (number % 17) as f32;
            }
            row[place("behavior.night_share")] = f32::from(u8::from(number % 2 == 0));
            row[place("behavior.tenure")] = (number % 7) as f32;
            row[place("behavior.view.1h")] = (number % 5) as f32;
        }
        rows
    }

    #[test]
    fn each_facet_has_the_same_weight_and_components_without_facet_none() {
        let schema = FeatureSchema::current();
        let (space, scaled) = Space::fit(rows(1_190).view(), schema).expect("they vary");
        let weight = |name: &str| {
            let component = schema.position(name).expect("a component");
            space.axes().find(|(axis, _)| *axis == component).map(|(_, weight)| weight)
        };
        // Four equal components have an eigenvalue of four; a single one has its variance.
        for name in ["behavior.view.7d", "behavior.search.90d"] {
            assert!((weight(name).expect("it counts") - 0.5).abs() < 1e-4, "{name}: {:?}", weight(name));
        }
        assert!((weight("behavior.night_share").expect("it counts") - 1.0).abs() < 1e-4);
        for name in ["behavior.tenure", "behavior.view.1h", "social.edges", "basic.traits"] {
            assert_eq!(weight(name), None, "{name}");
        }
        let places = space.coordinates_of_rows(scaled.view());
        assert_eq!(places.row(3).to_vec(), space.coordinates(&scaled.row(3).to_vec()));
        assert!(space.is_sound());
    }

    #[test]
    fn users_who_are_all_alike_have_no_space() {
        let alike = Array2::from_elem((10, FeatureSchema::current().components().len()), 1.0);
        let refused = Space::fit(alike.view(), FeatureSchema::current());
        assert_eq!(refused, Err(Error::Alike { rows: 10 }));
        let (space, scaled) =
            Space::fit_any(alike.view(), FeatureSchema::current()).expect("they are finite");
        assert!(space.is_sound() && space.axes().len() == 0);
        assert_eq!(space.coordinates_of_rows(scaled.view()).dim(), (10, 0));
    }
}
