//! Segments of a model as a table, one segment in full, and the reasons for which a shopper is in one. In come answers of the API,
//! out goes text.

use super::{chart, words};
use comfy_table::{CellAlignment, Table, presets};
use portrait_proto::v1::{
    ExplainSegmentResponse, ListSegmentsResponse, Segment, SegmentContribution, SegmentOrigin,
};
use std::fmt::Write;

/// Components that an explanation shows on either side.
const SHOWN: usize = 6;

/// The segments as a table, and what became of those that are no more.
pub fn table(answer: &ListSegmentsResponse) -> String {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN);
    table.set_header(["id", "segment", "shoppers", "share", "trend", "what is different", "likes"]);
    for segment in &answer.segments {
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
    let mut text = format!("{table}\n");
    let _ = write!(
        text,
        "model {} · {} in a segment",
        answer.model_version,
        words::counted(answer.assigned_users, "shopper")
    );
    if answer.retired_users > 0 {
        let _ = write!(text, " · {} still in segments that are no more", words::count(answer.retired_users));
    }
    text.push('\n');
    for retired in &answer.retired {
        let to = if retired.to_segment_ids.is_empty() {
            "nowhere".to_owned()
        } else {
            retired.to_segment_ids.join(", ")
        };
        let _ =
            writeln!(text, "retired: {} ({}), its shoppers went to {to}", retired.name, retired.segment_id);
    }
    text
}

/// A change of a share in percentage points; what rounds to nothing has no sign.
fn points(change: f64) -> String {
    let points = change * 100.0;
    if points.abs() < 0.05 { "0.0 pp".to_owned() } else { format!("{points:+.1} pp") }
}

/// One segment in full.
pub fn one(segment: &Segment) -> String {
    let mut text = format!("{} ({})\n{}\n\n", segment.name, segment.segment_id, segment.description);
    let _ = writeln!(
        text,
        "{}, {} of all · {} since the model was trained",
        words::counted(segment.size, "shopper"),
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

/// Why a shopper is in a segment.
pub fn explanation(answer: &ExplainSegmentResponse) -> String {
    let mut text = String::new();
    if let Some(segment) = &answer.segment {
        let _ = writeln!(text, "{} ({}), distance {:.2}", segment.name, segment.segment_id, answer.distance);
    }
    if !answer.runner_up_segment_id.is_empty() {
        let _ = writeln!(
            text,
            "the next would be {} ({}), distance {:.2}",
            answer.runner_up_name, answer.runner_up_segment_id, answer.runner_up_distance
        );
    }
    let lines =
        |text: &mut String, title: &str, contributions: &mut dyn Iterator<Item = &SegmentContribution>| {
            let _ = writeln!(text, "\n{title}");
            for one in contributions.take(SHOWN) {
                let _ = writeln!(
                    text,
                    "  {:+6.2}  {}: {:.2} {} ({:+.1} from the mean)",
                    one.contribution, one.description, one.value, one.unit, one.z
                );
            }
        };
    lines(&mut text, "speaks for it:", &mut answer.contributions.iter().filter(|one| one.contribution > 0.0));
    lines(
        &mut text,
        "speaks for the next:",
        &mut answer.contributions.iter().rev().filter(|one| one.contribution < 0.0),
    );
    text
}
