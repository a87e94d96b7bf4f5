//! Purchases and refunds of one user. The newest orders are kept with their lines: a line that is sent again replaces itself, and
//! a refund takes back from the lines that it reverts, at their times. Everything else is a sum.
//!
//! Invariant: the money of a user is never negative, and never above what was sent.

mod order;
mod packed;

pub(crate) use order::Order;

use crate::action::Action;
use crate::decay::{DecayedSum, bounded};
use crate::id::{ItemId, OrderId};
use crate::record::Event;
use crate::time::Timestamp;
use order::{Amount, OrderLine};
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use xxhash_rust::xxh64::xxh64;

/// Maximum number of orders that are kept, each with its lines.
pub const ORDERS_MAX: usize = 16;
/// Maximum number of lines of all kept orders together.
pub const ORDER_LINES_MAX: usize = 64;
/// Maximum size of the kept orders, in bytes.
pub(crate) const ORDERS_BUDGET_BYTES: usize = 1536;
/// Amounts below this are rounding errors of sums and products.
const AMOUNT_MIN: f64 = 1e-6;

/// Purchases and refunds of one user.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Orders {
    /// Time of the newest purchase.
    pub(crate) last_at: Option<Timestamp>,
    /// Number of orders since the beginning.
    pub(crate) total: u64,
    /// Decayed count of orders.
    pub(crate) decayed: DecayedSum,
    /// Money spent minus money returned, in the base currency.
    pub(crate) money_total: f64,
    /// Decayed sum of `money_total`'s contributions.
    pub(crate) money: DecayedSum,
    /// Newest orders, in the order of arrival.
    pub(crate) kept: Vec<Order>,
    /// Counts that are 0 for nearly all users.
    pub(crate) exceptions: Option<Box<OrderExceptions>>,
}

/// What did not fit the orders of one user.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct OrderExceptions {
    /// Number of lines that were sent again and replaced themselves.
    pub(crate) corrected: u64,
    /// Money of refunds for which no purchase is kept, in the base currency.
    pub(crate) unmatched_refunds: f64,
    /// Number of lines of orders that are not kept any more.
    pub(crate) untracked_lines: u64,
    /// Time of the newest order that is not kept any more.
    departed_through: Option<Timestamp>,
    /// Key of the order of the newest untracked line.
    untracked_order: Option<u32>,
}

/// Position of a line among the kept orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct LineIndex {
    order: usize,
    line: usize,
}

/// Effect of an event on the orders.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum OrderEffect {
    /// Event that is no purchase and no refund, or a purchase that counts.
    None,
    /// Line that was sent again: nothing else of the profile changes.
    Corrected,
    /// Refund.
    Refunded {
        /// Time of the newest purchase that it takes back from; none if no purchase is kept.
        bought_at: Option<Timestamp>,
        /// True if no unit of the item is left.
        is_whole: bool,
    },
}

impl Order {
    /// Returns an order of which only the id is known.
    pub(crate) fn without_lines(key: u32, at: Timestamp) -> Self {
        packed::order(Some(key), at, Vec::new())
    }
}

impl Orders {
    /// Folds an event in.
    pub(crate) fn fold(&mut self, at: Timestamp, event: &Event) -> OrderEffect {
        // One price can be finite while price times quantity is not.
        let amount = Amount {
            money: bounded(event.price.unwrap_or(0.0) * event.quantity).max(0.0),
            units: bounded(event.quantity).max(0.0),
        };
        match event.action {
            Action::Purchase => self.buy(at, event, amount),
            Action::Refund => self.take_back(event, amount),
            _ => OrderEffect::None,
        }
    }

    /// Returns the number of units of an item that the kept orders have and that did not come back.
    fn units_left(&self, item: Option<u32>) -> f64 {
        let lines = self.kept.iter().flat_map(|order| &order.lines);
        lines.filter(|line| line.item == item).map(|line| line.left().units).sum()
    }

    fn exceptions(&mut self) -> &mut OrderExceptions {
        self.exceptions.get_or_insert_default()
    }

    fn buy(&mut self, at: Timestamp, event: &Event, bought: Amount) -> OrderEffect {
        let key = event.order_id.as_ref().map(order_key);
        let item = event.item_id.as_ref().map(item_key);
        let line = OrderLine { item, number: event.order_line, at, bought, returned: Amount::default() };
        let known = self.kept.iter().position(|order| key.is_some() && order.key == key);
        if let Some(known) = known.and_then(|index| self.kept[index].line(item, line.number)) {
            let before = known.left().money;
            known.bought = bought;
            // What came back stays back, but never more than was bought.
            known.returned.money = known.returned.money.min(bought.money);
            known.returned.units = known.returned.units.min(bought.units);
            let (line_at, change) = (known.at, known.left().money - before);
            self.kept.iter_mut().filter(|order| order.key == key).for_each(packed::measure);
            self.add_money(line_at, change);
            self.exceptions().corrected += 1;
            self.enforce_limits();
            return OrderEffect::Corrected;
        }
        self.last_at = Some(self.last_at.map_or(at, |last| last.max(at)));
        self.add_money(at, bought.money);
        match known {
            Some(index) => self.extend(index, line),
            None => self.begin(key, line),
        }
        OrderEffect::None
    }

