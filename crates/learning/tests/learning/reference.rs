//! Agreement with scikit-learn: rows and results are written to files, and `tests/clients/learning_reference.py` prints its results
//! for the same rows.

use super::data::{Random, mixture};
use ndarray::Array2;
use portrait_learning::evaluation::adjusted_rand_index;
use portrait_learning::segmentation::{KMeansFit, Scaler, Space, Transform, lloyd};
use portrait_profile::{Facet, FeatureSchema};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A folder that both sides know.
pub(super) struct Shared(tempfile::TempDir);

impl Shared {
    pub(super) fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder can be made"))
    }

    pub(super) fn write_rows(&self, name: &str, rows: &Array2<f32>) {
        let bytes: Vec<u8> = rows.iter().flat_map(|value| value.to_le_bytes()).collect();
        std::fs::write(self.0.path().join(name), bytes).expect("the folder can be written to");
    }

    pub(super) fn write_labels(&self, name: &str, labels: &[u32]) {
        let bytes: Vec<u8> = labels.iter().flat_map(|label| label.to_le_bytes()).collect();
        std::fs::write(self.0.path().join(name), bytes).expect("the folder can be written to");
    }

    /// What the reference answers to `words`.
    pub(super) fn ask(&self, words: &[&str]) -> Value {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR"))
            .ancestors()
            .nth(2)
            .expect("the crate lies in the repository");
        let python = std::env::var_os("PORTRAIT_PYTHON")
            .map_or_else(|| repository.join(".venv/bin/python"), PathBuf::from);
        assert!(
            python.exists(),
            "{} is not there: run the tests by `make test`, which makes it",
            python.display()
        );
        let answer = Command::new(python)
            .arg(repository.join("tests/clients/learning_reference.py"))
            .arg(self.0.path())
            .args(words)
            .output()
            .expect("Python can be run");
        let problem = String::from_utf8_lossy(&answer.stderr);
        assert!(
            answer.status.success(),
            "run the tests by `make test`, which installs what is missing: {problem}"
        );
        serde_json::from_slice(&answer.stdout).expect("the answer is JSON")
    }
}

#[test]
fn a_scaler_has_the_mean_and_the_deviation_of_scikit_learn() {
    let mut random = Random::new(1);
    // Plain, heavy-tailed, signed, constant, almost constant, mostly zero, and large.
    let rows = Array2::from_shape_fn((5003, 7), |(row, column)| match column {
        0 => random.normal(),
        1 => (2.0 * random.normal()).exp(),
        2 => 1e4 * random.normal().powi(3),
        3 => 0.1,
        4 => f32::from(u8::from(row == 17)),
        5 => (random.normal() - 1.5).max(0.0),
        _ => 1e7 + random.normal(),
    });
    let shapes = [
        Transform::Linear,
        Transform::Log1p,
        Transform::Log1p,
        Transform::Linear,
        Transform::Linear,
        Transform::Log1p,
        Transform::Linear,
    ];
    let shared = Shared::new();
    shared.write_rows("rows", &rows);
    let names: Vec<&str> =
        shapes.iter().map(|shape| if *shape == Transform::Log1p { "log1p" } else { "linear" }).collect();
    let expected = shared.ask(&["scaler", &names.join(",")]);
    let scaler = Scaler::fit(rows.view(), &shapes).unwrap();
    let found = serde_json::to_value(&scaler).unwrap();
    for column in 0..shapes.len() {
        for (ours, theirs) in [("mean", "mean"), ("deviation", "scale")] {
            let (found, expected) =
                (number(&found["columns"][column][ours]), number(&expected[theirs][column]));
            let apart = (found - expected).abs();
            println!("column {column}: {ours} {found} and {expected}, {apart:e} apart");
            assert!(apart <= 1e-9 * expected.abs(), "column {column}: {ours} {found} and {expected}");
        }
    }
    let scaled = scaler.scale(rows.view());
    for (index, expected) in expected["scaled"].as_array().unwrap().iter().enumerate() {
        let found = f64::from(scaled[(index / shapes.len(), index % shapes.len())]);
        assert!((found - number(expected)).abs() < 1e-6, "value {index}: {found} and {expected}");
    }
}

