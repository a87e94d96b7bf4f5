//! Markov chain: the same probabilities as numpy, a distribution for any query, and damaged bytes are refused.

use super::data::Random;
use super::reference::{Shared, number};
use ndarray::Array2;
use portrait_learning::Error;
use portrait_learning::prediction::markov::{
    Chain, ChainError, Params, TransitionCount, UserCounts, choose_pseudo_counts, leave_one_out_loss,
};

const SYMBOLS: u16 = 7;

fn params() -> Params {
    Params { user: 5.0, habit: 20.0, segment: 50.0, global: 100.0, uniform: 7.0 }
}

fn counts(random: &mut Random, count: usize) -> Vec<TransitionCount> {
    let mut symbol = || random.below(usize::from(SYMBOLS)).pow(2) as u16 % SYMBOLS;
    let pairs: Vec<(u16, u16)> = (0..count).map(|_| (symbol(), symbol())).collect();
    let count = |(from, to)| TransitionCount {
        segment: [None, Some(3), Some(9)][random.below(3)],
        from,
        to,
        weight: f64::from(random.uniform()),
    };
    pairs.into_iter().map(count).collect()
}

fn own(random: &mut Random, count: usize) -> Vec<(u16, u16, f64)> {
    counts(random, count).into_iter().map(|count| (count.from, count.to, 4.0 * count.weight)).collect()
}

#[test]
fn probabilities_are_those_of_numpy() {
    let mut random = Random::new(1);
    let (counts, own) = (counts(&mut random, 200), own(&mut random, 15));
    let chain = Chain::train(SYMBOLS, &counts, params()).unwrap();
    let shared = Shared::new();
    // f32 holds each of these exactly: the weights come from 23 bits.
    let row = |values: [f64; 4]| values.map(|value| value as f32);
    let of_counts = counts.iter().map(|count| {
        row([count.segment.map_or(-1.0, f64::from), count.from.into(), count.to.into(), count.weight])
    });
    let of_own = own.iter().map(|(from, to, weight)| row([0.0, (*from).into(), (*to).into(), *weight]));
    let matrix = |rows: Vec<[f32; 4]>| Array2::from(rows);
    shared.write_rows("rows", &matrix(of_counts.collect()));
    shared.write_rows("own", &matrix(of_own.collect()));
    let expected = shared.ask(&["markov", "7", "5", "20", "50", "100", "7"]);
    let mut largest = 0.0_f64;
    for (place, segment) in [None, Some(3), Some(9), Some(77)].into_iter().enumerate() {
        for (row, last) in (0..SYMBOLS).map(Some).chain([None]).enumerate() {
            let found = chain.next(segment, &own, last);
            let expected = expected["shares"][place][row].as_array().unwrap();
            assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(expected) {
                largest = largest.max((found - number(expected)).abs());
            }
        }
    }
    println!("{largest:e} apart");
    assert!(largest < 1e-12, "{largest:e} apart");
}

#[test]
fn any_query_gives_a_distribution_without_a_zero() {
    let mut random = Random::new(2);
    for seen in [0, 1, 10, 1_000] {
        let chain = Chain::train(SYMBOLS, &counts(&mut random, seen), params()).unwrap();
        for segment in [None, Some(3), Some(4)] {
            for last in [None, Some(0), Some(6), Some(7), Some(u16::MAX)] {
                let mut own = own(&mut random, seen % 20);
                own.extend([(0, 7, 1.0), (7, 0, 1.0), (1, 1, f64::NAN), (1, 1, -1.0), (1, 1, f64::INFINITY)]);
                let shares = chain.next(segment, &own, last);
                let sum: f64 = shares.iter().sum();
                assert!((sum - 1.0).abs() < 1e-12, "{sum}");
                assert!(shares.iter().all(|share| *share > 0.0), "{shares:?}");
            }
        }
    }
}

#[test]
fn who_is_not_known_is_foretold_as_everybody_and_habits_are_learned() {
    let many = |from, to, weight| TransitionCount { segment: Some(1), from, to, weight };
    let chain = Chain::train(3, &[many(0, 1, 1e6), many(1, 0, 1e6)], params()).unwrap();
    let everybody = chain.next(None, &[], Some(0));
    assert!(everybody[1] > 0.99, "{everybody:?}");
    assert_eq!(chain.next(Some(8), &[], Some(0)), everybody);
    let shopper = chain.next(None, &[(0, 2, 100.0)], Some(0));
    assert!(shopper[2] > 0.9, "{shopper:?}");
    let elsewhere = chain.next(None, &[(1, 2, 100.0)], Some(0));
    assert!(elsewhere[2] > everybody[2] && elsewhere[2] < shopper[2], "{elsewhere:?}");
}

/// Shoppers' counts, each pair once.
fn shoppers(random: &mut Random, count: usize) -> Vec<Vec<(u16, u16, f64)>> {
    let mut one = |_| {
        let mut counts = own(random, 9);
        counts.sort_by_key(|(from, to, _)| (*from, *to));
        counts.dedup_by_key(|(from, to, _)| (*from, *to));
        counts
    };
    (0..count).map(&mut one).collect()
}

