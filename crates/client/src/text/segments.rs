//! Segments as text: a table of all, one in detail, and the explanation of a user's segment.

use super::{chart, words};
use comfy_table::{CellAlignment, Table, presets};
use portrait_proto::v1::{
    ExplainSegmentResponse, ListSegmentsResponse, Segment, SegmentContribution, SegmentOrigin,
};
use std::fmt::Write;

/// Maximum number of components that an explanation lists for each segment.
const SHOWN: usize = 6;

/// Renders all segments as a table, followed by the retired ones.
pub fn table(response: &ListSegmentsResponse) -> String {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN);
    table.set_header(["id", "segment", "users", "share", "trend", "what is different", "likes"]);
    for segment in &response.segments {
        let different: Vec<String> = segment
            .defining_features
            .iter()
            .take(3)
            .map(|defining| {
                format!(
                    "{} {:+.1}",
                    defining.name.split_once('.').map_or(&*defining.name, |(_, rest)| rest),
                    defining.z
                )
            })
            .collect();
        let likes: Vec<String> =
            segment.categories.iter().take(2).map(|category| chart::cut(&category.name, 24)).collect();
        table.add_row([
            segment.segment_id.clone(),
            segment.name.clone(),
            words::count(segment.size),
            words::percent(segment.share),
            points(segment.trend),
            different.join(", "),
            likes.join(", "),
        ]);
    }
    for column in table.column_iter_mut().filter(|column| (2..=4).contains(&column.index)) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    // `write!` to a `String` cannot fail, so its results are ignored below.
    let mut text = format!("{table}\n");
    let _ = write!(
        text,
        "model {} · {} in a segment",
        response.model_version,
        words::counted(response.assigned_users, "user")
    );
    if response.retired_users > 0 {
        let _ = write!(text, " · {} still in retired segments", words::count(response.retired_users));
    }
    text.push('\n');
    for retired in &response.retired {
        let targets = if retired.to_segment_ids.is_empty() {
            "nowhere".to_owned()
        } else {
            retired.to_segment_ids.join(", ")
        };
        let _ = writeln!(
            text,
            "retired: {} ({}), its users moved to {targets}",
            retired.name, retired.segment_id
        );
    }
    text
}

/// Formats a change of a share in percentage points; a change that rounds to 0 has no sign.
fn points(change: f64) -> String {
    let points = change * 100.0;
    if points.abs() < 0.05 { "0.0 pp".to_owned() } else { format!("{points:+.1} pp") }
}

/// Renders one segment in detail.
pub fn one(segment: &Segment) -> String {
    let mut text = format!("{} ({})\n{}\n\n", segment.name, segment.segment_id, segment.description);
    let _ = writeln!(
        text,
        "{}, {} of all · {} since the model was trained",
        words::counted(segment.size, "user"),
        words::percent(segment.share),
        points(segment.trend)
    );
    if let Some(lineage) = &segment.lineage {
        let from = lineage.from_segment_ids.join(", ");
        let origin = match lineage.origin() {
            SegmentOrigin::New => "new in this model".to_owned(),
            SegmentOrigin::Kept => {
                format!("kept, {} of its members with the one before", words::percent(lineage.overlap))
            }
            SegmentOrigin::Split => format!("split from {from}"),
            SegmentOrigin::Merged => format!("{from} became part of it"),
            SegmentOrigin::Unspecified => "of unknown origin".to_owned(),
        };
        let _ = writeln!(text, "{origin} · there since model {}", lineage.first_model_version);
    }
    text.push('\n');
    for defining in &segment.defining_features {
        let _ = writeln!(
            text,
            "  {:+5.1}  {}: {:.2} {}",
            defining.z, defining.description, defining.value, defining.unit
        );
    }
    for category in &segment.categories {
        let _ = writeln!(
            text,
            "  likes {} most: {} of them, {:.1} times as many as elsewhere",
            category.name,
            words::percent(category.share),
            category.lift
        );
    }
    text
}

/// Renders the explanation of a user's segment: distances, and the components that favour it or the runner-up.
pub fn explanation(response: &ExplainSegmentResponse) -> String {
    let mut text = String::new();
    if let Some(segment) = &response.segment {
        let _ =
            writeln!(text, "{} ({}), distance {:.2}", segment.name, segment.segment_id, response.distance);
    }
    if !response.runner_up_segment_id.is_empty() {
        let _ = writeln!(
            text,
            "the next would be {} ({}), distance {:.2}",
            response.runner_up_name, response.runner_up_segment_id, response.runner_up_distance
        );
    }
    let lines =
        |text: &mut String, title: &str, contributions: &mut dyn Iterator<Item = &SegmentContribution>| {
            let _ = writeln!(text, "\n{title}");
            for contribution in contributions.take(SHOWN) {
                let _ = writeln!(
                    text,
                    "  {:+6.2}  {}: {:.2} {} ({:+.1} from the mean)",
                    contribution.contribution,
                    contribution.description,
                    contribution.value,
                    contribution.unit,
                    contribution.z
                );
            }
        };
    lines(
        &mut text,
        "speaks for it:",
        &mut response.contributions.iter().filter(|component| component.contribution > 0.0),
    );
    lines(
        &mut text,
        "speaks for the next:",
        &mut response.contributions.iter().rev().filter(|component| component.contribution < 0.0),
    );
    text
}
