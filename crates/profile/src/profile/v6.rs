//! Profiles of format 6, which have neither lines of orders nor times of actions. They are written in the current format when they
//! next change. Their preferences are read as the current ones: those have codes for more kinds of entries.

use crate::action::{Action, ActionKind};
use crate::basic::Basic;
use crate::behavior::{ActionSum, ActionTimes, Behavior, Order, Orders, Sessions};
use crate::decay::{DecayedHistogram, DecayedSum};
use crate::fingerprint::Fingerprint;
use crate::id::UserId;
use crate::preference::Preference;
use crate::segment::SegmentMembership;
use crate::snapshots::Snapshots;
use crate::social::Social;
use crate::time::Timestamp;
use crate::version::ProfileVersion;
use serde::Deserialize;

/// Profile of format 6: the current fields, with another behavior.
#[derive(Deserialize)]
pub(super) struct ProfileV6 {
    pub(super) user_id: UserId,
    pub(super) version: ProfileVersion,
    pub(super) applied_events: u64,
    pub(super) fingerprint: Fingerprint,
    pub(super) updated_at: Timestamp,
    pub(super) basic: Basic,
    pub(super) behavior: BehaviorV6,
    pub(super) preference: Preference,
    pub(super) social: Social,
    pub(super) segment: Option<SegmentMembership>,
    pub(super) snapshots: Snapshots,
}

#[derive(Deserialize)]
pub(super) struct BehaviorV6 {
    actions: Vec<ActionSumV6>,
    first_at: Option<Timestamp>,
    newest: Option<(Timestamp, ActionKind)>,
    orders: OrdersV6,
    sessions: SessionsV6,
    hours: DecayedHistogram,
    weekdays: DecayedHistogram,
    transitions: DecayedHistogram,
    late_events: u64,
}

#[derive(Deserialize)]
struct ActionSumV6 {
    action: Action,
    total: u64,
    decayed: DecayedSum,
}

#[derive(Deserialize)]
struct OrdersV6 {
    last_at: Option<Timestamp>,
    total: u64,
    decayed: DecayedSum,
    money_total: f64,
    money: DecayedSum,
    /// Lower halves of the hashes of the newest order ids, newest last.
    recent: Vec<u32>,
}

#[derive(Deserialize)]
struct SessionsV6 {
    total: u64,
    decayed: DecayedSum,
    events: u64,
    millis: u64,
    current_started_at: Timestamp,
    current_events: u64,
}

impl From<BehaviorV6> for Behavior {
    fn from(behavior: BehaviorV6) -> Self {
        Self {
            actions: behavior.actions.into_iter().map(ActionSum::from).collect(),
            first_at: behavior.first_at,
            newest: behavior.newest,
            orders: behavior.orders.into(),
            sessions: behavior.sessions.into(),
            hours: behavior.hours,
            weekdays: behavior.weekdays,
            transitions: behavior.transitions,
            late_events: behavior.late_events,
            times_since: behavior.newest.map(|(at, _)| at),
        }
    }
}

impl From<ActionSumV6> for ActionSum {
    fn from(sum: ActionSumV6) -> Self {
        Self { action: sum.action, total: sum.total, decayed: sum.decayed, times: ActionTimes::default() }
    }
}

impl From<OrdersV6> for Orders {
    fn from(orders: OrdersV6) -> Self {
        // Of the orders only the ids are known: further lines extend them, and do not count them again.
        let at = orders.last_at.unwrap_or_default();
        let kept = orders.recent.into_iter().map(|key| Order::without_lines(key, at)).collect();
        Self {
            last_at: orders.last_at,
            total: orders.total,
            decayed: orders.decayed,
            // A refund whose purchase was not known made it negative.
            money_total: orders.money_total.max(0.0),
            money: orders.money,
            kept,
            exceptions: None,
        }
    }
}

impl From<SessionsV6> for Sessions {
    fn from(sessions: SessionsV6) -> Self {
        Self {
            total: sessions.total,
            decayed: sessions.decayed,
            events: sessions.events,
            millis: sessions.millis,
            current_started_at: sessions.current_started_at,
            current_events: sessions.current_events,
            machine_at: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use crate::{ItemState, Profile, Timestamp};

    /// Bytes of [`super::super::samples::rich`] as the release with format 6 wrote them.
    const WRITTEN: &[u8] = include_bytes!("testdata/format_6.profile");

    #[test]
    fn a_profile_of_format_6_is_read_and_written_in_the_current_format() {
        let read = Profile::decode(WRITTEN).expect("format 6");
        let (view, now) = (read.view_at(Timestamp::EPOCH), samples::rich().view_at(Timestamp::EPOCH));
        assert_eq!((read.applied_events(), read.fingerprint()), (now.applied_events, now.fingerprint));
        assert_eq!((view.traits, view.edges, view.segment), (now.traits, now.edges, now.segment));
        assert_eq!(view.behavior.transitions, now.behavior.transitions);
        assert_eq!(view.behavior.sessions, now.behavior.sessions);
        let (rfm, rfm_now) = (view.behavior.rfm, now.behavior.rfm);
        assert_eq!(
            (rfm.orders_total, rfm.last_purchase_at),
            (rfm_now.orders_total, rfm_now.last_purchase_at)
        );
        // Refunds were dated by themselves, and took more than was bought.
        assert!(rfm.money_total >= 0.0 && rfm.money.quarter >= 0.0, "{rfm:?}");
        // The newest action is known: what was bought last is still bought.
        let is_kept = |item: &&crate::RecentItem| item.state() == ItemState::Kept;
        assert!(view.preference.recent_items.iter().any(|item| is_kept(&item)));
        let bytes = read.encode();
        assert_eq!(bytes[0], 7);
        assert_eq!(Profile::decode(&bytes).expect("the current format"), read);
    }

    #[test]
    fn older_formats_are_refused() {
        for format in 0..6 {
            let refused = Profile::decode(&[&[format], &WRITTEN[1..]].concat()).expect_err("it is too old");
            assert_eq!(refused.to_string(), format!("format {format} is not readable"));
        }
    }
}
