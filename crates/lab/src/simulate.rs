//! Simulated shop: an iterator of events in the order of their time, with the planted truth about its users beside
//! them. The same seed and size give the same events, byte for byte.
//!
//! Every user has a planted type, a favourite category and active hours. One category has a promotion week, a tenth
//! of the users change their habits on one day, some arrive late and some go quiet, so that profiles can be compared
//! with the truth. The shop is generated one day at a time: memory does not grow with the number of days. Nothing
//! here talks to a server or reads a clock.

mod calendar;
mod catalogue;
mod config;
mod counter;
mod event;
mod habits;
mod plan;
mod sampling;
#[cfg(test)]
mod tests;
mod users;
mod visit;

pub use calendar::Day;
pub use config::SimulateConfig;
pub use event::{ShopEvent, ShopEventKind};
pub use habits::UserType;
pub use plan::{HabitChange, Promotion, UserTruth};

use catalogue::SimulatedCatalogue;
use counter::Counter;
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::collections::VecDeque;
use users::SimulatedUser;
use visit::DayContext;

/// Simulator of a shop: an iterator over its events.
#[derive(Debug)]
pub struct ShopSimulator {
    rng: StdRng,
    config: SimulateConfig,
    promotion: Promotion,
    catalogue: SimulatedCatalogue,
    users: Vec<SimulatedUser>,
    truths: Vec<UserTruth>,
    counter: Counter,
    next_day: Day,
    /// Events of the current day in order; one day at most.
    ready: VecDeque<ShopEvent>,
    /// Events of visits that go on after midnight; a few hours at most.
    after_midnight: Vec<ShopEvent>,
}

impl ShopSimulator {
    /// Creates the shop of `seed` and `config`; sizes out of range are clamped.
    pub fn new(seed: u64, config: SimulateConfig) -> Self {
        let config = config.bounded();
        let mut rng = StdRng::seed_from_u64(seed);
        let catalogue = SimulatedCatalogue::generate(&mut rng, config.items);
        let promotion = Promotion::within(config.days);
        let truths = plan::generate_users(&mut rng, &config);
        let users = truths.iter().map(|truth| SimulatedUser::new(&mut rng, truth)).collect();
        let mut shop = Self {
            rng,
            config,
            promotion,
            catalogue,
            users,
            truths,
            counter: Counter::of_seed(seed),
            next_day: Day::FIRST,
            ready: VecDeque::new(),
            after_midnight: Vec::new(),
        };
        // The catalogue comes first: events name items, and the server fills in category and brand from it.
        let items = shop.catalogue.items(None);
        shop.ready.extend(
            items.map(|item| ShopEvent { at: Day::FIRST.midnight(), kind: ShopEventKind::Item(item) }),
        );
        shop
    }

    /// Planted truth of every user, in the order of generation.
    pub fn truths(&self) -> &[UserTruth] {
        &self.truths
    }

    /// Promotion week; none in a steady shop, or in one of one or two days.
    pub fn promotion(&self) -> Option<&Promotion> {
        (self.config.days > 2 && !self.config.steady).then_some(&self.promotion)
    }

    /// First day after the last simulated one.
    pub fn end(&self) -> Day {
        Day::numbered(self.config.days)
    }

    /// Generates the events of a day.
    fn generate_day(&mut self, day: Day) {
        let mut events = std::mem::take(&mut self.after_midnight);
        events.extend(self.price_updates(day));
        let promotion = self.promotion().filter(|promotion| promotion.has(day)).copied();
        let today = DayContext { day, promotion: promotion.as_ref(), catalogue: &self.catalogue };
        // Relations lead to users of the first day only: an edge to a user who has not arrived would leak the future.
        let initial = plan::initial_users(self.config.users) as usize;
        // One generator serves all users in their order: the order of draws is part of the contract of a seed.
        for index in 0..self.users.len() {
            let truth = &self.truths[index];
            if truth.arrives_on == day {
                let others = &self.truths[..initial];
                users::emit_arrival(&mut self.rng, truth, others, &mut self.counter, &mut events);
            }
            if truth.comes_on(day) {
                let user = &mut self.users[index];
                visit::emit_day(&mut self.rng, truth, user, &today, &mut self.counter, &mut events);
            }
        }
        // A stable sort: events of one time keep the order of generation.
        events.sort_by_key(|event| event.at);
        let midnight = events.partition_point(|event| event.at < day.next().midnight());
        // A late visit reaches into the next day: its events wait until that day's are generated, so that the stream
        // stays sorted across midnight.
        self.after_midnight = events.split_off(midnight);
        self.ready.extend(events);
    }

    /// Catalogue updates on the first day of a promotion and on the day after it.
    fn price_updates(&self, day: Day) -> Vec<ShopEvent> {
        let Some(promotion) = self.promotion() else { return Vec::new() };
        let factor = match day {
            day if day == promotion.from => promotion.price_factor,
            // The day after: prices return to the regular ones.
            day if day == promotion.until => 1.0,
            _ => return Vec::new(),
        };
        let items = self.catalogue.items(Some((promotion.category, factor)));
        items.map(|item| ShopEvent { at: day.midnight(), kind: ShopEventKind::Item(item) }).collect()
    }
}

impl Iterator for ShopSimulator {
    type Item = ShopEvent;

    fn next(&mut self) -> Option<ShopEvent> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            if self.next_day < self.end() {
                let day = self.next_day;
                self.next_day = day.next();
                self.generate_day(day);
            } else if self.after_midnight.is_empty() {
                return None;
            } else {
                self.ready.extend(self.after_midnight.drain(..));
            }
        }
    }
}
