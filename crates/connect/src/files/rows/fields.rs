//! Fields of one row of a table, by column index, with conversions whose defects name the column.

use super::super::cell::{excerpt, is_missing, without_zero_fraction};
use super::super::moment;
use super::super::record::CsvRecord;
use super::super::row::{RowDefect, RowReason};
use portrait_proto::v1::{Action, Event};
use prost_types::Timestamp;
use std::borrow::Cow;
use std::str::FromStr;

/// Fields of one row of a table.
pub(in crate::files) struct RowFields<'a> {
    record: &'a CsvRecord,
    columns: &'static [&'static str],
}

impl<'a> RowFields<'a> {
    pub(in crate::files) fn new(record: &'a CsvRecord, columns: &'static [&'static str]) -> Self {
        Self { record, columns }
    }

    /// Returns the defect of a field; `problem` is a predicate.
    pub(super) fn defect(&self, index: usize, reason: RowReason, problem: impl Into<String>) -> RowDefect {
        let name = Cow::Borrowed(self.columns[index]);
        RowDefect { column: Some(index + 1), name, reason, problem: problem.into() }
    }

    /// Returns the defect of a field that is not `expected`.
    pub(super) fn invalid(&self, index: usize, reason: RowReason, expected: &str) -> RowDefect {
        let text = String::from_utf8_lossy(self.record.get(index));
        self.defect(index, reason, format!("{:?} is not {expected}", excerpt(&text)))
    }

    /// Returns an optional text; empty if it is missing.
    pub(super) fn text(&self, index: usize) -> Result<String, RowDefect> {
        Ok(self.present(index)?.map(str::to_owned).unwrap_or_default())
    }

    /// Returns an optional id; empty if it is missing. A number with a fraction of zeros becomes what it was.
    pub(super) fn id(&self, index: usize) -> Result<String, RowDefect> {
        Ok(self.present(index)?.map(without_zero_fraction).map(str::to_owned).unwrap_or_default())
    }

    /// Returns a required id.
    pub(super) fn required_id(&self, index: usize) -> Result<String, RowDefect> {
        let id = self.id(index)?;
        if id.is_empty() { Err(self.defect(index, RowReason::EmptyId, "is missing")) } else { Ok(id) }
    }

    /// Parses a required number. A whole number may have a fraction of zeros.
    pub(super) fn number<T: FromStr>(&self, index: usize) -> Result<T, RowDefect> {
        let text = self.required(index)?;
        let number = text.parse().or_else(|_| without_zero_fraction(text).parse());
        number.map_err(|_| self.invalid(index, RowReason::BadNumber, "a number of the expected type"))
    }

    /// Parses an optional number; none if it is missing or NaN in any spelling.
    pub(super) fn optional_number(&self, index: usize) -> Result<Option<f64>, RowDefect> {
        let number = self.present(index)?.map(|_| self.number(index)).transpose()?;
        Ok(number.filter(|number: &f64| !number.is_nan()))
    }

    /// Parses a required number that may have a fraction.
    pub(super) fn required_number(&self, index: usize) -> Result<f64, RowDefect> {
        let number = self.optional_number(index)?;
        number.ok_or_else(|| self.defect(index, RowReason::MissingField, "is missing"))
    }

    /// Parses an action by its name in this format.
    pub(super) fn action(&self, index: usize, names: &[(&str, Action)]) -> Result<i32, RowDefect> {
        let text = without_zero_fraction(self.required(index)?);
        let action = names.iter().find(|(name, _)| *name == text);
        action.map(|(_, action)| (*action).into()).ok_or_else(|| {
            let known: Vec<&str> = names.iter().map(|(name, _)| *name).collect();
            self.invalid(index, RowReason::UnknownAction, &format!("one of {}", known.join(", ")))
        })
    }

    pub(super) fn seconds(&self, index: usize) -> Result<Option<Timestamp>, RowDefect> {
        Ok(Some(Timestamp { seconds: self.number(index)?, nanos: 0 }))
    }

    pub(super) fn millis(&self, index: usize) -> Result<Option<Timestamp>, RowDefect> {
        let millis: i64 = self.number(index)?;
        // Euclidean: timestamps before 1970 must not get negative nanoseconds.
        let nanos = i32::try_from(millis.rem_euclid(1000)).unwrap_or(0) * 1_000_000;
        Ok(Some(Timestamp { seconds: millis.div_euclid(1000), nanos }))
    }

    /// Parses `2019-10-01 00:00:00` with an optional offset; without one the time is in UTC.
    pub(super) fn date_time(&self, index: usize) -> Result<Option<Timestamp>, RowDefect> {
        let at = moment::date_time(self.required(index)?).ok_or_else(|| {
            let expected = "a date and a time, such as 2019-10-01 00:00:00 or 2019-10-01T00:00:00+03:00";
            self.invalid(index, RowReason::BadTime, expected)
        })?;
        Ok(Some(at))
    }

    /// Returns the trimmed text of a field that must not be missing.
    pub(super) fn required(&self, index: usize) -> Result<&'a str, RowDefect> {
        let text = self.present(index)?.map(str::trim);
        text.ok_or_else(|| self.defect(index, RowReason::MissingField, "is missing"))
    }

    /// Returns the text of a field as it is; none if it is missing.
    fn present(&self, index: usize) -> Result<Option<&'a str>, RowDefect> {
        // Only fields that are used are decoded: a title in another encoding costs no purchase.
        let text = std::str::from_utf8(self.record.get(index))
            .map_err(|_| self.invalid(index, RowReason::BadText, "UTF-8"))?;
        Ok(Some(text).filter(|text| !is_missing(text)))
    }
}

/// Creates an event with user, action and time.
pub(super) fn event(user_id: String, action: i32, occurred_at: Option<Timestamp>) -> Event {
    Event { user_id, action, occurred_at, ..Event::default() }
}