#[test]
fn facets_weigh_what_numpy_says() {
    let schema = FeatureSchema::current();
    let mut random = Random::new(9);
    let width = schema.components().len();
    // Every second column goes along with what the shopper does at all.
    let rows = Array2::from_shape_simple_fn((3_001, width), || random.normal());
    let busy = rows.column(0).to_owned();
    let rows = Array2::from_shape_fn(rows.dim(), |(row, column)| {
        rows[(row, column)] + if column % 2 == 0 { 2.0 * busy[row] } else { 0.0 }
    });
    let (space, scaled) = Space::fit(rows.view(), schema).unwrap();
    let shared = Shared::new();
    shared.write_rows("rows", &scaled);
    let facet = |facet: Option<Facet>| facet.map_or("none".to_owned(), |facet| format!("{facet:?}"));
    let facets: Vec<String> = schema.components().iter().map(|component| facet(component.facet)).collect();
    let expected = shared.ask(&["weights", &facets.join(",")]);
    let mut found = vec![0.0; width];
    space.axes().for_each(|(component, weight)| found[component] = f64::from(weight));
    for (column, found) in found.into_iter().enumerate() {
        let expected = number(&expected["weights"][column]);
        assert!(
            (found - expected).abs() < 1e-6,
            "{}: {found} and {expected}",
            schema.components()[column].name
        );
    }
}

#[test]
fn lloyds_algorithm_ends_where_scikit_learn_does() {
    // Rows, columns, centroids, spread, and how far apart inertia and labels may be.
    for (count, columns, k, spread, inertia_apart, agreement_min) in [
        (20_000, 16, 8, 5.0, 1e-3, 0.999),
        (9_001, 64, 5, 3.0, 1e-3, 0.999),
        (3_000, 2, 4, 20.0, 1e-3, 0.999),
        (20_000, 16, 8, 0.5, 1e-2, 0.0),
        (10_000, 33, 17, 0.3, 1e-2, 0.0),
        (2_000, 3, 12, 1.0, 1e-2, 0.0),
    ] {
        let (rows, origins) = mixture(7, count, columns, k, spread);
        // One row of each cluster.
        let first = |cluster: usize| origins.iter().position(|origin| *origin as usize == cluster).unwrap();
        let places: Vec<usize> = (0..k).map(first).collect();
        let start = rows.select(ndarray::Axis(0), &places);
        let (found, expected) = both(&rows, &start, 300, 1e-4);
        let (ratio, agreement) =
            (found.inertia / number(&expected["inertia"]), number(&expected["agreement"]));
        println!(
            "{count} x {columns}, k={k}, spread {spread}: inertia ratio {ratio:.9}, labels {agreement:.6}, \
             iterations {} and {}",
            found.iterations, expected["iterations"]
        );
        assert!((ratio - 1.0).abs() <= inertia_apart, "{count} x {columns}, {k}: {ratio}");
        assert!(agreement >= agreement_min, "{count} x {columns}, {k}: {agreement}");
    }
}

#[test]
fn empty_clusters_are_repaired_as_scikit_learn_does() {
    let (rows, _) = mixture(8, 2_000, 4, 3, 6.0);
    let mut start = rows.select(ndarray::Axis(0), &[0, 1, 2, 3, 4, 5]);
    start.row_mut(2).fill(1e4);
    start.row_mut(5).fill(-1e4);
    let (found, expected) = both(&rows, &start, 1, 0.0);
    let ratio = found.inertia / number(&expected["inertia"]);
    assert!((ratio - 1.0).abs() < 1e-5, "{ratio}");
    assert!(number(&expected["agreement"]) > 0.999, "{expected}");
}

#[test]
fn labellings_agree_as_scikit_learn_says() {
    let mut random = Random::new(9);
    for (count, one_end, other_end, noise) in [
        (1, 1, 1, 0.5),
        (10, 3, 2, 0.5),
        (1000, 5, 5, 0.1),
        (100_000, 12, 9, 0.3),
        (50_000, 40_000, 7, 1.0),
        (300, 1, 4, 1.0),
    ] {
        let one: Vec<u32> = (0..count).map(|_| random.below(one_end) as u32).collect();
        let other: Vec<u32> = one
            .iter()
            .map(|label| if random.uniform() < noise { random.below(other_end) as u32 } else { *label })
            .collect();
        let shared = Shared::new();
        shared.write_labels("one", &one);
        shared.write_labels("other", &other);
        let (found, expected) =
            (adjusted_rand_index(&one, &other), number(&shared.ask(&["agreement"])["agreement"]));
        println!("{count} labels: {found} and {expected}");
        assert!((found - expected).abs() < 1e-12, "{count} labels: {found} and {expected}");
    }
}

/// What we find, and what scikit-learn finds from the same start and says to ours.
fn both(rows: &Array2<f32>, start: &Array2<f32>, iterations: usize, tolerance: f64) -> (KMeansFit, Value) {
    let found =
        lloyd(rows.view(), start.clone(), iterations, tolerance).expect("the rows can be learned from");
    let shared = Shared::new();
    shared.write_rows("rows", rows);
    shared.write_rows("start", start);
    shared.write_labels("one", &found.labels);
    let (columns, iterations, tolerance) =
        (rows.ncols().to_string(), iterations.to_string(), tolerance.to_string());
    let expected = shared.ask(&["kmeans", &columns, &iterations, &tolerance]);
    (found, expected)
}

pub(super) fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is not a number"))
}
