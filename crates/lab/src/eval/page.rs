//! Report as a self-contained HTML page: recall and log-loss by age of the profile, the gain of live profiles by
//! slice, recommendation parts, calibration, and stability of segments.

use super::figures::{ConfidenceInterval, EvalReport, LiveStaleComparison, Stability, SubjectReport};
use super::table;
use std::fmt::Write;

/// Width of a plot in pixels.
const WIDTH: f64 = 760.0;
/// Width of the labels in pixels.
const LABELS: f64 = 190.0;
/// Height of a row in pixels.
const LINE: f64 = 26.0;

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:860px;margin:2em auto;padding:0 1em;color:#222}\
h1,h2,h3{line-height:1.2}svg{display:block;margin:1em 0}svg text{font-size:13px;fill:#333}\
pre{overflow-x:auto;background:#f6f6f4;padding:1em;font-size:12px}.note{color:#666}";

/// Row of a bar chart.
struct ChartBar {
    name: String,
    interval: ConfidenceInterval,
    /// True for the reference that the other bars are compared with.
    first: bool,
}

/// Renders the report as a page.
pub(super) fn of(report: &EvalReport) -> String {
    // One file without scripts or links: it can be mailed and opened anywhere.
    let title = format!("Live and stale profiles: {}", escaped(&report.log));
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title><style>{STYLE}</style><h1>{title}</h1>\
         <p>{} events of {} users in {:.1} days. Lines are 95% intervals from resampling users.</p>",
        report.events, report.users, report.days
    );
    for subject in &report.subjects {
        let _ = write!(page, "<h2>Next {}</h2>", subject.subject);
        let _ = write!(page, "<p>{} targets, out of {} items.</p>", subject.targets, subject.items);
        page.push_str(&recall(subject));
        page.push_str(&gains(subject));
        page.push_str(&losses(subject));
        page.push_str(&calibration(subject));
        page.push_str(&parts(subject));
    }
    if let Some(segments) = &report.segments {
        page.push_str(&stability(segments));
    }
    let _ = write!(page, "<h2>All figures</h2><pre>{}</pre></html>", escaped(&table::of(report)));
    page
}

fn recall(subject: &SubjectReport) -> String {
    let bars = subject.ages.iter().enumerate().map(|(index, figures)| ChartBar {
        name: figures.age.clone(),
        interval: figures.recall,
        first: index == 0,
    });
    let title = format!("Recall@{} by the age of the profile, all targets", subject.hit_top);
    plot(&title, &bars.collect::<Vec<_>>(), 0.0)
}

fn gains(subject: &SubjectReport) -> String {
    let mut bars = Vec::new();
    for figures in &subject.ages {
        let lines: [(&str, &Option<LiveStaleComparison>); 4] = [
            ("", &figures.matched),
            (", new items", &figures.new),
            (", repeats", &figures.repeat),
            (", control", &figures.control),
        ];
        for (index, (what, compared)) in lines.into_iter().enumerate() {
            if let Some(ratio) = compared.as_ref().and_then(|compared| compared.ratio) {
                bars.push(ChartBar {
                    name: format!("{}{what}", figures.age),
                    interval: ratio,
                    first: index == 0,
                });
            }
        }
    }
    let title =
        "Lift by slice: recall of live over stale, where the stale profile is not empty; 1 is no gain";
    plot(title, &bars, 1.0)
}

fn losses(subject: &SubjectReport) -> String {
    let bars = subject.ages.iter().enumerate().filter_map(|(index, figures)| {
        Some(ChartBar { name: figures.age.clone(), interval: figures.log_loss?, first: index == 0 })
    });
    let uniform = (subject.items as f64).ln();
    let title =
        format!("Log-loss by the age of the profile, in nats; {uniform:.2} is that of a uniform prediction");
    plot(&title, &bars.collect::<Vec<_>>(), 0.0)
}

/// Reliability diagram: predicted probability on the x axis, observed share on the y axis; calibrated predictions lie
/// on the diagonal.
fn calibration(subject: &SubjectReport) -> String {
    const SIDE: f64 = 320.0;
    const EDGE: f64 = 40.0;
    if subject.calibration.is_empty() {
        return String::new();
    }
    let error = subject.ages.first().and_then(|live| live.calibration_error).unwrap_or_default();
    let title =
        format!("Predicted and observed: the next one is within the top {}; ECE {error:.3}", subject.hit_top);
    let x = |value: f64| EDGE + value * SIDE;
    let y = |value: f64| SIDE + 10.0 - value * SIDE;
    let mut svg = format!(
        "<h3>{title}</h3><svg width=\"{0}\" height=\"{1}\" role=\"img\" aria-label=\"{title}\">\
         <line x1=\"{2}\" y1=\"{3}\" x2=\"{4}\" y2=\"{5}\" stroke=\"#a9bfb2\"/>",
        SIDE + 2.0 * EDGE,
        SIDE + EDGE + 10.0,
        x(0.0),
        y(0.0),
        x(1.0),
        y(1.0)
    );
    for tick in [0.0, 0.5, 1.0] {
        let _ = write!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{tick}</text>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{tick}</text>",
            x(tick),
            y(0.0) + 20.0,
            EDGE - 8.0,
            y(tick) + 5.0
        );
    }
    for group in &subject.calibration {
        let _ = write!(
            svg,
            "<line x1=\"{0:.1}\" x2=\"{0:.1}\" y1=\"{1:.1}\" y2=\"{2:.1}\" stroke=\"#222\"/>\
             <circle cx=\"{0:.1}\" cy=\"{3:.1}\" r=\"5\" fill=\"#2f6f4f\"/>",
            x(group.predicted),
            y(group.observed.low),
            y(group.observed.high),
            y(group.observed.value)
        );
    }
    svg.push_str("</svg>");
    svg
}

