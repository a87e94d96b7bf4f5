//! Planted truth of a simulated shop: user types, the promotion week and the changes of habits that profiles are
//! compared with.

use super::calendar::Day;
use super::catalogue::{CATEGORIES, CategoryId};
use super::config::SimulateConfig;
use super::habits::UserType;
use super::sampling;
use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

/// Share of users who arrive after the first day, in percent.
const NEW_USERS_PERCENT: u32 = 10;
/// Share of users who stop coming at some day.
const QUIET_PERCENT: f64 = 0.08;
/// Given names of many countries, so that readers can keep the users of the narration apart.
const NAMES: [&str; 24] = [
    "aiko", "ben", "chioma", "dana", "emil", "fatima", "goran", "hana", "ines", "jonas", "kavya", "lena",
    "mateo", "nadia", "olek", "priya", "quentin", "rosa", "sven", "tuana", "uma", "viktor", "wanja", "yara",
];

/// Promotion: a week of reduced prices in one category.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Promotion {
    /// Name of the category.
    pub category: &'static str,
    /// First day of the promotion.
    pub from: Day,
    /// First day after the promotion.
    pub until: Day,
    /// Factor on regular prices, below 1.
    pub price_factor: f64,
}

/// Planted truth of one user.
#[derive(Clone, Debug, PartialEq)]
pub struct UserTruth {
    /// User id as the shop assigns it.
    pub user_id: String,
    /// Type before a change of habits.
    pub user_type: UserType,
    /// Favourite category before a change of habits.
    pub category: &'static str,
    /// First day with visits.
    pub arrives_on: Day,
    /// First day without visits, for a user who goes quiet.
    pub quiet_from: Option<Day>,
    /// Change of habits, for a tenth of the users.
    pub change: Option<HabitChange>,
}

/// Change of a user's type and favourite category.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HabitChange {
    /// First day of the new habits.
    pub on: Day,
    /// Type from that day on.
    pub user_type: UserType,
    /// Favourite category from that day on.
    pub category: &'static str,
}

impl Promotion {
    /// Creates the promotion: a third of the way through, for a week or until the last day.
    pub(super) fn within(days: u32) -> Self {
        // Days before the promotion are the baseline, days after it show the decay of interest.
        let from = days / 3;
        let until = days.min(from + 7);
        let price_factor = 0.7;
        Self {
            category: CATEGORIES[0].name,
            from: Day::numbered(from),
            until: Day::numbered(until),
            price_factor,
        }
    }

    /// True on days of the promotion.
    pub fn has(&self, day: Day) -> bool {
        self.from <= day && day < self.until
    }
}

impl UserTruth {
    /// User type on a day, after a change of habits by then.
    pub fn user_type_on(&self, day: Day) -> UserType {
        self.change.filter(|change| change.on <= day).map_or(self.user_type, |change| change.user_type)
    }

    /// Favourite category on a day, after a change of habits by then.
    pub fn category_on(&self, day: Day) -> &'static str {
        self.change.filter(|change| change.on <= day).map_or(self.category, |change| change.category)
    }

    /// True from the arrival until the user goes quiet.
    pub fn comes_on(&self, day: Day) -> bool {
        self.arrives_on <= day && self.quiet_from.is_none_or(|quiet| day < quiet)
    }
}

/// Number of users who are there from the first day on; they come first in every list.
pub(super) fn initial_users(users: u32) -> u32 {
    users - users * NEW_USERS_PERCENT / 100
}

/// Generates the planted truth of all users.
pub(super) fn generate_users(rng: &mut StdRng, config: &SimulateConfig) -> Vec<UserTruth> {
    let mut truths: Vec<UserTruth> =
        (0..config.users).map(|index| generate_user(rng, config, index)).collect();
    // Only users who are there throughout change their habits: others would show too few events of either kind.
    let mut candidates: Vec<usize> = (0..truths.len())
        .filter(|index| truths[*index].arrives_on == Day::FIRST && truths[*index].quiet_from.is_none())
        .collect();
    candidates.shuffle(rng);
    // A third of the days remains to learn the new habits.
    let on = Day::numbered(config.days * 2 / 3);
    if on > Day::FIRST && !config.steady {
        for index in candidates.into_iter().take(config.users as usize / 10) {
            truths[index].change = Some(generate_change(rng, &truths[index], on));
        }
    }
    truths
}

fn generate_user(rng: &mut StdRng, config: &SimulateConfig, index: u32) -> UserTruth {
    let weights = UserType::ALL.map(|kind| kind.habits().percent);
    let user_type = UserType::ALL[sampling::weighted(rng, &weights)];
    let arrives_on = match index < initial_users(config.users) || config.days < 2 {
        true => Day::FIRST,
        false => Day::numbered(rng.random_range(1..config.days)),
    };
    let quiet_from = rng.random_bool(QUIET_PERCENT).then(|| arrives_on.after(rng.random_range(5..60)));
    UserTruth {
        user_id: format!("{}-{index:04}", sampling::one_of(rng, &NAMES)),
        user_type,
        category: favourite(rng, user_type).name(),
        arrives_on,
        // A user who would go quiet after the last day is a steady one.
        quiet_from: quiet_from.filter(|day| day.number() < config.days),
        change: None,
    }
}

fn generate_change(rng: &mut StdRng, truth: &UserTruth, on: Day) -> HabitChange {
    let others: Vec<UserType> = UserType::ALL.into_iter().filter(|kind| *kind != truth.user_type).collect();
    let user_type = sampling::one_of(rng, &others);
    let categories = user_type.habits().categories.map(CategoryId::name);
    // A change keeps neither the type nor the favourite category, so that both can be checked.
    let new: Vec<&'static str> = categories.into_iter().filter(|name| *name != truth.category).collect();
    HabitChange { on, user_type, category: sampling::one_of(rng, &new) }
}

/// Draws the favourite category: a type's first category for half of its users.
fn favourite(rng: &mut StdRng, user_type: UserType) -> CategoryId {
    user_type.habits().categories[sampling::weighted(rng, &[0.5, 0.3, 0.2])]
}
