//! Where shoppers are near each other: the space that segments are found in. In go raw rows and what their components mean; out
//! go scaled rows, in standard deviations, and places, in which each facet of shopping weighs the same however many components
//! tell of it.
//!
//! A schema has dozens of components that all grow with how much somebody does, and a handful that say when, or what is liked.
//! Without weights, segments would be steps of activity and nothing else. Each facet is therefore divided by the square root of
//! its first eigenvalue, as multiple factor analysis has it (Escofier and Pagès, "Multiple factor analysis (AFMULT package)",
//! 1994, section 2): along its strongest direction no facet reaches further than another.

use crate::error::Error;
use crate::segmentation::scaler::{Scaler, transforms};
use ndarray::{Array1, Array2, ArrayView2, Axis as Side};
use portrait_profile::{Facet, FeatureSchema};
use serde::{Deserialize, Serialize};

/// Rows of which products are added up at once.
const CHUNK_ROWS: usize = 4_096;
/// Steps towards the first eigenvector at most, and the change of the eigenvalue that ends them.
const STEPS_MAX: usize = 1_000;
const TOLERANCE: f64 = 1e-12;
/// A facet whose components hardly vary tells nobody apart.
const VARIANCE_MIN: f64 = 1e-9;

/// From raw rows to places. Part of a model version: places of different spaces are not comparable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Space {
    scaler: Scaler,
    axes: Vec<Axis>,
}

/// One component that counts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Axis {
    component: usize,
    weight: f32,
}

impl Space {
    /// Learns from raw rows of `schema`, a row a shopper. Also gives the rows as its scaler has them.
    ///
    /// # Errors
    /// As [`Scaler::fit`], and [`Error::Alike`] if no component that says how somebody shops varies.
    pub fn fit(raw: ArrayView2<f32>, schema: &FeatureSchema) -> Result<(Self, Array2<f32>), Error> {
        let scaler = Scaler::fit(raw, &transforms(schema))?;
        let scaled = scaler.scale(raw);
        let facets: Vec<Option<Facet>> =
            schema.components().iter().map(|component| component.facet).collect();
        let axes: Vec<Axis> = Facet::ALL
            .into_iter()
            .flat_map(|facet| {
                let of_facet = |component: &usize| facets[*component] == Some(facet);
                axes(scaled.view(), (0..facets.len()).filter(of_facet).collect())
            })
            .collect();
        if axes.is_empty() {
            return Err(Error::Alike { rows: raw.nrows() });
        }
        Ok((Self { scaler, axes }, scaled))
    }

    /// From raw to scaled components.
    pub fn scaler(&self) -> &Scaler {
        &self.scaler
    }

    /// The components that count, each with what a standard deviation of it is in places.
    pub fn axes(&self) -> impl ExactSizeIterator<Item = (usize, f32)> {
        self.axes.iter().map(|axis| (axis.component, axis.weight))
    }

    /// The place of a scaled row.
    pub fn coordinates(&self, scaled: &[f32]) -> Vec<f32> {
        let along = |axis: &Axis| scaled.get(axis.component).map_or(0.0, |z| z * axis.weight);
        self.axes.iter().map(along).collect()
    }

    /// The places of scaled rows, a row a shopper.
    pub fn coordinates_of_rows(&self, scaled: ArrayView2<f32>) -> Array2<f32> {
        Array2::from_shape_fn((scaled.nrows(), self.axes.len()), |(row, axis)| {
            let Axis { component, weight } = self.axes[axis];
            scaled[[row, component]] * weight
        })
    }

    /// The places here of centroids that are scaled as in another space.
    pub fn convert_centroids(&self, other: &Self, centroids: ArrayView2<f32>) -> Array2<f32> {
        let raw = Array2::from_shape_fn(centroids.dim(), |(row, column)| {
            other.scaler.unscale(column, centroids[[row, column]])
        });
        self.coordinates_of_rows(self.scaler.scale(raw.view()).view())
    }

    /// Whether every number in it is usable, and every axis a component; what was read from outside may not be.
    pub fn is_sound(&self) -> bool {
        let sound = |axis: &Axis| axis.weight.is_finite() && axis.component < self.scaler.width();
        self.scaler.is_finite() && !self.axes.is_empty() && self.axes.iter().all(sound)
    }
}

/// The axes of one facet.
fn axes(scaled: ArrayView2<f32>, components: Vec<usize>) -> Vec<Axis> {
    let variance = first_eigenvalue(&covariance(scaled, &components));
    if variance < VARIANCE_MIN {
        return Vec::new();
    }
    let weight = (1.0 / variance.sqrt()) as f32;
    components.into_iter().map(|component| Axis { component, weight }).collect()
}

/// Of some columns.
fn covariance(rows: ArrayView2<f32>, columns: &[usize]) -> Array2<f64> {
    let (mut sums, mut products) =
        (Array1::<f64>::zeros(columns.len()), Array2::<f64>::zeros((columns.len(), columns.len())));
    for chunk in rows.axis_chunks_iter(Side(0), CHUNK_ROWS) {
        let chunk = chunk.select(Side(1), columns).mapv(f64::from);
        sums += &chunk.sum_axis(Side(0));
        products += &chunk.t().dot(&chunk);
    }
    let count = rows.nrows().max(1) as f64;
    let means = sums / count;
    Array2::from_shape_fn(products.dim(), |(one, other)| {
        products[[one, other]] / count - means[one] * means[other]
    })
}

/// The largest eigenvalue of a covariance, by the power method (Golub and Van Loan, "Matrix Computations", section 7.3.1), from
/// the column that varies most together with all others.
fn first_eigenvalue(covariance: &Array2<f64>) -> f64 {
    let length = |column: ndarray::ArrayView1<f64>| column.dot(&column).sqrt();
    let longest =
        covariance.columns().into_iter().max_by(|one, other| length(*one).total_cmp(&length(*other)));
    let Some(mut direction) = longest.map(|column| column.to_owned()) else { return 0.0 };
    let mut found = 0.0;
    for _ in 0..STEPS_MAX {
        let size = length(direction.view());
        if size < VARIANCE_MIN {
            return 0.0;
        }
        direction /= size;
        let next = covariance.dot(&direction);
        let eigenvalue = direction.dot(&next);
        direction = next;
        if (eigenvalue - found).abs() <= TOLERANCE * eigenvalue {
            return eigenvalue;
        }
        found = eigenvalue;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn the_first_eigenvalue_is_found_whatever_the_signs() {
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

    /// Rows in which views and searches say the same, and the share of nights says something else.
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
    fn each_facet_weighs_the_same_and_what_moves_by_itself_nothing() {
        let schema = FeatureSchema::current();
        let (space, scaled) = Space::fit(rows(1_190).view(), schema).expect("they vary");
        let weight = |name: &str| {
            let component = schema.position(name).expect("a component");
            space.axes().find(|(axis, _)| *axis == component).map(|(_, weight)| weight)
        };
        // Four that are one have an eigenvalue of four, one by itself has its variance.
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
    fn shoppers_who_are_all_alike_have_no_places() {
        let alike = Array2::from_elem((10, FeatureSchema::current().components().len()), 1.0);
        let refused = Space::fit(alike.view(), FeatureSchema::current());
        assert_eq!(refused, Err(Error::Alike { rows: 10 }));
    }
}
