//! Counts of the rows of an import, printed as a table.

use comfy_table::{CellAlignment, Table, presets};
use portrait_client::RequestResult;
use portrait_proto::status::reason_name;
use portrait_proto::v1::ErrorReason;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// Counts of a file's rows. Invariant: read = accepted + rejected + without a response; accepted includes duplicates.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ImportReport {
    /// Number of data rows read.
    pub read: u64,
    /// Number of rows that the server acknowledged, duplicates included.
    pub accepted: u64,
    /// Number of accepted rows that the server had before.
    pub duplicates: u64,
    /// Rejected rows by reason.
    pub rejected: BTreeMap<&'static str, Rejected>,
    /// Time until all events were applied.
    pub elapsed: Duration,
}

/// Rejected rows of one reason.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rejected {
    /// Number of rows with this reason.
    pub rows: u64,
    /// Message of the first rejection.
    pub example: String,
}

impl ImportReport {
    /// Counts a rejected row.
    pub(super) fn reject(&mut self, reason: ErrorReason, example: impl FnOnce() -> String) {
        let rejected = self.rejected.entry(reason_name(reason)).or_default();
        // The first message serves as example: thousands of equal ones would hide the other reasons.
        if rejected.rows == 0 {
            rejected.example = example();
        }
        rejected.rows += 1;
    }

    /// Counts the results of requests.
    pub(super) fn record(&mut self, results: Vec<RequestResult>) {
        for result in results {
            self.accepted += u64::from(result.accepted);
            for rejection in result.rejected {
                let reason = rejection.reason();
                self.reject(reason, || format!("{} {}", rejection.field, rejection.message));
            }
        }
    }

    /// Returns the number of rows without a response after a failure; the server may have them.
    pub fn unanswered_rows(&self) -> u64 {
        self.read.saturating_sub(self.accepted + self.rejected_rows())
    }

    /// Returns the number of rejected rows.
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
        let unconfirmed = self.unanswered_rows();
        if unconfirmed > 0 {
            let remedy = "import again: duplicates count once".to_owned();
            table.add_row(["without a response".to_owned(), unconfirmed.to_string(), remedy]);
        }
        if let Some(column) = table.column_mut(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        // At least 1 ms, against a division by zero for an empty file.
        let rows_per_second = self.read as f64 / self.elapsed.as_secs_f64().max(0.001);
        write!(f, "{table}\n{:.1} s, {rows_per_second:.0} rows a second", self.elapsed.as_secs_f64())
    }
}
