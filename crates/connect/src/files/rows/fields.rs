//! Fields of one line of a table, by column index, with conversions whose errors name line and column.

use super::super::error::ReadError;
use csv::StringRecord;
use portrait_proto::v1::{Action, Event};
use prost_types::Timestamp;
use std::str::FromStr;

/// Fields of one line of a table.
pub(in crate::files) struct RowFields<'a> {
    record: &'a StringRecord,
    columns: &'static [&'static str],
}

impl<'a> RowFields<'a> {
    pub(in crate::files) fn new(record: &'a StringRecord, columns: &'static [&'static str]) -> Self {
        Self { record, columns }
    }

    /// Returns the line number in the file, from 1.
    pub(super) fn line(&self) -> u64 {
        self.record.position().map_or(1, csv::Position::line)
    }

    pub(super) fn text(&self, index: usize) -> &'a str {
        // The reader has checked the number of fields, so a missing one cannot occur.
        self.record.get(index).unwrap_or_default()
    }

    pub(super) fn owned(&self, index: usize) -> String {
        self.text(index).to_owned()
    }

    pub(super) fn invalid(&self, index: usize, expected: &str) -> ReadError {
        ReadError::Field {
            line: self.line(),
            column: index + 1,
            name: self.columns[index].to_owned(),
            problem: format!("{:?} is not {expected}", self.text(index)),
        }
    }

    pub(super) fn number<T: FromStr>(&self, index: usize) -> Result<T, ReadError> {
        self.text(index).parse().map_err(|_| self.invalid(index, "a number of the expected type"))
    }

    /// Parses an action by its name in this format.
    pub(super) fn action(&self, index: usize, names: &[(&str, Action)]) -> Result<i32, ReadError> {
        let action = names.iter().find(|(name, _)| *name == self.text(index));
        action.map(|(_, action)| (*action).into()).ok_or_else(|| {
            let known: Vec<&str> = names.iter().map(|(name, _)| *name).collect();
            self.invalid(index, &format!("one of {}", known.join(", ")))
        })
    }

    pub(super) fn seconds(&self, index: usize) -> Result<Option<Timestamp>, ReadError> {
        Ok(Some(Timestamp { seconds: self.number(index)?, nanos: 0 }))
    }

    pub(super) fn millis(&self, index: usize) -> Result<Option<Timestamp>, ReadError> {
        let millis: i64 = self.number(index)?;
        // Euclidean: timestamps before 1970 must not get negative nanoseconds.
        let nanos = i32::try_from(millis.rem_euclid(1000)).unwrap_or(0) * 1_000_000;
        Ok(Some(Timestamp { seconds: millis.div_euclid(1000), nanos }))
    }

    /// Parses `2019-10-01 00:00:00`, in UTC with or without the suffix.
    pub(super) fn date_time(&self, index: usize) -> Result<Option<Timestamp>, ReadError> {
        // REES46 writes the zone, the other formats do not; all are taken as UTC.
        let text = self.text(index).trim_end_matches(" UTC");
        let at: jiff::civil::DateTime = text.parse().map_err(|_| self.invalid(index, "a date and a time"))?;
        self.timestamp(index, at)
    }

    pub(super) fn timestamp(
        &self,
        index: usize,
        at: jiff::civil::DateTime,
    ) -> Result<Option<Timestamp>, ReadError> {
        let zoned =
            at.to_zoned(jiff::tz::TimeZone::UTC).map_err(|_| self.invalid(index, "a date and a time"))?;
        Ok(Some(Timestamp { seconds: zoned.timestamp().as_second(), nanos: 0 }))
    }
}

/// Creates an event with user, action and time.
pub(super) fn event(user_id: String, action: i32, occurred_at: Option<Timestamp>) -> Event {
    Event { user_id, action, occurred_at, ..Event::default() }
}
