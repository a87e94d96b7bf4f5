//! Dimension 2, what the shopper does: actions, recency-frequency-money, visits, rhythm and habits.

use crate::action::{Action, ActionKind};
use crate::decay::{DecayedHistogram, DecayedSum, bounded};
use crate::id::OrderId;
use crate::record::Event;
use crate::time::{TimeDelta, Timestamp};
use serde::{Deserialize, Serialize};

/// How many custom actions a profile tells apart; further ones are counted as events only.
pub const CUSTOM_ACTIONS_MAX: usize = 8;
/// A visit ends where this long passes without an event; an event that comes later than this is late.
pub const SESSION_GAP: TimeDelta = TimeDelta::from_minutes(30);
/// How many orders are remembered, so that the lines of one order count once.
const ORDERS_REMEMBERED: usize = 16;

/// What one shopper does.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Behavior {
    /// Counts by action, in the order of first occurrence.
    pub(crate) actions: Vec<ActionSum>,
    /// The oldest event, if there is any.
    pub(crate) first_at: Option<Timestamp>,
    /// The newest event and what it was: late events and transitions are judged by it.
    pub(crate) newest: Option<(Timestamp, ActionKind)>,
    /// Purchases and refunds.
    pub(crate) orders: Orders,
    /// Visits.
    pub(crate) sessions: Sessions,
    /// Activity by hour of the shop's day.
    pub(crate) hours: DecayedHistogram,
    /// Activity by weekday, from Monday.
    pub(crate) weekdays: DecayedHistogram,
    /// Steps from an action to the next within a visit, by `from * 11 + to`.
    pub(crate) transitions: DecayedHistogram,
    /// Events too late for sessions and transitions.
    pub(crate) late_events: u64,
}

/// How often one action was done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ActionSum {
    /// Which.
    pub(crate) action: Action,
    /// All of them.
    pub(crate) total: u64,
    /// All of them, faded.
    pub(crate) decayed: DecayedSum,
}

/// What the shopper buys and gives back.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Orders {
    /// The newest purchase.
    pub(crate) last_at: Option<Timestamp>,
    /// All orders.
    pub(crate) total: u64,
    /// Orders, faded.
    pub(crate) decayed: DecayedSum,
    /// Money spent less money returned, in the base currency.
    pub(crate) money_total: f64,
    /// The same, faded.
    pub(crate) money: DecayedSum,
    /// The lower halves of the hashes of the newest order ids, newest last.
    pub(crate) recent: Vec<u32>,
}

/// Visits, cut where [`SESSION_GAP`] passes without an event.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sessions {
    /// All visits.
    pub(crate) total: u64,
    /// All visits, faded.
    pub(crate) decayed: DecayedSum,
    /// Events of all visits.
    pub(crate) events: u64,
    /// Length of all visits.
    pub(crate) millis: u64,
    /// When the newest visit began.
    pub(crate) current_started_at: Timestamp,
    /// Events of the newest visit.
    pub(crate) current_events: u64,
}

impl Behavior {
    /// Folds an event in and tells whether it was late.
    pub(crate) fn fold(&mut self, at: Timestamp, event: &Event) -> bool {
        self.count(at, &event.action);
        self.orders.fold(at, event);
        self.rhythm(at, event.utc_offset_minutes);
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
        let customs = self.actions.iter().filter(|sum| sum.action.custom().is_some()).count();
        if action.custom().is_some() && customs >= CUSTOM_ACTIONS_MAX {
            return;
        }
        let mut decayed = DecayedSum::default();
        decayed.add(at, 1.0);
        self.actions.push(ActionSum { action: action.clone(), total: 1, decayed });
    }

    fn rhythm(&mut self, at: Timestamp, utc_offset_minutes: i16) {
        let local_ms = i128::from(at.millis()) + i128::from(utc_offset_minutes) * 60_000;
        let hour = local_ms.div_euclid(3_600_000).rem_euclid(24);
        // 1970-01-01 was a Thursday, the fourth day from Monday.
        let weekday = (local_ms.div_euclid(86_400_000) + 3).rem_euclid(7);
        self.hours.add(at, hour as u8);
        self.weekdays.add(at, weekday as u8);
    }

    /// Visits and transitions; only for events that are not late.
    fn step(&mut self, at: Timestamp, kind: ActionKind) {
        let newest = self.newest.filter(|(newest, _)| at.since(*newest) <= SESSION_GAP);
        match newest {
            Some((newest, before)) => {
                self.sessions.extend(newest, at);
                if at >= newest {
                    self.transitions.add(at, (before.index() * ActionKind::ALL.len() + kind.index()) as u8);
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
        let money = bounded(sign * event.price.unwrap_or(0.0) * event.quantity);
        self.money_total += money;
        self.money.add(at, money);
        if sign > 0.0 {
            self.last_at = Some(self.last_at.map_or(at, |last| last.max(at)));
            if self.is_new(event.order_id.as_ref()) {
                self.total += 1;
                self.decayed.add(at, 1.0);
            }
        }
    }

    /// Whether the line begins an order. A line without an order id is an order of its own.
    fn is_new(&mut self, order_id: Option<&OrderId>) -> bool {
        let Some(order_id) = order_id else { return true };
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
        let longer = at.since(newest).millis().max(self.current_started_at.since(at).millis()).max(0);
        self.millis = self.millis.saturating_add(longer.unsigned_abs());
        self.current_started_at = self.current_started_at.min(at);
    }
}
