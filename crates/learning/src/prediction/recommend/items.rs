//! Recommender of items by id, as a model part. Weights are fitted on users that the tables are not trained on; cold-start items are
//! numbered after the known items.

use super::approx::best;
use super::cold_start::{ColdStartItems, ItemDescription};
use super::fit::{HoldoutExample, WeightFitOptions, fit_weights};
use super::history::{History, Interaction};
use super::item_model::{PairCount, RecommenderError};
use super::recommender::{Recommended, Recommender};
use super::training_set::TrainingSet;
use super::weights::ScoreWeights;
use crate::error::Error;
use crate::prediction::factors::Params;
use portrait_profile::{ItemId, Profile};

/// Every so many users one is a holdout example.
const EXAMPLE_EVERY: usize = 3;
/// Least number of examples for fitting weights; with fewer the default weights are kept.
const EXAMPLES_MIN: usize = 100;
/// Largest number of examples; more cost time and change little.
const EXAMPLES_MAX: usize = 1_000;

/// Recommender of items by id.
///
/// ```
/// use portrait_learning::prediction::factors::Params;
/// use portrait_learning::prediction::recommend::{History, Interaction, ItemRecommender};
/// use portrait_profile::{ItemId, Timestamp};
///
/// let ids = ["cup", "pot", "shirt", "tie"].map(|id| ItemId::parse(id).unwrap()).to_vec();
/// let history = |items: &[u32]| {
///     let at = |rank: usize| Timestamp::from_millis(-(rank as i64) * 60_000);
///     let interactions =
///         items.iter().enumerate().map(|(rank, item)| Interaction { item: *item, at: at(rank), count: 1.0 });
///     History { interactions: interactions.collect(), segment: None }
/// };
/// // Cups go with pots, shirts with ties.
/// let histories: Vec<History> =
///     (0..40).map(|user| if user % 2 == 0 { history(&[1, 0]) } else { history(&[3, 2]) }).collect();
/// let latent = Params { width: 4, ..Params::default() };
/// let items = ItemRecommender::learn(ids, &histories, 0, &latent)?.expect("there are items");
///
/// // For a user with a cup, among the other items.
/// let best = items.ranked(&history(&[0]), 1, |item| item != 0);
/// assert_eq!(items.id(best[0]).unwrap().as_str(), "pot");
/// # Ok::<(), portrait_learning::Error>(())
/// ```
#[derive(Debug, PartialEq)]
pub struct ItemRecommender {
    /// Ids in ascending order; the position is the item's index.
    ids: Vec<ItemId>,
    recommender: Recommender,
    /// Items whose indices follow those of `ids`.
    cold_start: ColdStartItems,
}

impl ItemRecommender {
    /// Trains on histories whose items are indices into `ids`, which must be sorted; `None` without ids or if they are not sorted.
    ///
    /// # Errors
    /// [`Error::Parameter`] if a history has an item or segment that does not exist.
    pub fn learn(
        ids: Vec<ItemId>,
        histories: &[History],
        segments: usize,
        latent: &Params,
    ) -> Result<Option<Self>, Error> {
        if ids.is_empty() || !ids.is_sorted() {
            return Ok(None);
        }
        let train = |histories: &[History]| {
            Recommender::learn(&TrainingSet { items: ids.len(), segments, histories, latent: Some(latent) })
        };
        let weights = fit_from_histories(histories, &train)?;
        let recommender = train(histories)?.with_weights(weights);
        Ok(Some(Self { recommender, ids, cold_start: ColdStartItems::default() }))
    }

    /// Adds the items of a catalogue that have no interactions but similar items with some.
    #[must_use]
    pub fn with_cold_start(mut self, catalogue: &[ItemDescription]) -> Self {
        self.cold_start = ColdStartItems::new(catalogue, |id| self.known(id));
        self
    }

    /// Number of items with interactions; cold-start items are not counted.
    pub fn item_count(&self) -> usize {
        self.ids.len()
    }

    /// Pairs of items in each table, and those that it was cut from; the latter are known only to the training.
    pub fn pair_counts(&self) -> Vec<PairCount> {
        self.recommender.pair_counts()
    }

    /// Id of the item at an index, known or cold-start.
    pub fn id(&self, index: u32) -> Option<&ItemId> {
        let index = index as usize;
        match index.checked_sub(self.ids.len()) {
            Some(cold_start) => self.cold_start.id(cold_start),
            None => self.ids.get(index),
        }
    }

    /// Index of an item, known or cold-start.
    pub fn index(&self, id: &str) -> Option<u32> {
        self.known(id).or_else(|| self.cold_start.index(id).map(|index| (self.ids.len() + index) as u32))
    }

