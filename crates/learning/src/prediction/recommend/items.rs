//! A recommender of items, with their names: what a model has of them. In come the pasts of a sample of shoppers, out goes what
//! can be published and served; how much parts count is found on shoppers whom the things were not learned from. Items that
//! nobody had yet come after the others.

use super::approx::best;
use super::cold_start::{ColdStartItems, ItemDescription};
use super::fit::{HoldoutExample, WeightFitOptions, fit_weights};
use super::history::History;
use super::recommender::{Recommended, Recommender, RecommenderError};
use super::training_set::TrainingSet;
use super::weights::ScoreWeights;
use crate::error::Error;
use crate::prediction::factors::Params;
use portrait_profile::{ItemId, Profile};

/// Of so many shoppers one shows how much parts count.
const EXAMPLE_EVERY: usize = 3;
/// How many show it at most, and at least: fewer are no proof against the usual blend.
const EXAMPLES: (usize, usize) = (100, 1_000);

/// Items and what was learned of them.
///
/// ```
/// use portrait_learning::prediction::factors::Params;
/// use portrait_learning::prediction::recommend::{Items, Past, Touched};
/// use portrait_profile::{ItemId, Timestamp};
///
/// let ids = ["cup", "pot", "shirt", "tie"].map(|id| ItemId::parse(id).unwrap()).to_vec();
/// let past = |things: &[u32]| {
///     let at = |rank: usize| Timestamp::from_millis(-(rank as i64) * 60_000);
///     let touched = things.iter().enumerate().map(|(rank, thing)| Touched { thing: *thing, at: at(rank), times: 1.0 });
///     Past { touched: touched.collect(), segment: None }
/// };
/// // Cups go with pots, shirts with ties.
/// let pasts: Vec<Past> = (0..40).map(|user| if user % 2 == 0 { past(&[1, 0]) } else { past(&[3, 2]) }).collect();
/// let latent = Params { width: 4, ..Params::default() };
/// let items = Items::learn(ids, &pasts, 0, &latent)?.expect("there are items");
///
/// // For a user with a cup, of the items that they do not have.
/// let best = items.ranked(&past(&[0]), 1, |item| item != 0);
/// assert_eq!(items.id(best[0]).unwrap().as_str(), "pot");
/// # Ok::<(), portrait_learning::Error>(())
/// ```
#[derive(Debug, PartialEq)]
pub struct ItemRecommender {
    /// In their order; an item's place is its number.
    ids: Vec<ItemId>,
    recommender: Recommender,
    /// Their numbers follow.
    cold_start: ColdStartItems,
}

impl ItemRecommender {
    /// Learns from pasts whose things are places in `ids`, which are in order; none without items.
    ///
    /// # Errors
    /// If a past names an item or segment that there is not.
    pub fn learn(
        ids: Vec<ItemId>,
        pasts: &[History],
        segments: usize,
        latent: &Params,
    ) -> Result<Option<Self>, Error> {
        if ids.is_empty() || !ids.is_sorted() {
            return Ok(None);
        }
        let teach = |pasts: &[History]| {
            Recommender::learn(&TrainingSet {
                items: ids.len(),
                segments,
                histories: pasts,
                latent: Some(latent),
            })
        };
        let blend = fit_from_histories(pasts, &teach)?;
        Ok(Some(Self {
            recommender: teach(pasts)?.with_weights(blend),
            ids,
            cold_start: ColdStartItems::default(),
        }))
    }

    /// The same with those of a catalogue that nobody had yet and that are like some that shoppers had.
    #[must_use]
    pub fn with_cold_start(mut self, catalogue: &[ItemDescription]) -> Self {
        self.cold_start = ColdStartItems::new(catalogue, |id| self.known(id));
        self
    }

    /// The item of a number.
    pub fn id(&self, number: u32) -> Option<&ItemId> {
        let number = number as usize;
        let newcomer = || self.cold_start.id(number - self.ids.len());
        self.ids.get(number).or_else(newcomer)
    }

    /// The number of an item that shoppers had when this was learned, or that was in the catalogue then and is like one.
    pub fn index(&self, id: &str) -> Option<u32> {
        let newcomer = || self.cold_start.index(id).map(|place| (self.ids.len() + place) as u32);
        self.known(id).or_else(newcomer)
    }

    /// What a profile says of these items.
    pub fn history(&self, profile: &Profile, segment: Option<u32>) -> History {
        History { segment, ..History::from_items(profile, |id| self.known(id)) }
    }

    /// The best items for a past, best first, of those that are `allowed`, and why.
    pub fn recommend(&self, past: &History, count: usize, allowed: impl Fn(u32) -> bool) -> Vec<Recommended> {
        self.explained(past, &self.ranked(past, count, allowed))
    }

