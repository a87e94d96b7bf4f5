//! Recommender over items or categories: trained tables, and scores for a history. A score is a pure function of history, tables and
//! weights.

use super::approx::{ApproxScores, best};
use super::history::{History, Recency, RepeatTerms};
use super::item_model::{FORMAT, ItemModel, PairCount, RecommenderError};
use super::training_set::TrainingSet;
use super::weights::{COOCCURRENCE, LATENT, PARTS, SEQUENCE, ScorePart, ScoreTerms, ScoreWeights, TERMS};
use crate::error::Error;
use crate::prediction::factors::Factors;
use ndarray::Array1;

/// Recommender: tables, latent factors and weights.
#[derive(Debug)]
pub struct Recommender {
    model: ItemModel,
    factors: Option<Factors>,
    recency: Recency,
}

/// Recommended item with its explanation.
#[derive(Clone, Debug, PartialEq)]
pub struct Recommended {
    /// Index of the item.
    pub item: u32,
    /// Score that items are ordered by.
    pub score: f32,
    /// Contribution of each part that is not 0, largest first; they sum to the score.
    pub parts: Vec<(ScorePart, f32)>,
    /// Item of the history with the strongest co-occurrence, if any.
    pub because_item: Option<u32>,
}

/// Terms of all items, as reusable memory.
#[derive(Debug, Default)]
pub(super) struct ItemTerms {
    /// Rows by term, each with a value per item.
    pub(super) rows: [Vec<f32>; TERMS],
}

impl Recommended {
    /// Cold-start item: the mean contributions of similar items, without the user's own history of them.
    pub(super) fn from_item(item: u32, similar: &[Self]) -> Self {
        let mut sums = [0.0; PARTS];
        for (part, contribution) in similar.iter().flat_map(|one| &one.parts) {
            sums[*part as usize] += contribution;
        }
        sums[ScorePart::Repeat as usize] = 0.0;
        let parts = sums.map(|sum| sum / similar.len().max(1) as f32);
        let score = parts.iter().sum();
        Self { item, score, parts: in_order(parts), because_item: None }
    }
}

/// Contributions that are not 0, largest first.
fn in_order(parts: [f32; PARTS]) -> Vec<(ScorePart, f32)> {
    let mut parts: Vec<(ScorePart, f32)> =
        ScorePart::ALL.into_iter().zip(parts).filter(|(_, contribution)| *contribution != 0.0).collect();
    parts.sort_by(|left, right| right.1.total_cmp(&left.1));
    parts
}

impl Recommender {
    /// Trains tables and factors, with default weights.
    ///
    /// # Errors
    /// [`Error::Parameter`] if an item or segment index is too large, or the parameters of the factors are invalid.
    pub fn learn(training_set: &TrainingSet<'_>) -> Result<Self, Error> {
        training_set.check()?;
        let model = ItemModel::learn(training_set);
        Ok(Self { model, factors: training_set.factors()?, recency: Recency::default() })
    }

    /// Replaces the weights of the terms.
    #[must_use]
    pub fn with_weights(mut self, weights: ScoreWeights) -> Self {
        self.model.weights = weights;
        self
    }

    /// Weights of the terms.
    pub fn weights(&self) -> &ScoreWeights {
        &self.model.weights
    }

    /// Weights for a history; those of an unknown user for an empty one.
    pub(super) fn weights_for(&self, history: &History, weights: Option<&ScoreWeights>) -> ScoreWeights {
        if history.interactions.is_empty() {
            ScoreWeights::for_unknown_user()
        } else {
            *weights.unwrap_or(&self.model.weights)
        }
    }

    /// Pairs of items in each table, and in the histories that it was trained on.
    pub(super) fn pair_counts(&self) -> Vec<PairCount> {
        self.model.pair_counts()
    }

    /// Number of items `n`.
    pub fn item_count(&self) -> usize {
        self.model.popular.len()
    }

    /// Writes the exact scores of all items (`n`) to `scores`, with the given weights or the recommender's own.
    pub fn score(&self, history: &History, weights: Option<&ScoreWeights>, scores: &mut Vec<f32>) {
        let weights = self.weights_for(history, weights).terms;
        let latent = if weights.latent == 0.0 { Vec::new() } else { self.latent(history) };
        self.add_up(history, &weights, &latent, scores);
    }