    fn begin(&mut self, key: Option<u32>, line: OrderLine) {
        let departed = self.exceptions.as_ref().and_then(|exceptions| exceptions.departed_through);
        let is_departed = departed.is_some_and(|departed| line.at <= departed);
        // Every line adds its money, but only the first line of an order counts the order. Of an order that is not kept any more
        // only the newest is remembered, so that its lines count once if they follow each other.
        let is_counted = is_departed
            && key.is_some()
            && self.exceptions.as_ref().is_some_and(|exceptions| exceptions.untracked_order == key);
        if !is_counted {
            self.total += 1;
            self.decayed.add(line.at, 1.0);
        }
        if is_departed {
            let exceptions = self.exceptions();
            exceptions.untracked_lines += 1;
            exceptions.untracked_order = key;
            return;
        }
        self.kept.push(packed::order(key, line.at, vec![line]));
        self.enforce_limits();
    }

    fn extend(&mut self, index: usize, line: OrderLine) {
        let order = &mut self.kept[index];
        // An order that fills the list by itself keeps its first lines.
        let is_full = order.bytes + packed::line_bytes(order.at, &line) > ORDERS_BUDGET_BYTES;
        if is_full || order.lines.len() == ORDER_LINES_MAX {
            self.exceptions().untracked_lines += 1;
            return;
        }
        order.lines.push(line);
        if line.at > order.at {
            // All lines are encoded by their distance to it.
            order.at = line.at;
            packed::measure(order);
        } else {
            order.bytes += packed::line_bytes(order.at, &line);
        }
        self.enforce_limits();
    }

    /// Removes the oldest orders beyond the limits.
    fn enforce_limits(&mut self) {
        while self.kept.len() > 1 && self.is_above_limits() {
            let Some(oldest) = (0..self.kept.len()).min_by_key(|index| self.kept[*index].at) else { return };
            let departed = self.kept.remove(oldest);
            let exceptions = self.exceptions();
            exceptions.departed_through = exceptions.departed_through.max(Some(departed.at));
        }
    }

    fn is_above_limits(&self) -> bool {
        let lines: usize = self.kept.iter().map(|order| order.lines.len()).sum();
        self.kept.len() > ORDERS_MAX
            || lines > ORDER_LINES_MAX
            || self.kept.iter().map(|order| order.bytes).sum::<usize>() > ORDERS_BUDGET_BYTES
    }

    fn take_back(&mut self, event: &Event, amount: Amount) -> OrderEffect {
        let item = event.item_id.as_ref().map(item_key);
        let mut left = amount;
        let mut bought_at = None;
        for index in self.lines_of_refund(event.order_id.as_ref().map(order_key), item) {
            if left.money < AMOUNT_MIN && left.units < AMOUNT_MIN {
                break;
            }
            let line = &mut self.kept[index.order].lines[index.line];
            let available = line.left();
            let units = left.units.min(available.units);
            let money = match event.price {
                Some(_) => left.money.min(available.money),
                // A refund without a price takes back what its units cost.
                None if line.bought.units > 0.0 => {
                    (line.bought.money * units / line.bought.units).min(available.money)
                }
                None => 0.0,
            };
            // A line whose money came back is returned, whatever number of units the sender gives.
            let is_paid_back = line.bought.money > 0.0 && available.money - money < AMOUNT_MIN;
            line.returned.money += money;
            line.returned.units += if is_paid_back { available.units } else { units };
            left.units -= units;
            left.money -= money;
            let line_at = line.at;
            bought_at = bought_at.or(Some(line_at));
            packed::measure(&mut self.kept[index.order]);
            self.add_money(line_at, -money);
        }
        let is_whole = self.units_left(item) < AMOUNT_MIN;
        self.enforce_limits();
        if event.price.is_some() && left.money >= AMOUNT_MIN {
            self.exceptions().unmatched_refunds += left.money;
        }
        OrderEffect::Refunded { bought_at, is_whole }
    }

    /// Returns the lines that a refund takes back from, newest first: those of the item in the order, or all of the order if it
    /// has none of the item; those of the item if the order is not kept.
    fn lines_of_refund(&self, key: Option<u32>, item: Option<u32>) -> Vec<LineIndex> {
        let lines_of = |key: Option<u32>, item: Option<u32>| {
            let orders = self.kept.iter().enumerate().filter(|(_, order)| key.is_none() || order.key == key);
            let lines = orders.flat_map(|(index, order)| {
                order
                    .lines
                    .iter()
                    .enumerate()
                    .map(move |(line, bought)| (bought, LineIndex { order: index, line }))
            });
            lines.filter(|(line, _)| item.is_none() || line.item == item).collect::<Vec<_>>()
        };
        let of_order = key.map(|_| lines_of(key, item)).filter(|lines| !lines.is_empty());
        let of_order =
            of_order.or_else(|| key.map(|_| lines_of(key, None)).filter(|lines| !lines.is_empty()));
        // Without an order and an item nothing says what is returned.
        let mut lines = of_order.or_else(|| item.map(|_| lines_of(None, item))).unwrap_or_default();
        lines.sort_by_key(|(line, index)| Reverse((line.at, *index)));
        lines.into_iter().map(|(_, index)| index).collect()
    }

    fn add_money(&mut self, at: Timestamp, change: f64) {
        self.money_total = (self.money_total + change).max(0.0);
        self.money.add(at, change);
    }
}

fn order_key(order_id: &OrderId) -> u32 {
    order_id.hash() as u32
}

fn item_key(item_id: &ItemId) -> u32 {
    xxh64(item_id.as_str().as_bytes(), 0) as u32
}
