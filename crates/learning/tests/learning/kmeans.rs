//! K-Means: results, refusals, and independence of the number of threads.

use super::data::{Random, mixture};
use ndarray::{Array2, Axis, array, concatenate};
use portrait_learning::Error;
use portrait_learning::evaluation::adjusted_rand_index;
use portrait_learning::segmentation::{
    KMeansFit, Params, assign, distinct_rows, fit, fit_warm, lloyd, nearest,
};

fn check_consistent(rows: &Array2<f32>, found: &KMeansFit) {
    let (labels, distances) = assign(rows.view(), found.centroids.view());
    assert_eq!(labels, found.labels);
    let inertia: f64 = distances.iter().map(|distance| f64::from(*distance)).sum();
    assert!((inertia - found.inertia).abs() <= 1e-9 * inertia, "{inertia} and {}", found.inertia);
    assert_eq!(found.sizes.iter().sum::<usize>(), rows.nrows());
    for (centroid, size) in found.sizes.iter().enumerate() {
        assert_eq!(found.labels.iter().filter(|label| **label as usize == centroid).count(), *size);
    }
    assert!(found.centroids.iter().all(|value| value.is_finite()));
}

#[test]
fn planted_clusters_are_found_and_labels_sizes_and_inertia_belong_together() {
    for (count, columns, k) in [(1000, 2, 3), (5000, 17, 8), (9000, 64, 16)] {
        let (rows, origins) = mixture(1, count, columns, k, 12.0);
        let found = fit(rows.view(), k, &Params { sample: 2000, ..Params::default() }).unwrap();
        let agreement = adjusted_rand_index(&found.labels, &origins);
        assert!(agreement > 0.999, "{count} x {columns}, {k}: {agreement}");
        check_consistent(&rows, &found);
    }
}

#[test]
fn threads_cannot_be_told_from_the_result() {
    let (rows, _) = mixture(2, 20_000, 10, 6, 0.7);
    let start = rows.select(Axis(0), &[0, 1, 2, 3, 4, 5]);
    let params = Params { starts: 2, sample: 1000, max_iterations: 30, ..Params::default() };
    let with_threads = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let one = lloyd(rows.view(), start.clone(), 30, 1e-4).unwrap();
            (one, fit(rows.view(), 6, &params).unwrap())
        })
    };
    let (one, two) = (with_threads(1), with_threads(2));
    assert!(one == two);
    assert!(one == with_threads(2));
}

#[test]
fn an_empty_cluster_gets_the_row_that_is_furthest_from_its_own() {
    let rows = array![[0.0_f32], [1.0], [10.0], [11.0], [30.0]];
    // Nothing is nearest to the last two centroids.
    let start = array![[0.0_f32], [12.0], [1e6], [-1e6]];
    let found = lloyd(rows.view(), start, 1, 0.0).unwrap();
    assert_eq!(found.centroids, array![[0.5_f32], [11.0], [30.0], [10.0]]);
    assert_eq!(found.labels, [0, 0, 3, 1, 2]);
    assert_eq!(found.sizes, [2, 1, 1, 1]);
    check_consistent(&rows, &found);
    let settled = lloyd(rows.view(), array![[0.0_f32], [12.0], [1e6], [-1e6]], 300, 0.0).unwrap();
    check_consistent(&rows, &settled);
    assert!(settled.sizes.iter().all(|size| *size > 0));
}

#[test]
fn more_centroids_than_distinct_rows_leave_some_empty() {
    let rows = array![[1.0_f32, 2.0], [1.0, 2.0], [5.0, 6.0], [5.0, 6.0], [5.0, 6.0]];
    for k in 1..=5 {
        let found = fit(rows.view(), k, &Params::default()).unwrap();
        check_consistent(&rows, &found);
        if k > 1 {
            assert_eq!(found.inertia, 0.0, "k={k}");
            assert_eq!(found.sizes.iter().filter(|size| **size > 0).count(), 2, "k={k}");
            let settled = found.without_empty();
            check_consistent(&rows, &settled);
            let mut sizes = settled.sizes.clone();
            sizes.sort_unstable();
            assert_eq!((settled.centroids.nrows(), sizes), (2, vec![2, 3]), "k={k}");
        }
    }
}

