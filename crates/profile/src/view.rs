//! View of a profile at one time: every decayed value evaluated, every list sorted for a reader. Mirrors the wire's
//! `Profile` field by field, in domain types.

use crate::action::{Action, ActionKind};
use crate::behavior::Behavior;
use crate::decay::{Decayed, DecayedSum};
use crate::fingerprint::Fingerprint;
use crate::id::UserId;
use crate::preference::{Preference, RecentItem, price_band_name};
use crate::record::RelationKind;
use crate::segment::SegmentMembership;
use crate::social::{Social, StatedEdge};
use crate::time::Timestamp;
use crate::version::ProfileVersion;
use std::cmp::Reverse;

/// View of one user's profile at `read_at`.
#[derive(Clone, Debug, PartialEq)]
pub struct ProfileView {
    /// User of the profile.
    pub user_id: UserId,
    /// Version of the profile.
    pub version: ProfileVersion,
    /// Number of records folded into it.
    pub applied_events: u64,
    /// Fingerprint of those records.
    pub fingerprint: Fingerprint,
    /// Ingest time of the newest of them.
    pub updated_at: Timestamp,
    /// Time at which all decayed values are given.
    pub read_at: Timestamp,
    /// Dimension 1: traits by name.
    pub traits: Vec<(String, String)>,
    /// Dimension 2: actions of the user.
    pub behavior: BehaviorView,
    /// Dimension 3: interests of the user.
    pub preference: PreferenceView,
    /// Dimension 4: edges, strongest first.
    pub edges: Vec<EdgeView>,
    /// Segment that a model assigned.
    pub segment: Option<SegmentMembership>,
    /// True if the newest visits are those of a program; no model learns from it.
    pub is_machine: bool,
}

/// Actions of the user.
#[derive(Clone, Debug, PartialEq)]
pub struct BehaviorView {
    /// Counts of actions, most frequent first.
    pub actions: Vec<ActionCount>,
    /// Time of the first event.
    pub first_event_at: Option<Timestamp>,
    /// Time of the newest event.
    pub newest_event_at: Option<Timestamp>,
    /// Recency, frequency and money of purchases.
    pub rfm: Rfm,
    /// Visits of the user.
    pub sessions: SessionsView,
    /// Share of activity by hour of the shop's day; 24 values or none.
    pub hour_share: Vec<f64>,
    /// Share of activity by weekday from Monday; 7 values or none.
    pub weekday_share: Vec<f64>,
    /// Transitions between actions, most frequent first.
    pub transitions: Vec<TransitionView>,
    /// Number of events too late for visits and transitions.
    pub late_events: u64,
}

/// Count of one action.
#[derive(Clone, Debug, PartialEq)]
pub struct ActionCount {
    /// Action that was counted.
    pub action: Action,
    /// Count since the beginning.
    pub total: u64,
    /// Decayed count of the action.
    pub decayed: Decayed,
}

/// Recency, frequency and money of purchases.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rfm {
    /// Time of the newest purchase.
    pub last_purchase_at: Option<Timestamp>,
    /// Decayed count of orders.
    pub orders: Decayed,
    /// Decayed money in the base currency.
    pub money: Decayed,
    /// Number of orders since the beginning.
    pub orders_total: u64,
    /// Money in the base currency since the beginning.
    pub money_total: f64,
    /// Money per order; 0 without orders.
    pub mean_basket: f64,
    /// Number of order lines that were sent again and replaced themselves.
    pub corrected_lines: u64,
    /// Money of refunds for which no purchase is kept, in the base currency.
    pub unmatched_refunds: f64,
    /// Number of lines of orders that are not kept any more; if sent again, they count again.
    pub untracked_lines: u64,
}

/// Visits of the user.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SessionsView {
    /// Number of visits since the beginning.
    pub total: u64,
    /// Decayed count of visits.
    pub decayed: Decayed,
    /// Mean number of events in a visit.
    pub mean_events: f64,
    /// Mean length of a visit in seconds.
    pub mean_seconds: f64,
    /// Start of the newest visit.
    pub current_started_at: Option<Timestamp>,
    /// Number of events in the newest visit.
    pub current_events: u64,
}

