//! Rows of an import from the file to their result: counts, and the file of rejected rows.

use super::report::ImportReport;
use anyhow::{Context, Result, bail};
use portrait_client::RequestResult;
use portrait_client::text::words;
use portrait_connect::files::{LogColumns, RejectsFile, RowDefect};
use portrait_proto::status::reason_name;
use portrait_proto::v1::Rejection;
use std::collections::VecDeque;

/// Rows of an import.
pub(super) struct ImportRows<'a> {
    report: &'a mut ImportReport,
    rejects: Option<&'a mut RejectsFile>,
    rejects_max: Option<u64>,
    /// Rows without a result, oldest first; bounded by the sender's window.
    in_flight: VecDeque<SentRow>,
}

struct SentRow {
    line: u64,
    raw: Option<Box<[u8]>>,
}

impl<'a> ImportRows<'a> {
    pub(super) fn new(
        report: &'a mut ImportReport,
        rejects: Option<&'a mut RejectsFile>,
        rejects_max: Option<u64>,
    ) -> Self {
        Self { report, rejects, rejects_max, in_flight: VecDeque::new() }
    }

    /// Counts a row that the reader rejects.
    ///
    /// # Errors
    /// If the file of rejected rows cannot be written.
    pub(super) fn reject(&mut self, line: u64, defect: &RowDefect, raw: Option<&[u8]>) -> Result<()> {
        self.report.read += 1;
        let reason = defect.reason.name();
        self.report.rejected.add(reason, || defect.at_line(line));
        self.write(line, defect.column, &format!("{reason}: {}", defect.problem), raw.unwrap_or_default())
    }

    /// Counts a row that the mapping does not read.
    pub(super) fn leave_out(&mut self) {
        self.report.read += 1;
        self.report.left_out += 1;
    }

    /// Counts a row that can be read and is not sent.
    pub(super) fn readable(&mut self) {
        self.report.read += 1;
        self.report.readable += 1;
    }

    /// Notes a row that is sent.
    pub(super) fn sent(&mut self, line: u64, raw: Option<Box<[u8]>>) {
        self.report.read += 1;
        self.in_flight.push_back(SentRow { line, raw });
    }

    /// Counts the results of requests, which come in the order of the rows.
    ///
    /// # Errors
    /// If the file of rejected rows cannot be written.
    pub(super) fn record(&mut self, results: Vec<RequestResult>, columns: &LogColumns) -> Result<()> {
        for RequestResult { accepted, rejected } in results {
            self.report.accepted += u64::from(accepted);
            let answered = (accepted as usize + rejected.len()).min(self.in_flight.len());
            let rows: Vec<SentRow> = self.in_flight.drain(..answered).collect();
            for rejection in rejected {
                self.reject_answered(&rejection, rows.get(rejection.index as usize), columns)?;
            }
        }
        Ok(())
    }

    /// Checks the number of rejected rows.
    ///
    /// # Errors
    /// If there are more than allowed.
    pub(super) fn check_limit(&self) -> Result<()> {
        if let Some(max) = self.rejects_max
            && self.report.rejected.rows() > max
        {
            let max = words::counted(max, "row");
            bail!(
                "the import stops, because more than {max} cannot be taken: mend the file, or raise --max-rejects"
            );
        }
        Ok(())
    }

    /// Completes the file of rejected rows.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn finish(&mut self) -> Result<()> {
        match &mut self.rejects {
            Some(rejects) => rejects.flush().context(NOT_WRITTEN),
            None => Ok(()),
        }
    }

    /// Counts a row that the server rejects.
    fn reject_answered(
        &mut self,
        rejection: &Rejection,
        row: Option<&SentRow>,
        columns: &LogColumns,
    ) -> Result<()> {
        let reason = reason_name(rejection.reason());
        // The field is one of the request: events[3].price.
        let field = rejection.field.split_once("].").map_or("", |(_, field)| field);
        let column = columns.of(field);
        let message = &rejection.message;
        let line = row.map_or(0, |row| row.line);
        self.report.rejected.add(reason, || match column {
            Some(column) => format!("line {line}, column {column} ({field}): {message}"),
            None => format!("line {line}: {field} {message}"),
        });
        let raw = row.and_then(|row| row.raw.as_deref()).unwrap_or_default();
        self.write(line, column, &format!("{reason}: {field} {message}"), raw)
    }

    fn write(&mut self, line: u64, column: Option<usize>, reason: &str, raw: &[u8]) -> Result<()> {
        match &mut self.rejects {
            Some(rejects) => rejects.write(line, column, reason, raw).context(NOT_WRITTEN),
            None => Ok(()),
        }
    }
}

const NOT_WRITTEN: &str = "the file of rejected rows cannot be written";
