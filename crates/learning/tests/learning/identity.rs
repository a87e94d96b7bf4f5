//! Segments keep their ids while their members stay. The assignment is compared with every permutation.

use ndarray::{Array2, ArrayView2, array};
use portrait_learning::segmentation::{
    HYSTERESIS, Origin, SegmentMatching, hungarian, match_segments, switches,
};
use portrait_profile::SegmentId;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::{BTreeSet, HashSet};

/// The least total cost over all ways to give the rows from `row` on a column each, or none if columns are too few.
fn least(cost: ArrayView2<f64>, row: usize, used: &mut Vec<bool>, left_out: usize) -> f64 {
    if row == cost.nrows() {
        return 0.0;
    }
    let mut best = if left_out > 0 { least(cost, row + 1, used, left_out - 1) } else { f64::INFINITY };
    for column in 0..cost.ncols() {
        if !used[column] {
            used[column] = true;
            best = best.min(cost[[row, column]] + least(cost, row + 1, used, left_out));
            used[column] = false;
        }
    }
    best
}

fn total(cost: ArrayView2<f64>, assigned: &[Option<usize>]) -> f64 {
    assert_eq!(assigned.len(), cost.nrows());
    let columns: Vec<usize> = assigned.iter().flatten().copied().collect();
    assert_eq!(columns.len(), cost.nrows().min(cost.ncols()), "all that can have one have one");
    assert_eq!(columns.iter().collect::<HashSet<_>>().len(), columns.len(), "no column twice");
    assigned.iter().enumerate().filter_map(|(row, column)| column.map(|column| cost[[row, column]])).sum()
}

#[test]
fn no_assignment_is_cheaper_than_the_one_that_is_found() {
    let mut random = StdRng::seed_from_u64(1);
    for rows in 0..=7 {
        for columns in 0..=7 {
            for round in 0..8 {
                // Whole numbers of a small range have many ties.
                let draw = |random: &mut StdRng| {
                    let value: f64 = random.random_range(-5.0..5.0);
                    if round % 2 == 0 { value } else { value.round() }
                };
                let cost = Array2::from_shape_simple_fn((rows, columns), || draw(&mut random));
                let found = total(cost.view(), &hungarian(cost.view()));
                let left_out = rows.saturating_sub(columns);
                let best = least(cost.view(), 0, &mut vec![false; columns], left_out);
                assert!((found - best).abs() < 1e-9, "{rows} x {columns}: {found} for {best}");
            }
        }
    }
}

#[test]
fn no_number_is_the_worst_cost() {
    let nan = f64::NAN;
    let check = |cost: Array2<f64>, expected: &[Option<usize>]| {
        assert_eq!(hungarian(cost.view()), expected, "{cost}");
    };
    check(array![[nan, 1e9], [-1e9, 5.0]], &[Some(1), Some(0)]);
    check(array![[nan, 1.0], [1.0, 1e9]], &[Some(1), Some(0)]);
    check(array![[f64::INFINITY, 1e9], [0.0, nan]], &[Some(1), Some(0)]);
    check(array![[nan, 7.0, nan]], &[Some(1)]);
    check(array![[nan], [f64::MAX], [nan]], &[None, Some(0), None]);
    check(array![[nan]], &[Some(0)]);
    check(array![[1.0, f64::NEG_INFINITY], [0.0, 1.0]], &[Some(1), Some(0)]);
    check(array![[nan, nan], [nan, 1.0]], &[Some(0), Some(1)]);
    check(Array2::zeros((0, 3)), &[]);
    check(Array2::zeros((2, 0)), &[None, None]);
}

#[test]
fn a_shopper_moves_only_to_what_is_closer_by_a_tenth() {
    let rows = [
        (0.0, 1.0, true),
        (0.89, 1.0, true),
        (HYSTERESIS, 1.0, false),
        (0.95, 1.0, false),
        (1.0, 1.0, false),
        (0.0, 0.0, false),
        (1.0, f32::INFINITY, true),
        (f32::INFINITY, f32::INFINITY, false),
        (f32::NAN, 1.0, false),
        (0.0, f32::NAN, false),
    ];
    for (new, old, expected) in rows {
        assert_eq!(switches(new, old), expected, "{new} for {old}");
    }
}

fn id(number: u32) -> SegmentId {
    SegmentId::new(number)
}

/// A panel of blocks: so many shoppers who were in that segment and are in that cluster.
fn matching(
    blocks: &[(usize, Option<u32>, u32)],
    clusters: usize,
    live: &[u32],
    next: u32,
) -> SegmentMatching {
    let (mut old, mut new) = (Vec::new(), Vec::new());
    for (count, segment, cluster) in blocks {
        old.extend(std::iter::repeat_n(segment.map(id), *count));
        new.extend(std::iter::repeat_n(*cluster, *count));
    }
    let live: Vec<SegmentId> = live.iter().copied().map(id).collect();
    match_segments(&old, &new, clusters, &live, id(next))
}

fn check(
    blocks: &[(usize, Option<u32>, u32)],
    clusters: usize,
    live: &[u32],
    expected: &[(u32, Origin)],
    retired: &[(u32, &[u32])],
) {
    let found = matching(blocks, clusters, live, 10);
    let segments: Vec<(u32, Origin)> =
        found.segments.iter().map(|matched| (matched.id.get(), matched.origin.clone())).collect();
    assert_eq!(segments, expected, "{blocks:?}");
    let ended: Vec<(SegmentId, Vec<SegmentId>)> = retired
        .iter()
        .map(|(segment, into)| (id(*segment), into.iter().copied().map(id).collect()))
        .collect();
    assert_eq!(found.retired, ended, "{blocks:?}");
    let fresh = segments.iter().filter(|(segment, _)| *segment >= 10).count();
    assert_eq!(found.next, id(10 + u32::try_from(fresh).expect("few")), "{blocks:?}");
    for matched in &found.segments {
        let is_new = matched.id.get() >= 10;
        assert_eq!(matched.overlap == 0.0, is_new, "{matched:?}");
        assert!((0.0..=1.0).contains(&matched.overlap), "{matched:?}");
    }
}