#[test]
fn no_multiset_of_rows_has_an_empty_cluster_once_the_empty_ones_are_dropped() {
    let mut random = Random::new(9);
    for round in 0..200 {
        let count = 1 + random.below(40);
        let kinds = 1 + random.below(8);
        // Few values, so that many rows are equal.
        let rows = Array2::from_shape_simple_fn((count, 2), || random.below(kinds) as f32);
        let k = (1 + random.below(12)).min(distinct_rows(rows.view(), 12));
        let found =
            fit(rows.view(), k, &Params { seed: round, ..Params::default() }).unwrap().without_empty();
        check_consistent(&rows, &found);
        assert!(found.sizes.iter().all(|size| *size > 0) && found.centroids.nrows() <= k, "{found:?}");
    }
}

#[test]
fn one_centroid_is_the_mean_and_one_row_is_its_centroid() {
    let (rows, _) = mixture(3, 5000, 5, 2, 3.0);
    let found = fit(rows.view(), 1, &Params::default()).unwrap();
    let mean = rows.mapv(f64::from).mean_axis(Axis(0)).unwrap();
    for (found, expected) in found.centroids.row(0).iter().zip(&mean) {
        assert!((f64::from(*found) - expected).abs() < 1e-6);
    }
    assert_eq!(found.sizes, [5000]);
    let row = array![[3.0_f32, -4.0]];
    let found = fit(row.view(), 1, &Params::default()).unwrap();
    assert_eq!((found.centroids, found.labels, found.inertia), (row, vec![0], 0.0));
}

#[test]
fn what_cannot_be_learned_from_is_refused() {
    let good = array![[0.0_f32, 1.0], [2.0, 3.0], [4.0, 5.0]];
    let with = |value: f32| {
        let mut rows = good.clone();
        rows[(1, 1)] = value;
        rows
    };
    let params = Params::default();
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let expected = Err(Error::NotFinite { row: 1, column: 1 });
        assert_eq!(fit(with(value).view(), 2, &params), expected);
        assert_eq!(lloyd(with(value).view(), good.clone(), 10, 0.0), expected);
        assert_eq!(lloyd(good.view(), with(value), 10, 0.0), expected);
        assert_eq!(fit_warm(with(value).view(), good.view(), &params), expected);
    }
    assert_eq!(fit(good.view(), 4, &params), Err(Error::TooFew { rows: 3, needed: 4 }));
    let narrow = array![[0.0_f32]];
    let width = Err(Error::Width { what: "start", found: 1, expected: 2 });
    assert_eq!(lloyd(good.view(), narrow.clone(), 10, 0.0), width);
    assert_eq!(fit_warm(good.view(), narrow.view(), &params), width);
    let nothing = Array2::<f32>::zeros((3, 0));
    assert_eq!(fit(nothing.view(), 2, &params), Err(Error::Width { what: "rows", found: 0, expected: 1 }));
    let parameter = |found: Result<KMeansFit, Error>| matches!(found, Err(Error::Parameter { .. }));
    assert!(parameter(fit(with(f32::MAX).view(), 2, &params)));
    assert!(parameter(fit(good.view(), 0, &params)));
    assert!(parameter(lloyd(good.view(), Array2::zeros((0, 2)), 10, 0.0)));
    for bad in [
        Params { max_iterations: 0, ..params.clone() },
        Params { starts: 0, ..params.clone() },
        Params { sample: 0, ..params.clone() },
        Params { tolerance: -1.0, ..params.clone() },
        Params { tolerance: f64::NAN, ..params.clone() },
    ] {
        assert!(parameter(fit(good.view(), 2, &bad)), "{bad:?}");
    }
}

