//! Served scorer: the champion, its calibration and its figures. Scores come with contributions. Decoded bytes are checked as a whole.

use super::calibration::Calibration;
use super::learner::{Learner, LearnerKind, ScorerCandidate};
use super::odds::probability;
use super::params::Params;
use super::rows::LabelledRows;
use super::tree::TreeStep;
use crate::error::Error;
use crate::evaluation::{ProbabilityQuality, best_threshold, log_loss, quality};
use ndarray::ArrayView1;
use serde::{Deserialize, Serialize};

/// Version byte of an encoded scorer.
const FORMAT: u8 = 1;

/// Scorer that gives rows a probability.
///
/// ```
/// use ndarray::{Array2, array};
/// use portrait_learning::prediction::learners::{LearnerKind, Params, Scorer, learn};
///
/// // 200 examples of two numbers; the label is positive if the first is high.
/// let rows = Array2::from_shape_fn((200, 2), |(row, column)| ((row * 7 + column * 3) % 10) as f32);
/// let labels: Vec<bool> = rows.column(0).iter().map(|value| *value > 6.0).collect();
/// let params = Params { kinds: vec![LearnerKind::Tree, LearnerKind::Logistic], ..Params::default() };
/// let scorer = learn(rows.view(), &labels, None, &params)?;
///
/// let (low, high) = (scorer.score(array![1.0, 5.0].view())?, scorer.score(array![9.0, 5.0].view())?);
/// assert!(low.probability < 0.5 && high.probability > 0.5);
/// // Contributions sum to the score.
/// let sum = high.base + high.contributions.iter().sum::<f64>();
/// assert!((sum - high.log_odds).abs() < 1e-9);
/// assert_eq!(Scorer::decode(&scorer.encode())?, scorer);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scorer {
    columns: u32,
    learner: Learner,
    calibration: Calibration,
    quality: ProbabilityQuality,
    contenders: Vec<(LearnerKind, ProbabilityQuality)>,
}

/// Probability with its explanation.
#[derive(Clone, Debug, PartialEq)]
pub struct Score {
    /// Probability of a positive label, 0 to 1.
    pub probability: f64,
    /// Logarithm of the odds of `probability`.
    pub log_odds: f64,
    /// Log-odds without any information: of all training rows (tree), or of the mean row.
    pub base: f64,
    /// Contribution to the log-odds by column; with `base` they sum to `log_odds`.
    pub contributions: Vec<f64>,
    /// Decisions of a tree, from the root on; empty for other learners.
    pub path: Vec<TreeStep>,
}

/// Error of decoding a scorer or of scoring a row.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ScorerError {
    /// The bytes are damaged.
    #[error("the scorer's bytes are damaged: {0}")]
    Damaged(String),
    /// Another release wrote the scorer.
    #[error("the scorer has format {found}, this release reads {FORMAT}")]
    Format {
        /// Format of the scorer.
        found: u8,
    },
    /// Parts of the scorer contradict each other, or a number is out of the range of trained ones.
    #[error("the scorer does not fit together")]
    Inconsistent,
    /// A row has another width than the training rows.
    #[error("the row has {found} numbers, {expected} are expected")]
    Width {
        /// Number of columns of the row.
        found: usize,
        /// Number of columns of the training rows.
        expected: usize,
    },
    /// A value of a row is NaN or infinite.
    #[error("the value in column {column} is not a finite number")]
    NotFinite {
        /// Index of the column, counted from 0.
        column: usize,
    },
}

/// Selects the candidate with the least log-loss on the newest rows, calibrates it if that helps, and refits it on all rows.
pub(super) fn champion(
    candidates: Vec<ScorerCandidate>,
    rows: LabelledRows,
    newest: LabelledRows,
    params: &Params,
) -> Result<Scorer, Error> {
    let figures = |shares: &[f64]| {
        let threshold = params.threshold.unwrap_or_else(|| best_threshold(newest.labels, shares));
        quality(newest.labels, shares, threshold)
    };
    let mut evaluated: Vec<(ProbabilityQuality, ScorerCandidate)> = candidates
        .into_iter()
        .map(|candidate| (figures(&candidate.learner.probabilities(newest.values)), candidate))
        .collect();
    // Stable: of equal losses the first kind of the parameters wins.
    evaluated.sort_by(|left, right| left.0.log_loss.total_cmp(&right.0.log_loss));
    let candidates =
        evaluated.iter().map(|(quality, candidate)| (candidate.learner.kind(), *quality)).collect();
    let Some((quality, best)) = evaluated.into_iter().next() else {
        return Err(Error::parameter("kinds", "are none"));
    };
    let log_odds: Vec<f64> = newest.values.outer_iter().map(|row| best.learner.log_odds(row)).collect();
    let calibration = calibration(&log_odds, newest.labels);
    let calibrated: Vec<f64> = log_odds.iter().map(|score| probability(calibration.of(*score))).collect();
    Ok(Scorer {
        columns: rows.values.ncols() as u32,
        // Users to be scored resemble the newest rows most, so these are trained on as well. The calibration
        // stays that of the first fit, which has not seen them.
        learner: (best.refit)(rows)?,
        calibration,
        quality: if calibration == Calibration::NONE { quality } else { figures(&calibrated) },
        contenders: candidates,
    })
}

