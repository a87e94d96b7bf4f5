//! Probe of a model: every part answers one request, as it will on a node. Decoding checks bytes; the probe checks that what was decoded
//! gives answers that can be served.

use crate::model::{Model, ModelError};
use crate::prediction::learners::Scorer;
use crate::prediction::recommend::{History, Interaction, ItemRecommender};
use ndarray::Array1;
use portrait_profile::Timestamp;

/// Items that are recommended to each probe history.
const PROBE_ITEMS: usize = 20;
/// Tolerated difference of a sum of probabilities from 1.
const SUM_TOLERANCE: f64 = 1e-6;

impl Model {
    /// Asks every part for one answer and checks it.
    ///
    /// # Errors
    /// [`ModelError::Probe`] with the part, the check and the value that failed.
    pub fn probe(&self) -> Result<(), ModelError> {
        // The vector of a user without any event: every component is 0.
        let raw = vec![0.0; self.width()];
        if let Some(assigned) = self.assign(&raw, None) {
            finite("segments", "distance to the nearest centroid", f64::from(assigned.distance))?;
        }
        let predictors = self.predictors();
        if let Some(items) = &predictors.items {
            probe_items(items, (!self.segments.is_empty()).then_some(0))?;
        }
        if let Some(behavior) = &predictors.behavior {
            let sum: f64 = behavior.for_unknown_user().shares.iter().map(|(_, share)| share).sum();
            if (sum - 1.0).abs() > SUM_TOLERANCE || sum.is_nan() {
                return Err(failed("behavior", "sum of the probabilities", sum));
            }
        }
        for (part, scorer) in [("propensity", &predictors.propensity), ("risk", &predictors.risk)] {
            if let Some(scorer) = scorer {
                probe_scorer(part, scorer, &raw)?;
            }
        }
        if let Some(lookalikes) = &predictors.lookalikes
            && lookalikes.nearest(&self.embed(&raw), 1).is_empty()
        {
            return Err(failed("lookalikes", "number of similar users", 0.0));
        }
        Ok(())
    }
}

/// Recommends to an unknown user and to one of `segment` with the first and the last item of the model.
fn probe_items(items: &ItemRecommender, segment: Option<u32>) -> Result<(), ModelError> {
    let last = u32::try_from(items.item_count()).unwrap_or(u32::MAX).saturating_sub(1);
    let mut interactions = vec![Interaction { item: 0, at: Timestamp::EPOCH, count: 1.0 }];
    // The rows at both ends: a table that is cut or shifted fails at its last row.
    if last > 0 {
        interactions.insert(0, Interaction { item: last, ..interactions[0] });
    }
    for history in [History::default(), History { interactions, segment }] {
        let recommended = items.recommend(&history, PROBE_ITEMS, |_| true);
        if recommended.is_empty() {
            return Err(failed("items", "number of recommended items", 0.0));
        }
        for item in recommended {
            finite("items", "score of an item", f64::from(item.score))?;
        }
    }
    Ok(())
}

fn probe_scorer(part: &'static str, scorer: &Scorer, raw: &[f32]) -> Result<(), ModelError> {
    let score = scorer.score(Array1::from(raw.to_vec()).view());
    let probability = score.map_or(f64::NAN, |score| score.probability);
    if (0.0..=1.0).contains(&probability) {
        return Ok(());
    }
    Err(failed(part, "probability", probability))
}

fn finite(part: &'static str, check: &'static str, value: f64) -> Result<(), ModelError> {
    if value.is_finite() { Ok(()) } else { Err(failed(part, check, value)) }
}

fn failed(part: &'static str, check: &'static str, value: f64) -> ModelError {
    ModelError::Probe { part, check, value: value.to_string() }
}
