//! Visits of a user on one day. Actions follow a Markov chain of the user's type; carts persist from visit to visit,
//! an order has one id for all of its lines, and some purchases are reviewed or returned days later.

use super::calendar::Day;
use super::catalogue::{CATEGORIES, CategoryId, SimulatedCatalogue, StockedItem};
use super::counter::Counter;
use super::event::{ShopEvent, ShopEventKind};
use super::habits::{STEPS, UserHabits};
use super::plan::{Promotion, UserTruth};
use super::sampling;
use super::users::{CART_LINES_MAX, CartLine, DEFERRED_ACTIONS_MAX, DeferredAction, SimulatedUser};
use portrait_profile::{TimeDelta, Timestamp};
use portrait_proto::time;
use portrait_proto::v1::{self, Action};
use rand::RngExt;
use rand::rngs::StdRng;

/// Minimum pause between two visits: more than the 30 minutes of inactivity that end a session.
const BETWEEN_VISITS: TimeDelta = TimeDelta::from_minutes(31);
/// Mean pause between two actions, in seconds.
const PACE_SECONDS: f64 = 35.0;
/// Maximum pause within a visit, in seconds: below the inactivity that ends a session.
const PAUSE_SECONDS_MAX: f64 = 900.0;
/// Actions of a visit, at most.
const ACTIONS_MAX: u32 = 60;
/// Probability that a purchased item is returned.
const REFUND_PROBABILITY: f64 = 0.06;
/// Probability that a purchased item is reviewed.
const REVIEW_PROBABILITY: f64 = 0.15;

/// Inputs that all visits of a day share.
#[derive(Debug)]
pub(super) struct DayContext<'a> {
    pub(super) day: Day,
    /// The promotion, on its days.
    pub(super) promotion: Option<&'a Promotion>,
    pub(super) catalogue: &'a SimulatedCatalogue,
}

/// Visit that is in progress.
struct Visit<'a> {
    truth: &'a UserTruth,
    user: &'a mut SimulatedUser,
    today: &'a DayContext<'a>,
    habits: &'static UserHabits,
    counter: &'a mut Counter,
    events: &'a mut Vec<ShopEvent>,
    /// Weight of each category for the next view.
    categories: [f64; CATEGORIES.len()],
    session_id: String,
    at: Timestamp,
    category: CategoryId,
    viewed: Option<CartLine>,
}

/// Emits the events of all visits that a user begins on a day.
pub(super) fn emit_day(
    rng: &mut StdRng,
    truth: &UserTruth,
    user: &mut SimulatedUser,
    today: &DayContext<'_>,
    counter: &mut Counter,
    events: &mut Vec<ShopEvent>,
) {
    let habits = truth.user_type_on(today.day).habits();
    let visits = sampling::poisson(rng, habits.expected_visits(today.day.is_weekend()));
    let mut starts: Vec<Timestamp> = (0..visits).map(|_| visit_start(rng, habits, today.day)).collect();
    starts.sort();
    for start in starts {
        // Starts are drawn independently and may overlap: a visit waits until the one before is over.
        let at = start.max(user.busy_until.plus(BETWEEN_VISITS));
        let mut visit = Visit::begin(rng, truth, user, today, counter, events, at);
        visit.run_deferred_actions(rng);
        visit.act_until_leaving(rng);
        visit.user.busy_until = visit.at;
    }
}

/// Start of a visit: four of five within the hours of the type, the others between 08:00 and 23:00.
fn visit_start(rng: &mut StdRng, habits: &UserHabits, day: Day) -> Timestamp {
    let (from, to) = habits.hours;
    let hours = (to + 24 - from) % 24;
    let hour = match rng.random_bool(0.8) {
        true => (from + rng.random_range(0..hours)) % 24,
        false => rng.random_range(8..23),
    };
    day.midnight()
        .plus(TimeDelta::from_hours(i64::from(hour)))
        .plus(TimeDelta::from_millis(rng.random_range(0..3_600_000)))
}

