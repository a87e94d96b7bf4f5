//! How good probabilities are. In come what happened and what was said of it; out go the usual figures.

use serde::{Deserialize, Serialize};

/// Bins of equal width that the calibration is looked at in.
const BINS: usize = 10;
/// Probabilities are brought into this distance of 0 and 1 before a logarithm is taken.
const EDGE: f64 = 1e-6;

/// Figures of one scorer on rows that it did not learn from.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    /// Rows looked at.
    pub rows: u64,
    /// How many of them happened.
    pub happened: u64,
    /// The probability that a row that happened is scored above one that did not; 0.5 is chance.
    pub auc: f64,
    /// The mean negative logarithm of the probability of what came about, in nats.
    pub log_loss: f64,
    /// How far probabilities and shares are apart, as [`calibration_error`].
    pub calibration_error: f64,
    /// Where the two below are taken.
    pub threshold: f64,
    /// Of the rows at or above the threshold, the share that happened; 0 if there are none.
    pub precision: f64,
    /// Of the rows that happened, the share at or above the threshold; 0 if there are none.
    pub recall: f64,
}

/// All figures of probabilities, one a row.
pub fn quality(labels: &[bool], probabilities: &[f64], threshold: f64) -> Quality {
    let count = |wanted: &dyn Fn(bool, f64) -> bool| {
        labels.iter().zip(probabilities).filter(|(label, share)| wanted(**label, **share)).count() as f64
    };
    let happened = count(&|label, _| label);
    let (hits, named) =
        (count(&|label, share| label && share >= threshold), count(&|_, share| share >= threshold));
    let share = |part: f64, of: f64| if of > 0.0 { part / of } else { 0.0 };
    Quality {
        rows: labels.len() as u64,
        happened: happened as u64,
        auc: auc(labels, probabilities),
        log_loss: log_loss(labels, probabilities),
        calibration_error: calibration_error(labels, probabilities),
        threshold,
        precision: share(hits, named),
        recall: share(hits, happened),
    }
}

/// The probability from which on rows are named so that precision and recall are best together: the greatest F1, their harmonic mean
/// (van Rijsbergen, "Information Retrieval", 2nd edition, 1979, chapter 7). 0.5 if nothing happened.
pub fn best_threshold(labels: &[bool], probabilities: &[f64]) -> f64 {
    let mut order: Vec<usize> = (0..labels.len().min(probabilities.len())).collect();
    order.sort_by(|one, other| probabilities[*other].total_cmp(&probabilities[*one]));
    let happened = labels.iter().filter(|label| **label).count() as f64;
    let (mut best, mut most, mut named, mut hits) = (0.5, 0.0, 0.0, 0.0);
    for ties in order.chunk_by(|one, other| probabilities[*one] == probabilities[*other]) {
        named += ties.len() as f64;
        hits += ties.iter().filter(|row| labels[**row]).count() as f64;
        let f1 = 2.0 * hits / (named + happened);
        if f1 > most {
            (best, most) = (probabilities[ties[0]], f1);
        }
    }
    best
}

/// The area under the curve of true against false positives, by ranks, ties in the middle (Hanley and McNeil, "The meaning and
/// use of the area under a receiver operating characteristic (ROC) curve", 1982); 0.5 if there is but one outcome.
pub fn auc(labels: &[bool], scores: &[f64]) -> f64 {
    let mut order: Vec<usize> = (0..labels.len().min(scores.len())).collect();
    order.sort_by(|one, other| scores[*one].total_cmp(&scores[*other]));
    let (mut ranks, mut happened, mut before) = (0.0, 0.0, 0.0);
    for ties in order.chunk_by(|one, other| scores[*one] == scores[*other]) {
        let hits = ties.iter().filter(|row| labels[**row]).count() as f64;
        ranks += hits * (before + (ties.len() as f64 + 1.0) / 2.0);
        (happened, before) = (happened + hits, before + ties.len() as f64);
    }
    let pairs = happened * (before - happened);
    if pairs > 0.0 { (ranks - happened * (happened + 1.0) / 2.0) / pairs } else { 0.5 }
}

/// The mean negative logarithm of the probability of what came about, in nats.
pub fn log_loss(labels: &[bool], probabilities: &[f64]) -> f64 {
    let loss = |(label, share): (&bool, &f64)| {
        let share = share.clamp(EDGE, 1.0 - EDGE);
        -(if *label { share } else { 1.0 - share }).ln()
    };
    labels.iter().zip(probabilities).map(loss).sum::<f64>() / labels.len().max(1) as f64
}

/// The expected calibration error in ten bins of equal width: the mean over rows of how far the mean probability of a bin is
/// from the share of it that happened (Naeini, Cooper and Hauskrecht, "Obtaining Well Calibrated Probabilities Using Bayesian
/// Binning", AAAI 2015, equation for ECE).
pub fn calibration_error(labels: &[bool], probabilities: &[f64]) -> f64 {
    let mut apart = [0.0; BINS];
    for (label, share) in labels.iter().zip(probabilities) {
        apart[((share * BINS as f64) as usize).min(BINS - 1)] += share - f64::from(u8::from(*label));
    }
    apart.iter().map(|apart| apart.abs()).sum::<f64>() / labels.len().max(1) as f64
}

impl Quality {
    /// Whether all figures are numbers; what was read from outside may not be.
    pub(crate) fn is_sound(&self) -> bool {
        let Self { rows: _, happened: _, auc, log_loss, calibration_error, threshold, precision, recall } =
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
    fn the_threshold_is_where_precision_and_recall_are_best_together() {
        let labels = [false, false, true, true];
        assert_eq!(best_threshold(&labels, &[0.1, 0.4, 0.35, 0.8]), 0.35);
        assert_eq!(best_threshold(&labels, &[0.1, 0.4, 0.5, 0.8]), 0.5);
        assert_eq!(best_threshold(&[false; 4], &[0.1, 0.4, 0.35, 0.8]), 0.5);
    }
}
