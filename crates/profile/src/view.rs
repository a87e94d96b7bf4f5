//! What a profile says at one moment: every faded value read, every list sorted for a reader. Mirrors the wire's `Profile`
//! field for field, in the domain's types.

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

/// What is known of one shopper at `read_at`.
#[derive(Clone, Debug, PartialEq)]
pub struct ProfileView {
    /// Whose profile it is.
    pub user_id: UserId,
    /// How often it was committed.
    pub version: ProfileVersion,
    /// How many records it was made from.
    pub applied_events: u64,
    /// Which records it was made from.
    pub fingerprint: Fingerprint,
    /// When ingest accepted the newest of them.
    pub updated_at: Timestamp,
    /// The moment of every faded value.
    pub read_at: Timestamp,
    /// Dimension 1: traits by name.
    pub traits: Vec<(String, String)>,
    /// Dimension 2.
    pub behavior: BehaviorView,
    /// Dimension 3.
    pub preference: PreferenceView,
    /// Dimension 4: edges, strongest first.
    pub edges: Vec<EdgeView>,
    /// Where a model has put the shopper.
    pub segment: Option<SegmentMembership>,
}

/// What the shopper does.
#[derive(Clone, Debug, PartialEq)]
pub struct BehaviorView {
    /// Actions, most frequent first.
    pub actions: Vec<ActionCount>,
    /// The first event.
    pub first_event_at: Option<Timestamp>,
    /// The newest event.
    pub newest_event_at: Option<Timestamp>,
    /// Recency, frequency, money.
    pub rfm: Rfm,
    /// Visits.
    pub sessions: SessionsView,
    /// Share of activity by hour of the shop's day; 24 values or none.
    pub hour_share: Vec<f64>,
    /// Share of activity by weekday from Monday; 7 values or none.
    pub weekday_share: Vec<f64>,
    /// Steps from an action to the next, most frequent first.
    pub transitions: Vec<TransitionView>,
    /// Events too late for visits and transitions.
    pub late_events: u64,
}

/// How often one action was done.
#[derive(Clone, Debug, PartialEq)]
pub struct ActionCount {
    /// Which.
    pub action: Action,
    /// All of them.
    pub total: u64,
    /// All of them, faded.
    pub decayed: Decayed,
}

/// Recency, frequency and money of purchases.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rfm {
    /// The newest purchase.
    pub last_purchase_at: Option<Timestamp>,
    /// Orders, faded.
    pub orders: Decayed,
    /// Money in the base currency, faded.
    pub money: Decayed,
    /// All orders.
    pub orders_total: u64,
    /// Money in the base currency.
    pub money_total: f64,
    /// Money by order; 0 without orders.
    pub mean_basket: f64,
}

/// Visits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SessionsView {
    /// All visits.
    pub total: u64,
    /// All visits, faded.
    pub decayed: Decayed,
    /// Mean number of events in a visit.
    pub mean_events: f64,
    /// Mean length of a visit in seconds.
    pub mean_seconds: f64,
    /// When the newest visit began.
    pub current_started_at: Option<Timestamp>,
    /// Events of the newest visit.
    pub current_events: u64,
}

/// One step from an action to the next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TransitionView {
    /// The action before.
    pub from: ActionKind,
    /// The action after.
    pub to: ActionKind,
    /// How often, faded with a half-life of 90 days.
    pub weight: f64,
    /// Its share among the steps from that action.
    pub probability: f64,
}

/// What the shopper likes.
#[derive(Clone, Debug, PartialEq)]
pub struct PreferenceView {
    /// Categories, strongest first.
    pub categories: Vec<Affinity>,
    /// Brands, strongest first.
    pub brands: Vec<Affinity>,
    /// Price bands, strongest first.
    pub price_bands: Vec<Affinity>,
    /// The newest items, newest first.
    pub recent_items: Vec<RecentItem>,
    /// Share of the newest activity, with a half-life of an hour, in the category with the greatest weight of 90 days: 1 if
    /// the shopper is where always, 0 if elsewhere or without categories. The same at every moment.
    pub loyalty: f64,
}

/// How much the shopper is drawn to one thing.
#[derive(Clone, Debug, PartialEq)]
pub struct Affinity {
    /// The thing.
    pub name: String,
    /// The weight, faded.
    pub weight: Decayed,
    /// Its share of the 7-day weights of the list that are above 0; the same at every moment.
    pub share: f64,
}

