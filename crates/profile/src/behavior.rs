//! Dimension 2, behavior: actions, recency-frequency-money, visits, activity by hour and weekday, and transitions.

use crate::action::{Action, ActionKind};
use crate::decay::{DecayedHistogram, DecayedSum, bounded};
use crate::id::OrderId;
use crate::record::Event;
use crate::time::{TimeDelta, Timestamp};
use serde::{Deserialize, Serialize};

/// Maximum number of custom actions with a count of their own; events of further ones count in sessions and rhythm only.
pub const CUSTOM_ACTIONS_MAX: usize = 8;
/// Gap that ends a visit. An event that arrives later than this after a newer one is late.
pub const SESSION_GAP: TimeDelta = TimeDelta::from_minutes(30);
/// Number of order ids remembered, so that the lines of one order count once.
const ORDERS_REMEMBERED: usize = 16;

/// Behavior of one user.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Behavior {
    /// Counts by action, in the order of first occurrence.
    pub(crate) actions: Vec<ActionSum>,
    /// Time of the oldest event.
    pub(crate) first_at: Option<Timestamp>,
    /// Time and kind of the newest event; late events and transitions are measured from it.
    pub(crate) newest: Option<(Timestamp, ActionKind)>,
    pub(crate) orders: Orders,
    /// Visits of the user.
    pub(crate) sessions: Sessions,
    /// Activity by hour of the shop's day.
    pub(crate) hours: DecayedHistogram,
    /// Activity by weekday, from Monday.
    pub(crate) weekdays: DecayedHistogram,
    /// Transitions between actions within a visit, by `from * 11 + to`.
    pub(crate) transitions: DecayedHistogram,
    /// Number of events too late for sessions and transitions.
    pub(crate) late_events: u64,
}

/// Count of one action.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ActionSum {
    pub(crate) action: Action,
    /// Count since the beginning.
    pub(crate) total: u64,
    /// Decayed count of the action.
    pub(crate) decayed: DecayedSum,
}

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
    /// Lower halves of the hashes of the newest order ids, newest last.
    pub(crate) recent: Vec<u32>,
}

/// Visits, separated by gaps of [`SESSION_GAP`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sessions {
    /// Number of visits since the beginning.
    pub(crate) total: u64,
    /// Decayed count of visits.
    pub(crate) decayed: DecayedSum,
    /// Number of events in all visits.
    pub(crate) events: u64,
    /// Length of all visits, in milliseconds.
    pub(crate) millis: u64,
    /// Start of the newest visit.
    pub(crate) current_started_at: Timestamp,
    /// Number of events in the newest visit.
    pub(crate) current_events: u64,
}

impl Behavior {
    /// Folds an event in and returns whether it was late.
    pub(crate) fn fold(&mut self, at: Timestamp, event: &Event) -> bool {
        self.count(at, &event.action);
        self.orders.fold(at, event);
        self.rhythm(at, event.utc_offset_minutes);
        // Sums accept an event at any time; visits and transitions need their events in order.
        self.first_at = Some(self.first_at.map_or(at, |first| first.min(at)));
        let late = self.newest.is_some_and(|(newest, _)| newest.since(at) > SESSION_GAP);
        if late {
            self.late_events += 1;
        } else {
            self.step(at, event.action.kind());
        }
        if self.newest.is_none_or(|(newest, _)| at >= newest) {
            self.newest = Some((at, event.action.kind()));
        }
        late
    }

    fn count(&mut self, at: Timestamp, action: &Action) {
        if let Some(sum) = self.actions.iter_mut().find(|sum| sum.action == *action) {
            sum.total += 1;
            sum.decayed.add(at, 1.0);
            return;
        }
        // Names are chosen by the sender: without a limit a faulty sender could grow the profile with every event.
        let customs = self.actions.iter().filter(|sum| sum.action.custom().is_some()).count();
        if action.custom().is_some() && customs >= CUSTOM_ACTIONS_MAX {
            return;
        }
        let mut decayed = DecayedSum::default();
        decayed.add(at, 1.0);
        self.actions.push(ActionSum { action: action.clone(), total: 1, decayed });
    }

    fn rhythm(&mut self, at: Timestamp, utc_offset_minutes: i16) {
        // Wider than the operands, since times are unchecked here and may be at the ends of their range.
        let local_ms = i128::from(at.millis()) + i128::from(utc_offset_minutes) * 60_000;
        let hour = local_ms.div_euclid(3_600_000).rem_euclid(24);
        // 1970-01-01 was a Thursday, the fourth day from Monday.
        let weekday = (local_ms.div_euclid(86_400_000) + 3).rem_euclid(7);
        self.hours.add(at, hour as u8);
        self.weekdays.add(at, weekday as u8);
    }

    /// Updates visits and transitions by an event that is not late.
    fn step(&mut self, at: Timestamp, kind: ActionKind) {
        let newest = self.newest.filter(|(newest, _)| at.since(*newest) <= SESSION_GAP);
        match newest {
            Some((newest, previous)) => {
                self.sessions.extend(newest, at);
                // An event that arrives out of order is part of the visit, but follows no known action.
                if at >= newest {
                    self.transitions.add(at, (previous.index() * ActionKind::ALL.len() + kind.index()) as u8);
                }
            }
            None => self.sessions.begin(at),
        }
    }
}

impl Orders {
    fn fold(&mut self, at: Timestamp, event: &Event) {
        let sign = match event.action {
            Action::Purchase => 1.0,
            Action::Refund => -1.0,
            _ => return,
        };
        // One price can be finite while price times quantity is not.
        let money = bounded(sign * event.price.unwrap_or(0.0) * event.quantity);
        self.money_total += money;
        self.money.add(at, money);
        if sign > 0.0 {
            // Every line adds its money, but only the first line of an order counts the order.
            self.last_at = Some(self.last_at.map_or(at, |last| last.max(at)));
            if self.is_new(event.order_id.as_ref()) {
                self.total += 1;
                self.decayed.add(at, 1.0);
            }
        }
    }

    /// Returns whether the line begins an order. A line without an order id is an order of its own.
    fn is_new(&mut self, order_id: Option<&OrderId>) -> bool {
        let Some(order_id) = order_id else { return true };
        // 32 bits: among the 16 remembered orders a collision has a probability of about 4e-9.
        let hash = order_id.hash() as u32;
        if self.recent.contains(&hash) {
            return false;
        }
        if self.recent.len() == ORDERS_REMEMBERED {
            self.recent.remove(0);
        }
        self.recent.push(hash);
        true
    }
}

impl Sessions {
    fn begin(&mut self, at: Timestamp) {
        self.total += 1;
        self.decayed.add(at, 1.0);
        self.events += 1;
        self.current_started_at = at;
        self.current_events = 1;
    }

    fn extend(&mut self, newest: Timestamp, at: Timestamp) {
        self.events += 1;
        self.current_events += 1;
        // The visit grows at whichever end the event lies outside of it.
        let longer = at.since(newest).millis().max(self.current_started_at.since(at).millis()).max(0);
        self.millis = self.millis.saturating_add(longer.unsigned_abs());
        self.current_started_at = self.current_started_at.min(at);
    }
}
