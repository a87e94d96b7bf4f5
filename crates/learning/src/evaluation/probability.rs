//! Quality of predicted probabilities against labels: ranking, log-loss, calibration, precision and recall.

use serde::{Deserialize, Serialize};

/// Number of bins of equal width for the calibration error.
const BINS: usize = 10;
/// Distance from 0 and 1 that probabilities are clamped to before a logarithm is taken.
const EDGE: f64 = 1e-6;

/// Figures of one scorer on rows that it was not trained on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProbabilityQuality {
    /// Number of rows evaluated.
    pub rows: u64,
    /// Number of rows with a positive label.
    pub positives: u64,
    /// Area under the ROC curve: the probability that a positive row is scored above a negative one; 0.5 is chance.
    pub auc: f64,
    /// Mean negative logarithm of the probability of the observed label, in nats.
    pub log_loss: f64,
    /// Expected calibration error, see [`calibration_error`].
    pub calibration_error: f64,
    /// Probability from which on a row counts as predicted positive.
    pub threshold: f64,
    /// Share of positives among the rows at or above the threshold; 0 if there are none.
    pub precision: f64,
    /// Share of the positives that are at or above the threshold; 0 if there are none.
    pub recall: f64,
}

/// Computes all figures of `probabilities`, one per label, with precision and recall at `threshold`.
pub fn quality(labels: &[bool], probabilities: &[f64], threshold: f64) -> ProbabilityQuality {
    let mut positives = 0.0;
    let mut predicted = 0.0;
    let mut hits = 0.0;
    for (label, probability) in labels.iter().zip(probabilities) {
        positives += f64::from(u8::from(*label));
        predicted += f64::from(u8::from(*probability >= threshold));
        hits += f64::from(u8::from(*label && *probability >= threshold));
    }
    ProbabilityQuality {
        rows: labels.len() as u64,
        positives: positives as u64,
        auc: auc(labels, probabilities),
        log_loss: log_loss(labels, probabilities),
        calibration_error: calibration_error(labels, probabilities),
        threshold,
        precision: ratio(hits, predicted),
        recall: ratio(hits, positives),
    }
}

fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

/// Threshold of the greatest F1, the harmonic mean of precision and recall (van Rijsbergen, "Information Retrieval", 2nd edition,
/// 1979, chapter 7). 0.5 without positive labels.
pub fn best_threshold(labels: &[bool], probabilities: &[f64]) -> f64 {
    let mut order: Vec<usize> = (0..labels.len().min(probabilities.len())).collect();
    order.sort_by(|left, right| probabilities[*right].total_cmp(&probabilities[*left]));
    let positives = labels.iter().filter(|label| **label).count() as f64;
    let mut threshold = 0.5;
    let mut f1_max = 0.0;
    let mut predicted = 0.0;
    let mut hits = 0.0;
    // Rows of equal probability cannot be separated by a threshold, so they are counted together.
    for ties in order.chunk_by(|left, right| probabilities[*left] == probabilities[*right]) {
        predicted += ties.len() as f64;
        hits += ties.iter().filter(|row| labels[**row]).count() as f64;
        let f1 = 2.0 * hits / (predicted + positives);
        // Strictly: of equally good thresholds the highest stays, with the fewest predicted positives.
        if f1 > f1_max {
            threshold = probabilities[ties[0]];
            f1_max = f1;
        }
    }
    threshold
}

/// Area under the ROC curve by ranks, with ties at their mean rank (Hanley and McNeil, "The meaning and use of the area under a
/// receiver operating characteristic (ROC) curve", 1982); 0.5 if all labels are equal.
pub fn auc(labels: &[bool], scores: &[f64]) -> f64 {
    let mut order: Vec<usize> = (0..labels.len().min(scores.len())).collect();
    order.sort_by(|left, right| scores[*left].total_cmp(&scores[*right]));
    let mut rank_sum = 0.0;
    let mut positives = 0.0;
    let mut rows_before = 0.0;
    for ties in order.chunk_by(|left, right| scores[*left] == scores[*right]) {
        let hits = ties.iter().filter(|row| labels[**row]).count() as f64;
        // Mean of the ranks `rows_before + 1` to `rows_before + ties`.
        rank_sum += hits * (rows_before + (ties.len() as f64 + 1.0) / 2.0);
        positives += hits;
        rows_before += ties.len() as f64;
    }
    // The rank sum of the positives minus its least value is the number of pairs in the right order (Mann and
    // Whitney's U).
    let pairs = positives * (rows_before - positives);
    if pairs > 0.0 { (rank_sum - positives * (positives + 1.0) / 2.0) / pairs } else { 0.5 }
}

/// Mean negative logarithm of the probability of the observed label, in nats. Probabilities are clamped to [1e-6, 1 - 1e-6].
pub fn log_loss(labels: &[bool], probabilities: &[f64]) -> f64 {
    let mut loss = 0.0;
    for (label, probability) in labels.iter().zip(probabilities) {
        // A single confident mistake would otherwise make the loss infinite, and no two scorers comparable.
        let probability = probability.clamp(EDGE, 1.0 - EDGE);
        loss += -(if *label { probability } else { 1.0 - probability }).ln();
    }
    loss / labels.len().max(1) as f64
}

/// Expected calibration error in ten bins of equal width: the mean over rows of the distance between the mean probability of a bin
/// and its share of positives (Naeini, Cooper and Hauskrecht, "Obtaining Well Calibrated Probabilities Using Bayesian Binning",
/// AAAI 2015, equation for ECE).
pub fn calibration_error(labels: &[bool], probabilities: &[f64]) -> f64 {
    let mut differences = [0.0; BINS];
    for (label, probability) in labels.iter().zip(probabilities) {
        // A probability of exactly 1 belongs to the last bin.
        let bin = ((probability * BINS as f64) as usize).min(BINS - 1);
        // Signed: the share of a bin's rows times its difference of means is the sum of these over all rows.
        differences[bin] += probability - f64::from(u8::from(*label));
    }
    differences.iter().map(|difference| difference.abs()).sum::<f64>() / labels.len().max(1) as f64
}

impl ProbabilityQuality {
    /// Checks that all figures are finite, which decoded bytes do not guarantee.
    pub(crate) fn is_sound(&self) -> bool {
        let Self { rows: _, positives: _, auc, log_loss, calibration_error, threshold, precision, recall } =
            *self;
        [auc, log_loss, calibration_error, threshold, precision, recall]
            .iter()
            .all(|figure| figure.is_finite())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_threshold_maximises_f1() {
        let labels = [false, false, true, true];
        assert_eq!(best_threshold(&labels, &[0.1, 0.4, 0.35, 0.8]), 0.35);
        assert_eq!(best_threshold(&labels, &[0.1, 0.4, 0.5, 0.8]), 0.5);
        assert_eq!(best_threshold(&[false; 4], &[0.1, 0.4, 0.35, 0.8]), 0.5);
    }
}
