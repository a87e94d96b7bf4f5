//! What is planted: who the shoppers are, which week has low prices, whose habits change. In go a source of randomness and
//! the size of the shop, out comes the truth that profiles are held against.

use super::SimulateConfig;
use super::calendar::Day;
use super::catalogue::{CATEGORIES, CategoryId};
use super::chance;
use super::habits::ShopperType;
use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

/// How many in a hundred shoppers first come after the first day.
const NEWCOMERS_PERCENT: u32 = 10;
/// How many in a hundred stop coming at some time.
const QUIET_PERCENT: f64 = 0.08;
/// Given names of many places, so that a shopper can be told from another by a reader.
const NAMES: [&str; 24] = [
    "aiko", "ben", "chioma", "dana", "emil", "fatima", "goran", "hana", "ines", "jonas", "kavya", "lena",
    "mateo", "nadia", "olek", "priya", "quentin", "rosa", "sven", "tuana", "uma", "viktor", "wanja", "yara",
];

/// A week of low prices in one category.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Promotion {
    /// The category's name.
    pub category: &'static str,
    /// Its first day.
    pub from: Day,
    /// The first day after it.
    pub until: Day,
    /// What a price is multiplied by.
    pub price_factor: f64,
}

/// What is true of one shopper, whatever the events say.
#[derive(Clone, Debug, PartialEq)]
pub struct ShopperTruth {
    /// The shop's id.
    pub user_id: String,
    /// The type, before a change.
    pub shopper_type: ShopperType,
    /// The name of the favourite category, before a change.
    pub category: &'static str,
    /// The first day on which the shopper may come.
    pub arrives_on: Day,
    /// The first day from which the shopper does not come any more.
    pub quiet_from: Option<Day>,
    /// The change of habits.
    pub change: Option<HabitChange>,
}

/// A change of habits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HabitChange {
    /// The first day of the new habits.
    pub on: Day,
    /// The type from then on.
    pub shopper_type: ShopperType,
    /// The name of the favourite category from then on.
    pub category: &'static str,
}

impl Promotion {
    /// A third of the way through the days: a week, or what there is of one.
    pub(super) fn within(days: u32) -> Self {
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

    /// Whether prices are low on that day.
    pub fn has(&self, day: Day) -> bool {
        self.from <= day && day < self.until
    }
}

impl ShopperTruth {
    /// The type on a day.
    pub fn shopper_type_on(&self, day: Day) -> ShopperType {
        self.change.filter(|change| change.on <= day).map_or(self.shopper_type, |change| change.shopper_type)
    }

    /// The name of the favourite category on a day.
    pub fn category_on(&self, day: Day) -> &'static str {
        self.change.filter(|change| change.on <= day).map_or(self.category, |change| change.category)
    }

    /// Whether the shopper may come on that day.
    pub fn comes_on(&self, day: Day) -> bool {
        self.arrives_on <= day && self.quiet_from.is_none_or(|quiet| day < quiet)
    }
}

/// How many shoppers are there from the first day on: they come first in every list.
pub(super) fn settled(shoppers: u32) -> u32 {
    shoppers - shoppers * NEWCOMERS_PERCENT / 100
}

/// Makes the shoppers up.
pub(super) fn people(chance: &mut StdRng, config: &SimulateConfig) -> Vec<ShopperTruth> {
    let mut truths: Vec<ShopperTruth> =
        (0..config.shoppers).map(|number| person(chance, config, number)).collect();
    let eligible = |truth: &ShopperTruth| truth.arrives_on == Day::FIRST && truth.quiet_from.is_none();
    let mut candidates: Vec<usize> = (0..truths.len()).filter(|index| eligible(&truths[*index])).collect();
    candidates.shuffle(chance);
    let on = Day::numbered(config.days * 2 / 3);
    if on > Day::FIRST && !config.steady {
        for index in candidates.into_iter().take(config.shoppers as usize / 10) {
            truths[index].change = Some(change(chance, &truths[index], on));
        }
    }
    truths
}

fn person(chance: &mut StdRng, config: &SimulateConfig, number: u32) -> ShopperTruth {
    let weights = ShopperType::ALL.map(|kind| kind.habits().percent);
    let shopper_type = ShopperType::ALL[chance::weighted(chance, &weights)];
    let arrives_on = match number < settled(config.shoppers) || config.days < 2 {
        true => Day::FIRST,
        false => Day::numbered(chance.random_range(1..config.days)),
    };
    let quiet_from = chance.random_bool(QUIET_PERCENT).then(|| arrives_on.after(chance.random_range(5..60)));
    ShopperTruth {
        user_id: format!("{}-{number:04}", chance::one_of(chance, &NAMES)),
        shopper_type,
        category: favourite(chance, shopper_type).name(),
        arrives_on,
        quiet_from: quiet_from.filter(|day| day.number() < config.days),
        change: None,
    }
}

fn change(chance: &mut StdRng, truth: &ShopperTruth, on: Day) -> HabitChange {
    let others: Vec<ShopperType> =
        ShopperType::ALL.into_iter().filter(|kind| *kind != truth.shopper_type).collect();
    let shopper_type = chance::one_of(chance, &others);
    let categories = shopper_type.habits().categories.map(CategoryId::name);
    let new: Vec<&'static str> = categories.into_iter().filter(|name| *name != truth.category).collect();
    HabitChange { on, shopper_type, category: chance::one_of(chance, &new) }
}

/// The first of a type's categories is the favourite of half of its shoppers.
fn favourite(chance: &mut StdRng, shopper_type: ShopperType) -> CategoryId {
    shopper_type.habits().categories[chance::weighted(chance, &[0.5, 0.3, 0.2])]
}
