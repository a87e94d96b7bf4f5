//! What became of the rows of a file, as a table for a person.

use comfy_table::{CellAlignment, Table, presets};
use portrait_client::RequestResult;
use portrait_proto::status::reason_name;
use portrait_proto::v1::ErrorReason;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// What became of a file's rows: read = accepted + rejected + without an answer, and duplicates are accepted too.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ImportReport {
    /// Data rows of the file.
    pub read: u64,
    /// Rows that the server has.
    pub accepted: u64,
    /// Accepted rows that the server had before, as it counted them.
    pub duplicates: u64,
    /// Rows that were not taken, by reason.
    pub rejected: BTreeMap<&'static str, Rejected>,
    /// How long it took until all was applied.
    pub took: Duration,
}

/// Rows that were not taken for one reason.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rejected {
    /// How many.
    pub rows: u64,
    /// What the server said of the first one.
    pub example: String,
}

impl ImportReport {
    /// Counts a row that was not taken.
    pub(super) fn reject(&mut self, reason: ErrorReason, example: impl FnOnce() -> String) {
        let rejected = self.rejected.entry(reason_name(reason)).or_default();
        if rejected.rows == 0 {
            rejected.example = example();
        }
        rejected.rows += 1;
    }

    /// Counts what the server answered.
    pub(super) fn note(&mut self, answers: Vec<RequestResult>) {
        for answer in answers {
            self.accepted += u64::from(answer.accepted);
            for rejection in answer.rejected {
                let reason = rejection.reason();
                self.reject(reason, || format!("{} {}", rejection.field, rejection.message));
            }
        }
    }

    /// Rows that were sent before the import failed and were not answered: the server may have them.
    pub fn unanswered_rows(&self) -> u64 {
        self.read.saturating_sub(self.accepted + self.rejected_rows())
    }

    /// All rows that were not taken.
    pub fn rejected_rows(&self) -> u64 {
        self.rejected.values().map(|rejected| rejected.rows).sum()
    }
}

impl fmt::Display for ImportReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new();
        table.load_preset(presets::ASCII_MARKDOWN).set_header(["rows", "count", ""]);
        table.add_row(["read".to_owned(), self.read.to_string(), String::new()]);
        table.add_row(["accepted".to_owned(), self.accepted.to_string(), String::new()]);
        table.add_row(["of these duplicates".to_owned(), self.duplicates.to_string(), String::new()]);
        for (reason, Rejected { rows, example }) in &self.rejected {
            table.add_row([format!("rejected, {reason}"), rows.to_string(), example.clone()]);
        }
        let unanswered = self.unanswered_rows();
        if unanswered > 0 {
            let remedy = "import again: what the server has counts once".to_owned();
            table.add_row(["without an answer".to_owned(), unanswered.to_string(), remedy]);
        }
        if let Some(column) = table.column_mut(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        let each_second = self.read as f64 / self.took.as_secs_f64().max(0.001);
        write!(f, "{table}\n{:.1} s, {each_second:.0} rows a second", self.took.as_secs_f64())
    }
}