fn counts_of(shoppers: &[Vec<(u16, u16, f64)>]) -> Vec<UserCounts<'_>> {
    shoppers.iter().map(|counts| &**counts).collect()
}

#[test]
fn what_is_left_out_is_foretold_as_by_a_chain_that_never_saw_it() {
    let shoppers = shoppers(&mut Random::new(4), 12);
    let found = leave_one_out_loss(SYMBOLS, &counts_of(&shoppers), &params());
    let (mut loss, mut weights) = (0.0, 0.0);
    for (shopper, counts) in shoppers.iter().enumerate() {
        for (place, (from, to, weight)) in counts.iter().enumerate() {
            let mut all = shoppers.clone();
            all[shopper][place].2 -= weight.min(1.0);
            let count = |(from, to, weight): &(u16, u16, f64)| TransitionCount {
                segment: None,
                from: *from,
                to: *to,
                weight: *weight,
            };
            let counted: Vec<TransitionCount> = all.iter().flatten().map(count).collect();
            let chain = Chain::train(SYMBOLS, &counted, params()).unwrap();
            let shares = chain.next(None, &all[shopper], Some(*from));
            loss -= weight * shares[usize::from(*to)].ln();
            weights += weight;
        }
    }
    let expected = loss / weights;
    assert!((found - expected).abs() < 1e-12, "{found} is not {expected}");
}

#[test]
fn pseudo_counts_are_chosen_by_what_they_foretell() {
    let some = shoppers(&mut Random::new(5), 200);
    let chosen = choose_pseudo_counts(SYMBOLS, &counts_of(&some), params());
    let loss = |params: &Params| leave_one_out_loss(SYMBOLS, &counts_of(&some), params);
    for (habit, own) in [(3.0, 3.0), (100.0, 20.0), (20.0, 100.0), (1e3, 1e3), (1e12, 1e12)] {
        let other = Params { habit, user: own, ..chosen };
        assert!(loss(&chosen) < loss(&other) + 1e-4, "{chosen:?} is worse than {other:?}");
    }
    assert_eq!(chosen.segment, params().segment, "of segments nothing is known");
    assert_eq!(choose_pseudo_counts(SYMBOLS, &[], params()), params(), "no users give the defaults");
    // A user with one action only is predicted by the own counts; where all users are alike the own counts say nothing.
    let faithful: Vec<_> = (0..70).map(|number| vec![(number % SYMBOLS, number % SYMBOLS, 9.0)]).collect();
    let leaning = choose_pseudo_counts(SYMBOLS, &counts_of(&faithful), params());
    assert!(leaning.user <= 10.0 || leaning.habit <= 10.0, "{leaning:?}");
    let alike: Vec<_> =
        (0..70).map(|number| vec![(0, number % SYMBOLS, 1.0), (0, (number + 1) % SYMBOLS, 1.0)]).collect();
    let leaning = choose_pseudo_counts(SYMBOLS, &counts_of(&alike), params());
    assert!(leaning.user >= 100.0 && leaning.habit >= 100.0, "{leaning:?}");
}

#[test]
fn a_chain_comes_back_as_it_went_and_damage_is_refused() {
    let chain = Chain::train(SYMBOLS, &counts(&mut Random::new(3), 40), params()).unwrap();
    let bytes = chain.encode();
    let back = Chain::decode(&bytes).unwrap();
    assert_eq!(back.encode(), bytes);
    for (found, expected) in back.next(Some(3), &[], Some(2)).iter().zip(chain.next(Some(3), &[], Some(2))) {
        assert!((found - expected).abs() < 1e-12);
    }
    for end in 0..bytes.len() {
        assert!(Chain::decode(&bytes[..end]).is_err(), "{end} bytes");
    }
    assert_eq!(Chain::decode(&[&[7], &bytes[1..]].concat()), Err(ChainError::Format { found: 7 }));
    assert!(matches!(Chain::decode(&[&bytes[..], &[0]].concat()), Err(ChainError::Damaged(_))));
    let mut broken = bytes.clone();
    broken[1..9].copy_from_slice(&f64::NAN.to_le_bytes());
    assert!(matches!(Chain::decode(&broken), Err(ChainError::Inconsistent(_))));
    for place in 1..bytes.len() {
        // A flipped byte may give another chain, but a served chain gives a distribution.
        let mut broken = bytes.clone();
        broken[place] ^= 0x55;
        if let Ok(chain) = Chain::decode(&broken) {
            let shares = chain.next(Some(3), &[], Some(1));
            assert!(shares.iter().all(|share| share.is_finite()), "byte {place}: {shares:?}");
        }
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    let count = TransitionCount { segment: None, from: 0, to: 1, weight: 1.0 };
    for (symbols, count, params) in [
        (0, count, params()),
        (5_000, count, params()),
        (2, TransitionCount { from: 2, ..count }, params()),
        (2, TransitionCount { to: 2, ..count }, params()),
        (2, TransitionCount { weight: -1.0, ..count }, params()),
        (2, TransitionCount { weight: f64::NAN, ..count }, params()),
        (2, count, Params { user: 0.0, ..params() }),
        (2, count, Params { global: f64::INFINITY, ..params() }),
    ] {
        assert!(matches!(Chain::train(symbols, &[count], params), Err(Error::Parameter { .. })), "{count:?}");
    }
}
