//! Lines of a subscription, as text or JSON. Progress messages have a line in JSON only. Names of segments are taken from the
//! profiles of earlier changes.

use portrait_client::text::{printable, profile_json, words};
use portrait_proto::v1;
use portrait_proto::v1::watch_profile_changes_response::Kind;
use serde_json::json;
use std::collections::HashMap;

/// Maximum number of cached segment names.
const NAMES_MAX: usize = 10_000;

/// Formatter of lines, with a cache of segment names.
#[derive(Clone, Debug)]
pub(super) struct Printer {
    json: bool,
    /// Names of segments by id.
    names: HashMap<String, String>,
}

impl Printer {
    pub(super) fn new(json: bool) -> Self {
        Self { json, names: HashMap::new() }
    }

    /// Formats a response; `None` if it has no line.
    pub(super) fn line(&mut self, response: &v1::WatchProfileChangesResponse) -> Option<String> {
        let kind = response.kind.as_ref()?;
        if let Kind::Change(change) = kind {
            self.cache_name(change);
        }
        if self.json { Some(json_line(kind)) } else { self.human_line(kind).map(|line| printable(&line)) }
    }

    fn cache_name(&mut self, change: &v1::ProfileChange) {
        let Some(segment) = change.profile.as_ref().and_then(|profile| profile.segment.as_ref()) else {
            return;
        };
        if !segment.name.is_empty()
            // Bounded: a server with ever new segment ids must not fill the memory of the command.
            && (self.names.len() < NAMES_MAX || self.names.contains_key(&segment.segment_id))
        {
            self.names.insert(segment.segment_id.clone(), segment.name.clone());
        }
    }

    fn segment(&self, id: &str) -> String {
        match (id, self.names.get(id)) {
            ("", _) => "no segment".to_owned(),
            (id, Some(name)) => format!("{name} ({id})"),
            (id, None) => id.to_owned(),
        }
    }

    fn human_line(&self, kind: &Kind) -> Option<String> {
        match kind {
            Kind::Change(change) if change.deleted => {
                Some(format!("{}  version {}  deleted", change.user_id, change.version))
            }
            Kind::Change(change) => {
                let summary = change
                    .profile
                    .as_ref()
                    .map_or_else(String::new, |profile| format!("  {}", summary_line(profile)));
                let before = &change.segment_id_before;
                let after = &change.segment_id_after;
                let segment_change = if before == after {
                    String::new()
                } else {
                    format!("  {} -> {}", self.segment(before), self.segment(after))
                };
                Some(format!("{}  version {}{segment_change}{summary}", change.user_id, change.version))
            }
            Kind::Progress(_) => None,
            Kind::Resync(resync) => Some(match resync.phase() {
                v1::ResyncPhase::Begin | v1::ResyncPhase::Unspecified => {
                    format!(
                        "-- partition {}: all its profiles follow ({})",
                        resync.partition,
                        reason_text(resync.reason())
                    )
                }
                v1::ResyncPhase::End => format!("-- partition {}: end of its profiles", resync.partition),
            }),
        }
    }
}

const fn reason_text(reason: v1::ResyncReason) -> &'static str {
    match reason {
        v1::ResyncReason::Snapshot => "as requested",
        v1::ResyncReason::Expired => "the changes since are no longer retained",
        v1::ResyncReason::UnknownGeneration => "the store was replaced",
        v1::ResyncReason::BeyondEnd => "the store lost changes that were printed before",
        v1::ResyncReason::Unspecified => "reason unknown",
    }
}

/// Summarises a profile in one line: records, visits, orders and the strongest category.
fn summary_line(profile: &v1::Profile) -> String {
    let mut phrases = vec![words::counted(profile.applied_events, "record")];
    if let Some(behavior) = &profile.behavior {
        let sessions = behavior.sessions.as_ref().map_or(0, |sessions| sessions.total);
        phrases.push(words::counted(sessions, "visit"));
        if let Some(rfm) = behavior.rfm.as_ref().filter(|rfm| rfm.orders_total > 0) {
            phrases.push(format!(
                "{}, {}",
                words::counted(rfm.orders_total, "order"),
                words::money(rfm.money_total)
            ));
        }
    }
    let category = profile.preference.as_ref().and_then(|preference| preference.categories.first());
    phrases.extend(category.map(|category| format!("likes {}", category.name)));
    phrases.join(", ")
}

