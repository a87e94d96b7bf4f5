//! Scorers: planted effects are found by every learner, contributions sum to the score, figures equal those of scikit-learn, and
//! damaged bytes are refused.

use super::data::Random;
use super::reference::{Shared, number};
use ndarray::Array2;
use portrait_learning::Error;
use portrait_learning::evaluation::{auc, calibration_error, log_loss, quality};
use portrait_learning::prediction::learners::{LearnerKind, Params, Scorer, ScorerError, learn};

const COLUMNS: usize = 6;

/// Rows of different units; it happens by the second column, and by the third where the fourth is above 0. The last is constant.
fn cases(seed: u64, count: usize) -> (Array2<f32>, Vec<bool>) {
    let mut random = Random::new(seed);
    let rows = Array2::from_shape_fn((count, COLUMNS), |(_, column)| match column {
        0 => 1e4 + 300.0 * random.normal(),
        4 => (random.uniform() * 5.0).floor(),
        5 => 7.0,
        _ => random.normal(),
    });
    let labels = rows
        .outer_iter()
        .map(|row| {
            let log_odds = -1.5 + 1.5 * row[1] + if row[3] > 0.0 { 2.0 * row[2] } else { 0.0 };
            random.uniform() < 1.0 / (1.0 + (-log_odds).exp())
        })
        .collect();
    (rows, labels)
}

fn only(kind: LearnerKind) -> Params {
    Params { kinds: vec![kind], ..Params::default() }
}

#[test]
fn every_learner_finds_what_is_planted_and_says_what_made_up_a_score() {
    let (rows, labels) = cases(1, 4_000);
    let (others, outcomes) = cases(2, 4_000);
    for (kind, least) in
        [(LearnerKind::Tree, 0.80), (LearnerKind::Network, 0.84), (LearnerKind::Logistic, 0.80)]
    {
        let scorer = learn(rows.view(), &labels, None, &only(kind)).unwrap();
        assert_eq!(scorer.kind(), kind);
        let mut shares = Vec::new();
        for row in others.outer_iter() {
            let score = scorer.score(row).unwrap();
            let sum = score.base + score.contributions.iter().sum::<f64>();
            assert!((sum - score.log_odds).abs() < 1e-9, "{kind:?}: {sum} and {}", score.log_odds);
            assert!((score.probability - 1.0 / (1.0 + (-score.log_odds).exp())).abs() < 1e-12);
            assert_eq!(score.contributions[5], 0.0, "{kind:?}: a constant column says nothing");
            assert_eq!(score.path.is_empty(), kind != LearnerKind::Tree);
            for step in &score.path {
                assert_eq!(step.above, row[step.column] > step.threshold);
            }
            shares.push(score.probability);
        }
        let found = quality(&outcomes, &shares, 0.5);
        println!("{kind:?}: {found:?}");
        assert!(found.auc > least && found.calibration_error < 0.05, "{kind:?}: {found:?}");
        assert!(
            (found.log_loss - scorer.quality().log_loss).abs() < 0.05,
            "{kind:?}: {:?}",
            scorer.quality()
        );
    }
}

#[test]
fn the_champion_has_the_least_loss_on_the_newest_rows() {
    let (rows, labels) = cases(3, 2_000);
    let scorer = learn(rows.view(), &labels, None, &Params::default()).unwrap();
    let losses: Vec<f64> = scorer.contenders().iter().map(|(_, quality)| quality.log_loss).collect();
    assert_eq!(losses.len(), 3);
    assert!(losses.is_sorted(), "{losses:?}");
    assert_eq!(scorer.kind(), scorer.contenders()[0].0);
    assert_eq!(scorer.quality().rows, 400);
    assert!(scorer.quality().log_loss <= losses[0]);
    assert_eq!(scorer, learn(rows.view(), &labels, None, &Params::default()).unwrap(), "the seed decides");
}

#[test]
fn a_row_of_weight_two_is_two_rows() {
    let (rows, labels) = cases(4, 600);
    let twice: Vec<usize> = (0..600).chain(0..300).collect();
    let doubled = rows.select(ndarray::Axis(0), &twice);
    let doubled_labels: Vec<bool> = twice.iter().map(|row| labels[*row]).collect();
    // The same newest rows for both.
    let order: Vec<usize> = (0..300).chain(600..900).chain(300..600).collect();
    let doubled = doubled.select(ndarray::Axis(0), &order);
    let doubled_labels: Vec<bool> = order.iter().map(|row| doubled_labels[*row]).collect();
    let weights: Vec<f32> = (0..600).map(|row| if row < 300 { 2.0 } else { 1.0 }).collect();
    for kind in [LearnerKind::Tree, LearnerKind::Logistic] {
        let newest = |count: f64| Params { newest: 120.0 / count, ..only(kind) };
        let one = learn(rows.view(), &labels, Some(&weights), &newest(600.0)).unwrap();
        let other = learn(doubled.view(), &doubled_labels, None, &newest(900.0)).unwrap();
        for row in rows.outer_iter() {
            let (one, other) = (one.score(row).unwrap(), other.score(row).unwrap());
            assert!((one.log_odds - other.log_odds).abs() < 1e-5, "{kind:?}: {one:?} and {other:?}");
        }
    }
}

