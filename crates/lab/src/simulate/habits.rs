//! Planted habits of each user type: how often such users come, at which hours, what they do and which categories
//! they like. The figures are made up, close to public logs of shops: about six in ten actions are views and two to
//! four in a hundred are purchases.

use super::catalogue::CategoryId;
use portrait_proto::v1::Action;
use std::fmt;

/// Planted type of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UserType {
    /// Searches and compares around noon, buys cheap items, and buys much more during a promotion.
    BargainHunter,
    /// Comes between 22:00 and 02:00 and buys electronics and toys.
    NightBuyer,
    /// Views many expensive items in the evening and buys next to nothing.
    WindowShopper,
    /// Comes before work and buys everyday items after few views.
    LoyalRegular,
    /// Comes rarely, in the evening, buys several of an item, and shares.
    GiftBuyer,
    /// Comes on Saturdays and Sundays, in the afternoon.
    WeekendBrowser,
}

/// Behaviour of the users of one type.
#[derive(Debug)]
pub(super) struct UserHabits {
    /// Share of users of this type, in percent.
    pub(super) percent: f64,
    pub(super) visits_per_week: f64,
    pub(super) actions_per_visit: f64,
    /// Hours `(from_inclusive, to_exclusive)` in which four of five visits begin; may pass midnight.
    pub(super) hours: (u32, u32),
    /// Ratio of visits on a weekend day to visits on a weekday.
    pub(super) weekend_factor: f64,
    /// Candidates for the favourite category.
    pub(super) categories: [CategoryId; 3],
    /// Preferred price within a category, from 0 (cheapest) to 1 (most expensive).
    pub(super) price_level: f64,
    weights: ActionWeights,
    /// Factor on the interest in a category during its promotion.
    pub(super) promotion_factor: f64,
    /// Probability of a quantity above one.
    pub(super) multiple_probability: f64,
}

/// Factors on the transition weights into an action; 1 is the average user.
#[derive(Debug)]
struct ActionWeights {
    search: f64,
    cart: f64,
    purchase: f64,
    favorite: f64,
    share: f64,
}

/// Actions of a visit, in the order of the rows and columns of [`NEXT`].
pub(super) const STEPS: [Action; 8] = [
    Action::View,
    Action::Search,
    Action::Click,
    Action::AddToCart,
    Action::RemoveFromCart,
    Action::Favorite,
    Action::Purchase,
    Action::Share,
];

/// Distribution of the first action of a visit.
const BEGIN: [f64; 8] = [0.45, 0.30, 0.25, 0.0, 0.0, 0.0, 0.0, 0.0];

/// Transition weights before the factors of a type: a row for each action, a column for the next one. Tests of this
/// folder check the shares of actions that result.
const NEXT: [[f64; 8]; 8] = [
    [0.660, 0.100, 0.080, 0.085, 0.002, 0.045, 0.000, 0.012],
    [0.520, 0.130, 0.350, 0.000, 0.000, 0.000, 0.000, 0.000],
    [0.780, 0.050, 0.030, 0.110, 0.000, 0.030, 0.000, 0.000],
    [0.520, 0.060, 0.040, 0.070, 0.090, 0.010, 0.200, 0.010],
    [0.760, 0.120, 0.050, 0.020, 0.010, 0.000, 0.040, 0.000],
    [0.780, 0.090, 0.040, 0.060, 0.000, 0.020, 0.000, 0.010],
    [0.700, 0.180, 0.060, 0.010, 0.000, 0.000, 0.000, 0.050],
    [0.850, 0.100, 0.050, 0.000, 0.000, 0.000, 0.000, 0.000],
];

const SHOES: CategoryId = CategoryId::at(0);
const CLOTHING: CategoryId = CategoryId::at(1);
const ELECTRONICS: CategoryId = CategoryId::at(2);
const BOOKS: CategoryId = CategoryId::at(3);
const BEAUTY: CategoryId = CategoryId::at(4);
const HOME: CategoryId = CategoryId::at(5);
const TOYS: CategoryId = CategoryId::at(6);
const SPORTS: CategoryId = CategoryId::at(7);
const GROCERIES: CategoryId = CategoryId::at(8);
const JEWELRY: CategoryId = CategoryId::at(9);

const BARGAIN_HUNTER: UserHabits = UserHabits {
    percent: 20.0,
    visits_per_week: 4.0,
    actions_per_visit: 8.5,
    hours: (11, 14),
    weekend_factor: 1.0,
    categories: [CLOTHING, BEAUTY, HOME],
    price_level: 0.15,
    weights: ActionWeights { search: 1.8, cart: 1.0, purchase: 1.2, favorite: 1.0, share: 1.0 },
    promotion_factor: 6.0,
    multiple_probability: 0.1,
};