fn json_line(kind: &Kind) -> String {
    let value = match kind {
        Kind::Change(change) => json!({
            "kind": "change",
            "user_id": change.user_id,
            "version": change.version,
            "partition": change.partition,
            "segment_id_before": change.segment_id_before,
            "segment_id_after": change.segment_id_after,
            "deleted": change.deleted,
            "profile": change.profile.as_ref().map(profile_json),
        }),
        Kind::Progress(progress) => json!({
            "kind": "progress",
            "lag": progress.lag,
            "at": portrait_client::text::timestamp_json(progress.at.as_ref()),
        }),
        Kind::Resync(resync) => json!({
            "kind": "resync",
            "partition": resync.partition,
            "phase": resync.phase().as_str_name(),
            "reason": resync.reason().as_str_name(),
        }),
    };
    value.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use v1::{ProfileChange, Progress, Resync};

    fn change(deleted: bool, profile: Option<v1::Profile>) -> Kind {
        Kind::Change(ProfileChange {
            user_id: "lena".to_owned(),
            version: 7,
            deleted,
            profile,
            partition: 3,
            ..Default::default()
        })
    }

    #[test]
    fn a_segment_change_shows_the_known_names() {
        let in_segment = |id: &str, name: &str| {
            let segment = v1::SegmentMembership {
                segment_id: id.to_owned(),
                name: name.to_owned(),
                ..Default::default()
            };
            Some(v1::Profile { segment: Some(segment), applied_events: 1, ..Default::default() })
        };
        let moved = |before: &str, after: &str, profile| {
            let change = ProfileChange {
                user_id: "lena".to_owned(),
                version: 7,
                segment_id_before: before.to_owned(),
                segment_id_after: after.to_owned(),
                profile,
                ..Default::default()
            };
            v1::WatchProfileChangesResponse { kind: Some(Kind::Change(change)), ..Default::default() }
        };
        let mut printer = Printer::new(false);
        let rows = [
            (moved("", "s1", in_segment("s1", "night buyers")), "no segment -> night buyers (s1)  1 record"),
            (moved("s1", "s2", None), "night buyers (s1) -> s2"),
            (moved("s1", "s1", None), ""),
        ];
        for (response, summary) in rows {
            let expected = format!("lena  version 7  {summary}");
            assert_eq!(printer.line(&response).as_deref(), Some(expected.trim_end()));
        }
    }

    #[test]
    fn every_kind_of_response_has_its_line() {
        let resync = |phase: v1::ResyncPhase| {
            let reason = v1::ResyncReason::Expired.into();
            Kind::Resync(Resync { partition: 3, phase: phase.into(), reason })
        };
        let profile =
            v1::Profile { applied_events: 1, behavior: Some(v1::Behavior::default()), ..Default::default() };
        let rows = [
            (change(false, None), Some("lena  version 7")),
            (change(true, None), Some("lena  version 7  deleted")),
            (change(false, Some(profile)), Some("lena  version 7  1 record, 0 visits")),
            (Kind::Progress(Progress::default()), None),
            (
                resync(v1::ResyncPhase::Begin),
                Some("-- partition 3: all its profiles follow (the changes since are no longer retained)"),
            ),
            (resync(v1::ResyncPhase::End), Some("-- partition 3: end of its profiles")),
        ];
        for (kind, line) in rows {
            let response = v1::WatchProfileChangesResponse { kind: Some(kind), ..Default::default() };
            assert_eq!(Printer::new(false).line(&response).as_deref(), line);
            let json = Printer::new(true).line(&response).expect("JSON has a line for everything");
            let value: serde_json::Value = serde_json::from_str(&json).expect("an object");
            assert!(value["kind"].is_string(), "{json}");
        }
        assert_eq!(
            Printer::new(true).line(&v1::WatchProfileChangesResponse::default()),
            None,
            "an unknown kind is skipped"
        );
    }
}
