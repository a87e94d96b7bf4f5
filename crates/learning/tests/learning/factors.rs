//! Factors: the same as numpy in f64 for any width and number of entries, the same with any number of threads; damaged bytes are
//! refused.

use super::data::Random;
use super::reference::{Shared, number};
use ndarray::{Array2, Axis};
use portrait_learning::Error;
use portrait_learning::prediction::factors::{
    Confidence, FactorError, Factors, InteractionMatrix, Params, UserStats, train, train_from,
};

/// Shoppers and items in a few tastes; some rows are empty, some long.
fn interactions(seed: u64, users: usize, items: usize) -> InteractionMatrix {
    let mut random = Random::new(seed);
    let mut entries = Vec::new();
    for user in 0..users {
        let count = match user % 10 {
            0 => 0,
            1 => 1,
            2 => items / 2,
            _ => 1 + random.below(20),
        };
        for _ in 0..count {
            let item = (random.below(items) / 4 * 4 + user % 4) % items;
            entries.push((user as u32, item as u32, 0.5 + random.uniform()));
        }
    }
    InteractionMatrix::from_entries(users, items, entries).expect("entries that make sense")
}

fn params(width: usize) -> Params {
    Params { width, epochs: 3, confidence: Confidence::Log { slope: 2.0, scale: 0.5 }, ..Params::default() }
}

#[test]
fn a_training_finds_what_numpy_finds_in_f64() {
    for (users, items, width, frequency) in
        [(60, 40, 5, 1.0), (200, 150, 16, 0.5), (300, 500, 20, 0.0), (400, 300, 64, 1.0)]
    {
        let (interactions, mut random) = (interactions(3, users, items), Random::new(4));
        let start = Array2::from_shape_simple_fn((items, width), || 0.05 * random.normal());
        let params = Params { frequency, ..params(width) };
        let found = train_from(&interactions, start.view(), &params).unwrap();
        let own: Vec<(u32, f32)> = vec![(1, 2.0), (5, 0.3), (items as u32 - 1, 1.0)];

        let shared = Shared::new();
        let dense = Array2::from_shape_fn((users, items), |(user, item)| {
            let (places, weights) = interactions.row(user);
            places.binary_search(&(item as u32)).map_or(0.0, |place| weights[place])
        });
        shared.write_rows("rows", &dense);
        shared.write_rows("start", &start);
        shared.write_rows("items", &found.factors.items().to_owned());
        let own_row = Array2::from_shape_fn((1, items), |(_, item)| {
            own.iter().find(|(own, _)| *own as usize == item).map_or(0.0, |(_, weight)| *weight)
        });
        shared.write_rows("own", &own_row);
        shared.write_rows("users", &found.users);
        let words = [width as f32, 3.0, params.unobserved, params.regularisation, frequency];
        let words: Vec<String> = words.iter().map(ToString::to_string).collect();
        let expected =
            shared.ask(&["factors", &words[0], &words[1], &words[2], &words[3], &words[4], "2.0", "0.5"]);

        // Vectors may be turned, products may not.
        let scores = found.users.dot(&found.factors.items().t());
        let apart = |found: &[f32], expected: &serde_json::Value| {
            let expected: Vec<f64> = expected.as_array().unwrap().iter().map(number).collect();
            assert_eq!(found.len(), expected.len());
            found.iter().zip(&expected).map(|(one, two)| (f64::from(*one) - two).abs()).fold(0.0, f64::max)
        };
        let scores: Vec<f32> = scores.iter().copied().collect();
        let all = [
            apart(&scores, &expected["scores"]),
            apart(found.factors.fold_in_fixed_items(&own).as_slice().unwrap(), &expected["folded"]),
            apart(found.factors.fold_in(&own).as_slice().unwrap(), &expected["moved"]),
        ];
        println!("{users} x {items}, width {width}: training, folding in still and moving {all:?} apart");
        assert!(all.iter().all(|apart| *apart < 1e-3), "{all:?}");
        let moves = found.factors.fold_in(&own) != found.factors.fold_in_fixed_items(&own);
        let few =
            |item: &(u32, f32)| dense.column(item.0 as usize).iter().filter(|one| **one > 0.0).count() < 10;
        assert_eq!(moves, own.iter().any(few), "what few had moves");
    }
}

#[test]
fn threads_cannot_be_told_from_what_was_learned() {
    let interactions = interactions(5, 700, 1_500);
    let learn = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| train(&interactions, &params(32))).unwrap()
    };
    let (one, three) = (learn(1), learn(3));
    assert_eq!(one.users, three.users);
    assert_eq!(one.factors, three.factors);
}

#[test]
fn a_shopper_who_is_folded_in_gets_the_vector_of_a_training_that_goes_on() {
    let interactions = interactions(6, 300, 200);
    let params = Params { epochs: 10, ..params(16) };
    let factors = train(&interactions, &params).unwrap().factors;
    // One more epoch solves the users against exactly those items.
    let next = train_from(&interactions, factors.items(), &Params { epochs: 1, ..params }).unwrap();
    for user in 0..interactions.rows() {
        let (places, weights) = interactions.row(user);
        let entries: Vec<(u32, f32)> = places.iter().copied().zip(weights.iter().copied()).collect();
        let folded = factors.fold_in_fixed_items(&entries);
        let length = |vector: ndarray::ArrayView1<f32>| vector.dot(&vector).sqrt();
        let (found, expected) = (length(folded.view()), length(next.users.row(user)));
        assert!((found - expected).abs() <= 1e-3 * expected.max(0.1), "user {user}: {found} and {expected}");
    }
}