    /// Writes approximate scores with the recommender's weights, in a fraction of the time; returns their error bounds.
    pub(super) fn approx_scores(&self, history: &History, scores: &mut Vec<f32>) -> ApproxScores<'_> {
        let weights = self.weights_for(history, None).terms;
        let user = self.user_factors(history).filter(|_| weights.latent != 0.0);
        let approx = match user.zip(self.factors.as_ref()) {
            Some((user, factors)) => ApproxScores::of(factors, user, weights.latent),
            None => ApproxScores::exact(self.item_count()),
        };
        self.add_up(history, &weights, approx.latent(), scores);
        approx
    }

    /// Sums all terms, given the latent term of each item (empty without factors).
    fn add_up(&self, history: &History, weights: &ScoreTerms, latent: &[f32], scores: &mut Vec<f32>) {
        let model = &self.model;
        scores.clear();
        scores.extend(
            model
                .popular
                .iter()
                .zip(&model.trending)
                .map(|(popular, trending)| weights.popular * popular + weights.trending * trending),
        );
        if weights.segment != 0.0 {
            let row = self.segment_row(history);
            scores.iter_mut().zip(row).for_each(|(score, share)| *score += weights.segment * share);
        }
        scores.iter_mut().zip(latent).for_each(|(score, value)| *score += weights.latent * value);
        for (item, repeat) in self.repeat_scores(history, weights.repeat) {
            scores[item as usize] += repeat;
        }
        // Sparse rows of the history's items only: the cost does not grow with the number of items.
        for (rank, interaction) in history.interactions.iter().enumerate() {
            let factor = weights.cooccurrence.dot(self.recency.at_rank(rank)) * interaction.strength();
            for (item, value) in model.cooccurrence.of_item(interaction.item) {
                scores[item] += factor * value;
            }
        }
        let newest = history.interactions.iter().zip(&model.successors);
        for ((interaction, successors), weight) in newest.zip(weights.sequence) {
            successors.of_item(interaction.item).for_each(|(item, value)| scores[item] += weight * value);
        }
    }

    /// Repeat part of the scores, for the items of the history.
    pub(super) fn repeat_scores<'a>(
        &'a self,
        history: &'a History,
        weights: RepeatTerms,
    ) -> impl Iterator<Item = (u32, f32)> + 'a {
        history
            .interactions
            .iter()
            .enumerate()
            .filter(|(_, interaction)| (interaction.item as usize) < self.item_count())
            .map(move |(rank, interaction)| (interaction.item, weights.dot(self.repeat_terms(history, rank))))
    }

    /// Repeat terms of the item at a rank. Age is measured from the newest interaction, so that a score does not depend on the time
    /// of the request.
    fn repeat_terms(&self, history: &History, rank: usize) -> RepeatTerms {
        let interaction = &history.interactions[rank];
        let age = history.interactions[0].at.since(interaction.at).millis() as f32;
        let repeat_rate = self.model.repeat_rate.get(interaction.item as usize).copied().unwrap_or_default();
        interaction.repeat_terms(self.recency.at_rank(rank), age, self.model.half_lives, repeat_rate)
    }

    /// Returns the best `count` allowed items for a history with explanations, best first.
    pub fn recommend(
        &self,
        history: &History,
        count: usize,
        allowed: impl Fn(u32) -> bool,
    ) -> Vec<Recommended> {
        self.explained(history, &self.ranked(history, count, allowed))
    }

    /// Returns the best `count` allowed items for a history, best first.
    pub fn ranked(&self, history: &History, count: usize, allowed: impl Fn(u32) -> bool) -> Vec<u32> {
        let mut scores = Vec::new();
        let approx = self.approx_scores(history, &mut scores);
        best(&scores, approx.error_bounds(), count, allowed, |item| approx.correction(item))
    }

    /// Explains the scores of the given items for a history; unknown items are left out.
    pub fn explained(&self, history: &History, items: &[u32]) -> Vec<Recommended> {
        let user = self.user_factors(history);
        items
            .iter()
            .filter(|item| (**item as usize) < self.item_count())
            .map(|item| self.explained_one(history, *item, user.as_ref()))
            .collect()
    }

    fn explained_one(&self, history: &History, item: u32, user: Option<&Array1<f32>>) -> Recommended {
        let weights = self.weights_for(history, None).terms.to_array();
        let terms = self.terms_of(history, item, user).to_array();
        let mut parts = [0.0; PARTS];
        for (term, (value, weight)) in terms.into_iter().zip(weights).enumerate() {
            parts[ScorePart::of_term(term) as usize] += weight * value;
        }
        let score = parts.iter().sum();
        let pull = |rank: usize| {
            let interaction = &history.interactions[rank];
            self.model.cooccurrence.weight(interaction.item, item) * self.recency.at_rank(rank).root
        };
        let nearest =
            (0..history.interactions.len()).max_by(|left, right| pull(*left).total_cmp(&pull(*right)));
        let because_item =
            nearest.filter(|rank| pull(*rank) > 0.0).map(|rank| history.interactions[rank].item);
        Recommended { item, score, parts: in_order(parts), because_item }
    }

    /// Terms of one item.
    fn terms_of(&self, history: &History, item: u32, user: Option<&Array1<f32>>) -> ScoreTerms {
        let model = &self.model;
        let index = item as usize;
        let latent = user.zip(self.factors.as_ref());
        let mut terms = ScoreTerms {
            latent: latent.map_or(0.0, |(user, factors)| factors.items().row(index).dot(user)),
            segment: self.segment_row(history).get(index).copied().unwrap_or_default(),
            popular: model.popular[index],
            trending: model.trending[index],
            ..ScoreTerms::default()
        };
        for (rank, interaction) in history.interactions.iter().enumerate() {
            if interaction.item == item {
                terms.repeat = self.repeat_terms(history, rank);
            }
            let value = model.cooccurrence.weight(interaction.item, item) * interaction.strength();
            let decays = self.recency.at_rank(rank);
            terms.cooccurrence.flat += decays.flat * value;
            terms.cooccurrence.root += decays.root * value;
            terms.cooccurrence.inverse += decays.inverse * value;
        }
        for (rank, (interaction, successors)) in
            history.interactions.iter().zip(&model.successors).enumerate()
        {
            terms.sequence[rank] = successors.weight(interaction.item, item);
        }
        terms
    }

    /// Writes the terms of all items.
    pub(super) fn terms(&self, history: &History, terms: &mut ItemTerms) {
        let model = &self.model;
        terms.rows.iter_mut().for_each(|row| {
            row.clear();
            row.resize(self.item_count(), 0.0);
        });
        for (rank, interaction) in history.interactions.iter().enumerate() {
            if (interaction.item as usize) < self.item_count() {
                let repeat = self.repeat_terms(history, rank).to_array();
                repeat
                    .into_iter()
                    .zip(&mut terms.rows)
                    .for_each(|(value, row)| row[interaction.item as usize] = value);
            }
            for (exponent, decay) in self.recency.at_rank(rank).to_array().into_iter().enumerate() {
                let row = &mut terms.rows[COOCCURRENCE + exponent];
                let factor = decay * interaction.strength();
                model
                    .cooccurrence
                    .of_item(interaction.item)
                    .for_each(|(item, value)| row[item] += factor * value);
            }
        }
        for (rank, (interaction, successors)) in
            history.interactions.iter().zip(&model.successors).enumerate()
        {
            let row = &mut terms.rows[SEQUENCE + rank];
            successors.of_item(interaction.item).for_each(|(item, value)| row[item] = value);
        }
        let latent = self.latent(history);
        let rest = [&latent[..], self.segment_row(history), &model.popular, &model.trending];
        for (row, values) in terms.rows[LATENT..].iter_mut().zip(rest) {
            row.iter_mut().zip(values).for_each(|(term, value)| *term = *value);
        }
    }

    /// Vector of the user, folded in from the history; `None` without factors or a history.
    fn user_factors(&self, history: &History) -> Option<Array1<f32>> {
        let factors = self.factors.as_ref().filter(|_| !history.interactions.is_empty())?;
        let items: Vec<(u32, f32)> =
            history.interactions.iter().map(|interaction| (interaction.item, 1.0)).collect();
        Some(factors.fold_in(&items))
    }

    /// Exact latent term of each item; empty without factors or a history.
    fn latent(&self, history: &History) -> Vec<f32> {
        let user = self.user_factors(history).zip(self.factors.as_ref());
        user.map(|(user, factors)| factors.scores(user.view()).to_vec()).unwrap_or_default()
    }

    fn segment_row(&self, history: &History) -> &[f32] {
        let items = self.item_count();
        let row = history.segment.and_then(|segment| {
            let start = segment as usize * items;
            self.model.by_segment.get(start..start + items)
        });
        row.unwrap_or_default()
    }

    /// Encodes the recommender: a version byte, and in postcard the tables and the bytes of the factors.
    pub fn encode(&self) -> Vec<u8> {
        let factors = self.factors.as_ref().map(Factors::encode);
        postcard::to_extend(&(&self.model, factors), vec![FORMAT])
            .expect("writing to memory cannot fail: every type here has a known length")
    }

    /// Decodes and checks a recommender.
    ///
    /// # Errors
    /// Any [`RecommenderError`] that makes the recommender unfit to be served.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecommenderError> {
        let damaged = |problem: &str| RecommenderError::Damaged(problem.to_owned());
        let (&found, rest) = bytes.split_first().ok_or_else(|| damaged("there are none"))?;
        if found != FORMAT {
            return Err(RecommenderError::OtherFormat { found });
        }
        // The factors are the largest part: borrowed, so that their bytes are not held twice.
        let (model, factors): (ItemModel, Option<&[u8]>) =
            postcard::from_bytes(rest).map_err(|error| damaged(&error.to_string()))?;
        let factors = factors.map(Factors::decode).transpose();
        let factors = factors.map_err(|error| damaged(&error.to_string()))?;
        let items = model.popular.len();
        if let Some(found) = factors.as_ref().map(|factors| factors.items().nrows())
            && found != items
        {
            return Err(damaged(&format!("factors of {found} items, tables of {items}")));
        }
        model.check(items)?;
        Ok(Self { model, factors, recency: Recency::default() })
    }
}

impl PartialEq for Recommender {
    /// Compares the encoded bytes.
    fn eq(&self, other: &Self) -> bool {
        self.encode() == other.encode()
    }
}
