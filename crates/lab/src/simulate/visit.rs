//! Visits: in go a shopper, a day and the catalogue, out come the events of that day's visits. An action follows from the
//! one before by the type's own chances; carts are kept from visit to visit, orders have one id for all their lines, and
//! some of what was bought is reviewed or given back days later.

use super::calendar::Day;
use super::catalogue::{CATEGORIES, Catalogue, CategoryId, StockedItem};
use super::chance;
use super::counter::Counter;
use super::habits::{Habits, STEPS};
use super::people::{CART_LINES_MAX, ERRANDS_MAX, Errand, Line, Shopper};
use super::plan::{Promotion, ShopperTruth};
use super::{Happening, What};
use portrait_profile::{Span, Timestamp};
use portrait_proto::time;
use portrait_proto::v1::{self, Action};
use rand::RngExt;
use rand::rngs::StdRng;

/// How long a visit may be over before the next begins: more than the gap that cuts sessions.
const BETWEEN_VISITS: Span = Span::from_minutes(31);
/// The seconds between two actions, on average.
const PACE_SECONDS: f64 = 35.0;
/// The longest pause between two actions of one visit, in seconds.
const PAUSE_SECONDS_MAX: f64 = 900.0;
/// How many actions a visit has at most.
const ACTIONS_MAX: u32 = 60;
/// How often what was bought is given back, and how often it is reviewed.
const REFUND_CHANCE: f64 = 0.06;
const REVIEW_CHANCE: f64 = 0.15;

/// What is the same for all visits of a day.
#[derive(Debug)]
pub(super) struct Today<'a> {
    pub(super) day: Day,
    /// If prices are low on that day.
    pub(super) promotion: Option<&'a Promotion>,
    pub(super) catalogue: &'a Catalogue,
}

/// One visit under way.
struct Visit<'a> {
    truth: &'a ShopperTruth,
    shopper: &'a mut Shopper,
    today: &'a Today<'a>,
    habits: &'static Habits,
    counter: &'a mut Counter,
    happenings: &'a mut Vec<Happening>,
    /// How likely each category is to be looked at next.
    categories: [f64; CATEGORIES.len()],
    session_id: String,
    at: Timestamp,
    category: CategoryId,
    looked_at: Option<Line>,
}

/// All visits that one shopper begins on a day.
pub(super) fn spend_day(
    chance: &mut StdRng,
    truth: &ShopperTruth,
    shopper: &mut Shopper,
    today: &Today<'_>,
    counter: &mut Counter,
    happenings: &mut Vec<Happening>,
) {
    let habits = truth.shopper_type_on(today.day).habits();
    let visits = chance::poisson(chance, habits.visits_on(today.day.is_weekend()));
    let mut starts: Vec<Timestamp> = (0..visits).map(|_| start(chance, habits, today.day)).collect();
    starts.sort();
    for start in starts {
        let at = start.max(shopper.busy_until.plus(BETWEEN_VISITS));
        let mut visit = Visit::begin(chance, truth, shopper, today, counter, happenings, at);
        visit.errands(chance);
        visit.wander(chance);
        visit.shopper.busy_until = visit.at;
    }
}

/// When a visit begins: four in five within the type's hours, the others at any hour of the day.
fn start(chance: &mut StdRng, habits: &Habits, day: Day) -> Timestamp {
    let (from, to) = habits.hours;
    let hours = (to + 24 - from) % 24;
    let hour = match chance.random_bool(0.8) {
        true => (from + chance.random_range(0..hours)) % 24,
        false => chance.random_range(8..23),
    };
    day.begins()
        .plus(Span::from_hours(i64::from(hour)))
        .plus(Span::from_millis(chance.random_range(0..3_600_000)))
}