/// Platt scaling fitted on all newest rows, if a fit on their first half improves the second half.
fn calibration(log_odds: &[f64], labels: &[bool]) -> Calibration {
    // By time, and never tested on the rows of the fit: a line that only follows noise is not used.
    let half = labels.len() / 2;
    let loss_uncalibrated = loss(Calibration::NONE, &log_odds[half..], &labels[half..]);
    Calibration::fit(&log_odds[..half], &labels[..half])
        .filter(|line| loss(*line, &log_odds[half..], &labels[half..]) < loss_uncalibrated)
        .and_then(|_| Calibration::fit(log_odds, labels))
        .unwrap_or(Calibration::NONE)
}

fn loss(line: Calibration, log_odds: &[f64], labels: &[bool]) -> f64 {
    let shares: Vec<f64> = log_odds.iter().map(|score| probability(line.of(*score))).collect();
    log_loss(labels, &shares)
}

impl Scorer {
    /// LearnerKind of the champion.
    pub fn kind(&self) -> LearnerKind {
        self.learner.kind()
    }

    /// Number of columns `d` of a row.
    pub fn columns(&self) -> usize {
        self.columns as usize
    }

    /// Calibration of the log-odds.
    pub fn calibration(&self) -> Calibration {
        self.calibration
    }

    /// Figures on the newest rows of the champion trained on the older rows. Calibrated figures are measured on the rows that the
    /// calibration was fitted on.
    pub fn quality(&self) -> ProbabilityQuality {
        self.quality
    }

    /// Uncalibrated figures of all candidates, best first.
    pub fn contenders(&self) -> &[(LearnerKind, ProbabilityQuality)] {
        &self.contenders
    }

    /// Scores a row of `d` numbers.
    ///
    /// # Errors
    /// [`ScorerError::Width`] for another width than the training rows, [`ScorerError::NotFinite`] for a value that is not finite.
    pub fn score(&self, row: ArrayView1<f32>) -> Result<Score, ScorerError> {
        if row.len() != self.columns() {
            return Err(ScorerError::Width { found: row.len(), expected: self.columns() });
        }
        if let Some(column) = row.iter().position(|value| !value.is_finite()) {
            return Err(ScorerError::NotFinite { column });
        }
        // Calibration is linear, so its slope scales contributions and its offset belongs to the base.
        let Calibration { slope, .. } = self.calibration;
        let (base, mut contributions, mut path) = match &self.learner {
            Learner::Tree(tree) => {
                let path = tree.steps(row);
                let mut contributions = vec![0.0; row.len()];
                path.iter().for_each(|step| contributions[step.column] += step.log_odds);
                (tree.base(), contributions, path)
            }
            Learner::Network(network) => (network.base(), network.contributions(row), Vec::new()),
            Learner::Logistic(logistic) => (logistic.base(), logistic.contributions(row), Vec::new()),
        };
        contributions.iter_mut().for_each(|value| *value *= slope);
        path.iter_mut().for_each(|step| step.log_odds *= slope);
        let log_odds = self.calibration.of(self.learner.log_odds(row));
        Ok(Score {
            probability: probability(log_odds),
            log_odds,
            base: self.calibration.of(base),
            contributions,
            path,
        })
    }

    /// Encodes the scorer: a version byte and postcard.
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_extend(self, vec![FORMAT])
            .expect("writing to memory cannot fail: every type here has a known length")
    }

    /// Decodes and checks a scorer.
    ///
    /// # Errors
    /// Any [`ScorerError`] that makes the scorer unfit to be served.
    pub fn decode(bytes: &[u8]) -> Result<Self, ScorerError> {
        let (&found, rest) = bytes.split_first().ok_or(ScorerError::Damaged("no bytes".to_owned()))?;
        if found != FORMAT {
            return Err(ScorerError::Format { found });
        }
        let (scorer, left): (Self, &[u8]) =
            postcard::take_from_bytes(rest).map_err(|error| ScorerError::Damaged(error.to_string()))?;
        if !left.is_empty() {
            return Err(ScorerError::Damaged(format!("{} bytes too many", left.len())));
        }
        let columns = scorer.columns();
        let sound = match &scorer.learner {
            Learner::Tree(tree) => tree.is_sound(columns),
            Learner::Network(network) => network.is_sound(columns),
            Learner::Logistic(logistic) => logistic.is_sound(columns),
        };
        let figures = scorer.contenders.iter().map(|(_, quality)| quality).chain([&scorer.quality]);
        let finite = figures.into_iter().all(ProbabilityQuality::is_sound);
        let whole = sound && finite && scorer.calibration.is_sound() && columns > 0;
        if whole { Ok(scorer) } else { Err(ScorerError::Inconsistent) }
    }
}
