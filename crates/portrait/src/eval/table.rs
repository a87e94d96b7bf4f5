//! The report as a person reads it in a terminal.

use super::figures::{AgeFigures, Compared, Interval, PartFigures, Report, SubjectReport};
use comfy_table::{Table, presets};
use std::fmt::Write;

/// The whole report.
pub(super) fn of(report: &Report) -> String {
    let Report { log, events, shoppers, days, subjects } = report;
    let mut text = format!("{log}: {events} events of {shoppers} shoppers in {days:.1} days\n");
    for subject in subjects {
        let _ = write!(text, "\n{}\n{}\n{}\n", title(subject), ages(subject), parts(subject));
    }
    text
}

fn title(subject: &SubjectReport) -> String {
    format!(
        "The next {}: {} of them foretold for {} shoppers, out of {}; {:.0}% had been had before. Found: among the first {}.",
        subject.subject,
        subject.targets,
        subject.shoppers,
        subject.things,
        subject.again * 100.0,
        subject.found_within
    )
}

fn ages(subject: &SubjectReport) -> Table {
    let mut table = table(&[
        "profile",
        "recall",
        "NDCG",
        "not empty",
        "live / this, where not empty",
        "live - this",
        "control",
        "new things: live / this",
        "had before: live / this",
    ]);
    for figures in &subject.ages {
        let AgeFigures { age, recall, ndcg, known, matched, new, again, control } = figures;
        table.add_row([
            age.clone(),
            interval(recall),
            format!("{ndcg:.3}"),
            format!("{:.0}%", known * 100.0),
            ratio(matched.as_ref()),
            matched.as_ref().map(|compared| interval(&compared.difference)).unwrap_or_default(),
            ratio(control.as_ref()),
            ratio(new.as_ref()),
            ratio(again.as_ref()),
        ]);
    }
    table
}

fn parts(subject: &SubjectReport) -> Table {
    let mut table = table(&["from a live profile", "recall", "NDCG", "served - this"]);
    if let Some(live) = subject.ages.first() {
        table.add_row([
            "as served".to_owned(),
            interval(&live.recall),
            format!("{:.3}", live.ndcg),
            String::new(),
        ]);
    }
    for PartFigures { name, recall, ndcg, served_less_this } in &subject.parts {
        let less = served_less_this.as_ref().map(interval).unwrap_or_default();
        table.add_row([(*name).to_owned(), interval(recall), format!("{ndcg:.3}"), less]);
    }
    table
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN);
    table.set_header(header);
    table
}

/// A ratio, or, where the stale one finds nothing in some draws, both shares.
pub(super) fn ratio(compared: Option<&Compared>) -> String {
    match compared {
        Some(Compared { ratio: Some(ratio), .. }) => {
            format!("{:.2} ({:.2} to {:.2})", ratio.value, ratio.low, ratio.high)
        }
        Some(Compared { live, stale, .. }) => format!("{live:.3} / {stale:.3}"),
        None => String::new(),
    }
}

fn interval(interval: &Interval) -> String {
    format!("{:.3} ({:.3} to {:.3})", interval.value, interval.low, interval.high)
}
