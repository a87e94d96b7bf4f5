//! Next action within a visit: a Markov chain over actions, trained from the decayed transitions of profiles. Pseudo-counts are chosen
//! by leave-one-out likelihood; a profile then gives a probability for every action.

use crate::error::Error;
use crate::prediction::markov::{self, Chain, ChainError, Params, TransitionCount, UserCounts};
use portrait_profile::{ActionKind, Profile, SESSION_GAP, Timestamp};

/// Least number of users with a transition for choosing pseudo-counts; below it the defaults of [`Params`] are kept.
const USERS_MIN: usize = 100;

/// Decayed action transitions of one user.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UserTransitions {
    /// Index of the user's segment in the model.
    pub segment: Option<u32>,
    /// Transitions as (previous action, next action, decayed count).
    pub transitions: Vec<(u16, u16, f64)>,
}

/// Markov chain over actions.
#[derive(Clone, Debug, PartialEq)]
pub struct NextActionModel(Chain);

/// Prediction of a user's next action.
#[derive(Clone, Debug, PartialEq)]
pub struct NextAction {
    /// Last action of the current visit; `None` if the next action starts a visit.
    pub last: Option<ActionKind>,
    /// Probabilities of all actions, most likely first; they sum to 1.
    pub shares: Vec<(ActionKind, f64)>,
}

impl UserTransitions {
    /// Reads the transitions of a profile at a timestamp.
    pub fn of(profile: &Profile, segment: Option<u32>, at: Timestamp) -> Self {
        let steps = profile.transitions_at(at).into_iter();
        let steps = steps.map(|step| (symbol(step.from), symbol(step.to), step.weight));
        Self { segment, transitions: steps.collect() }
    }
}

impl NextActionModel {
    /// Trains on the transitions of users; `None` if there is no transition.
    ///
    /// # Errors
    /// [`Error::Parameter`] if a transition is outside the alphabet of actions, or its weight is not a count.
    pub fn learn(users: &[UserTransitions]) -> Result<Option<Self>, Error> {
        if users.iter().all(|user| user.transitions.is_empty()) {
            return Ok(None);
        }
        // Users without transitions say nothing about smoothing and must not count towards the threshold.
        let counts: Vec<UserCounts<'_>> =
            users.iter().filter(|user| !user.transitions.is_empty()).map(|user| &*user.transitions).collect();
        let params = if counts.len() < USERS_MIN {
            Params::default()
        } else {
            markov::choose_pseudo_counts(ActionKind::ALL.len() as u16, &counts, Params::default())
        };
        chain(users.iter(), params).map(|chain| Some(Self(chain)))
    }

    /// Predicts the next action of a profile at `at`, given its segment's index.
    pub fn predict(&self, profile: &Profile, segment: Option<u32>, at: Timestamp) -> NextAction {
        let last = profile
            .newest_action()
            // After a longer pause the next action starts a visit, and the last one of an old visit says
            // little about it.
            .filter(|(newest, _)| at.since(*newest) <= SESSION_GAP)
            .map(|(_, kind)| kind);
        self.predict_after(last, &UserTransitions::of(profile, segment, at))
    }

    /// Predicts the next action of an unknown user: the population's distribution.
    pub fn for_unknown_user(&self) -> NextAction {
        self.predict_after(None, &UserTransitions::default())
    }

    fn predict_after(&self, last: Option<ActionKind>, user: &UserTransitions) -> NextAction {
        let probabilities = self.0.next(user.segment, &user.transitions, last.map(symbol));
        let mut shares: Vec<(ActionKind, f64)> = ActionKind::ALL.into_iter().zip(probabilities).collect();
        shares.sort_by(|left, right| right.1.total_cmp(&left.1));
        NextAction { last, shares }
    }

    /// Encodes the chain: a version byte and postcard.
    pub fn encode(&self) -> Vec<u8> {
        self.0.encode()
    }

    /// Decodes and checks a chain over the actions of this release.
    ///
    /// # Errors
    /// [`ChainError`] for damaged bytes, another format, or another alphabet.
    pub fn decode(bytes: &[u8]) -> Result<Self, ChainError> {
        let chain = Chain::decode(bytes)?;
        // Symbols are indices of actions: with more or fewer of them an index may mean another action.
        if usize::from(chain.symbols()) == ActionKind::ALL.len() {
            Ok(Self(chain))
        } else {
            Err(ChainError::Inconsistent("an alphabet of other actions than this release has"))
        }
    }
}

/// Symbol of an action in the chain.
fn symbol(kind: ActionKind) -> u16 {
    kind.index() as u16
}

fn chain<'a>(users: impl Iterator<Item = &'a UserTransitions>, params: Params) -> Result<Chain, Error> {
    let mut chain = Chain::train(ActionKind::ALL.len() as u16, &[], params)?;
    for user in users {
        for (from, to, weight) in &user.transitions {
            chain.learn(TransitionCount { segment: user.segment, from: *from, to: *to, weight: *weight })?;
        }
    }
    Ok(chain)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Users who all make the same first transition, followed by one of eleven pairs.
    fn users(count: u16, weight: f64) -> Vec<UserTransitions> {
        (0..count)
            .map(|index| UserTransitions {
                segment: Some(u32::from(index % 2)),
                transitions: vec![(0, 1, weight), (1, index % 11, weight)],
            })
            .collect()
    }

    #[test]
    fn user_levels_get_small_pseudo_counts_where_users_differ() {
        let different = NextActionModel::learn(&users(400, 20.0)).expect("counts").expect("steps");
        let alike: Vec<UserTransitions> = (0..400)
            .map(|number| UserTransitions {
                segment: None,
                transitions: vec![(0, number % 5, 1.0), (1, number % 3, 1.0)],
            })
            .collect();
        let alike = NextActionModel::learn(&alike).expect("counts").expect("steps");
        let leans = |behavior: &NextActionModel| behavior.0.params().user;
        assert!(leans(&different) <= 10.0, "{:?}", different.0.params());
        assert!(leans(&alike) >= 100.0, "{:?}", alike.0.params());
    }

    #[test]
    fn unknown_users_get_the_population_distribution_and_bytes_are_checked() {
        let behavior = NextActionModel::learn(&users(40, 2.0)).expect("counts").expect("steps");
        let next = behavior.for_unknown_user();
        let sum: f64 = next.shares.iter().map(|(_, share)| share).sum();
        assert!((sum - 1.0).abs() < 1e-9 && next.last.is_none());
        assert_eq!(next.shares[0].0.index(), 1, "half of all steps lead there");
        assert_eq!(NextActionModel::decode(&behavior.encode()), Ok(behavior));
        let other = Chain::train(3, &[], Params::default()).expect("an alphabet").encode();
        assert!(matches!(NextActionModel::decode(&other), Err(ChainError::Inconsistent(_))));
        assert_eq!(NextActionModel::learn(&[UserTransitions::default()]), Ok(None));
    }
}