fn bar(name: &str, interval: ConfidenceInterval, first: bool) -> ChartBar {
    ChartBar { name: name.to_owned(), interval, first }
}

fn stability(segments: &Stability) -> String {
    let Stability { retrained, over_time, .. } = segments;
    let bars = [
        bar("retrained: kept", retrained.share, true),
        bar("retrained: ARI", retrained.agreement, false),
        bar("over time: kept", over_time.share, true),
        bar("over time: ARI", over_time.agreement, false),
    ];
    let title = "Users who keep their segment, and agreement of the partitions (adjusted Rand index)";
    format!("<h2>Segments</h2><p>{}</p>{}", table::of_segments(segments), plot(title, &bars, 0.0))
}

fn parts(subject: &SubjectReport) -> String {
    let served = subject.ages.first().map(|live| bar("as served", live.recall, true));
    let parts = subject.parts.iter().map(|part| ChartBar {
        name: part.name.to_owned(),
        interval: part.recall,
        first: false,
    });
    plot(
        "Recall of what is served, and of its parts alone",
        &served.into_iter().chain(parts).collect::<Vec<_>>(),
        0.0,
    )
}

/// Bar chart of values from `zero`, with their intervals.
fn plot(title: &str, bars: &[ChartBar], zero: f64) -> String {
    if bars.is_empty() {
        return String::new();
    }
    let max = bars.iter().map(|bar| bar.interval.high).fold(zero + 1e-9, f64::max);
    let min = bars.iter().map(|bar| bar.interval.low).fold(zero, f64::min);
    let at = |value: f64| LABELS + (value - min) / (max - min) * (WIDTH - LABELS - 70.0);
    let height = LINE * (bars.len() as f64 + 0.5);
    let mut svg = format!(
        "<h3>{}</h3><svg width=\"{WIDTH}\" height=\"{height}\" role=\"img\" aria-label=\"{}\">",
        escaped(title),
        escaped(title)
    );
    for (index, bar) in bars.iter().enumerate() {
        let middle = LINE * (index as f64 + 0.6);
        let (from, to) = (at(zero.min(bar.interval.value)), at(zero.max(bar.interval.value)));
        let colour = if bar.first { "#2f6f4f" } else { "#a9bfb2" };
        let _ = write!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\
             <rect x=\"{from:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"14\" fill=\"{colour}\"/>\
             <line x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{middle:.1}\" y2=\"{middle:.1}\" stroke=\"#222\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\">{:.3}</text>",
            LABELS - 8.0,
            middle + 5.0,
            escaped(&bar.name),
            middle - 7.0,
            (to - from).max(1.0),
            at(bar.interval.low),
            at(bar.interval.high),
            at(bar.interval.high.max(bar.interval.value)) + 6.0,
            middle + 5.0,
            bar.interval.value
        );
    }
    svg.push_str("</svg>");
    svg
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
