//! Figures and their table. In comes what was measured, beside what it is judged by; out goes Markdown.

use comfy_table::{Table, presets};
use serde::Serialize;
use std::collections::BTreeMap;

/// One figure beside what it is judged by.
#[derive(Debug, Serialize)]
pub(super) struct Figure {
    /// What was measured.
    pub(super) path: String,
    /// What came out, with its unit.
    pub(super) measured: String,
    /// What bounds it on this machine, in this run.
    pub(super) beside: String,
    /// Measured divided by what is beside it.
    pub(super) ratio: Option<f64>,
    /// The same as numbers, the unit in the name.
    pub(super) values: BTreeMap<&'static str, f64>,
    /// What it should be.
    pub(super) target: &'static str,
    /// Whether it is.
    pub(super) met: bool,
}

/// All figures as a table.
pub(super) fn table(figures: &[Figure]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN);
    table.set_header(["path", "measured", "beside it, same run", "ratio", "target", "met"]);
    for figure in figures {
        table.add_row([
            figure.path.clone(),
            figure.measured.clone(),
            figure.beside.clone(),
            figure.ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}")),
            figure.target.to_owned(),
            if figure.met { "yes" } else { "no" }.to_owned(),
        ]);
    }
    table
}