#[test]
fn figures_are_those_of_scikit_learn() {
    let mut random = Random::new(5);
    for (count, steps) in [(50, 5.0_f32), (3_000, 20.0), (20_000, 1e6)] {
        // Ties in plenty, and none.
        let shares: Vec<f32> = (0..count).map(|_| (random.uniform() * steps).round() / steps).collect();
        let labels: Vec<u32> = shares.iter().map(|share| u32::from(random.uniform() < *share)).collect();
        let shared = Shared::new();
        shared.write_rows("rows", &Array2::from_shape_vec((count, 1), shares.clone()).unwrap());
        shared.write_labels("one", &labels);
        let expected = shared.ask(&["figures"]);
        let shares: Vec<f64> = shares.into_iter().map(f64::from).collect();
        let labels: Vec<bool> = labels.into_iter().map(|label| label == 1).collect();
        for (name, found) in [
            ("auc", auc(&labels, &shares)),
            ("log_loss", log_loss(&labels, &shares)),
            ("calibration_error", calibration_error(&labels, &shares)),
        ] {
            let expected = number(&expected[name]);
            assert!((found - expected).abs() < 1e-9, "{count}, {name}: {found} and {expected}");
        }
    }
    assert_eq!((auc(&[true, true], &[0.1, 0.2]), auc(&[], &[])), (0.5, 0.5));
}

#[test]
fn logistic_regression_finds_the_weights_of_scikit_learn() {
    let (rows, labels) = cases(6, 3_000);
    let scorer = learn(rows.view(), &labels, None, &only(LearnerKind::Logistic)).unwrap();
    let shared = Shared::new();
    shared.write_rows("rows", &rows);
    shared.write_labels("one", &labels.iter().map(|label| u32::from(*label)).collect::<Vec<u32>>());
    let expected = shared.ask(&["logistic", &COLUMNS.to_string()]);
    let line = scorer.calibration();
    // Of the penalties that are tried one must be it.
    let apart = |answer: &serde_json::Value| {
        let of_row = |(row, expected): (ndarray::ArrayView1<f32>, &serde_json::Value)| {
            let found = (scorer.score(row).unwrap().log_odds - line.offset) / line.slope;
            (found - number(expected)).abs()
        };
        rows.outer_iter().zip(answer.as_array().unwrap()).map(of_row).fold(0.0, f64::max)
    };
    let least = expected["log_odds"].as_array().unwrap().iter().map(apart).fold(f64::INFINITY, f64::min);
    println!("{least:e} apart");
    assert!(least < 1e-5, "{least:e} apart");
}

#[test]
fn a_scorer_comes_back_as_it_went_and_damage_is_refused() {
    let (rows, labels) = cases(7, 400);
    for kind in LearnerKind::ALL {
        let scorer = learn(rows.view(), &labels, None, &only(kind)).unwrap();
        let bytes = scorer.encode();
        assert_eq!(Scorer::decode(&bytes), Ok(scorer));
        for end in (0..bytes.len()).step_by(1 + bytes.len() / 300) {
            assert!(Scorer::decode(&bytes[..end]).is_err(), "{kind:?}: {end} bytes");
        }
        assert_eq!(Scorer::decode(&[&[3], &bytes[1..]].concat()), Err(ScorerError::Format { found: 3 }));
        assert!(matches!(Scorer::decode(&[&bytes[..], &[0]].concat()), Err(ScorerError::Damaged(_))));
        for place in (1..bytes.len()).step_by(1 + bytes.len() / 2_000) {
            for flipped in [0x01, 0x55, 0x80, 0xff] {
                let mut broken = bytes.clone();
                broken[place] ^= flipped;
                // Bytes that are decoded in spite of the damage can be scored with.
                if let Ok(scorer) = Scorer::decode(&broken) {
                    let found = scorer.score(rows.row(0));
                    assert!(
                        found.is_err() || found.is_ok_and(|score| score.log_odds.is_finite()),
                        "{kind:?}, {place}"
                    );
                }
            }
        }
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    let (rows, labels) = cases(8, 100);
    let plain = Params::default();
    let refused = |labels: &[bool], weights: Option<&[f32]>, params: &Params| {
        learn(rows.view(), labels, weights, params).unwrap_err()
    };
    assert!(matches!(refused(&labels[1..], None, &plain), Error::Width { what: "labels", .. }));
    assert!(matches!(refused(&labels, Some(&[1.0]), &plain), Error::Width { what: "weights", .. }));
    assert!(matches!(
        refused(&labels, Some(&[0.0; 100]), &plain),
        Error::Parameter { parameter: "weights", .. }
    ));
    assert!(matches!(refused(&[false; 100], None, &plain), Error::TooFew { rows: 0, .. }));
    for wrong in [
        Params { kinds: Vec::new(), ..plain.clone() },
        Params { newest: 0.0, ..plain.clone() },
        Params { newest: 1.0, ..plain.clone() },
        Params { threshold: Some(f64::NAN), ..plain.clone() },
    ] {
        assert!(matches!(refused(&labels, None, &wrong), Error::Parameter { .. }), "{wrong:?}");
    }
    let mut holed = rows.clone();
    holed[(3, 2)] = f32::NAN;
    assert_eq!(learn(holed.view(), &labels, None, &plain), Err(Error::NotFinite { row: 3, column: 2 }));
    let scorer = learn(rows.view(), &labels, None, &only(LearnerKind::Tree)).unwrap();
    assert_eq!(scorer.score(holed.row(3)), Err(ScorerError::NotFinite { column: 2 }));
    assert_eq!(scorer.score(rows.column(0)), Err(ScorerError::Width { found: 100, expected: COLUMNS }));
}
