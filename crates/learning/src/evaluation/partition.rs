//! Agreement of two partitions of the same rows, by their labels alone.

/// Adjusted Rand index of two labellings of the same rows, independent of the labels' values: 1 for equal partitions, 0 in
/// expectation for independent ones (Hubert and Arabie, "Comparing partitions", 1985, equation 5; by counts of pairs, as in
/// scikit-learn). If the lengths differ, the rest of the longer one is ignored.
pub fn adjusted_rand_index(left: &[u32], right: &[u32]) -> f64 {
    let mut both: Vec<(u32, u32)> = left.iter().copied().zip(right.iter().copied()).collect();
    let count = both.len();
    both.sort_unstable();
    let squares_of_both = squares_of_runs(&both);
    let squares_of_left = squares_of_labels(&left[..count]);
    let squares_of_right = squares_of_labels(&right[..count]);
    // Integers: the products of pair counts lose digits in f64 from about 10^8 rows on.
    let count = count as i128;
    // Ordered pairs of rows that share a cluster in both partitions, in one of them, and in neither.
    let in_both = squares_of_both - count;
    let only_left = squares_of_left - squares_of_both;
    let only_right = squares_of_right - squares_of_both;
    let in_neither = count * count - in_both - only_left - only_right - count;
    // Equal partitions; with a single cluster, or with single rows only, the quotient below would be 0 / 0.
    if only_left == 0 && only_right == 0 {
        return 1.0;
    }
    let agreement = 2 * (in_both * in_neither - only_left * only_right);
    let agreement_max =
        (in_both + only_left) * (only_left + in_neither) + (in_both + only_right) * (only_right + in_neither);
    agreement as f64 / agreement_max as f64
}

fn squares_of_labels(labels: &[u32]) -> i128 {
    let mut labels = labels.to_vec();
    labels.sort_unstable();
    squares_of_runs(&labels)
}
/// Sum of the squared lengths of the runs of equal values.
fn squares_of_runs<T: PartialEq>(sorted: &[T]) -> i128 {
    sorted.chunk_by(|left, right| left == right).map(|run| (run.len() as i128).pow(2)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labellings_agree_by_partition_and_not_by_label() {
        let rows: [(&[u32], &[u32], f64); 9] = [
            (&[], &[], 1.0),
            (&[3], &[4], 1.0),
            (&[0, 0, 1, 1], &[1, 1, 0, 0], 1.0),
            (&[0, 0, 1, 1], &[7, 7, u32::MAX, u32::MAX], 1.0),
            (&[0, 0, 1, 2], &[0, 0, 1, 1], 0.571_428_571_428_571_4),
            (&[0, 0, 1, 1], &[0, 1, 0, 1], -0.5),
            (&[0, 0, 0, 0], &[0, 1, 2, 3], 0.0),
            (&[0, 1, 2, 3], &[3, 2, 1, 0], 1.0),
            (&[0, 0, 1, 1, 5, 6], &[1, 1, 0, 0], 1.0),
        ];
        for (left, right, expected) in rows {
            for (left, right) in [(left, right), (right, left)] {
                let index = adjusted_rand_index(left, right);
                assert!((index - expected).abs() < 1e-15, "{left:?} and {right:?}: {index}");
            }
        }
    }
}