impl<'a> Visit<'a> {
    fn begin(
        rng: &mut StdRng,
        truth: &'a UserTruth,
        user: &'a mut SimulatedUser,
        today: &'a DayContext<'a>,
        counter: &'a mut Counter,
        events: &'a mut Vec<ShopEvent>,
        at: Timestamp,
    ) -> Self {
        let habits = truth.user_type_on(today.day).habits();
        let categories = interest(truth, user, today, habits);
        let category = CategoryId::at(sampling::weighted(rng, &categories));
        let session_id = counter.next("s");
        Self {
            truth,
            user,
            today,
            habits,
            counter,
            events,
            categories,
            session_id,
            at,
            category,
            viewed: None,
        }
    }

    /// Emits reviews and returns that are due, before anything else in the visit.
    fn run_deferred_actions(&mut self, rng: &mut StdRng) {
        let (due, later) = std::mem::take(&mut self.user.deferred_actions)
            .into_iter()
            .partition::<Vec<DeferredAction>, _>(|deferred| deferred.not_before <= self.today.day);
        self.user.deferred_actions = later;
        for deferred in due {
            self.emit_item(deferred.action, &deferred.line);
            self.pause(rng);
        }
    }

    /// Emits actions until the user leaves; the length is geometric around `actions_per_visit`.
    fn act_until_leaving(&mut self, rng: &mut StdRng) {
        let mut step = None;
        // A constant probability of leaving makes the length independent of the path through the chain.
        let leave = 1.0 / self.habits.actions_per_visit;
        for _ in 0..ACTIONS_MAX {
            let next = sampling::weighted(rng, &self.habits.next_weights(step));
            self.act(rng, STEPS[next]);
            step = Some(next);
            self.pause(rng);
            if rng.random_bool(leave) {
                return;
            }
        }
    }

    fn pause(&mut self, rng: &mut StdRng) {
        let seconds = (2.0 + sampling::exponential(rng, PACE_SECONDS)).min(PAUSE_SECONDS_MAX);
        self.at = self.at.plus(TimeDelta::from_millis((seconds * 1000.0) as i64));
    }

    fn act(&mut self, rng: &mut StdRng, action: Action) {
        match action {
            Action::Search => self.search(rng),
            Action::AddToCart => self.add_to_cart(rng),
            Action::RemoveFromCart if !self.user.cart.is_empty() => {
                let line = self.user.cart.remove(rng.random_range(0..self.user.cart.len()));
                self.emit_item(Action::RemoveFromCart, &line);
            }
            Action::Purchase if !self.user.cart.is_empty() => self.check_out(rng),
            Action::Favorite | Action::Share | Action::Review | Action::Refund => {
                let line = self.line(rng);
                self.emit_item(action, &line);
            }
            Action::Click => self.view(rng, Action::Click),
            // An empty cart has nothing to buy or to remove: the user views an item instead.
            Action::View
            | Action::RemoveFromCart
            | Action::Purchase
            | Action::Custom
            | Action::Unspecified => self.view(rng, Action::View),
        }
    }

    /// Emits a view or a click: of the same item again, another one of the category, or one of another category.
    fn view(&mut self, rng: &mut StdRng, action: Action) {
        let same_item = self.viewed.is_some() && rng.random_bool(0.2);
        if !same_item {
            if rng.random_bool(0.4) {
                self.category = CategoryId::at(sampling::weighted(rng, &self.categories));
            }
            self.viewed = Some(self.pick(rng));
        }
        let line = self.line(rng);
        self.emit_item(action, &line);
    }

    fn search(&mut self, rng: &mut StdRng) {
        self.category = CategoryId::at(sampling::weighted(rng, &self.categories));
        let words = sampling::one_of(rng, &self.category.category().searches);
        let event = v1::Event {
            query: words.to_owned(),
            category: self.category.name().to_owned(),
            ..self.event(Action::Search)
        };
        self.emit(event);
    }

