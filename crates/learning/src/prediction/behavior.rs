//! What shoppers do next within a visit: a Markov chain over actions, of profiles. In come the steps of a sample of shoppers, out goes
//! a chain that leans as much on each of its levels as foretells a step best that it did not know; in comes a profile, out goes a
//! probability for every action.

use crate::error::Error;
use crate::prediction::markov::{self, Chain, ChainError, Count, OwnCounts, Params};
use portrait_profile::{ActionKind, Profile, SESSION_GAP, Timestamp};

/// With fewer shoppers who made a step there is no proof against the usual pseudo-counts.
const SHOPPERS_MIN: usize = 100;

/// What one shopper did after what, faded.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OwnSteps {
    /// The place of the shopper's segment in the model.
    pub segment: Option<u32>,
    /// Action before, action after, how often.
    pub steps: Vec<(u16, u16, f64)>,
}

/// A chain over actions.
#[derive(Clone, Debug, PartialEq)]
pub struct Behavior(Chain);

/// What a shopper does next.
#[derive(Clone, Debug, PartialEq)]
pub struct NextAction {
    /// What the shopper did last in the visit that goes on; none if the next action begins one.
    pub last: Option<ActionKind>,
    /// Every action and its probability, the most likely first; they add up to 1.
    pub shares: Vec<(ActionKind, f64)>,
}

impl OwnSteps {
    /// Those of a profile at a moment.
    pub fn of(profile: &Profile, segment: Option<u32>, at: Timestamp) -> Self {
        let symbol = |kind: ActionKind| kind.index() as u16;
        let steps = profile.transitions_at(at).into_iter();
        let steps = steps.map(|step| (symbol(step.from), symbol(step.to), step.weight));
        Self { segment, steps: steps.collect() }
    }
}

impl Behavior {
    /// Learns from the steps of shoppers; none if nobody has made one.
    ///
    /// # Errors
    /// If a step is not of the alphabet of actions, or its weight is no count.
    pub fn learn(shoppers: &[OwnSteps]) -> Result<Option<Self>, Error> {
        if shoppers.iter().all(|shopper| shopper.steps.is_empty()) {
            return Ok(None);
        }
        let made = shoppers.iter().filter(|shopper| !shopper.steps.is_empty());
        let own: Vec<OwnCounts<'_>> = made.map(|shopper| &*shopper.steps).collect();
        let params = if own.len() < SHOPPERS_MIN {
            Params::default()
        } else {
            markov::choose(ActionKind::ALL.len() as u16, &own, Params::default())
        };
        chain(shoppers.iter(), params).map(|chain| Some(Self(chain)))
    }

    /// What a profile does next at `at`, being in the segment of that place.
    pub fn next(&self, profile: &Profile, segment: Option<u32>, at: Timestamp) -> NextAction {
        let goes_on = |(newest, _): &(Timestamp, ActionKind)| at.since(*newest) <= SESSION_GAP;
        let last = profile.newest_action().filter(goes_on).map(|(_, kind)| kind);
        self.after(last, &OwnSteps::of(profile, segment, at))
    }

    /// What a shopper of whom nothing is known does next.
    pub fn of_nobody(&self) -> NextAction {
        self.after(None, &OwnSteps::default())
    }

    fn after(&self, last: Option<ActionKind>, own: &OwnSteps) -> NextAction {
        let shares = self.0.next(own.segment, &own.steps, last.map(|kind| kind.index() as u16));
        let mut shares: Vec<(ActionKind, f64)> = ActionKind::ALL.into_iter().zip(shares).collect();
        shares.sort_by(|one, other| other.1.total_cmp(&one.1));
        NextAction { last, shares }
    }

    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        self.0.encode()
    }

    /// What such bytes have, checked whole.
    ///
    /// # Errors
    /// Whatever makes it unfit to be served.
    pub fn decode(bytes: &[u8]) -> Result<Self, ChainError> {
        let chain = Chain::decode(bytes)?;
        if usize::from(chain.symbols()) == ActionKind::ALL.len() {
            Ok(Self(chain))
        } else {
            Err(ChainError::Inconsistent("an alphabet of other actions than this release has"))
        }
    }
}

fn chain<'a>(shoppers: impl Iterator<Item = &'a OwnSteps>, params: Params) -> Result<Chain, Error> {
    let mut chain = Chain::train(ActionKind::ALL.len() as u16, &[], params)?;
    for shopper in shoppers {
        for (from, to, weight) in &shopper.steps {
            chain.learn(Count { segment: shopper.segment, from: *from, to: *to, weight: *weight })?;
        }
    }
    Ok(chain)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shoppers who all do one thing after the other, but each of half of them a pair of their own.
    fn shoppers(count: u16, times: f64) -> Vec<OwnSteps> {
        let of = |number: u16| {
            let own = number % 11;
            let steps = vec![(0, 1, times), (1, own, times)];
            OwnSteps { segment: Some(u32::from(number % 2)), steps }
        };
        (0..count).map(of).collect()
    }

    #[test]
    fn levels_lean_on_what_a_shopper_did_where_shoppers_differ() {
        let differ = Behavior::learn(&shoppers(400, 20.0)).expect("counts").expect("steps");
        let alike: Vec<OwnSteps> = (0..400)
            .map(|number| OwnSteps { segment: None, steps: vec![(0, number % 5, 1.0), (1, number % 3, 1.0)] })
            .collect();
        let alike = Behavior::learn(&alike).expect("counts").expect("steps");
        let leans = |behavior: &Behavior| behavior.0.params().own;
        assert!(leans(&differ) <= 10.0, "{:?}", differ.0.params());
        assert!(leans(&alike) >= 100.0, "{:?}", alike.0.params());
    }

    #[test]
    fn nobody_is_foretold_what_everybody_does_and_bytes_are_checked() {
        let behavior = Behavior::learn(&shoppers(40, 2.0)).expect("counts").expect("steps");
        let next = behavior.of_nobody();
        let sum: f64 = next.shares.iter().map(|(_, share)| share).sum();
        assert!((sum - 1.0).abs() < 1e-9 && next.last.is_none());
        assert_eq!(next.shares[0].0.index(), 1, "half of all steps lead there");
        assert_eq!(Behavior::decode(&behavior.encode()), Ok(behavior));
        let other = Chain::train(3, &[], Params::default()).expect("an alphabet").encode();
        assert!(matches!(Behavior::decode(&other), Err(ChainError::Inconsistent(_))));
        assert_eq!(Behavior::learn(&[OwnSteps::default()]), Ok(None));
    }
}
