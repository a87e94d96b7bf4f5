//! Report as Markdown tables for a terminal.

use super::figures::{
    AgeFigures, ConfidenceInterval, EvalReport, LiveStaleComparison, PartFigures, Retention, Stability,
    SubjectReport,
};
use comfy_table::{Table, presets};
use std::fmt::Write;

/// Renders the report as text.
pub(super) fn of(report: &EvalReport) -> String {
    let EvalReport { log, events, users, days, subjects, segments } = report;
    let mut text = format!("{log}: {events} events of {users} users in {days:.1} days\n");
    for subject in subjects {
        let _ = write!(text, "\n{}\n{}\n{}\n", title(subject), ages(subject), parts(subject));
        let _ = writeln!(text, "{}", calibration(subject));
    }
    if let Some(segments) = segments {
        let _ = write!(text, "\n{}\n{}\n", of_segments(segments), stability(segments));
    }
    text
}

fn title(subject: &SubjectReport) -> String {
    format!(
        "Next {}: {} targets of {} users, out of {}; {:.0}% are repeats. Hit: within the top {}. \
         Log-loss of a uniform prediction: {:.3}.",
        subject.subject,
        subject.targets,
        subject.users,
        subject.items,
        subject.repeat_share * 100.0,
        subject.hit_top,
        (subject.items as f64).ln()
    )
}

fn ages(subject: &SubjectReport) -> Table {
    let mut table = table(&[
        "profile",
        "recall",
        "NDCG",
        "log-loss",
        "ECE",
        "not empty",
        "live / this, where not empty",
        "live - this",
        "control",
        "new items: live / this",
        "repeats: live / this",
    ]);
    for figures in &subject.ages {
        let AgeFigures {
            age,
            recall,
            ndcg,
            log_loss,
            calibration_error,
            known,
            matched,
            new,
            repeat,
            control,
        } = figures;
        table.add_row([
            age.clone(),
            interval(recall),
            format!("{ndcg:.3}"),
            log_loss.as_ref().map(interval).unwrap_or_default(),
            calibration_error.map(|error| format!("{error:.3}")).unwrap_or_default(),
            format!("{:.0}%", known * 100.0),
            ratio(matched.as_ref()),
            matched.as_ref().map(|compared| interval(&compared.difference)).unwrap_or_default(),
            ratio(control.as_ref()),
            ratio(new.as_ref()),
            ratio(repeat.as_ref()),
        ]);
    }
    table
}

fn parts(subject: &SubjectReport) -> Table {
    let header = [
        "from a live profile",
        "recall",
        "NDCG",
        "served - this",
        "new items: served - this",
        "repeats: served - this",
    ];
    let mut table = table(&header);
    if let Some(live) = subject.ages.first() {
        let served = ["as served".to_owned(), interval(&live.recall), format!("{:.3}", live.ndcg)];
        table.add_row(served.into_iter().chain([const { String::new() }; 3]));
    }
    for PartFigures { name, recall, ndcg, served_less_this, new, repeat } in &subject.parts {
        table.add_row([
            (*name).to_owned(),
            interval(recall),
            format!("{ndcg:.3}"),
            served_less_this.as_ref().map(interval).unwrap_or_default(),
            difference(new),
            difference(repeat),
        ]);
    }
    table
}

fn difference(compared: &Option<LiveStaleComparison>) -> String {
    compared.as_ref().map(|compared| interval(&compared.difference)).unwrap_or_default()
}

fn calibration(subject: &SubjectReport) -> Table {
    let first = format!("within the top {}, live: predicted", subject.hit_top);
    let mut table = table(&[&first, "observed", "targets"]);
    for group in &subject.calibration {
        table.add_row([
            format!("{:.3}", group.predicted),
            interval(&group.observed),
            group.targets.to_string(),
        ]);
    }
    table
}

pub(super) fn of_segments(segments: &Stability) -> String {
    let Stability { segments, retained_segments, days, .. } = segments;
    format!(
        "Segments: {segments} of the first training, {retained_segments} of them retained by a training {days:.1} days later."
    )
}

fn stability(segments: &Stability) -> Table {
    let mut table = table(&["segments", "users", "in the same segment", "adjusted Rand index"]);
    let rows = [("retrained, same profiles", &segments.retrained), ("over time", &segments.over_time)];
    for (name, Retention { users, share, agreement }) in rows {
        table.add_row([name.to_owned(), users.to_string(), interval(share), interval(agreement)]);
    }
    table
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    // Markdown, so that a table can be pasted into a document.
    table.load_preset(presets::ASCII_MARKDOWN);
    table.set_header(header);
    table
}

/// Ratio with its interval; both shares where the stale one has no hits in some resample.
pub(super) fn ratio(compared: Option<&LiveStaleComparison>) -> String {
    match compared {
        Some(LiveStaleComparison { ratio: Some(ratio), .. }) => {
            format!("{:.2} ({:.2} to {:.2})", ratio.value, ratio.low, ratio.high)
        }
        Some(LiveStaleComparison { live, stale, .. }) => format!("{live:.3} / {stale:.3}"),
        None => String::new(),
    }
}

fn interval(interval: &ConfidenceInterval) -> String {
    format!("{:.3} ({:.3} to {:.3})", interval.value, interval.low, interval.high)
}
