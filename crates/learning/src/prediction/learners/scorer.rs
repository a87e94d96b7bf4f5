//! What is served: a champion, its calibration and its figures. In come contenders once, and rows at any time; out go scores that
//! say what made them up. Bytes that are read back are checked whole.

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

/// The version byte of an encoded scorer.
const FORMAT: u8 = 1;

/// Gives rows a probability.
///
/// ```
/// use ndarray::{Array2, array};
/// use portrait_learning::prediction::learners::{Kind, Params, Scorer, learn};
///
/// // 200 cases of two numbers; it happens if the first is high.
/// let rows = Array2::from_shape_fn((200, 2), |(row, column)| ((row * 7 + column * 3) % 10) as f32);
/// let labels: Vec<bool> = rows.column(0).iter().map(|value| *value > 6.0).collect();
/// let params = Params { kinds: vec![Kind::Tree, Kind::Logistic], ..Params::default() };
/// let scorer = learn(rows.view(), &labels, None, &params)?;
///
/// let (low, high) = (scorer.score(array![1.0, 5.0].view())?, scorer.score(array![9.0, 5.0].view())?);
/// assert!(low.probability < 0.5 && high.probability > 0.5);
/// // A score says what made it up.
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

/// A probability and what made it up.
#[derive(Clone, Debug, PartialEq)]
pub struct Score {
    /// That it happens.
    pub probability: f64,
    /// The logarithm of its odds.
    pub log_odds: f64,
    /// The same of a row nothing is known of: of all rows (tree), or of a row that is the mean of all.
    pub base: f64,
    /// By column, what it added to the logarithm of the odds. With `base` they add up to it.
    pub contributions: Vec<f64>,
    /// What a tree asked, from the root on; empty for other learners.
    pub path: Vec<TreeStep>,
}

/// Why bytes are no scorer, or a row no row.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ScorerError {
    /// They are not what was encoded.
    #[error("the scorer's bytes are damaged: {0}")]
    Damaged(String),
    /// Another release made them.
    #[error("the scorer has format {found}, this release reads {FORMAT}")]
    Format {
        /// Theirs.
        found: u8,
    },
    /// Its parts do not fit together, or a number cannot be one that was learned.
    #[error("the scorer does not fit together")]
    Inconsistent,
    /// A row is not as wide as those that were learned from.
    #[error("the row has {found} numbers, {expected} are expected")]
    Width {
        /// Its numbers.
        found: usize,
        /// What they must be.
        expected: usize,
    },
    /// A row has a value that is NaN or infinite.
    #[error("the value in column {column} is not a finite number")]
    NotFinite {
        /// From 0.
        column: usize,
    },
}

/// The contender of the least loss on the newest rows, calibrated if that is better still, and learned anew from all rows.
pub(super) fn champion(
    contenders: Vec<ScorerCandidate>,
    rows: LabelledRows,
    newest: LabelledRows,
    params: &Params,
) -> Result<Scorer, Error> {
    let figures = |shares: &[f64]| {
        let threshold = params.threshold.unwrap_or_else(|| best_threshold(newest.labels, shares));
        quality(newest.labels, shares, threshold)
    };
    let mut tried: Vec<(ProbabilityQuality, ScorerCandidate)> = contenders
        .into_iter()
        .map(|contender| (figures(&contender.learner.probabilities(newest.values)), contender))
        .collect();
    tried.sort_by(|one, other| one.0.log_loss.total_cmp(&other.0.log_loss));
    let contenders = tried.iter().map(|(quality, contender)| (contender.learner.kind(), *quality)).collect();
    let Some((quality, best)) = tried.into_iter().next() else {
        return Err(Error::Parameter { parameter: "kinds", problem: "are none".to_owned() });
    };
    let log_odds: Vec<f64> = newest.values.outer_iter().map(|row| best.learner.log_odds(row)).collect();
    let calibration = calibration(&log_odds, newest.labels);
    let calibrated: Vec<f64> = log_odds.iter().map(|score| probability(calibration.of(*score))).collect();
    Ok(Scorer {
        columns: rows.values.ncols() as u32,
        learner: (best.refit)(rows)?,
        calibration,
        quality: if calibration == Calibration::NONE { quality } else { figures(&calibrated) },
        contenders,
    })
}

/// The line through all of the newest rows, if that through their first half is better on the second than none.
fn calibration(log_odds: &[f64], labels: &[bool]) -> Calibration {
    let half = labels.len() / 2;
    let loss = |line: Calibration| {
        let shares: Vec<f64> = log_odds[half..].iter().map(|score| probability(line.of(*score))).collect();
        log_loss(&labels[half..], &shares)
    };
    Calibration::fit(&log_odds[..half], &labels[..half])
        .filter(|line| loss(*line) < loss(Calibration::NONE))
        .and_then(|_| Calibration::fit(log_odds, labels))
        .unwrap_or(Calibration::NONE)
}

impl Scorer {
    /// Which learner it is.
    pub fn kind(&self) -> LearnerKind {
        self.learner.kind()
    }

    /// How many numbers a row has.
    pub fn columns(&self) -> usize {
        self.columns as usize
    }

    /// The line that scores are brought onto.
    pub fn calibration(&self) -> Calibration {
        self.calibration
    }

    /// Its figures on the newest rows, learned from the older; of the calibrated scores, which were fitted there, if there are
    /// such.
    pub fn quality(&self) -> ProbabilityQuality {
        self.quality
    }

    /// The figures of all that competed, the best first, without calibration.
    pub fn contenders(&self) -> &[(LearnerKind, ProbabilityQuality)] {
        &self.contenders
    }

    /// The score of a row.
    ///
    /// # Errors
    /// If it is not as wide as those that were learned from, or a value is not finite.
    pub fn score(&self, row: ArrayView1<f32>) -> Result<Score, ScorerError> {
        if row.len() != self.columns() {
            return Err(ScorerError::Width { found: row.len(), expected: self.columns() });
        }
        if let Some(column) = row.iter().position(|value| !value.is_finite()) {
            return Err(ScorerError::NotFinite { column });
        }
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

    /// A version byte and postcard.
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_extend(self, vec![FORMAT])
            .expect("writing to memory cannot fail: every type here has a known length")
    }

    /// The scorer of such bytes, checked whole.
    ///
    /// # Errors
    /// Whatever makes it unfit to be served.
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
