//! Rows of tables and lines of JSON, and the events and items they are. In come fields by their place, out goes a row, or
//! the field that cannot be understood. Nothing is guessed.

mod behaviour;
mod lines;
mod purchases;

pub(super) use lines::json;

use super::error::ReadError;
use super::format::ColumnLayout;
use super::row::LogRow;
use csv::StringRecord;
use portrait_proto::v1::{Action, Event};
use prost_types::Timestamp;
use std::str::FromStr;

/// The fields of one line of a table.
pub(super) struct RowFields<'a> {
    record: &'a StringRecord,
    columns: &'static [&'static str],
}

/// The row of a line.
pub(super) fn read(layout: ColumnLayout, fields: &RowFields<'_>) -> Result<LogRow, ReadError> {
    match layout {
        ColumnLayout::Rees46 => behaviour::rees46(fields).map(LogRow::Event),
        ColumnLayout::Retailrocket => behaviour::retailrocket(fields).map(LogRow::Event),
        ColumnLayout::Taobao => behaviour::taobao(fields).map(LogRow::Event),
        ColumnLayout::Tmall => behaviour::tmall(fields).map(LogRow::Event),
        ColumnLayout::Jdata => behaviour::jdata(fields).map(LogRow::Event),
        ColumnLayout::Otto => behaviour::otto(fields).map(LogRow::Event),
        ColumnLayout::Eshop => behaviour::eshop(fields).map(LogRow::Event),
        ColumnLayout::OnlineRetail => purchases::online_retail(fields),
        ColumnLayout::Transactions => purchases::transaction(fields).map(LogRow::Event),
        ColumnLayout::Products => Ok(LogRow::Item(purchases::product(fields))),
    }
}

impl<'a> RowFields<'a> {
    pub(super) fn new(record: &'a StringRecord, columns: &'static [&'static str]) -> Self {
        Self { record, columns }
    }

    /// The line in the file, from 1.
    fn line(&self) -> u64 {
        self.record.position().map_or(1, csv::Position::line)
    }

    fn text(&self, index: usize) -> &'a str {
        self.record.get(index).unwrap_or_default()
    }

    fn owned(&self, index: usize) -> String {
        self.text(index).to_owned()
    }

    fn invalid(&self, index: usize, expected: &str) -> ReadError {
        ReadError::Field {
            line: self.line(),
            column: index + 1,
            name: self.columns[index].to_owned(),
            problem: format!("{:?} is not {expected}", self.text(index)),
        }
    }

    fn number<T: FromStr>(&self, index: usize) -> Result<T, ReadError> {
        self.text(index).parse().map_err(|_| self.invalid(index, "a number of the right kind"))
    }

    /// The action of one of some names.
    fn action(&self, index: usize, names: &[(&str, Action)]) -> Result<i32, ReadError> {
        let named = names.iter().find(|(name, _)| *name == self.text(index));
        named.map(|(_, action)| (*action).into()).ok_or_else(|| {
            let known: Vec<&str> = names.iter().map(|(name, _)| *name).collect();
            self.invalid(index, &format!("one of {}", known.join(", ")))
        })
    }

    fn seconds(&self, index: usize) -> Result<Option<Timestamp>, ReadError> {
        Ok(Some(Timestamp { seconds: self.number(index)?, nanos: 0 }))
    }

    fn millis(&self, index: usize) -> Result<Option<Timestamp>, ReadError> {
        let millis: i64 = self.number(index)?;
        let nanos = i32::try_from(millis.rem_euclid(1000)).unwrap_or(0) * 1_000_000;
        Ok(Some(Timestamp { seconds: millis.div_euclid(1000), nanos }))
    }

    /// `2019-10-01 00:00:00`, in UTC whether the field says so or not.
    fn date_time(&self, index: usize) -> Result<Option<Timestamp>, ReadError> {
        let text = self.text(index).trim_end_matches(" UTC");
        let at: jiff::civil::DateTime = text.parse().map_err(|_| self.invalid(index, "a date and a time"))?;
        self.timestamp(index, at)
    }

    fn timestamp(&self, index: usize, at: jiff::civil::DateTime) -> Result<Option<Timestamp>, ReadError> {
        let zoned = at.to_zoned(jiff::tz::TimeZone::UTC).map_err(|_| self.invalid(index, "a date and a time"))?;
        Ok(Some(Timestamp { seconds: zoned.timestamp().as_second(), nanos: 0 }))
    }
}

/// An event that says who did what and when.
fn event(user_id: String, action: i32, occurred_at: Option<Timestamp>) -> Event {
    Event { user_id, action, occurred_at, ..Event::default() }
}
