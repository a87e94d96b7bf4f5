//! Narration of models: formats responses of the server as lines that fit a terminal. Nothing is requested here.

use portrait_client::text::{chart, words};
use portrait_proto::v1::{
    DriftStatus, ListSegmentsResponse, SegmentContribution, SegmentOrigin, TrainOutcome,
};
use std::collections::{BTreeMap, BTreeSet};

/// Components that a line on drift names, at most.
const NAMED: usize = 2;
/// Width of a line, in characters.
const COLUMNS: usize = 104;

/// Lines on the first model with the sizes of its segments.
pub(super) fn first_model(outcome: &TrainOutcome, listed: &ListSegmentsResponse) -> Vec<String> {
    let segments = words::counted(listed.segments.len() as u64, "segment");
    let shoppers = words::counted(listed.assigned_users, "shopper");
    let line = format!("    model {}: {segments} of {shoppers}", outcome.version);
    let sizes = listed
        .segments
        .iter()
        .map(|segment| format!("{} ({}) {}", segment.name, segment.segment_id, words::count(segment.size)));
    std::iter::once(line).chain(wrapped(" · ", &sizes.collect::<Vec<_>>(), "      ")).collect()
}

/// Lines on a later model: what became of the segments `before`.
pub(super) fn next_model(
    outcome: &TrainOutcome,
    listed: &ListSegmentsResponse,
    before: &BTreeSet<String>,
) -> Vec<String> {
    let same = listed.segments.iter().filter(|segment| before.contains(&segment.segment_id)).count();
    let quality = outcome.manifest.as_ref().and_then(|manifest| manifest.quality.as_ref());
    let stay = quality.and_then(|quality| quality.retained_share);
    let stay = stay.map_or_else(String::new, |stay| format!(", {} of shoppers stay", words::percent(stay)));
    let line = format!(
        "    the server trains model {}: {same} of {} segments kept{stay}",
        outcome.version,
        before.len()
    );
    std::iter::once(line).chain(wrapped(" · ", &changed_identities(listed), "      ")).collect()
}

/// Lines on new, split, merged and retired segments.
fn changed_identities(listed: &ListSegmentsResponse) -> Vec<String> {
    let mut changes = Vec::new();
    for segment in &listed.segments {
        let Some(lineage) = &segment.lineage else { continue };
        let from = lineage.from_segment_ids.join(", ");
        let what = match lineage.origin() {
            SegmentOrigin::New => "new".to_owned(),
            SegmentOrigin::Split => format!("split from {from}"),
            SegmentOrigin::Merged => format!("merged with {from}"),
            // Retained segments are counted in the line above.
            SegmentOrigin::Kept | SegmentOrigin::Unspecified => continue,
        };
        changes.push(format!("{what}: {} ({})", segment.name, segment.segment_id));
    }
    for retired in &listed.retired {
        let to = retired.to_segment_ids.join(", ");
        changes.push(format!("retired: {} ({}), now in {to}", retired.name, retired.segment_id));
    }
    changes
}

/// Lines on drift since a model was trained; `described` maps components to descriptions.
pub(super) fn drift(status: &DriftStatus, version: u64, described: &BTreeMap<String, String>) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(loyalty) = &status.loyalty {
        lines.push(format!(
            "    drift detected: loyalty changed; {} of shoppers' actions are in their favourite category, {} before",
            words::percent(loyalty.now),
            words::percent(loyalty.before)
        ));
    }
    if !status.categories.is_empty() {
        let categories = status.categories.iter().take(NAMED).map(|contribution| {
            format!(
                "{} ({}, {} before)",
                contribution.name,
                words::percent(contribution.now),
                words::percent(contribution.before)
            )
        });
        let categories = categories.collect::<Vec<_>>().join(", ");
        lines.push(format!("    drift detected: the share of this week's shoppers changed for {categories}"));
    }
    if !status.components.is_empty() {
        let components = words::counted(status.components.len() as u64, "component");
        lines.push(format!("    drift detected: {components} moved since model {version}"));
        let top: Vec<&str> = status
            .components
            .iter()
            .take(NAMED)
            .map(|component| {
                described.get(component.name.as_str()).map_or(component.name.as_str(), |words| words)
            })
            .collect();
        // Descriptions contain commas.
        let top = top.join("; ");
        lines.push(chart::cut(&format!("      most of all {top}"), COLUMNS));
    }
    lines
}

/// Sentence on one contribution.
pub(super) fn reason(contribution: &SegmentContribution) -> String {
    // The sign is in words, as readers do not know the unit of z.
    let side = if contribution.z < 0.0 { "below" } else { "above" };
    let value = match contribution.unit.as_str() {
        "share" => words::percent(contribution.value),
        unit => format!("{:.1} {unit}", contribution.value),
    };
    format!(
        "{}: {value}, {:.1} standard deviations {side} the mean",
        contribution.description,
        contribution.z.abs()
    )
}