    /// The best items for a past, best first, of those that are `allowed`.
    pub fn ranked(&self, past: &History, count: usize, allowed: impl Fn(u32) -> bool) -> Vec<u32> {
        let mut scores = Vec::new();
        let mut rough = self.recommender.approx_scores(past, &mut scores);
        let blend = self.recommender.weights_for(past, None);
        let own: Vec<(u32, f32)> = self.recommender.repeat_scores(past, &blend).collect();
        self.cold_start.score(&own, &mut scores);
        self.cold_start.score(&[], rough.error_bounds_mut());
        best(&scores, rough.error_bounds(), count, allowed, |thing| match self.cold_start_item(thing) {
            None => rough.correction(thing),
            Some(place) => {
                let kin = self.cold_start.similar_items(place);
                kin.iter().map(|thing| rough.correction(*thing)).sum::<f32>() / kin.len().max(1) as f32
            }
        })
    }

    /// Why items are recommended for a past, each with its score: a newcomer for what adds to those it is like, on average.
    pub fn explained(&self, past: &History, things: &[u32]) -> Vec<Recommended> {
        let known: Vec<u32> =
            things.iter().copied().filter(|thing| self.cold_start_item(*thing).is_none()).collect();
        let mut known = self.recommender.explained(past, &known).into_iter();
        let explained = |thing: &u32| match self.cold_start_item(*thing) {
            None => known.next(),
            Some(place) => {
                let kin = self.recommender.explained(past, self.cold_start.similar_items(place));
                (!kin.is_empty()).then(|| Recommended::from_item(*thing, &kin))
            }
        };
        things.iter().filter_map(explained).collect()
    }

    /// The place of a newcomer among newcomers; none for what shoppers had.
    fn cold_start_item(&self, thing: u32) -> Option<usize> {
        (thing as usize).checked_sub(self.ids.len())
    }

    /// The number of an item that shoppers had.
    fn known(&self, id: &str) -> Option<u32> {
        self.ids.binary_search_by(|known| known.as_str().cmp(id)).ok().map(|number| number as u32)
    }

    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_extend(&(&self.ids, self.recommender.encode(), &self.cold_start), Vec::new())
            .expect("writing to memory cannot fail: every type here has a known length")
    }

    /// What such bytes have, checked whole.
    ///
    /// # Errors
    /// Whatever makes it unfit to be served.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecommenderError> {
        let damaged = |problem: String| RecommenderError::Damaged(problem);
        let (ids, recommender, newcomers): (Vec<ItemId>, Vec<u8>, ColdStartItems) =
            postcard::from_bytes(bytes).map_err(|error| damaged(error.to_string()))?;
        let recommender = Recommender::decode(&recommender)?;
        if ids.len() != recommender.item_count() || !ids.is_sorted() {
            return Err(damaged(format!("{} names for {} items", ids.len(), recommender.item_count())));
        }
        newcomers.check(ids.len())?;
        Ok(Self { ids, recommender, cold_start: newcomers })
    }
}

/// How much parts count, from shoppers who are left out of what is learned for it.
fn fit_from_histories(
    pasts: &[History],
    teach: &impl Fn(&[History]) -> Result<Recommender, Error>,
) -> Result<ScoreWeights, Error> {
    let (mut others, mut examples) = (Vec::new(), Vec::new());
    for (index, past) in pasts.iter().enumerate() {
        match holdout_examples(past)
            .filter(|_| index.is_multiple_of(EXAMPLE_EVERY) && examples.len() < EXAMPLES.1)
        {
            Some(example) => examples.push(example),
            None => others.push(past.clone()),
        }
    }
    if examples.len() < EXAMPLES.0 {
        return Ok(ScoreWeights::default_weights());
    }
    let (blend, found) = fit_weights(&teach(&others)?, &examples, WeightFitOptions::ALL);
    // Where nothing that followed is found, nothing is known of how much parts count either.
    Ok(if found > 0.0 { blend } else { ScoreWeights::default_weights() })
}

/// A past without its newest thing, which is what followed. One that was had before stays, once less; since when is not known, and
/// it is taken for the last but one.
fn holdout_examples(past: &History) -> Option<HoldoutExample> {
    let (newest, rest) = past.interactions.split_first()?;
    if rest.is_empty() {
        return None;
    }
    let mut touched = rest.to_vec();
    if newest.count > 1.0 {
        let before = super::Interaction { at: rest[0].at, count: newest.count - 1.0, ..*newest };
        touched.insert(1, before);
    }
    Some(HoldoutExample {
        history: History { interactions: touched, segment: past.segment },
        next: newest.item,
    })
}
