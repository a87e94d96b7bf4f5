//! Log as a server would take it: in the order of time, and without the rows that ingest refuses. Commands that replay a log read it
//! through here, so that they measure what a server would have.

use anyhow::Result;
use clap::Args;
use indicatif::ProgressBar;
use portrait_client::text::words;
use portrait_connect::files::{
    LogColumns, LogOptions, LogReader, LogRow, Mapping, ReadError, RejectCounts, RowBody, SortedLog,
};
use portrait_ingest::EventValidator;
use portrait_node::Config;
use portrait_profile::{Record, Timestamp};
use portrait_proto::status::reason_name;
use portrait_proto::v1::{Event, Item};
use portrait_runtime::config::Sources;
use portrait_runtime::{Clock, SystemClock};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use xxhash_rust::xxh64::xxh64;

/// Rules of a server by which rows are taken.
#[derive(Clone, Debug, Default, Args)]
pub struct ServerRules {
    /// Configuration of the server, whose section `[ingest]` decides which rows are taken [default: the default of each key].
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Row that a server would take.
#[expect(clippy::large_enum_variant, reason = "nearly all of them are events, and they are moved, not kept")]
pub(crate) enum CheckedRow {
    /// Event, and the record that the log would have of it.
    Event { event: Event, record: Record },
    /// Item of the catalogue.
    Item(Item),
}

/// Iterator over the rows of a log that a server would take. Others are counted.
pub(crate) struct CheckedLog {
    rows: Box<dyn Iterator<Item = Result<LogRow, ReadError>> + Send>,
    columns: LogColumns,
    validator: EventValidator,
    now: Timestamp,
    rejected: RejectCounts,
}

/// Records that were met before, by user and event id, in 8 bytes each.
#[derive(Debug, Default)]
pub(crate) struct Duplicates(HashSet<u64>);

impl ServerRules {
    /// Reads the section `[ingest]`.
    ///
    /// # Errors
    /// If the file cannot be read or is invalid.
    pub(crate) fn ingest(&self) -> Result<portrait_ingest::Config> {
        Ok(Config::load(&Sources::of_process(self.config.clone(), Vec::new()))?.ingest)
    }
}

impl CheckedLog {
    /// Opens a log, whose rows come in the order of time, with its progress on `bar`.
    pub(crate) fn open(
        path: &Path,
        mapping: &Arc<Mapping>,
        rules: &portrait_ingest::Config,
        bar: &ProgressBar,
    ) -> Result<Self> {
        let bar = bar.clone();
        let log = SortedLog::open(path, mapping, LogOptions::default())?.with_progress(move |progress| {
            bar.set_length(progress.total);
            bar.set_position(progress.done);
        });
        let columns = log.columns();
        Self::of(Box::new(log), columns, rules)
    }

    /// Opens a log, whose rows come in the order of the file.
    pub(crate) fn in_file_order(
        path: &Path,
        mapping: &Arc<Mapping>,
        rules: &portrait_ingest::Config,
    ) -> Result<Self> {
        let log = LogReader::open(path, mapping, LogOptions::default())?;
        let columns = log.columns();
        Self::of(Box::new(log), columns, rules)
    }

    fn of(
        rows: Box<dyn Iterator<Item = Result<LogRow, ReadError>> + Send>,
        columns: LogColumns,
        rules: &portrait_ingest::Config,
    ) -> Result<Self> {
        let validator = EventValidator::new(rules)?;
        let now = Timestamp::from_millis(SystemClock.now_ms());
        Ok(Self { rows, columns, validator, now, rejected: RejectCounts::default() })
    }

    /// Returns the number of rows left out so far.
    pub(crate) fn rejected_rows(&self) -> u64 {
        self.rejected.rows()
    }

    /// Prints on standard error which rows were left out, and why.
    pub(crate) fn warn(&self) {
        for (reason, count) in self.rejected.by_reason() {
            let rows = words::counted(count.rows, "row");
            eprintln!("left out as a server would: {rows}, {reason} ({})", count.example);
        }
    }

