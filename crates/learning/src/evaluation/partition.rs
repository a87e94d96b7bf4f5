//! Agreement of two partitions of the same rows, by their labels alone.

/// How far two labellings of the same rows agree, whatever their labels are called: 1 if they are the same partition, 0 on
/// average if they have nothing to do with each other (Hubert & Arabie, "Comparing partitions", 1985, equation 5; by counts
/// of pairs, as scikit-learn has it). Of labellings of different lengths the rest of the longer is not looked at.
pub fn adjusted_rand_index(one: &[u32], other: &[u32]) -> f64 {
    let mut both: Vec<(u32, u32)> = one.iter().copied().zip(other.iter().copied()).collect();
    let count = both.len();
    both.sort_unstable();
    let squares_of_both = squares_of_runs(&both);
    let squares = |labels: &[u32]| {
        let mut labels = labels[..count].to_vec();
        labels.sort_unstable();
        squares_of_runs(&labels)
    };
    let (squares_one, squares_other) = (squares(one), squares(other));
    let count = count as i128;
    // Ordered pairs of rows that are together in both, in one only, in the other only, and in neither.
    let together = squares_of_both - count;
    let (only_one, only_other) = (squares_one - squares_of_both, squares_other - squares_of_both);
    let apart = count * count - together - only_one - only_other - count;
    if only_one == 0 && only_other == 0 {
        return 1.0;
    }
    let agreement = 2 * (together * apart - only_one * only_other);
    let most = (together + only_one) * (only_one + apart) + (together + only_other) * (only_other + apart);
    agreement as f64 / most as f64
}

/// The sum of the squared lengths of the runs of equal values.
fn squares_of_runs<T: PartialEq>(sorted: &[T]) -> i128 {
    sorted.chunk_by(|one, other| one == other).map(|run| (run.len() as i128).pow(2)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labellings_agree_by_partition_and_not_by_name() {
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
        for (one, other, expected) in rows {
            for (one, other) in [(one, other), (other, one)] {
                let found = adjusted_rand_index(one, other);
                assert!((found - expected).abs() < 1e-15, "{one:?} and {other:?}: {found}");
            }
        }
    }
}