#[test]
fn the_same_people_under_other_numbers_keep_their_ids() {
    let blocks = [(500, Some(4), 2), (300, Some(7), 0), (200, Some(5), 1)];
    let kept = [(7, Origin::Kept), (5, Origin::Kept), (4, Origin::Kept)];
    check(&blocks, 3, &[4, 5, 7], &kept, &[]);
    let found = matching(&blocks, 3, &[4, 5, 7], 10);
    assert!(found.segments.iter().all(|matched| matched.overlap == 1.0), "{found:?}");
}

#[test]
fn a_segment_cut_in_two_goes_on_as_the_larger_part() {
    let blocks = [(300, Some(0), 0), (280, Some(1), 1), (220, Some(1), 2)];
    let expected = [(0, Origin::Kept), (1, Origin::Kept), (10, Origin::Split { from: id(1) })];
    check(&blocks, 3, &[0, 1], &expected, &[]);
}

#[test]
fn a_merger_keeps_the_id_of_the_larger_part_and_says_what_it_took_in() {
    let blocks = [(300, Some(0), 0), (250, Some(1), 0), (400, Some(2), 1)];
    let expected = [(0, Origin::Merged { from: vec![id(1)] }), (2, Origin::Kept)];
    check(&blocks, 2, &[0, 1, 2], &expected, &[(1, &[0])]);
}

#[test]
fn a_merger_of_too_many_is_a_segment_of_its_own() {
    let blocks: Vec<(usize, Option<u32>, u32)> =
        (0..5).map(|segment| (100 + segment as usize, Some(segment), 0)).collect();
    let from = [4, 3, 2, 1, 0].map(id).to_vec();
    let retired: [(u32, &[u32]); 5] = [(0, &[10]), (1, &[10]), (2, &[10]), (3, &[10]), (4, &[10])];
    check(&blocks, 1, &[0, 1, 2, 3, 4], &[(10, Origin::Merged { from })], &retired);
}

#[test]
fn a_segment_that_is_scattered_is_retired_with_where_its_people_went() {
    let blocks = [
        (300, Some(0), 0),
        (300, Some(1), 1),
        (300, Some(2), 2),
        (30, Some(3), 1),
        (50, Some(3), 2),
        (20, Some(3), 0),
    ];
    let expected = [(0, Origin::Kept), (1, Origin::Kept), (2, Origin::Merged { from: vec![id(3)] })];
    check(&blocks, 3, &[0, 1, 2, 3], &expected, &[(3, &[2, 1, 0])]);
}

#[test]
fn people_who_were_in_no_segment_found_new_ones() {
    let blocks = [(300, None, 0), (200, None, 1), (100, Some(99), 1)];
    let expected = [(10, Origin::New), (11, Origin::New)];
    check(&blocks, 2, &[0, 1], &expected, &[(0, &[]), (1, &[])]);
}

#[test]
fn an_empty_panel_knows_nobody_again() {
    check(&[], 0, &[], &[], &[]);
    check(&[], 2, &[3], &[(10, Origin::New), (11, Origin::New)], &[(3, &[])]);
    check(&[(5, Some(3), 0)], 0, &[3], &[], &[(3, &[])]);
    check(&[(5, Some(3), 9)], 1, &[3], &[(10, Origin::New)], &[(3, &[])]);
}

#[test]
fn a_next_id_that_is_taken_is_passed_over() {
    let found = matching(&[(5, Some(12), 0), (5, None, 1)], 2, &[12], 3);
    assert_eq!(found.segments[1].id, id(13));
    assert_eq!(found.next, id(14));
}

#[test]
fn an_id_is_never_given_again() {
    let mut random = StdRng::seed_from_u64(2);
    let (mut live, mut next) = (Vec::new(), id(0));
    let mut old = vec![None; 2_000];
    let mut ended: BTreeSet<SegmentId> = BTreeSet::new();
    let mut kept = 0;
    for generation in 0..20_u32 {
        let clusters = random.random_range(2..9_u32);
        // Some generations keep most people together, others deal them anew.
        let loyal = if generation % 3 == 0 { 0.0 } else { 0.8 };
        let new: Vec<u32> = old
            .iter()
            .map(|segment: &Option<SegmentId>| match segment {
                Some(segment) if random.random_bool(loyal) => segment.get() % clusters,
                _ => random.random_range(0..clusters),
            })
            .collect();
        let found = match_segments(&old, &new, clusters as usize, &live, next);
        assert_eq!(found.segments.len(), clusters as usize);
        for matched in &found.segments {
            let is_old = live.contains(&matched.id);
            assert!(is_old || matched.id >= next, "{matched:?} was given before");
            assert!(!ended.contains(&matched.id), "{matched:?} had ended");
            assert!(matched.id < found.next);
            kept += usize::from(is_old);
        }
        ended.extend(found.retired.iter().map(|(segment, _)| *segment));
        live = found.segments.iter().map(|matched| matched.id).collect();
        assert_eq!(live.iter().collect::<HashSet<_>>().len(), live.len(), "no id twice");
        next = found.next;
        old = new.iter().map(|cluster| live.get(*cluster as usize).copied()).collect();
    }
    assert!(kept > 20, "only {kept} were kept");
}