/// Joins items by `between` into lines of at most [`COLUMNS`] characters.
fn wrapped(between: &str, items: &[String], indent: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for item in items {
        match lines.last_mut() {
            Some(line) if line.chars().count() + between.len() + item.chars().count() <= COLUMNS => {
                line.push_str(between);
                line.push_str(item);
            }
            _ => lines.push(format!("{indent}{item}")),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use portrait_proto::v1::{
        ComponentDrift, Lineage, LoyaltyDrift, ModelManifest, ModelQuality, RetiredSegment, Segment,
    };

    fn listed(segments: &[(&str, SegmentOrigin, &[&str])]) -> ListSegmentsResponse {
        let segment = |(id, origin, from): &(&str, SegmentOrigin, &[&str])| Segment {
            segment_id: (*id).to_owned(),
            name: format!("people of {id}"),
            size: 1234,
            lineage: Some(Lineage {
                origin: (*origin).into(),
                from_segment_ids: from.iter().map(|id| (*id).to_owned()).collect(),
                ..Default::default()
            }),
            ..Default::default()
        };
        ListSegmentsResponse { segments: segments.iter().map(segment).collect(), ..Default::default() }
    }

    #[test]
    fn changed_segments_are_named() {
        let mut listed = listed(&[
            ("s1", SegmentOrigin::Kept, &[]),
            ("s2", SegmentOrigin::Merged, &["s3"]),
            ("s4", SegmentOrigin::New, &[]),
            ("s5", SegmentOrigin::Split, &["s1"]),
        ]);
        listed.retired.push(RetiredSegment {
            segment_id: "s3".to_owned(),
            name: "people of s3".to_owned(),
            to_segment_ids: vec!["s2".to_owned()],
        });
        let quality = ModelQuality { retained_share: Some(0.914), ..Default::default() };
        let manifest = Some(ModelManifest { quality: Some(quality), ..Default::default() });
        let outcome = TrainOutcome { version: 2, manifest, ..Default::default() };
        let before = ["s1", "s2", "s3"].map(str::to_owned).into();
        let lines = next_model(&outcome, &listed, &before).join("\n");
        for part in [
            "the server trains model 2: 2 of 3 segments kept, 91% of shoppers stay",
            "merged with s3: people of s2 (s2)",
            "new: people of s4 (s4)",
            "split from s1: people of s5 (s5)",
            "retired: people of s3 (s3), now in s2",
        ] {
            assert!(lines.contains(part), "{part:?} is missing in\n{lines}");
        }
        assert!(!lines.contains("people of s1"), "an unchanged segment is not listed:\n{lines}");
        assert!(lines.lines().all(|line| line.chars().count() <= COLUMNS), "{lines}");
    }

    #[test]
    fn drift_is_described_in_words() {
        let moved = |name: &str| ComponentDrift { name: name.to_owned(), ..Default::default() };
        let described = BTreeMap::from([("a".to_owned(), "views in 7 days".to_owned())]);
        let components = DriftStatus {
            consecutive_checks: 1,
            components: vec![moved("a"), moved("b")],
            ..Default::default()
        };
        let loyalty = LoyaltyDrift { before: 0.62, now: 0.55, detected_at: None };
        let loyalty = DriftStatus { consecutive_checks: 1, loyalty: Some(loyalty), ..Default::default() };
        let rows = [
            (
                &components,
                "drift detected: 2 components moved since model 1       most of all views in 7 days; b",
            ),
            (&loyalty, "55% of shoppers' actions are in their favourite category, 62% before"),
        ];
        for (status, expected) in rows {
            let lines = drift(status, 1, &described).join(" ");
            assert!(lines.contains(expected), "{lines}");
        }
        assert!(drift(&DriftStatus::default(), 1, &described).is_empty());
    }

    #[test]
    fn a_reason_states_the_deviation_from_the_mean() {
        let contribution = |unit: &str, value: f64, z: f64| SegmentContribution {
            description: "activity at night".to_owned(),
            unit: unit.to_owned(),
            value,
            z,
            ..Default::default()
        };
        let rows = [
            (
                contribution("share", 0.62, 2.14),
                "activity at night: 62%, 2.1 standard deviations above the mean",
            ),
            (
                contribution("events", 3.0, -0.5),
                "activity at night: 3.0 events, 0.5 standard deviations below the mean",
            ),
        ];
        for (contribution, expected) in rows {
            assert_eq!(reason(&contribution), expected);
        }
    }
}
