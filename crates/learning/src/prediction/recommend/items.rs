//! A recommender of items, with their names: what a model has of them. In come the pasts of a sample of shoppers, out goes what
//! can be published and served; how much parts count is found on shoppers whom the things were not learned from. Items that
//! nobody had yet come after the others.

use super::blend::Blend;
use super::fitting::{Continued, Fitting, fit_blend};
use super::newcomers::{Described, Newcomers};
use super::past::Past;
use super::recommender::{Recommended, Recommender, RecommenderError};
use super::rough::best;
use super::teaching::Teaching;
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
pub struct Items {
    /// In their order; an item's place is its number.
    ids: Vec<ItemId>,
    recommender: Recommender,
    /// Their numbers follow.
    newcomers: Newcomers,
}

impl Items {
    /// Learns from pasts whose things are places in `ids`, which are in order; none without items.
    ///
    /// # Errors
    /// If a past names an item or segment that there is not.
    pub fn learn(
        ids: Vec<ItemId>,
        pasts: &[Past],
        segments: usize,
        latent: &Params,
    ) -> Result<Option<Self>, Error> {
        if ids.is_empty() || !ids.is_sorted() {
            return Ok(None);
        }
        let teach = |pasts: &[Past]| {
            Recommender::learn(&Teaching { things: ids.len(), segments, pasts, latent: Some(latent) })
        };
        let blend = blend(pasts, &teach)?;
        Ok(Some(Self { recommender: teach(pasts)?.with_blend(blend), ids, newcomers: Newcomers::default() }))
    }

    /// The same with those of a catalogue that nobody had yet and that are like some that shoppers had.
    #[must_use]
    pub fn with_newcomers(mut self, catalogue: &[Described]) -> Self {
        self.newcomers = Newcomers::among(catalogue, |id| self.known(id));
        self
    }

    /// The item of a number.
    pub fn id(&self, number: u32) -> Option<&ItemId> {
        let number = number as usize;
        let newcomer = || self.newcomers.id(number - self.ids.len());
        self.ids.get(number).or_else(newcomer)
    }

    /// The number of an item that shoppers had when this was learned, or that was in the catalogue then and is like one.
    pub fn number(&self, id: &str) -> Option<u32> {
        let newcomer = || self.newcomers.place(id).map(|place| (self.ids.len() + place) as u32);
        self.known(id).or_else(newcomer)
    }

    /// What a profile says of these items.
    pub fn past(&self, profile: &Profile, segment: Option<u32>) -> Past {
        Past { segment, ..Past::of_items(profile, |id| self.known(id)) }
    }

    /// The best items for a past, best first, of those that are `allowed`, and why.
    pub fn recommend(&self, past: &Past, count: usize, allowed: impl Fn(u32) -> bool) -> Vec<Recommended> {
        self.explained(past, &self.ranked(past, count, allowed))
    }

    /// The best items for a past, best first, of those that are `allowed`.
    pub fn ranked(&self, past: &Past, count: usize, allowed: impl Fn(u32) -> bool) -> Vec<u32> {
        let mut scores = Vec::new();
        let mut rough = self.recommender.score_roughly(past, &mut scores);
        let blend = self.recommender.blend_for(past, None);
        let own: Vec<(u32, f32)> = self.recommender.own(past, &blend).collect();
        self.newcomers.score(&own, &mut scores);
        self.newcomers.score(&[], rough.doubts_mut());
        best(&scores, rough.doubts(), count, allowed, |thing| match self.newcomer(thing) {
            None => rough.correction(thing),
            Some(place) => {
                let kin = self.newcomers.kin(place);
                kin.iter().map(|thing| rough.correction(*thing)).sum::<f32>() / kin.len().max(1) as f32
            }
        })
    }

    /// Why items are recommended for a past, each with its score: a newcomer for what adds to those it is like, on average.
    pub fn explained(&self, past: &Past, things: &[u32]) -> Vec<Recommended> {
        let known: Vec<u32> =
            things.iter().copied().filter(|thing| self.newcomer(*thing).is_none()).collect();
        let mut known = self.recommender.explained(past, &known).into_iter();
        let explained = |thing: &u32| match self.newcomer(*thing) {
            None => known.next(),
            Some(place) => {
                let kin = self.recommender.explained(past, self.newcomers.kin(place));
                (!kin.is_empty()).then(|| Recommended::like(*thing, &kin))
            }
        };
        things.iter().filter_map(explained).collect()
    }

    /// The place of a newcomer among newcomers; none for what shoppers had.
    fn newcomer(&self, thing: u32) -> Option<usize> {
        (thing as usize).checked_sub(self.ids.len())
    }

    /// The number of an item that shoppers had.
    fn known(&self, id: &str) -> Option<u32> {
        self.ids.binary_search_by(|known| known.as_str().cmp(id)).ok().map(|number| number as u32)
    }

    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_extend(&(&self.ids, self.recommender.encode(), &self.newcomers), Vec::new())
            .expect("writing to memory cannot fail: every type here has a known length")
    }

    /// What such bytes have, checked whole.
    ///
    /// # Errors
    /// Whatever makes it unfit to be served.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecommenderError> {
        let damaged = |problem: String| RecommenderError::Damaged(problem);
        let (ids, recommender, newcomers): (Vec<ItemId>, Vec<u8>, Newcomers) =
            postcard::from_bytes(bytes).map_err(|error| damaged(error.to_string()))?;
        let recommender = Recommender::decode(&recommender)?;
        if ids.len() != recommender.things() || !ids.is_sorted() {
            return Err(damaged(format!("{} names for {} items", ids.len(), recommender.things())));
        }
        newcomers.check(ids.len())?;
        Ok(Self { ids, recommender, newcomers })
    }
}

/// How much parts count, from shoppers who are left out of what is learned for it.
fn blend(pasts: &[Past], teach: &impl Fn(&[Past]) -> Result<Recommender, Error>) -> Result<Blend, Error> {
    let (mut others, mut examples) = (Vec::new(), Vec::new());
    for (index, past) in pasts.iter().enumerate() {
        match continued(past).filter(|_| index.is_multiple_of(EXAMPLE_EVERY) && examples.len() < EXAMPLES.1) {
            Some(example) => examples.push(example),
            None => others.push(past.clone()),
        }
    }
    if examples.len() < EXAMPLES.0 {
        return Ok(Blend::usual());
    }
    let (blend, found) = fit_blend(&teach(&others)?, &examples, Fitting::ALL);
    // Where nothing that followed is found, nothing is known of how much parts count either.
    Ok(if found > 0.0 { blend } else { Blend::usual() })
}

/// A past without its newest thing, which is what followed. One that was had before stays, once less; since when is not known, and
/// it is taken for the last but one.
fn continued(past: &Past) -> Option<Continued> {
    let (newest, rest) = past.touched.split_first()?;
    if rest.is_empty() {
        return None;
    }
    let mut touched = rest.to_vec();
    if newest.times > 1.0 {
        let before = super::Touched { at: rest[0].at, times: newest.times - 1.0, ..*newest };
        touched.insert(1, before);
    }
    Some(Continued { past: Past { touched, segment: past.segment }, next: newest.thing })
}