#[test]
fn what_shoppers_took_up_is_worth_more_to_them_than_what_others_did() {
    let interactions = interactions(7, 400, 200);
    let factors = train(&interactions, &Params { width: 8, ..params(8) }).unwrap().factors;
    let scores = factors.scores(factors.fold_in(&[(0, 1.0), (4, 1.0), (8, 1.0)]).view());
    let mean = |taste: usize| scores.iter().skip(taste).step_by(4).sum::<f32>() / 50.0;
    for other in 1..4 {
        assert!(mean(0) > 2.0 * mean(other), "{} and {}", mean(0), mean(other));
    }
}

#[test]
fn what_cannot_be_folded_in_is_left_out() {
    let factors = train(&interactions(8, 100, 50), &params(8)).unwrap().factors;
    let plain = factors.fold_in(&[(3, 1.0)]);
    let odd = [(50, 1.0), (3, 1.0), (u32::MAX, 1.0), (4, 0.0), (5, -1.0), (6, f32::NAN), (7, f32::INFINITY)];
    assert_eq!(factors.fold_in(&odd), plain);
    assert!(factors.fold_in(&[]).iter().all(|value| *value == 0.0));
    assert!(factors.scores(ndarray::Array1::zeros(7).view()).is_empty());
}

#[test]
fn factors_come_back_as_they_went_and_damage_is_refused() {
    let factors = train(&interactions(9, 80, 30), &params(5)).unwrap().factors;
    let bytes = factors.encode();
    assert_eq!(Factors::decode(&bytes), Ok(factors.clone()));
    for end in 0..bytes.len() {
        assert!(Factors::decode(&bytes[..end]).is_err(), "{end} bytes");
    }
    assert!(matches!(Factors::decode(&[&[9], &bytes[1..]].concat()), Err(FactorError::Format { found: 9 })));
    assert!(matches!(Factors::decode(&[&bytes[..], &[0]].concat()), Err(FactorError::Damaged(_))));
    let mut broken = bytes.clone();
    let last = broken.len() - 4;
    broken[last..].copy_from_slice(&f32::NAN.to_le_bytes());
    assert_eq!(Factors::decode(&broken), Err(FactorError::Value { item: 29 }));
    let narrow = factors.items().select(Axis(1), &[0, 1]);
    assert!(matches!(
        Factors::new(narrow, params(5), UserStats::default()),
        Err(FactorError::Inconsistent(_))
    ));
}

#[test]
fn what_makes_no_sense_is_refused() {
    let refused = |starts: &[usize], places: &[u32], weights: &[f32]| {
        InteractionMatrix::new(3, starts.to_vec(), places.to_vec(), weights.to_vec()).is_err()
    };
    assert!(!refused(&[0, 2, 2, 3], &[0, 2, 1], &[1.0; 3]));
    for (starts, places, weights) in [
        (&[][..], &[][..], &[][..]),
        (&[1, 2], &[0, 1], &[1.0; 2]),
        (&[0, 1], &[0, 1], &[1.0; 2]),
        (&[0, 2, 1, 2], &[0, 1], &[1.0; 2]),
        (&[0, 2], &[1, 1], &[1.0; 2]),
        (&[0, 2], &[0, 3], &[1.0; 2]),
        (&[0, 2], &[0, 1], &[1.0, 0.0]),
        (&[0, 2], &[0, 1], &[1.0, f32::NAN]),
        (&[0, 2], &[0, 1], &[1.0]),
    ] {
        assert!(refused(starts, places, weights), "{starts:?} {places:?} {weights:?}");
    }
    assert!(InteractionMatrix::from_entries(1, 3, vec![(1, 0, 1.0)]).is_err());
    let some = InteractionMatrix::from_entries(2, 3, vec![(1, 2, 1.0), (0, 1, 1.0), (1, 2, 0.5)]).unwrap();
    assert_eq!(
        (some.row(0), some.row(1), some.row(2)),
        ((&[1][..], &[1.0][..]), (&[2][..], &[1.5][..]), (&[][..], &[][..]))
    );
    assert_eq!(some.transposed().transposed(), some);
    let params = Params::default();
    for wrong in [
        Params { width: 0, ..params.clone() },
        Params { width: 513, ..params.clone() },
        Params { epochs: 0, ..params.clone() },
        Params { unobserved: 0.0, ..params.clone() },
        Params { regularisation: f32::NAN, ..params.clone() },
        Params { frequency: 1.5, ..params.clone() },
        Params { confidence: Confidence::Linear { slope: 0.0 }, ..params.clone() },
        Params { confidence: Confidence::Log { slope: 1.0, scale: -1.0 }, ..params.clone() },
    ] {
        assert!(matches!(train(&some, &wrong), Err(Error::Parameter { .. })), "{wrong:?}");
    }
    let none = InteractionMatrix::from_entries(4, 4, Vec::new()).unwrap();
    assert!(matches!(train(&none, &params), Err(Error::TooFew { .. })));
    assert!(matches!(train_from(&some, Array2::zeros((2, 64)).view(), &params), Err(Error::Width { .. })));
}
