//! Social neighbourhood: the same means as scipy's sparse matrices, singly and in bulk; the number of edges is bounded.

use super::data::Random;
use super::reference::{Shared, number};
use ndarray::{Array2, array};
use portrait_learning::Error;
use portrait_learning::prediction::social::{SocialGraph, mean_around};

#[test]
fn means_equal_those_of_scipy() {
    let mut random = Random::new(1);
    for (shoppers, count, width) in [(5, 0, 3), (40, 60, 2), (500, 4_000, 16), (300, 30_000, 64)] {
        let mut tie =
            || (random.below(shoppers) as u32, random.below(shoppers) as u32, 0.1 + random.uniform());
        let ties: Vec<(u32, u32, f32)> = (0..count).map(|_| tie()).collect();
        let vectors = Array2::from_shape_simple_fn((shoppers, width), || random.normal());
        let found =
            SocialGraph::new(shoppers, ties.clone(), 1_000).unwrap().aggregate(vectors.view()).unwrap();
        let shared = Shared::new();
        let rows: Vec<[f32; 3]> =
            ties.iter().map(|(from, to, weight)| [*from as f32, *to as f32, *weight]).collect();
        shared.write_rows("ties", &Array2::from(rows));
        shared.write_rows("rows", &vectors);
        let expected = shared.ask(&["around", &width.to_string()]);
        let expected = expected["means"].as_array().unwrap();
        assert_eq!(expected.len(), found.len());
        let apart =
            |(found, expected): (&f32, &serde_json::Value)| (f64::from(*found) - number(expected)).abs();
        let largest = found.iter().zip(expected).map(apart).fold(0.0, f64::max);
        println!("{shoppers} shoppers, {count} ties: {largest:e} apart");
        assert!(largest < 1e-6, "{shoppers} shoppers, {count} ties: {largest:e} apart");
    }
}

#[test]
fn the_mean_of_one_user_equals_that_of_all_at_once() {
    let vectors = array![[1.0, 0.0], [0.0, 2.0], [4.0, 4.0], [7.0, 7.0]];
    let ties = SocialGraph::new(4, vec![(0, 2, 1.0), (0, 1, 3.0), (2, 0, 0.5), (0, 2, 1.0)], 10).unwrap();
    let all = ties.aggregate(vectors.view()).unwrap();
    assert_eq!(all, array![[1.6, 2.8], [0.0, 0.0], [1.0, 0.0], [0.0, 0.0]]);
    let around = ties.of(0).iter().map(|(other, weight)| (vectors.row(*other as usize), *weight));
    assert_eq!(mean_around(around, 2), all.row(0));
    let odd = array![[f32::NAN, 1.0], [1.0, 1.0]];
    let around = [
        (odd.row(0), 1.0),
        (odd.row(1), f32::NAN),
        (odd.row(1), -1.0),
        (odd.column(0), 1.0),
        (odd.row(1), 2.0),
    ];
    assert_eq!(mean_around(around.into_iter(), 2), array![1.0, 1.0]);
    assert!(ties.of(9).is_empty());
}

#[test]
fn the_heaviest_edges_count_above_the_bound() {
    let weights = [1.0, 5.0, 2.0, 5.0, 3.0];
    let ties = weights.iter().zip(0..).map(|(weight, to)| (0, to, *weight)).collect();
    assert_eq!(SocialGraph::new(5, ties, 3).unwrap().of(0), [(1, 5.0), (3, 5.0), (4, 3.0)]);
}

#[test]
fn invalid_edges_are_refused() {
    for (tie, most) in [
        ((2, 0, 1.0), 5),
        ((0, 2, 1.0), 5),
        ((0, 1, 0.0), 5),
        ((0, 1, f32::NAN), 5),
        ((0, 1, f32::INFINITY), 5),
        ((0, 1, 1.0), 0),
        ((0, 1, 1.0), 1_001),
    ] {
        assert!(
            matches!(SocialGraph::new(2, vec![tie], most), Err(Error::Parameter { .. })),
            "{tie:?}, {most}"
        );
    }
    let ties = SocialGraph::new(2, Vec::new(), 1).unwrap();
    assert!(matches!(ties.aggregate(Array2::zeros((3, 1)).view()), Err(Error::Width { .. })));
    let holed = array![[0.0], [f32::NAN]];
    assert_eq!(ties.aggregate(holed.view()), Err(Error::NotFinite { row: 1, column: 0 }));
}