/// One edge.
#[derive(Clone, Debug, PartialEq)]
pub struct EdgeView {
    /// The other end.
    pub user_id: UserId,
    /// What connects them.
    pub kind: RelationKind,
    /// How strong it is.
    pub weight: f64,
    /// When it was stated.
    pub since: Timestamp,
}

/// Edges that hold, strongest first.
pub(crate) fn edges(social: &Social) -> Vec<EdgeView> {
    let edge = |edge: &StatedEdge| EdgeView {
        user_id: edge.user_id.clone(),
        kind: edge.kind,
        weight: edge.weight,
        since: edge.at,
    };
    let mut edges: Vec<EdgeView> = social.active().map(edge).collect();
    edges.sort_by(|one, other| other.weight.total_cmp(&one.weight));
    edges
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
        Rfm {
            last_purchase_at: orders.last_at,
            orders: orders.decayed.read(at),
            money: orders.money.read(at),
            orders_total: orders.total,
            money_total: orders.money_total,
            mean_basket: mean(orders.money_total, orders.total),
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
        let mut from_totals = [0.0; ActionKind::ALL.len()];
        self.steps_at(at).for_each(|(from, _, weight)| from_totals[from.index()] += weight);
        let view = |(from, to, weight): (ActionKind, ActionKind, f64)| {
            let total = from_totals[from.index()];
            TransitionView { from, to, weight, probability: if total > 0.0 { weight / total } else { 0.0 } }
        };
        let mut transitions: Vec<TransitionView> = self.steps_at(at).map(view).collect();
        transitions.sort_by(|one, other| other.weight.total_cmp(&one.weight));
        transitions
    }

    /// How often which action followed which.
    pub(crate) fn steps_at(&self, at: Timestamp) -> impl Iterator<Item = (ActionKind, ActionKind, f64)> {
        let kinds = ActionKind::ALL;
        self.transitions.read(at).map(move |(index, weight)| {
            let (from, to) = (usize::from(index) / kinds.len(), usize::from(index) % kinds.len());
            (kinds[from % kinds.len()], kinds[to], weight)
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

/// The price bands liked lately first.
pub(crate) fn price_affinities(preference: &Preference, at: Timestamp) -> Vec<Affinity> {
    let bands = preference.price_bands.iter().map(|(band, sum)| (price_band_name(*band), *sum));
    affinities(bands, at)
}

/// What is liked lately first.
fn affinities(list: impl Iterator<Item = (String, DecayedSum)>, at: Timestamp) -> Vec<Affinity> {
    let list: Vec<(String, DecayedSum)> = list.collect();
    let sharing = ShareScale::among(list.iter().map(|(_, sum)| sum), at);
    let mut affinities: Vec<Affinity> = list
        .into_iter()
        .map(|(name, sum)| Affinity { name, weight: sum.read(at), share: sharing.of(&sum) })
        .collect();
    affinities
        .sort_by(|one, other| other.share.total_cmp(&one.share).then_with(|| one.name.cmp(&other.name)));
    affinities
}

/// Which share each of some sums has lately. Shares are taken at the newest contribution, before time has worn anything to nothing: they
/// and their order are the same at every moment.
pub(crate) struct ShareScale {
    newest: Timestamp,
    total: f64,
}

impl ShareScale {
    pub(crate) fn among<'a>(sums: impl Iterator<Item = &'a DecayedSum> + Clone, at: Timestamp) -> Self {
        let newest = sums.clone().map(DecayedSum::at).max().unwrap_or(at);
        Self { newest, total: sums.map(|sum| weekly_weight(sum, newest)).sum() }
    }

    /// The share of one of them.
    pub(crate) fn of(&self, sum: &DecayedSum) -> f64 {
        if self.total > 0.0 { weekly_weight(sum, self.newest) / self.total } else { 0.0 }
    }
}

fn weekly_weight(sum: &DecayedSum, newest: Timestamp) -> f64 {
    sum.read(newest).week.max(0.0)
}

fn mean(sum: f64, count: u64) -> f64 {
    if count == 0 { 0.0 } else { sum / count as f64 }
}
