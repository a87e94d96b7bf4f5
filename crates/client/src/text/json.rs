//! Profiles as JSON: field names of the `.proto` files, timestamps as RFC 3339, enums by name, and the fingerprint as 16
//! hexadecimal digits, because JSON numbers cannot hold 64 bits. Absent messages are `null`.

use super::words;
use portrait_proto::v1;
use serde_json::{Value, json};

/// Converts a profile to one JSON object.
pub fn profile_json(profile: &v1::Profile) -> Value {
    json!({
        "user_id": profile.user_id,
        "version": profile.version,
        "applied_events": profile.applied_events,
        "fingerprint": format!("{:016x}", profile.fingerprint),
        "updated_at": timestamp_json(profile.updated_at.as_ref()),
        "read_at": timestamp_json(profile.read_at.as_ref()),
        "basic": profile.basic.as_ref().map(basic),
        "behavior": profile.behavior.as_ref().map(behavior),
        "preference": profile.preference.as_ref().map(preference),
        "social": profile.social.as_ref().map(|social| json!({ "edges": list(&social.edges, edge) })),
        "segment": profile.segment.as_ref().map(|segment| json!({
            "segment_id": segment.segment_id,
            "name": segment.name,
            "distance": segment.distance,
            "model_version": segment.model_version,
            "since": timestamp_json(segment.since.as_ref()),
        })),
        "bot": profile.bot,
    })
}

fn basic(basic: &v1::Basic) -> Value {
    // Sorted, because a hash map would print a different order each time.
    let sorted: std::collections::BTreeMap<_, _> = basic.traits.iter().collect();
    json!({ "traits": sorted })
}

/// Formats a timestamp as RFC 3339 in UTC; `null` if it is absent or out of range.
pub fn timestamp_json(at: Option<&prost_types::Timestamp>) -> Value {
    let at =
        words::format_wire_timestamp(at).and_then(|at| jiff::Timestamp::from_millisecond(at.millis()).ok());
    at.map_or(Value::Null, |at| Value::String(at.to_string()))
}

fn list<T>(entries: &[T], entry: impl Fn(&T) -> Value) -> Value {
    entries.iter().map(entry).collect()
}

fn behavior(behavior: &v1::Behavior) -> Value {
    json!({
        "actions": list(&behavior.actions, |count| json!({
            "action": action(count.action),
            "custom_action": count.custom_action,
            "total": count.total,
            "decayed": decayed(count.decayed.as_ref()),
        })),
        "first_event_at": timestamp_json(behavior.first_event_at.as_ref()),
        "newest_event_at": timestamp_json(behavior.newest_event_at.as_ref()),
        "rfm": behavior.rfm.as_ref().map(|rfm| json!({
            "last_purchase_at": timestamp_json(rfm.last_purchase_at.as_ref()),
            "orders": decayed(rfm.orders.as_ref()),
            "money": decayed(rfm.money.as_ref()),
            "orders_total": rfm.orders_total,
            "money_total": rfm.money_total,
            "mean_basket": rfm.mean_basket,
            "corrected_lines": rfm.corrected_lines,
            "unmatched_refunds": rfm.unmatched_refunds,
            "untracked_lines": rfm.untracked_lines,
        })),
        "sessions": behavior.sessions.as_ref().map(|sessions| json!({
            "total": sessions.total,
            "decayed": decayed(sessions.decayed.as_ref()),
            "mean_events": sessions.mean_events,
            "mean_seconds": sessions.mean_seconds,
            "current_started_at": timestamp_json(sessions.current_started_at.as_ref()),
            "current_events": sessions.current_events,
        })),
        "hour_share": behavior.hour_share,
        "weekday_share": behavior.weekday_share,
        "transitions": list(&behavior.transitions, |step| json!({
            "from": action(step.from),
            "to": action(step.to),
            "weight": step.weight,
            "probability": step.probability,
        })),
        "late_events": behavior.late_events,
    })
}

fn preference(preference: &v1::Preference) -> Value {
    let affinity = |affinity: &v1::Affinity| json!({ "name": affinity.name, "weight": decayed(affinity.weight.as_ref()), "share": affinity.share });
    json!({
        "categories": list(&preference.categories, affinity),
        "brands": list(&preference.brands, affinity),
        "price_bands": list(&preference.price_bands, affinity),
        "recent_items": list(&preference.recent_items, |touch| json!({
            "item_id": touch.item_id,
            "action": action(touch.action),
            "at": timestamp_json(touch.at.as_ref()),
            "count": touch.count,
            "state": touch.state().as_str_name(),
        })),
    })
}

fn edge(edge: &v1::Edge) -> Value {
    let kind = v1::RelationKind::try_from(edge.kind);
    json!({
        "user_id": edge.user_id,
        "kind": kind.map_or(json!(edge.kind), |kind| json!(kind.as_str_name())),
        "weight": edge.weight,
        "since": timestamp_json(edge.since.as_ref()),
    })
}

fn decayed(decayed: Option<&v1::Decayed>) -> Value {
    decayed.map_or(Value::Null, |sum| json!({ "hour": sum.hour, "week": sum.week, "quarter": sum.quarter }))
}

/// Returns the name of an action, or its number if this version does not know it.
fn action(number: i32) -> Value {
    v1::Action::try_from(number).map_or(json!(number), |action| json!(action.as_str_name()))
}