const NIGHT_BUYER: UserHabits = UserHabits {
    percent: 15.0,
    visits_per_week: 3.5,
    actions_per_visit: 8.0,
    hours: (22, 2),
    weekend_factor: 1.2,
    categories: [ELECTRONICS, TOYS, BOOKS],
    price_level: 0.6,
    weights: ActionWeights { search: 0.9, cart: 1.3, purchase: 1.6, favorite: 0.7, share: 0.5 },
    promotion_factor: 1.8,
    multiple_probability: 0.05,
};

const WINDOW_SHOPPER: UserHabits = UserHabits {
    percent: 20.0,
    visits_per_week: 4.5,
    actions_per_visit: 9.0,
    hours: (19, 22),
    weekend_factor: 1.1,
    categories: [JEWELRY, CLOTHING, ELECTRONICS],
    price_level: 0.85,
    weights: ActionWeights { search: 0.7, cart: 0.35, purchase: 0.15, favorite: 2.2, share: 1.5 },
    promotion_factor: 2.5,
    multiple_probability: 0.0,
};

const LOYAL_REGULAR: UserHabits = UserHabits {
    percent: 20.0,
    visits_per_week: 4.0,
    actions_per_visit: 6.0,
    hours: (6, 9),
    weekend_factor: 0.8,
    categories: [GROCERIES, BEAUTY, BOOKS],
    price_level: 0.5,
    weights: ActionWeights { search: 0.6, cart: 1.7, purchase: 2.2, favorite: 0.8, share: 0.6 },
    promotion_factor: 1.5,
    multiple_probability: 0.35,
};

const GIFT_BUYER: UserHabits = UserHabits {
    percent: 10.0,
    visits_per_week: 1.3,
    actions_per_visit: 10.0,
    hours: (17, 20),
    weekend_factor: 1.3,
    categories: [TOYS, JEWELRY, BOOKS],
    price_level: 0.7,
    weights: ActionWeights { search: 1.5, cart: 1.5, purchase: 1.5, favorite: 1.0, share: 3.5 },
    promotion_factor: 2.0,
    multiple_probability: 0.5,
};

const WEEKEND_BROWSER: UserHabits = UserHabits {
    percent: 15.0,
    visits_per_week: 2.2,
    actions_per_visit: 10.0,
    hours: (14, 17),
    weekend_factor: 14.0,
    categories: [SPORTS, HOME, SHOES],
    price_level: 0.45,
    weights: ActionWeights { search: 1.0, cart: 0.9, purchase: 0.9, favorite: 1.3, share: 1.0 },
    promotion_factor: 3.0,
    multiple_probability: 0.1,
};

impl UserType {
    /// All types, in the order of their declaration.
    pub const ALL: [Self; 6] = [
        Self::BargainHunter,
        Self::NightBuyer,
        Self::WindowShopper,
        Self::LoyalRegular,
        Self::GiftBuyer,
        Self::WeekendBrowser,
    ];

    /// Display name, as `bargain hunter`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::BargainHunter => "bargain hunter",
            Self::NightBuyer => "night buyer",
            Self::WindowShopper => "window shopper",
            Self::LoyalRegular => "loyal regular",
            Self::GiftBuyer => "gift buyer",
            Self::WeekendBrowser => "weekend browser",
        }
    }

    /// Hours `(from_inclusive, to_exclusive)` in which most visits begin; may pass midnight.
    pub const fn hours(self) -> (u32, u32) {
        self.habits().hours
    }

    pub(super) const fn habits(self) -> &'static UserHabits {
        match self {
            Self::BargainHunter => &BARGAIN_HUNTER,
            Self::NightBuyer => &NIGHT_BUYER,
            Self::WindowShopper => &WINDOW_SHOPPER,
            Self::LoyalRegular => &LOYAL_REGULAR,
            Self::GiftBuyer => &GIFT_BUYER,
            Self::WeekendBrowser => &WEEKEND_BROWSER,
        }
    }
}

impl fmt::Display for UserType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl UserHabits {
    /// Expected visits on a day. The seven days of a week add up to `visits_per_week`.
    pub(super) fn expected_visits(&self, weekend: bool) -> f64 {
        let factor = if weekend { self.weekend_factor } else { 1.0 };
        // Five weekdays with weight 1 and two weekend days with the factor.
        self.visits_per_week * factor / (5.0 + 2.0 * self.weekend_factor)
    }

    /// Weights of the next action of [`STEPS`] after the one at index `after`, or at the beginning of a visit.
    pub(super) fn next_weights(&self, after: Option<usize>) -> [f64; 8] {
        let mut next = after.map_or(BEGIN, |step| NEXT[step]);
        let ActionWeights { search, cart, purchase, favorite, share } = self.weights;
        let factors = [1.0, search, 1.0, cart, 1.0, favorite, purchase, share];
        // The weights need not sum to 1: the draw normalises them.
        next.iter_mut().zip(factors).for_each(|(weight, factor)| *weight *= factor);
        next
    }
}
