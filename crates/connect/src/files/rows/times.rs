//! Time of a row.

use super::super::cell::without_zero_fraction;
use super::super::mapping::{DatePart, TimeBase, TimeFormat, TimeReading, TimeSource};
use super::super::moment;
use super::super::row::{RowDefect, RowReason};
use super::fields::RowFields;
use jiff::civil::{Date, Time};
use prost_types::Timestamp;

const EXPECTED_DATE: &str = "a date and a time, such as 2019-10-01 00:00:00 or 2019-10-01T00:00:00+03:00";
/// Longest time that a row can add to its date, in days: more is no offset in a visit.
const DAYS_MAX: i64 = 400_000;

/// Reads the time of a row.
pub(super) fn time(fields: &RowFields<'_>, source: &TimeSource<Vec<usize>>) -> Result<Timestamp, RowDefect> {
    let reading = &source.reading;
    let at = match &source.base {
        TimeBase::Column(columns) => {
            let cell = fields.required(columns)?;
            parsed(&cell.text, reading, fields.has_types())
                .ok_or_else(|| fields.invalid(&cell, RowReason::BadTime, &expected(reading)))?
        }
        TimeBase::Date { year, month, day } => {
            let date = date(part(fields, year)?, part(fields, month)?, part(fields, day)?);
            let at =
                date.and_then(|date| moment::in_zone(date.to_datetime(reading.time_of_day), &reading.zone));
            let column = if let DatePart::Column(columns) = day { columns.first().copied() } else { None };
            at.ok_or_else(|| fields.defect(column, RowReason::BadTime, "is not a day of that month"))?
        }
        TimeBase::DayNumber { day, first, first_number, time } => {
            let cell = fields.required(day)?;
            let number = whole(&cell.text).map(|number| number - first_number);
            let time = match time {
                Some((columns, pattern)) => Some(time_of_day(fields, columns, pattern)?),
                None => None,
            };
            let at =
                number.and_then(|days| after(*first, days, time.unwrap_or(reading.time_of_day), reading));
            at.ok_or_else(|| fields.invalid(&cell, RowReason::BadTime, "the number of a day"))?
        }
        TimeBase::DaysSince { days, start, hour, .. } => {
            // The joined table has the sum of the days of the user by now.
            let cell = fields.required(days)?;
            let hour = match hour {
                Some(columns) => Some(time_of_day(fields, columns, "%H")?),
                None => None,
            };
            let time = hour.unwrap_or(reading.time_of_day);
            let at = whole(&cell.text).and_then(|days| after(*start, days, time, reading));
            at.ok_or_else(|| fields.invalid(&cell, RowReason::BadTime, "a number of days"))?
        }
    };
    match &source.plus {
        None => Ok(at),
        Some((columns, unit_nanos)) => {
            let cell = fields.required(columns)?;
            let later = moment::plus(&at, &cell.text, *unit_nanos);
            later.ok_or_else(|| fields.invalid(&cell, RowReason::BadTime, "a number of units of time"))
        }
    }
}

/// Parses a time in any of the spellings of a file.
fn parsed(text: &str, reading: &TimeReading, has_types: bool) -> Option<Timestamp> {
    let TimeReading { formats, zone, year, time_of_day } = reading;
    let found = formats.iter().find_map(|format| match format {
        TimeFormat::Iso => moment::iso(text, zone, *time_of_day),
        TimeFormat::Unix { unit_nanos } => moment::since_epoch_in(text, *unit_nanos),
        TimeFormat::Pattern(pattern) => moment::by_pattern(pattern, text, zone, *year, *time_of_day),
    });
    // A column of times has one spelling, whatever that of the mapping, which is for tables.
    found.or_else(|| if has_types { moment::iso(text, zone, *time_of_day) } else { None })
}

fn expected(reading: &TimeReading) -> String {
    let formats = reading.formats.iter().map(|format| match format {
        TimeFormat::Iso => EXPECTED_DATE.to_owned(),
        TimeFormat::Unix { unit_nanos: 1_000_000_000 } => "a number of seconds since 1970".to_owned(),
        TimeFormat::Unix { unit_nanos: 1_000_000 } => "a number of milliseconds since 1970".to_owned(),
        TimeFormat::Unix { unit_nanos: 1000 } => "a number of microseconds since 1970".to_owned(),
        TimeFormat::Unix { .. } => "a number of nanoseconds since 1970".to_owned(),
        TimeFormat::Pattern(pattern) => format!("a time as {pattern:?}"),
    });
    formats.collect::<Vec<_>>().join(", or ")
}

fn part(fields: &RowFields<'_>, part: &DatePart<Vec<usize>>) -> Result<i64, RowDefect> {
    match part {
        DatePart::Constant(number) => Ok(*number),
        DatePart::Column(columns) => {
            let cell = fields.required(columns)?;
            whole(&cell.text).ok_or_else(|| fields.invalid(&cell, RowReason::BadNumber, "a whole number"))
        }
    }
}

fn time_of_day(fields: &RowFields<'_>, columns: &[usize], pattern: &str) -> Result<Time, RowDefect> {
    let cell = fields.required(columns)?;
    let time = moment::time_of_day(pattern, &cell.text);
    time.ok_or_else(|| fields.invalid(&cell, RowReason::BadTime, &format!("a time as {pattern:?}")))
}

fn after(start: Date, days: i64, time: Time, reading: &TimeReading) -> Option<Timestamp> {
    let days = Some(days).filter(|days| (0..DAYS_MAX).contains(days))?;
    let date = start.checked_add(jiff::Span::new().try_days(days).ok()?).ok()?;
    moment::in_zone(date.to_datetime(time), &reading.zone)
}

fn date(year: i64, month: i64, day: i64) -> Option<Date> {
    Date::new(year.try_into().ok()?, month.try_into().ok()?, day.try_into().ok()?).ok()
}

fn whole(text: &str) -> Option<i64> {
    without_zero_fraction(text.trim()).parse().ok()
}