    fn add_to_cart(&mut self, rng: &mut StdRng) {
        let mut line = self.line(rng);
        if rng.random_bool(self.habits.multiple_probability) {
            line.quantity = rng.random_range(2..=4);
        }
        // A bounded cart bounds the memory of a user.
        if self.user.cart.len() == CART_LINES_MAX {
            let oldest = self.user.cart.remove(0);
            self.emit_item(Action::RemoveFromCart, &oldest);
            self.pause(rng);
        }
        self.emit_item(Action::AddToCart, &line);
        self.user.cart.push(line);
    }

    /// Buys the whole cart: one order id, one event for each line.
    fn check_out(&mut self, rng: &mut StdRng) {
        let order_id = self.counter.next("o");
        for mut line in std::mem::take(&mut self.user.cart) {
            line.order_id.clone_from(&order_id);
            // A refund days later repeats the price that was paid, not the price of that day.
            line.paid = Some(self.price_today(&line));
            self.emit_item(Action::Purchase, &line);
            // Lines of an order arrive a few milliseconds apart, as a checkout sends them.
            self.at = self.at.plus(TimeDelta::from_millis(40));
            self.schedule_follow_up(rng, line);
        }
    }

    /// Unit price today in the shop's currency, rounded to cents.
    fn price_today(&self, line: &CartLine) -> f64 {
        let promotion = self.today.promotion.filter(|promotion| promotion.category == line.category.name());
        StockedItem::price(line.cents, promotion.map_or(1.0, |promotion| promotion.price_factor))
    }

    /// Schedules a return or review of the line three to nine days later, or neither.
    fn schedule_follow_up(&mut self, rng: &mut StdRng, line: CartLine) {
        let action = match rng.random::<f64>() {
            draw if draw < REFUND_PROBABILITY => Action::Refund,
            draw if draw < REFUND_PROBABILITY + REVIEW_PROBABILITY => Action::Review,
            _ => return,
        };
        // A bound on memory; ordinary users stay far below it.
        if self.user.deferred_actions.len() < DEFERRED_ACTIONS_MAX {
            let not_before = self.today.day.after(rng.random_range(3..10));
            self.user.deferred_actions.push(DeferredAction { not_before, action, line });
        }
    }

    /// Last viewed item, or a new one of the current category.
    fn line(&mut self, rng: &mut StdRng) -> CartLine {
        let line = self.viewed.take().unwrap_or_else(|| self.pick(rng));
        self.viewed = Some(line.clone());
        line
    }

    fn pick(&self, rng: &mut StdRng) -> CartLine {
        let item: &StockedItem = self.today.catalogue.pick(rng, self.category, self.habits.price_level);
        CartLine {
            item_id: item.item_id.clone(),
            category: item.category,
            brand: item.brand,
            cents: item.cents,
            quantity: 1,
            order_id: String::new(),
            paid: None,
        }
    }

    fn emit_item(&mut self, action: Action, line: &CartLine) {
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
        self.emit(event);
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

    fn emit(&mut self, event: v1::Event) {
        self.events.push(ShopEvent { at: self.at, kind: ShopEventKind::Event(event) });
    }
}

/// Weights of the categories: most for the favourite, less for the second, the type's others, and a little for all. A
/// promotion multiplies the weight of its category by the type's factor.
fn interest(
    truth: &UserTruth,
    user: &SimulatedUser,
    today: &DayContext<'_>,
    habits: &UserHabits,
) -> [f64; CATEGORIES.len()] {
    let favourite = truth.category_on(today.day);
    // Every category gets some interest: a user without noise would be learned from one visit.
    let mut weights = [0.025; CATEGORIES.len()];
    weights[user.second.index()] += 0.15;
    for category in habits.categories {
        weights[category.index()] += 0.04;
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
