//! Figures of the benchmarks, and their Markdown table.

use comfy_table::{Table, presets};
use serde::Serialize;
use std::collections::BTreeMap;

/// Measured figure with its bound and its target.
#[derive(Debug, Serialize)]
pub(super) struct Figure {
    /// Measured operation, with its parameters.
    pub(super) path: String,
    /// Result with its unit.
    pub(super) measured: String,
    /// Bound on this machine, from the same run.
    pub(super) baseline: String,
    /// Ratio of the result to the bound.
    pub(super) ratio: Option<f64>,
    /// Results as numbers; names end with the unit.
    pub(super) values: BTreeMap<&'static str, f64>,
    /// Target of the ratio or of the result, in words.
    pub(super) target: &'static str,
    /// True if the target is met.
    pub(super) met: bool,
}

/// Renders all figures as a table.
pub(super) fn table(figures: &[Figure]) -> Table {
    let mut table = Table::new();
    // Markdown, so that a table can be pasted into a document.
    table.load_preset(presets::ASCII_MARKDOWN);
    table.set_header(["path", "measured", "baseline, same run", "ratio", "target", "met"]);
    for figure in figures {
        table.add_row([
            figure.path.clone(),
            figure.measured.clone(),
            figure.baseline.clone(),
            figure.ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}")),
            figure.target.to_owned(),
            if figure.met { "yes" } else { "no" }.to_owned(),
        ]);
    }
    table
}