#[test]
fn a_warm_start_keeps_its_segments_unless_a_cold_one_is_much_better() {
    let (rows, _) = mixture(4, 4000, 6, 4, 8.0);
    let params = Params { sample: 1000, ..Params::default() };
    let live = fit(rows.view(), 4, &params).unwrap();
    let reversed = live.centroids.select(Axis(0), &[3, 2, 1, 0]);
    let kept = fit_warm(rows.view(), reversed.view(), &params).unwrap();
    assert_eq!(kept.labels.iter().map(|label| 3 - label).collect::<Vec<_>>(), live.labels);
    // Two live centroids in one cluster and one between two: a bad place that Lloyd's algorithm does not leave.
    let between = (&live.centroids.row(2) + &live.centroids.row(3)) / 2.0;
    let beside = &live.centroids.row(0) + 0.1;
    let stuck = concatenate(
        Axis(0),
        &[
            live.centroids.view().split_at(Axis(0), 2).0,
            between.view().insert_axis(Axis(0)),
            beside.view().insert_axis(Axis(0)),
        ],
    )
    .unwrap();
    let warm = lloyd(rows.view(), stuck.clone(), params.max_iterations, params.tolerance).unwrap();
    assert!(live.inertia < 0.97 * warm.inertia, "{} and {}", live.inertia, warm.inertia);
    let moved = fit_warm(rows.view(), stuck.view(), &params).unwrap();
    assert!((moved.inertia - live.inertia).abs() < 1e-6 * live.inertia);
}

#[test]
fn one_row_and_many_rows_find_the_same_centroid() {
    let mut random = Random::new(5);
    for (count, columns, k) in [(300, 1, 1), (300, 3, 2), (500, 16, 12), (500, 65, 33)] {
        let rows = Array2::from_shape_simple_fn((count, columns), || random.normal());
        let centroids = Array2::from_shape_simple_fn((k, columns), || random.normal());
        let (labels, distances) = assign(rows.view(), centroids.view());
        for ((row, label), squared) in rows.outer_iter().zip(labels).zip(distances) {
            let found = nearest(row.as_slice().unwrap(), centroids.view()).unwrap();
            assert_eq!(found.index, label as usize);
            assert!((found.distance - squared.sqrt()).abs() <= 1e-6 * found.distance);
            assert_eq!(found.runner_up.is_some(), k > 1);
            assert!(
                found.runner_up.is_none_or(|(index, next)| index != found.index && next >= found.distance)
            );
        }
        let columns_first = centroids.t().as_standard_layout().into_owned();
        let row = rows.row(0).to_vec();
        let (one, other) = (nearest(&row, centroids.view()), nearest(&row, columns_first.t()));
        assert_eq!(one.map(|found| found.index), other.map(|found| found.index), "in any layout");
        assert_eq!(assign(rows.view(), columns_first.t()).0, assign(rows.view(), centroids.view()).0);
    }
}

#[test]
fn any_query_has_a_result() {
    let centroids = array![[1.0_f32, 1.0], [1.0, 1.0], [5.0, 5.0]];
    assert_eq!(nearest(&[1.0, 1.0], Array2::zeros((0, 2)).view()), None);
    let found = nearest(&[1.0, 1.0], centroids.view()).unwrap();
    assert_eq!((found.index, found.distance, found.runner_up), (0, 0.0, Some((1, 0.0))), "the lower index");
    for row in [&[][..], &[1.0], &[1.0, 1.0, 9.0]] {
        assert_eq!(nearest(row, centroids.view()).map(|found| found.index), Some(0), "{row:?}");
        let rows = Array2::from_shape_vec((1, row.len()), row.to_vec()).unwrap();
        assert_eq!(assign(rows.view(), centroids.view()), (vec![0], vec![0.0]), "{row:?}");
        let none = assign(rows.view(), Array2::zeros((0, 2)).view());
        assert_eq!(none, (vec![0], vec![f32::INFINITY]));
    }
    for value in [f32::NAN, f32::INFINITY, f32::MAX] {
        assert_eq!(nearest(&[value, 0.0], centroids.view()).map(|found| found.distance), Some(f32::INFINITY));
        assert!(assign(array![[value, 0.0]].view(), centroids.view()).0[0] < 3);
    }
    assert_eq!(assign(Array2::zeros((0, 2)).view(), centroids.view()), (vec![], vec![]));
}
