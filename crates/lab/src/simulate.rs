//! A simulated shop: in go a seed and a size, out come the things that happen in it, in the order of their time, with the
//! truth about its shoppers beside them. The same seed gives the same shop, to the last byte.
//!
//! Every shopper has a planted type, a favourite category and hours of the day. One category has a week of low prices, a
//! tenth of the shoppers change their habits on one day, some arrive late and some go quiet, so that what profiles say can be
//! held against what was planted. One day is made at a time: the memory does not grow with the days. Nothing here talks to
//! a server or asks what time it is.

mod calendar;
mod catalogue;
mod chance;
mod counter;
mod habits;
mod people;
mod plan;
#[cfg(test)]
mod tests;
mod visit;

pub use calendar::Day;
pub use habits::ShopperType;
pub use plan::{HabitChange, Promotion, ShopperTruth};

use catalogue::Catalogue;
use counter::Counter;
use people::Shopper;
use portrait_profile::Timestamp;
use portrait_proto::v1;
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::collections::VecDeque;
use visit::Today;

/// How large a shop is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SimulateConfig {
    /// How many shoppers come at all, 1 to 1,000,000; a tenth of them for the first time after the first day.
    pub shoppers: u32,
    /// How many days pass, 1 to 1,000.
    pub days: u32,
    /// How many items are for sale, at least one in each of the ten categories and at most 100,000.
    pub items: u32,
    /// Whether every day is like the one before: no week of low prices, and nobody's habits change.
    pub steady: bool,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Happening {
    /// When.
    pub at: Timestamp,
    /// What.
    pub what: What,
}

/// What happened, as the shop would tell it.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "nearly all of them are events, and they are moved, not kept")]
pub enum What {
    /// The catalogue has an item, or its new price.
    Item(v1::Item),
    /// A shopper said who he or she is.
    Traits(v1::TraitsUpdate),
    /// Two shoppers know each other.
    Relation(v1::Relation),
    /// A shopper did something.
    Event(v1::Event),
}

/// The shop, as an iterator over what happens in it.
#[derive(Debug)]
pub struct Shop {
    chance: StdRng,
    config: SimulateConfig,
    promotion: Promotion,
    catalogue: Catalogue,
    shoppers: Vec<Shopper>,
    truths: Vec<ShopperTruth>,
    counter: Counter,
    next_day: Day,
    /// What happens on the day that is being told, in order; one day at most.
    ready: VecDeque<Happening>,
    /// What a visit of that day does after midnight; a few hours at most.
    after_midnight: Vec<Happening>,
}

impl Default for SimulateConfig {
    fn default() -> Self {
        Self { shoppers: 2_000, days: 60, items: 500, steady: false }
    }
}

impl SimulateConfig {
    /// The nearest size that a shop can have.
    fn bounded(self) -> Self {
        let categories = u32::try_from(catalogue::CATEGORIES.len()).unwrap_or(u32::MAX);
        Self {
            shoppers: self.shoppers.clamp(1, 1_000_000),
            days: self.days.clamp(1, 1_000),
            items: self.items.clamp(categories, 100_000),
            steady: self.steady,
        }
    }
}

impl Happening {
    /// The event, if it is one.
    pub fn into_event(self) -> Option<v1::Event> {
        match self.what {
            What::Event(event) => Some(event),
            What::Item(_) | What::Traits(_) | What::Relation(_) => None,
        }
    }
}

impl Shop {
    /// The shop of that seed and size; a size outside its bounds is taken as the nearest inside.
    pub fn new(seed: u64, config: SimulateConfig) -> Self {
        let config = config.bounded();
        let mut chance = StdRng::seed_from_u64(seed);
        let catalogue = Catalogue::stocked(&mut chance, config.items);
        let promotion = Promotion::within(config.days);
        let truths = plan::people(&mut chance, &config);
        let shoppers = truths.iter().map(|truth| Shopper::of(&mut chance, truth)).collect();
        let mut shop = Self {
            chance,
            config,
            promotion,
            catalogue,
            shoppers,
            truths,
            counter: Counter::of_seed(seed),
            next_day: Day::FIRST,
            ready: VecDeque::new(),
            after_midnight: Vec::new(),
        };
        let items = shop.catalogue.items(None);
        shop.ready.extend(items.map(|item| Happening { at: Day::FIRST.begins(), what: What::Item(item) }));
        shop
    }

    /// What was planted, by shopper, in the order they were made up.
    pub fn truths(&self) -> &[ShopperTruth] {
        &self.truths
    }

    /// The week of low prices; none in a steady shop, or in one of one or two days.
    pub fn promotion(&self) -> Option<&Promotion> {
        (self.config.days > 2 && !self.config.steady).then_some(&self.promotion)
    }

    /// The first day after everything.
    pub fn ends(&self) -> Day {
        Day::numbered(self.config.days)
    }

    /// Makes the next day up; the day's later half may reach into the night after it.
    fn open(&mut self, day: Day) {
        let mut happenings = std::mem::take(&mut self.after_midnight);
        happenings.extend(self.prices_of(day));
        let promotion = self.promotion().filter(|promotion| promotion.has(day)).copied();
        let today = Today { day, promotion: promotion.as_ref(), catalogue: &self.catalogue };
        let settled = plan::settled(self.config.shoppers) as usize;
        for index in 0..self.shoppers.len() {
            let truth = &self.truths[index];
            if truth.arrives_on == day {
                let others = &self.truths[..settled];
                people::introduce(&mut self.chance, truth, others, &mut self.counter, &mut happenings);
            }
            if truth.comes_on(day) {
                let shopper = &mut self.shoppers[index];
                visit::spend_day(
                    &mut self.chance,
                    truth,
                    shopper,
                    &today,
                    &mut self.counter,
                    &mut happenings,
                );
            }
        }
        happenings.sort_by_key(|happening| happening.at);
        let midnight = happenings.partition_point(|happening| happening.at < day.next().begins());
        self.after_midnight = happenings.split_off(midnight);
        self.ready.extend(happenings);
    }

    /// The items whose price changes with that day.
    fn prices_of(&self, day: Day) -> Vec<Happening> {
        let Some(promotion) = self.promotion() else { return Vec::new() };
        let factor = match day {
            day if day == promotion.from => promotion.price_factor,
            day if day == promotion.until => 1.0,
            _ => return Vec::new(),
        };
        let items = self.catalogue.items(Some((promotion.category, factor)));
        items.map(|item| Happening { at: day.begins(), what: What::Item(item) }).collect()
    }
}

impl Iterator for Shop {
    type Item = Happening;

    fn next(&mut self) -> Option<Happening> {
        loop {
            if let Some(happening) = self.ready.pop_front() {
                return Some(happening);
            }
            if self.next_day < self.ends() {
                let day = self.next_day;
                self.next_day = day.next();
                self.open(day);
            } else if self.after_midnight.is_empty() {
                return None;
            } else {
                self.ready.extend(self.after_midnight.drain(..));
            }
        }
    }
}
