//! Conversion of profiles to the wire.

use crate::{action, time, v1};
use portrait_profile::{
    ActionCount, Affinity, BehaviorView, Decayed, EdgeView, ItemState, PreferenceView, ProfileView,
    RecentItem, Rfm, SegmentMembership, SessionsView, SnapshotKind, TrainingExample, TransitionView,
};

impl From<ProfileView> for v1::Profile {
    fn from(view: ProfileView) -> Self {
        Self {
            user_id: view.user_id.as_str().to_owned(),
            version: view.version.get(),
            applied_events: view.applied_events,
            fingerprint: view.fingerprint.get(),
            updated_at: Some(time::to_wire(view.updated_at)),
            basic: Some(v1::Basic { traits: view.traits.into_iter().collect() }),
            behavior: Some(view.behavior.into()),
            preference: Some(view.preference.into()),
            social: Some(v1::Social { edges: view.edges.into_iter().map(Into::into).collect() }),
            segment: view.segment.map(Into::into),
            read_at: Some(time::to_wire(view.read_at)),
            bot: view.is_machine,
        }
    }
}

impl From<SegmentMembership> for v1::SegmentMembership {
    /// Leaves the name empty: only the model has it, and query fills it in.
    fn from(membership: SegmentMembership) -> Self {
        Self {
            segment_id: membership.segment_id.to_string(),
            name: String::new(),
            distance: membership.distance.into(),
            model_version: membership.model_version.get(),
            since: Some(time::to_wire(membership.since)),
        }
    }
}

impl From<BehaviorView> for v1::Behavior {
    fn from(view: BehaviorView) -> Self {
        Self {
            actions: view.actions.into_iter().map(Into::into).collect(),
            first_event_at: view.first_event_at.map(time::to_wire),
            newest_event_at: view.newest_event_at.map(time::to_wire),
            rfm: Some(view.rfm.into()),
            sessions: Some(view.sessions.into()),
            hour_share: view.hour_share,
            weekday_share: view.weekday_share,
            transitions: view.transitions.into_iter().map(Into::into).collect(),
            late_events: view.late_events,
        }
    }
}

impl From<ActionCount> for v1::ActionCount {
    fn from(count: ActionCount) -> Self {
        let (kind, custom_action) = action::to_wire(&count.action);
        Self { action: kind.into(), custom_action, total: count.total, decayed: Some(count.decayed.into()) }
    }
}

impl From<Decayed> for v1::Decayed {
    fn from(decayed: Decayed) -> Self {
        Self { hour: decayed.hour, week: decayed.week, quarter: decayed.quarter }
    }
}

impl From<Rfm> for v1::Rfm {
    fn from(rfm: Rfm) -> Self {
        Self {
            last_purchase_at: rfm.last_purchase_at.map(time::to_wire),
            orders: Some(rfm.orders.into()),
            money: Some(rfm.money.into()),
            orders_total: rfm.orders_total,
            money_total: rfm.money_total,
            mean_basket: rfm.mean_basket,
            corrected_lines: rfm.corrected_lines,
            unmatched_refunds: rfm.unmatched_refunds,
            untracked_lines: rfm.untracked_lines,
        }
    }
}

impl From<SessionsView> for v1::Sessions {
    fn from(view: SessionsView) -> Self {
        Self {
            total: view.total,
            decayed: Some(view.decayed.into()),
            mean_events: view.mean_events,
            mean_seconds: view.mean_seconds,
            current_started_at: view.current_started_at.map(time::to_wire),
            current_events: view.current_events,
        }
    }
}

impl From<TransitionView> for v1::Transition {
    fn from(view: TransitionView) -> Self {
        Self {
            from: action::kind_to_wire(view.from).into(),
            to: action::kind_to_wire(view.to).into(),
            weight: view.weight,
            probability: view.probability,
        }
    }
}

impl From<PreferenceView> for v1::Preference {
    fn from(view: PreferenceView) -> Self {
        Self {
            categories: view.categories.into_iter().map(Into::into).collect(),
            brands: view.brands.into_iter().map(Into::into).collect(),
            price_bands: view.price_bands.into_iter().map(Into::into).collect(),
            recent_items: view.recent_items.into_iter().map(Into::into).collect(),
            loyalty: view.loyalty,
        }
    }
}

impl From<Affinity> for v1::Affinity {
    fn from(affinity: Affinity) -> Self {
        Self { name: affinity.name, weight: Some(affinity.weight.into()), share: affinity.share }
    }
}

impl From<RecentItem> for v1::ItemTouch {
    fn from(item: RecentItem) -> Self {
        let state = match item.state() {
            ItemState::Seen => v1::ItemState::Seen,
            ItemState::InCart => v1::ItemState::InCart,
            ItemState::Kept => v1::ItemState::Kept,
            ItemState::Returned => v1::ItemState::Returned,
            ItemState::Removed => v1::ItemState::Removed,
        };
        Self {
            item_id: item.item_id.as_str().to_owned(),
            action: action::kind_to_wire(item.kind).into(),
            at: Some(time::to_wire(item.at)),
            count: item.count,
            state: state.into(),
        }
    }
}

impl From<TrainingExample> for v1::FeatureSnapshot {
    fn from(example: TrainingExample) -> Self {
        Self {
            at: Some(time::to_wire(example.at)),
            values: example.values,
            is_order: example.kind == SnapshotKind::Order,
            purchased_within_7_days: example.bought,
            risk: example.risk,
        }
    }
}

impl From<EdgeView> for v1::Edge {
    fn from(edge: EdgeView) -> Self {
        Self {
            user_id: edge.user_id.as_str().to_owned(),
            kind: action::relation_to_wire(edge.kind).into(),
            weight: edge.weight,
            since: Some(time::to_wire(edge.since)),
        }
    }
}