    /// History of a profile over the known items.
    pub fn history(&self, profile: &Profile, segment: Option<u32>) -> History {
        History { segment, ..History::from_items(profile, |id| self.known(id)) }
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
        let mut approx = self.recommender.approx_scores(history, &mut scores);
        let weights = self.recommender.weights_for(history, None).terms.repeat;
        let repeat: Vec<(u32, f32)> = self.recommender.repeat_scores(history, weights).collect();
        self.cold_start.score(&repeat, &mut scores);
        // The error of a mean is at most the mean of the errors.
        self.cold_start.score(&[], approx.error_bounds_mut());
        best(&scores, approx.error_bounds(), count, allowed, |item| match self.cold_start_item(item) {
            None => approx.correction(item),
            Some(index) => {
                let similar = self.cold_start.similar_items(index);
                let sum = similar.iter().map(|item| approx.correction(*item)).sum::<f32>();
                sum / similar.len().max(1) as f32
            }
        })
    }

    /// Explains the scores of the given items for a history. A cold-start item has the mean contributions of its similar items.
    pub fn explained(&self, history: &History, items: &[u32]) -> Vec<Recommended> {
        let known: Vec<u32> =
            items.iter().copied().filter(|item| self.cold_start_item(*item).is_none()).collect();
        let mut known = self.recommender.explained(history, &known).into_iter();
        let mut explained = Vec::with_capacity(items.len());
        for item in items {
            explained.extend(match self.cold_start_item(*item) {
                None => known.next(),
                Some(index) => {
                    let similar = self.recommender.explained(history, self.cold_start.similar_items(index));
                    (!similar.is_empty()).then(|| Recommended::from_item(*item, &similar))
                }
            });
        }
        explained
    }

    /// Index among the cold-start items; `None` for a known item.
    fn cold_start_item(&self, item: u32) -> Option<usize> {
        (item as usize).checked_sub(self.ids.len())
    }

    /// Index of a known item.
    fn known(&self, id: &str) -> Option<u32> {
        self.ids.binary_search_by(|known| known.as_str().cmp(id)).ok().map(|index| index as u32)
    }

    /// Encodes the recommender with postcard.
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_extend(&(&self.ids, self.recommender.encode(), &self.cold_start), Vec::new())
            .expect("writing to memory cannot fail: every type here has a known length")
    }

    /// Decodes and checks a recommender.
    ///
    /// # Errors
    /// Any [`RecommenderError`] that makes the recommender unfit to be served.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecommenderError> {
        // Borrowed: a copy of the tables' bytes would double the memory of the largest part.
        let (ids, recommender, cold_start): (Vec<ItemId>, &[u8], ColdStartItems) =
            postcard::from_bytes(bytes).map_err(|error| RecommenderError::Damaged(error.to_string()))?;
        let recommender = Recommender::decode(recommender)?;
        let items = recommender.item_count();
        if ids.len() != items || !ids.is_sorted() {
            return Err(RecommenderError::Damaged(format!("{} ids for {items} items", ids.len())));
        }
        cold_start.check(ids.len())?;
        Ok(Self { ids, recommender, cold_start })
    }
}

/// Fits weights on users that are left out of a training of their own; too few examples give the default weights.
fn fit_from_histories(
    histories: &[History],
    train: &impl Fn(&[History]) -> Result<Recommender, Error>,
) -> Result<ScoreWeights, Error> {
    let mut others = Vec::new();
    let mut examples = Vec::new();
    for (index, history) in histories.iter().enumerate() {
        let is_example = index.is_multiple_of(EXAMPLE_EVERY) && examples.len() < EXAMPLES_MAX;
        match holdout_example(history).filter(|_| is_example) {
            Some(example) => examples.push(example),
            None => others.push(history.clone()),
        }
    }
    if examples.len() < EXAMPLES_MIN {
        return Ok(ScoreWeights::default_weights());
    }
    let (weights, hit_rate) = fit_weights(&train(&others)?, &examples, WeightFitOptions::ALL);
    // Without a single hit the objective says nothing about the weights.
    Ok(if hit_rate > 0.0 { weights } else { ScoreWeights::default_weights() })
}

/// Splits a history into its newest item and the rest. An item with earlier interactions stays with one less; the time of the
/// previous one is not known, so it becomes the second newest.
fn holdout_example(history: &History) -> Option<HoldoutExample> {
    let (newest, rest) = history.interactions.split_first()?;
    if rest.is_empty() {
        return None;
    }
    let mut interactions = rest.to_vec();
    if newest.count > 1.0 {
        interactions.insert(1, Interaction { at: rest[0].at, count: newest.count - 1.0, ..*newest });
    }
    Some(HoldoutExample { history: History { interactions, segment: history.segment }, next: newest.item })
}
