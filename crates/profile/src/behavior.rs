//! Dimension 2, behavior: actions, recency-frequency-money, visits, activity by hour and weekday, and transitions.

mod action_sum;
mod orders;
mod times;

pub(crate) use action_sum::ActionSum;
pub use orders::{ORDER_LINES_MAX, ORDERS_MAX};
pub(crate) use orders::{ORDERS_BUDGET_BYTES, Order, OrderEffect, Orders};
pub use times::ACTION_TIMES_MAX;
use times::TIME_MAX_BYTES;
pub(crate) use times::{ActionTime, ActionTimes, TIMES_BUDGET_BYTES, index_after_eviction};

use crate::action::{Action, ActionKind};
use crate::decay::{DecayedHistogram, DecayedSum};
use crate::record::Event;
use crate::time::{TimeDelta, Timestamp};
use serde::{Deserialize, Serialize};

/// Maximum number of custom actions with a count of their own; events of further ones count in sessions and rhythm only.
pub const CUSTOM_ACTIONS_MAX: usize = 8;
/// Gap that ends a visit. An event that arrives later than this after a newer one is late.
pub const SESSION_GAP: TimeDelta = TimeDelta::from_minutes(30);
/// Length after which a visit ends although its events have no gap: the day of a program is not one visit.
pub const VISIT_MAX: TimeDelta = TimeDelta::from_hours(4);
/// Number of events in one visit from which on it is that of a program: one every 14 seconds for the longest visit.
pub const MACHINE_VISIT_EVENTS: u64 = 1000;
/// Time after the newest such visit until a user is no longer taken for a program.
pub const MACHINE_MEMORY: TimeDelta = TimeDelta::from_days(30);

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
    /// Time from which on the times of actions are kept; none if that is the beginning.
    pub(crate) times_since: Option<Timestamp>,
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
    /// Time of the newest event in a visit of a program; see [`MACHINE_VISIT_EVENTS`].
    pub(crate) machine_at: Option<Timestamp>,
}

impl Behavior {
    /// Folds an event in that the orders have counted, and returns whether it was late. `category` is its index in the profile.
    pub(crate) fn fold(&mut self, at: Timestamp, event: &Event, category: Option<u8>) -> bool {
        let money = event.price.unwrap_or(0.0) * event.quantity;
        self.count(&event.action, ActionTime::of(event.action.kind(), at, category, money));
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

    /// Returns whether the newest visits of the user, before `at`, are those of a program.
    pub(crate) fn is_machine_at(&self, at: Timestamp) -> bool {
        self.sessions.machine_at.is_some_and(|machine| at.since(machine) <= MACHINE_MEMORY)
    }

    /// Adapts the indices of categories to the eviction of the one at `index`.
    pub(crate) fn forget_category(&mut self, index: u8) {
        self.actions.iter_mut().for_each(|sum| sum.times.forget_category(index));
    }

    fn count(&mut self, action: &Action, time: ActionTime) {
        let known = self.actions.iter().position(|sum| sum.action == *action);
        let Some(index) = known.or_else(|| self.begin_count(action)) else { return };
        let sum = &mut self.actions[index];
        sum.total += 1;
        sum.decayed.add(time.at, 1.0);
        sum.times.insert(time);
        self.enforce_times_budget();
    }

    /// Begins the count of an action and returns its index; none for a custom action beyond the limit.
    fn begin_count(&mut self, action: &Action) -> Option<usize> {
        // Names are chosen by the sender: without a limit a faulty sender could grow the profile with every event.
        let customs = self.actions.iter().filter(|sum| sum.action.custom().is_some()).count();
        if action.custom().is_some() && customs >= CUSTOM_ACTIONS_MAX {
            return None;
        }
        self.actions.push(ActionSum {
            action: action.clone(),
            total: 0,
            decayed: DecayedSum::default(),
            times: ActionTimes::default(),
        });
        Some(self.actions.len() - 1)
    }

    /// Removes the oldest times of the actions that have most of them until all fit.
    fn enforce_times_budget(&mut self) {
        let count: usize = self.actions.iter().map(|sum| sum.times.len()).sum();
        // Exact sizes are only computed where the budget can be exceeded.
        if count * TIME_MAX_BYTES <= TIMES_BUDGET_BYTES {
            return;
        }
        while self.actions.iter().map(|sum| sum.times.bytes()).sum::<usize>() > TIMES_BUDGET_BYTES {
            let longest = self.actions.iter_mut().max_by_key(|sum| sum.times.len());
            longest.into_iter().for_each(|sum| sum.times.remove_oldest());
        }
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
        let is_short = at.since(self.sessions.current_started_at) <= VISIT_MAX;
        let newest = self.newest.filter(|(newest, _)| is_short && at.since(*newest) <= SESSION_GAP);
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
        if self.current_events >= MACHINE_VISIT_EVENTS {
            self.machine_at = self.machine_at.max(Some(newest.max(at)));
        }
    }
}