    /// Checks a row; none if it is left out.
    fn checked(&mut self, LogRow { line, body, .. }: LogRow) -> Option<CheckedRow> {
        match body {
            RowBody::Item(item) => Some(CheckedRow::Item(item)),
            RowBody::LeftOut => None,
            RowBody::Rejected(defect) => {
                self.rejected.add(defect.reason.name(), || defect.at_line(line));
                None
            }
            RowBody::Event(event) => match self.validator.record(event.clone(), self.now) {
                Ok(record) => {
                    // A log has no times of acceptance: an event counts as accepted when it occurred.
                    let record = Record { accepted_at: record.occurred_at, ..record };
                    Some(CheckedRow::Event { event, record })
                }
                Err(error) => {
                    let column = self.columns.of(&error.field);
                    let column = column.map(|column| format!(", column {column}")).unwrap_or_default();
                    self.rejected.add(reason_name(error.reason), || {
                        format!("line {line}{column}: {} {}", error.field, error.message)
                    });
                    None
                }
            },
        }
    }
}

impl Iterator for CheckedLog {
    type Item = Result<CheckedRow>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let row = match self.rows.next()? {
                Ok(row) => row,
                Err(error) => return Some(Err(error.into())),
            };
            if let Some(row) = self.checked(row) {
                return Some(Ok(row));
            }
        }
    }
}

impl Duplicates {
    /// Notes a record; returns true if it was met before, in which case a server drops it.
    pub(crate) fn is_repeat(&mut self, record: &Record) -> bool {
        // A server never drops a record without an id.
        let Some(id) = &record.record_id else { return false };
        let seed = xxh64(record.user_id.as_str().as_bytes(), 0);
        !self.0.insert(xxh64(id.as_str().as_bytes(), seed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portrait_connect::files::Format;
    use std::io::Write;

    #[test]
    fn rules_are_those_of_the_configuration() {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(b"[ingest]\noccurred_at_min = \"2018-01-01T00:00:00Z\"\n").expect("written");
        let rules = ServerRules { config: Some(file.path().to_owned()) }.ingest().expect("a configuration");
        assert_eq!(rules.occurred_at_min, "2018-01-01T00:00:00Z");
        let error = ServerRules { config: Some("missing.toml".into()) }.ingest().expect_err("no file");
        assert!(format!("{error:#}").contains("missing.toml"), "{error:#}");
    }

    /// Rows of a log: times and users of its records, and the counts of the rejected rows.
    #[derive(Debug, PartialEq)]
    struct Read {
        records: Vec<(i64, String)>,
        rejected: Vec<(&'static str, u64)>,
    }

    /// Reads lines of Taobao.
    fn read(lines: &[&str]) -> Read {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(lines.join("\n").as_bytes()).expect("written");
        let rules = portrait_ingest::Config::default();
        let bar = ProgressBar::hidden();
        let taobao = Format::named("taobao").expect("it ships");
        let mut log = CheckedLog::open(file.path(), &taobao.mapping(), &rules, &bar).expect("a log");
        let mut duplicates = Duplicates::default();
        let mut records = Vec::new();
        for row in log.by_ref() {
            let CheckedRow::Event { record, .. } = row.expect("readable") else { panic!("no catalogue") };
            if !duplicates.is_repeat(&record) {
                assert_eq!(record.accepted_at, record.occurred_at);
                records.push((record.occurred_at.millis() / 1000, record.user_id.as_str().to_owned()));
            }
        }
        let rejected = log.rejected.by_reason().map(|(reason, count)| (reason, count.rows)).collect();
        Read { records, rejected }
    }

    #[test]
    fn rows_are_those_that_a_server_would_have() {
        let long = format!("{},1,1,pv,1511539500", "u".repeat(129));
        let lines = [
            "b,1,1,pv,1511539502",
            "a,1,1,pv,-2134949234",
            "a,1,1,pv,4122867355",
            "a,1,1,pv,44",
            "a,1,1,pv,1511539501",
            "a,1,1,look,1511539501",
            long.as_str(),
            "a\u{7},1,1,pv,1511539501",
            "a,1,1,pv,1511539501",
            "a,1,1,pv,1511539503",
        ];
        let rows = read(&lines);
        let users = [(1_511_539_501, "a"), (1_511_539_502, "b"), (1_511_539_503, "a")];
        assert_eq!(rows.records, users.map(|(at, user)| (at, user.to_owned())));
        let reasons = [
            ("BAD_TEXT", 1),
            ("TIME_IN_FUTURE", 1),
            ("TIME_TOO_OLD", 2),
            ("TOO_LONG", 1),
            ("UNKNOWN_ACTION", 1),
        ];
        assert_eq!(rows.rejected, reasons);
        // The order of the file makes no difference.
        let reversed: Vec<&str> = lines.iter().rev().copied().collect();
        assert_eq!(read(&reversed), rows);
    }
}