impl<'a> Visit<'a> {
    fn begin(
        chance: &mut StdRng,
        truth: &'a ShopperTruth,
        shopper: &'a mut Shopper,
        today: &'a Today<'a>,
        counter: &'a mut Counter,
        happenings: &'a mut Vec<Happening>,
        at: Timestamp,
    ) -> Self {
        let habits = truth.shopper_type_on(today.day).habits();
        let categories = interest(truth, shopper, today, habits);
        let category = CategoryId::at(chance::weighted(chance, &categories));
        let session_id = counter.next("s");
        Self {
            truth,
            shopper,
            today,
            habits,
            counter,
            happenings,
            categories,
            session_id,
            at,
            category,
            looked_at: None,
        }
    }

    /// Reviews and returns come first.
    fn errands(&mut self, chance: &mut StdRng) {
        let (due, later) = std::mem::take(&mut self.shopper.errands)
            .into_iter()
            .partition::<Vec<Errand>, _>(|errand| errand.not_before <= self.today.day);
        self.shopper.errands = later;
        for errand in due {
            self.tell_of(errand.action, &errand.line);
            self.pause(chance);
        }
    }

    /// From action to action until the shopper leaves.
    fn wander(&mut self, chance: &mut StdRng) {
        let mut step = None;
        let leave = 1.0 / self.habits.actions_per_visit;
        for _ in 0..ACTIONS_MAX {
            let next = chance::weighted(chance, &self.habits.next(step));
            self.act(chance, STEPS[next]);
            step = Some(next);
            self.pause(chance);
            if chance.random_bool(leave) {
                return;
            }
        }
    }

    fn pause(&mut self, chance: &mut StdRng) {
        let seconds = (2.0 + chance::exponential(chance, PACE_SECONDS)).min(PAUSE_SECONDS_MAX);
        self.at = self.at.plus(Span::from_millis((seconds * 1000.0) as i64));
    }

    fn act(&mut self, chance: &mut StdRng, action: Action) {
        match action {
            Action::Search => self.search(chance),
            Action::AddToCart => self.add_to_cart(chance),
            Action::RemoveFromCart if !self.shopper.cart.is_empty() => {
                let line = self.shopper.cart.remove(chance.random_range(0..self.shopper.cart.len()));
                self.tell_of(Action::RemoveFromCart, &line);
            }
            Action::Purchase if !self.shopper.cart.is_empty() => self.check_out(chance),
            Action::Favorite | Action::Share | Action::Review | Action::Refund => {
                let line = self.line(chance);
                self.tell_of(action, &line);
            }
            Action::Click => self.look(chance, Action::Click),
            // An empty cart has nothing to buy or to take out: the shopper looks on.
            Action::View
            | Action::RemoveFromCart
            | Action::Purchase
            | Action::Custom
            | Action::Unspecified => self.look(chance, Action::View),
        }
    }

    /// A view or a click: of the same item again, of another of the category, or of another category.
    fn look(&mut self, chance: &mut StdRng, action: Action) {
        let again = self.looked_at.is_some() && chance.random_bool(0.2);
        if !again {
            if chance.random_bool(0.4) {
                self.category = CategoryId::at(chance::weighted(chance, &self.categories));
            }
            self.looked_at = Some(self.pick(chance));
        }
        let line = self.line(chance);
        self.tell_of(action, &line);
    }

    fn search(&mut self, chance: &mut StdRng) {
        self.category = CategoryId::at(chance::weighted(chance, &self.categories));
        let words = chance::one_of(chance, &self.category.category().searches);
        let event = v1::Event {
            query: words.to_owned(),
            category: self.category.name().to_owned(),
            ..self.event(Action::Search)
        };
        self.tell(event);
    }

    fn add_to_cart(&mut self, chance: &mut StdRng) {
        let mut line = self.line(chance);
        if chance.random_bool(self.habits.several) {
            line.quantity = chance.random_range(2..=4);
        }
        if self.shopper.cart.len() == CART_LINES_MAX {
            let oldest = self.shopper.cart.remove(0);
            self.tell_of(Action::RemoveFromCart, &oldest);
            self.pause(chance);
        }
        self.tell_of(Action::AddToCart, &line);
        self.shopper.cart.push(line);
    }