/// Transition from an action to the next one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TransitionView {
    /// Action before the transition.
    pub from: ActionKind,
    /// Action after the transition.
    pub to: ActionKind,
    /// Decayed count with a half-life of 90 days.
    pub weight: f64,
    /// Share among the transitions from the same action.
    pub probability: f64,
}

/// Interests of the user.
#[derive(Clone, Debug, PartialEq)]
pub struct PreferenceView {
    /// Categories, largest share first.
    pub categories: Vec<Affinity>,
    /// Brands, largest share first.
    pub brands: Vec<Affinity>,
    /// Price bands, strongest first.
    pub price_bands: Vec<Affinity>,
    /// Recent items, newest first.
    pub recent_items: Vec<RecentItem>,
    /// Share of the newest activity, with a half-life of an hour, in the category with the largest weight of 90 days: 1 if
    /// all of it is in that category, 0 if none is or without categories. Constant over time.
    pub loyalty: f64,
}

/// Affinity of the user to one category, brand or price band.
#[derive(Clone, Debug, PartialEq)]
pub struct Affinity {
    /// Name of the category, brand or price band.
    pub name: String,
    /// Decayed weight of the affinity.
    pub weight: Decayed,
    /// Share of the positive 7-day weights of the list; constant over time.
    pub share: f64,
}

/// Edge to another user.
#[derive(Clone, Debug, PartialEq)]
pub struct EdgeView {
    /// User at the other end.
    pub user_id: UserId,
    /// Kind of the relation.
    pub kind: RelationKind,
    /// Strength of the relation.
    pub weight: f64,
    /// Time of the statement.
    pub since: Timestamp,
}

/// Returns the edges that are not removed, strongest first.
pub(crate) fn edges(social: &Social) -> Vec<EdgeView> {
    let mut edges: Vec<EdgeView> = social.active().map(EdgeView::from).collect();
    edges.sort_by(|one, other| other.weight.total_cmp(&one.weight));
    edges
}

impl From<&StatedEdge> for EdgeView {
    fn from(edge: &StatedEdge) -> Self {
        Self { user_id: edge.user_id.clone(), kind: edge.kind, weight: edge.weight, since: edge.at }
    }
}

impl Behavior {
    pub(crate) fn view_at(&self, at: Timestamp) -> BehaviorView {
        let mut actions: Vec<ActionCount> = self
            .actions
            .iter()
            .map(|sum| ActionCount {
                action: sum.action.clone(),
                total: sum.total,
                decayed: sum.decayed.read(at),
            })
            .collect();
        // A stable sort: actions of one count stay in the order of their first occurrence.
        actions.sort_by_key(|count| Reverse(count.total));
        BehaviorView {
            actions,
            first_event_at: self.first_at,
            newest_event_at: self.newest.map(|(newest, _)| newest),
            rfm: self.rfm_at(at),
            sessions: self.sessions_at(at),
            hour_share: self.hours.shares(24),
            weekday_share: self.weekdays.shares(7),
            transitions: self.transitions_at(at),
            late_events: self.late_events,
        }
    }

    pub(crate) fn rfm_at(&self, at: Timestamp) -> Rfm {
        let orders = &self.orders;
        let exceptions = orders.exceptions.as_deref().cloned().unwrap_or_default();
        Rfm {
            last_purchase_at: orders.last_at,
            orders: orders.decayed.read(at),
            money: orders.money.read(at),
            orders_total: orders.total,
            money_total: orders.money_total,
            mean_basket: mean(orders.money_total, orders.total),
            corrected_lines: exceptions.corrected,
            unmatched_refunds: exceptions.unmatched_refunds,
            untracked_lines: exceptions.untracked_lines,
        }
    }

    pub(crate) fn sessions_at(&self, at: Timestamp) -> SessionsView {
        let sessions = &self.sessions;
        SessionsView {
            total: sessions.total,
            decayed: sessions.decayed.read(at),
            mean_events: mean(sessions.events as f64, sessions.total),
            mean_seconds: mean(sessions.millis as f64 / 1000.0, sessions.total),
            current_started_at: (sessions.total > 0).then_some(sessions.current_started_at),
            current_events: sessions.current_events,
        }
    }

