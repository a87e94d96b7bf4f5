//! Counts of the rows of an import, printed as a table.

use comfy_table::{CellAlignment, Table, presets};
use portrait_connect::files::RejectCounts;
use std::fmt;
use std::time::Duration;

/// Size of a kept id in bytes.
const ID_BYTES: u64 = 8;
const MIB: f64 = (1 << 20) as f64;

/// Counts of a file's rows. Invariant: read = accepted + rejected + left out + readable + without a response; accepted includes duplicates.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ImportReport {
    /// Number of data rows read.
    pub read: u64,
    /// Number of rows that the server acknowledged, duplicates included.
    pub accepted: u64,
    /// Number of accepted rows that the server had before.
    pub duplicates: u64,
    /// Number of rows that the mapping does not read.
    pub left_out: u64,
    /// True if nothing was sent.
    pub is_dry_run: bool,
    /// Number of rows of a dry run that can be read.
    pub readable: u64,
    /// Rows that the reader or the server rejected, by reason.
    pub rejected: RejectCounts,
    /// Ids of rows that the server keeps for ever, of all sources.
    pub kept_ids: u64,
    /// Time until all events were applied.
    pub elapsed: Duration,
}

impl ImportReport {
    /// Returns the number of rows without a response after a failure; the server may have them.
    pub fn unanswered_rows(&self) -> u64 {
        self.read.saturating_sub(self.accepted + self.rejected.rows() + self.left_out + self.readable)
    }
}

impl fmt::Display for ImportReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new();
        table.load_preset(presets::ASCII_MARKDOWN).set_header(["rows", "count", ""]);
        table.add_row(["read".to_owned(), self.read.to_string(), String::new()]);
        if self.is_dry_run {
            table.add_row(["readable".to_owned(), self.readable.to_string(), "nothing was sent".to_owned()]);
        } else {
            table.add_row(["accepted".to_owned(), self.accepted.to_string(), String::new()]);
            table.add_row(["of these duplicates".to_owned(), self.duplicates.to_string(), String::new()]);
        }
        if self.kept_ids > 0 {
            let size =
                format!("{:.1} MiB, at most connect.ledger_bytes", (self.kept_ids * ID_BYTES) as f64 / MIB);
            table.add_row(["ids of rows kept".to_owned(), self.kept_ids.to_string(), size]);
        }
        if self.left_out > 0 {
            let rule = "by rows.only of the mapping".to_owned();
            table.add_row(["left out".to_owned(), self.left_out.to_string(), rule]);
        }
        for (reason, count) in self.rejected.by_reason() {
            table.add_row([format!("rejected, {reason}"), count.rows.to_string(), count.example.clone()]);
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