    /// Buys the whole cart: one order, one event a line.
    fn check_out(&mut self, chance: &mut StdRng) {
        let order_id = self.counter.next("o");
        for mut line in std::mem::take(&mut self.shopper.cart) {
            line.order_id.clone_from(&order_id);
            line.paid = Some(self.price_today(&line));
            self.tell_of(Action::Purchase, &line);
            self.at = self.at.plus(Span::from_millis(40));
            self.remember(chance, line);
        }
    }

    /// In the shop's currency, in whole cents.
    fn price_today(&self, line: &Line) -> f64 {
        let promotion = self.today.promotion.filter(|promotion| promotion.category == line.category.name());
        StockedItem::price(line.cents, promotion.map_or(1.0, |promotion| promotion.price_factor))
    }

    /// What will be done about the line, days later.
    fn remember(&mut self, chance: &mut StdRng, line: Line) {
        let action = match chance.random::<f64>() {
            draw if draw < REFUND_CHANCE => Action::Refund,
            draw if draw < REFUND_CHANCE + REVIEW_CHANCE => Action::Review,
            _ => return,
        };
        if self.shopper.errands.len() < ERRANDS_MAX {
            let not_before = self.today.day.after(chance.random_range(3..10));
            self.shopper.errands.push(Errand { not_before, action, line });
        }
    }

    /// The item that was looked at last, or one of the category.
    fn line(&mut self, chance: &mut StdRng) -> Line {
        let line = self.looked_at.take().unwrap_or_else(|| self.pick(chance));
        self.looked_at = Some(line.clone());
        line
    }

    fn pick(&self, chance: &mut StdRng) -> Line {
        let item: &StockedItem = self.today.catalogue.pick(chance, self.category, self.habits.price_level);
        Line {
            item_id: item.item_id.clone(),
            category: item.category,
            brand: item.brand,
            cents: item.cents,
            quantity: 1,
            order_id: String::new(),
            paid: None,
        }
    }

    fn tell_of(&mut self, action: Action, line: &Line) {
        let price = line.paid.unwrap_or_else(|| self.price_today(line));
        let event = v1::Event {
            item_id: line.item_id.clone(),
            category: line.category.name().to_owned(),
            brand: line.brand.to_owned(),
            price: Some(price),
            quantity: (line.quantity > 1).then(|| f64::from(line.quantity)),
            order_id: line.order_id.clone(),
            ..self.event(action)
        };
        self.tell(event);
    }

    fn event(&mut self, action: Action) -> v1::Event {
        v1::Event {
            event_id: self.counter.next("e"),
            user_id: self.truth.user_id.clone(),
            action: action.into(),
            occurred_at: Some(time::to_wire(self.at)),
            session_id: self.session_id.clone(),
            ..Default::default()
        }
    }

    fn tell(&mut self, event: v1::Event) {
        self.happenings.push(Happening { at: self.at, what: What::Event(event) });
    }
}

/// How likely each category is to be looked at: the favourite most, the second, the type's others, and a little of all. Low
/// prices draw everybody, some more.
fn interest(
    truth: &ShopperTruth,
    shopper: &Shopper,
    today: &Today<'_>,
    habits: &Habits,
) -> [f64; CATEGORIES.len()] {
    let favourite = truth.category_on(today.day);
    let mut weights = [0.025; CATEGORIES.len()];
    weights[shopper.second.place()] += 0.15;
    for category in habits.categories {
        weights[category.place()] += 0.04;
    }
    for (weight, category) in weights.iter_mut().zip(&CATEGORIES) {
        if category.name == favourite {
            *weight += 0.55;
        }
        if today.promotion.is_some_and(|promotion| promotion.category == category.name) {
            *weight *= habits.promotion_factor;
        }
    }
    weights
}