    pub(crate) fn transitions_at(&self, at: Timestamp) -> Vec<TransitionView> {
        // Two passes instead of a map: probabilities need the totals first, and there are only 11 kinds.
        let mut from_totals = [0.0; ActionKind::ALL.len()];
        self.steps_at(at).for_each(|(from, _, weight)| from_totals[from.index()] += weight);
        let mut transitions: Vec<TransitionView> = self
            .steps_at(at)
            .map(|(from, to, weight)| {
                let total = from_totals[from.index()];
                TransitionView {
                    from,
                    to,
                    weight,
                    probability: if total > 0.0 { weight / total } else { 0.0 },
                }
            })
            .collect();
        transitions.sort_by(|one, other| other.weight.total_cmp(&one.weight));
        transitions
    }

    /// Returns the decayed count of each transition.
    pub(crate) fn steps_at(&self, at: Timestamp) -> impl Iterator<Item = (ActionKind, ActionKind, f64)> {
        let kinds = ActionKind::ALL;
        self.transitions.read(at).map(move |(index, weight)| {
            let index = usize::from(index);
            // The remainder guards against an index from damaged bytes.
            (kinds[index / kinds.len() % kinds.len()], kinds[index % kinds.len()], weight)
        })
    }
}

impl Preference {
    pub(crate) fn view_at(&self, at: Timestamp) -> PreferenceView {
        PreferenceView {
            categories: affinities(self.categories.iter().map(|(name, sum)| (name.to_string(), *sum)), at),
            brands: affinities(self.brands.iter().map(|(name, sum)| (name.to_string(), *sum)), at),
            price_bands: price_affinities(self, at),
            recent_items: self.recent.iter().cloned().collect(),
            loyalty: self.loyalty(),
        }
    }
}

/// Returns the price bands, largest share first.
pub(crate) fn price_affinities(preference: &Preference, at: Timestamp) -> Vec<Affinity> {
    let bands = preference.price_bands.iter().map(|(band, sum)| (price_band_name(*band), *sum));
    affinities(bands, at)
}

/// Returns the affinities of a list, largest share first.
fn affinities(list: impl Iterator<Item = (String, DecayedSum)>, at: Timestamp) -> Vec<Affinity> {
    let list: Vec<(String, DecayedSum)> = list.collect();
    let scale = ShareScale::among(list.iter().map(|(_, sum)| sum), at);
    let mut affinities: Vec<Affinity> = list
        .into_iter()
        .map(|(name, sum)| Affinity { name, weight: sum.read(at), share: scale.of(&sum) })
        .collect();
    // Ties by name: the order of a view must not depend on the order of arrival.
    affinities
        .sort_by(|one, other| other.share.total_cmp(&one.share).then_with(|| one.name.cmp(&other.name)));
    affinities
}

/// Scale that turns 7-day weights into shares of their sum. Evaluated at the newest contribution, so that underflow cannot
/// reorder shares: they and their order are constant over time.
pub(crate) struct ShareScale {
    newest: Timestamp,
    total: f64,
}

impl ShareScale {
    pub(crate) fn among<'a>(sums: impl Iterator<Item = &'a DecayedSum> + Clone, at: Timestamp) -> Self {
        let newest = sums.clone().map(DecayedSum::at).max().unwrap_or(at);
        Self { newest, total: sums.map(|sum| weekly_weight(sum, newest)).sum() }
    }

    /// Returns the share of one of the sums.
    pub(crate) fn of(&self, sum: &DecayedSum) -> f64 {
        if self.total > 0.0 { weekly_weight(sum, self.newest) / self.total } else { 0.0 }
    }
}

fn weekly_weight(sum: &DecayedSum, newest: Timestamp) -> f64 {
    // Refunds and removals can make a weight negative; it then has no share.
    sum.read(newest).week.max(0.0)
}

fn mean(sum: f64, count: u64) -> f64 {
    if count == 0 { 0.0 } else { sum / count as f64 }
}
