//! Selection of the number of segments.

use super::data::mixture;
use ndarray::Array2;
use portrait_learning::Error;
use portrait_learning::evaluation::adjusted_rand_index;
use portrait_learning::segmentation::{KSelectionParams, fit, select_k};

#[test]
fn five_planted_clusters_are_found() {
    let (rows, origins) = mixture(3, 3000, 8, 5, 4.0);
    let params = KSelectionParams { k: 3..=8, sample: 1500, bootstraps: 3, ..KSelectionParams::default() };
    let choice = select_k(rows.view(), &params).unwrap();
    assert_eq!(choice.k, 5, "{choice:?}");
    assert_eq!(choice.candidates.iter().map(|one| one.k).collect::<Vec<_>>(), [3, 4, 5, 6, 7, 8]);
    let chosen = choice.candidates[2];
    assert!(chosen.eligible && chosen.stability > 0.99 && chosen.smallest_share > 0.1, "{chosen:?}");
    assert_eq!(select_k(rows.view(), &params).unwrap(), choice, "the seed decides");
    let found = fit(rows.view(), choice.k, &params.params).unwrap();
    assert!(adjusted_rand_index(&found.labels, &origins) > 0.999);
}

#[test]
fn without_an_eligible_number_the_most_stable_is_taken() {
    let (rows, _) = mixture(4, 400, 6, 1, 1.0);
    let params = KSelectionParams { stability_min: 1.1, bootstraps: 2, ..KSelectionParams::default() };
    let choice = select_k(rows.view(), &params).unwrap();
    let most = choice.candidates.iter().map(|one| one.stability).fold(f64::MIN, f64::max);
    let taken = choice.candidates.iter().find(|one| one.k == choice.k).unwrap();
    assert!(!taken.eligible && taken.stability == most, "{choice:?}");
}

#[test]
fn numbers_beyond_the_rows_do_not_come_into_question() {
    let (rows, _) = mixture(5, 6, 2, 2, 5.0);
    let choice =
        select_k(rows.view(), &KSelectionParams { bootstraps: 1, ..KSelectionParams::default() }).unwrap();
    assert_eq!(choice.candidates.iter().map(|one| one.k).collect::<Vec<_>>(), [4, 5, 6]);
}

#[test]
fn no_more_segments_are_tried_than_rows_can_be_told_apart() {
    let default = KSelectionParams { bootstraps: 2, ..KSelectionParams::default() };
    // Rows by kind, rows of each kind, and the numbers of segments that are tried.
    for (kinds, each, tried) in [(1, 40, &[1][..]), (2, 20, &[2]), (3, 1, &[3]), (5, 9, &[4, 5])] {
        let rows = Array2::from_shape_fn((kinds * each, 3), |(row, column)| {
            // Rounding within a kind makes no other kind.
            (row % kinds) as f32 * (column + 1) as f32 + (row / kinds) as f32 * 1e-6
        });
        let choice = select_k(rows.view(), &default).unwrap();
        assert_eq!(choice.candidates.iter().map(|one| one.k).collect::<Vec<_>>(), tried, "{kinds} kinds");
        assert_eq!(choice.k, kinds, "{choice:?}");
    }
}

#[test]
fn a_choice_that_makes_no_sense_is_refused() {
    let (rows, _) = mixture(6, 20, 2, 2, 5.0);
    let default = KSelectionParams::default();
    let parameter = |error: Error| matches!(error, Error::Parameter { .. });
    #[expect(clippy::reversed_empty_ranges, reason = "an empty range is the point")]
    let refused = [
        KSelectionParams { k: 5..=4, ..default.clone() },
        KSelectionParams { k: 0..=4, ..default.clone() },
        KSelectionParams { bootstraps: 0, ..default.clone() },
        KSelectionParams { sample: 0, ..default.clone() },
    ];
    for params in refused {
        assert!(select_k(rows.view(), &params).is_err_and(parameter), "{params:?}");
    }
    let few = rows.view().split_at(ndarray::Axis(0), 3).0;
    assert_eq!(
        select_k(few.split_at(ndarray::Axis(0), 0).0, &default),
        Err(Error::TooFew { rows: 0, needed: 1 })
    );
    let mut broken = rows.clone();
    broken[(7, 1)] = f32::NAN;
    assert_eq!(select_k(broken.view(), &default), Err(Error::NotFinite { row: 7, column: 1 }));
    let none = Array2::<f32>::zeros((20, 0));
    assert_eq!(select_k(none.view(), &default), Err(Error::Width { what: "rows", found: 0, expected: 1 }));
}
