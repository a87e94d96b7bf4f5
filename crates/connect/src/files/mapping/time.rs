//! Times of a mapping: columns, spelling, and zone.

use super::super::moment::fixed_offset;
use super::column::ColumnNames;
use super::error::MappingError;
use super::keys::{KeyValue, Keys};
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;

/// Spelling of a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::files) enum TimeFormat {
    /// Date and time as in ISO 8601 and RFC 3339, with `T` or a space between.
    Iso,
    /// Number since 1970 in a unit of so many nanoseconds.
    Unix { unit_nanos: i128 },
    /// Pattern of `strptime`.
    Pattern(String),
}

/// Spelling and zone of the times of a file.
#[derive(Clone, Debug)]
pub(in crate::files) struct TimeReading {
    /// Tried in this order.
    pub(in crate::files) formats: Vec<TimeFormat>,
    /// Zone of times without an offset.
    pub(in crate::files) zone: TimeZone,
    /// Year of times without one.
    pub(in crate::files) year: Option<i16>,
    /// Time of day of dates without one. Default: midnight.
    pub(in crate::files) time_of_day: Time,
}

/// Year, month or day of a date: a column, or the same number in all rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::files) enum DatePart<C> {
    Column(C),
    Constant(i64),
}

/// Columns of type `C` that make a time.
#[derive(Clone, Debug)]
pub(in crate::files) enum TimeBase<C> {
    /// One column.
    Column(C),
    /// A column each for year, month and day.
    Date { year: DatePart<C>, month: DatePart<C>, day: DatePart<C> },
    /// Number of a day, of which `first` is day `first_number`, and a time of day in another column.
    DayNumber { day: C, first: Date, first_number: i64, time: Option<(C, String)> },
    /// Days since the row of the same `user` before, of which the first is at `start`, and the hour of the day.
    DaysSince { days: C, user: C, start: Date, hour: Option<C> },
}

/// Origin of the time of a row.
#[derive(Clone, Debug)]
pub(in crate::files) struct TimeSource<C> {
    pub(in crate::files) base: TimeBase<C>,
    /// Column with a number that is added, and its unit in nanoseconds.
    pub(in crate::files) plus: Option<(C, i128)>,
    pub(in crate::files) reading: TimeReading,
}

impl TimeReading {
    /// Takes `time_format` and `time_zone` of `[source]`.
    pub(super) fn take(keys: &mut Keys<'_>) -> Result<Self, MappingError> {
        let formats = keys.take("time_format").map(|value| formats(&value)).transpose()?;
        let zone = keys.take("time_zone").map(|value| zone(&value)).transpose()?;
        Ok(Self {
            formats: formats.unwrap_or_else(|| vec![TimeFormat::Iso]),
            zone: zone.unwrap_or(TimeZone::UTC),
            year: None,
            time_of_day: Time::midnight(),
        })
    }
}

impl TimeSource<ColumnNames> {
    /// Reads `fields.time`; `reading` is that of `[source]`.
    pub(super) fn of(value: KeyValue<'_>, mut reading: TimeReading) -> Result<Self, MappingError> {
        if !value.is_table() {
            return Ok(Self { base: TimeBase::Column(ColumnNames::of(&value)?), plus: None, reading });
        }
        let mut keys = value.table()?;
        if let Some(value) = keys.take("format") {
            reading.formats = formats(&value)?;
        }
        if let Some(value) = keys.take("time_of_day") {
            reading.time_of_day =
                value.text()?.parse().map_err(|_| value.error("is no time of day", "write \"12:00\""))?;
        }
        let plus = plus(&mut keys)?;
        let base = base(&mut keys, &mut reading)?;
        keys.finish()?;
        Ok(Self { base, plus, reading })
    }
}

impl<C> TimeSource<C> {
    /// Returns all columns.
    pub(in crate::files) fn columns(&self) -> Vec<&C> {
        let mut columns = self.base.columns();
        columns.extend(self.plus.as_ref().map(|(column, _)| column));
        columns
    }

    /// Converts all columns.
    pub(in crate::files) fn try_map<D, E>(
        &self,
        mut convert: impl FnMut(&C) -> Result<D, E>,
    ) -> Result<TimeSource<D>, E> {
        let plus = self.plus.as_ref().map(|(column, unit)| Ok((convert(column)?, *unit))).transpose()?;
        Ok(TimeSource { base: self.base.try_map(convert)?, plus, reading: self.reading.clone() })
    }
}

impl<C> TimeBase<C> {
    fn columns(&self) -> Vec<&C> {
        match self {
            Self::Column(column) => vec![column],
            Self::Date { year, month, day } => {
                let parts = [year, month, day].into_iter();
                parts
                    .filter_map(|part| if let DatePart::Column(column) = part { Some(column) } else { None })
                    .collect()
            }
            Self::DayNumber { day, time, .. } => {
                [day].into_iter().chain(time.as_ref().map(|(column, _)| column)).collect()
            }
            Self::DaysSince { days, user, hour, .. } => [days, user].into_iter().chain(hour).collect(),
        }
    }

    fn try_map<D, E>(&self, mut convert: impl FnMut(&C) -> Result<D, E>) -> Result<TimeBase<D>, E> {
        Ok(match self {
            Self::Column(column) => TimeBase::Column(convert(column)?),
            Self::Date { year, month, day } => TimeBase::Date {
                year: year.try_map(&mut convert)?,
                month: month.try_map(&mut convert)?,
                day: day.try_map(&mut convert)?,
            },
            Self::DayNumber { day, first, first_number, time } => TimeBase::DayNumber {
                day: convert(day)?,
                first: *first,
                first_number: *first_number,
                time: time
                    .as_ref()
                    .map(|(column, format)| Ok((convert(column)?, format.clone())))
                    .transpose()?,
            },
            Self::DaysSince { days, user, start, hour } => TimeBase::DaysSince {
                days: convert(days)?,
                user: convert(user)?,
                start: *start,
                hour: hour.as_ref().map(convert).transpose()?,
            },
        })
    }
}

impl<C> DatePart<C> {
    fn try_map<D, E>(&self, convert: impl FnOnce(&C) -> Result<D, E>) -> Result<DatePart<D>, E> {
        Ok(match self {
            Self::Column(column) => DatePart::Column(convert(column)?),
            Self::Constant(number) => DatePart::Constant(*number),
        })
    }
}

fn base(keys: &mut Keys<'_>, reading: &mut TimeReading) -> Result<TimeBase<ColumnNames>, MappingError> {
    if let Some(day) = ColumnNames::take(keys, "day_number")? {
        let first_number = keys.take("first_number").map_or(Ok(1), |value| value.whole())?;
        let time = ColumnNames::take(keys, "time")?;
        let format = keys.take("time_format").map(|value| pattern(&value)).transpose()?;
        let format = format.unwrap_or_else(|| "%H:%M".to_owned());
        let time = time.map(|column| (column, format));
        return Ok(TimeBase::DayNumber { day, first: date(keys)?, first_number, time });
    }
    if let Some(days) = ColumnNames::take(keys, "days_since")? {
        let user = ColumnNames::take(keys, "of")?;
        let user = user.ok_or_else(|| keys.missing("of", "name the column of the user"))?;
        let hour = ColumnNames::take(keys, "hour")?;
        return Ok(TimeBase::DaysSince { days, user, start: date(keys)?, hour });
    }
    if let Some(column) = ColumnNames::take(keys, "column")? {
        reading.year = keys.take("year").map(|value| year(&value)).transpose()?;
        return Ok(TimeBase::Column(column));
    }
    Ok(TimeBase::Date { year: part(keys, "year")?, month: part(keys, "month")?, day: part(keys, "day")? })
}

fn part(keys: &mut Keys<'_>, key: &'static str) -> Result<DatePart<ColumnNames>, MappingError> {
    let Some(value) = keys.take(key) else {
        return Err(keys.missing(key, "name a column: column = \"...\", or year, month and day"));
    };
    value.whole().map(DatePart::Constant).or_else(|_| ColumnNames::of(&value).map(DatePart::Column))
}

fn plus(keys: &mut Keys<'_>) -> Result<Option<(ColumnNames, i128)>, MappingError> {
    let seconds = ColumnNames::take(keys, "plus_s")?.map(|column| (column, 1_000_000_000));
    let millis = ColumnNames::take(keys, "plus_ms")?.map(|column| (column, 1_000_000));
    match (seconds, millis) {
        (Some(_), Some(_)) => Err(keys.missing("plus_s", "leave out plus_s or plus_ms")),
        (seconds, millis) => Ok(seconds.or(millis)),
    }
}

fn date(keys: &mut Keys<'_>) -> Result<Date, MappingError> {
    let Some(value) = keys.take("start") else {
        return Err(keys.missing("start", "write the date of the first day, as \"2017-01-01\""));
    };
    value.text()?.parse().map_err(|_| value.error("is no date", "write \"2017-01-01\""))
}

fn year(value: &KeyValue<'_>) -> Result<i16, MappingError> {
    let year = i16::try_from(value.whole()?).ok().filter(|year| (1970..=9998).contains(year));
    year.ok_or_else(|| value.error("is no year", "write a number such as 2014"))
}

fn formats(value: &KeyValue<'_>) -> Result<Vec<TimeFormat>, MappingError> {
    let formats = value.texts()?;
    let formats = formats.iter().map(|format| match format.as_str() {
        "iso" => Ok(TimeFormat::Iso),
        "unix_s" => Ok(TimeFormat::Unix { unit_nanos: 1_000_000_000 }),
        "unix_ms" => Ok(TimeFormat::Unix { unit_nanos: 1_000_000 }),
        "unix_us" => Ok(TimeFormat::Unix { unit_nanos: 1000 }),
        "unix_ns" => Ok(TimeFormat::Unix { unit_nanos: 1 }),
        text if text.contains('%') => Ok(TimeFormat::Pattern(text.to_owned())),
        text => Err(value.error(
            format!("{text:?} is no spelling of a time"),
            "write iso, unix_s, unix_ms, unix_us, unix_ns, or a pattern such as \"%m/%d/%Y %H:%M\"",
        )),
    });
    formats.collect()
}

fn pattern(value: &KeyValue<'_>) -> Result<String, MappingError> {
    let text = value.text()?;
    if text.contains('%') {
        Ok(text.to_owned())
    } else {
        Err(value.error("is no pattern", "write one such as \"%H:%M\" or \"%H%M\""))
    }
}

fn zone(value: &KeyValue<'_>) -> Result<TimeZone, MappingError> {
    let name = value.text()?;
    let fixed = fixed_offset(name).map(TimeZone::fixed);
    fixed.or_else(|| TimeZone::get(name).ok()).ok_or_else(|| {
        value.error(
            format!("{name:?} is no zone that this machine knows"),
            "write UTC, an offset such as +08:00, or a name such as Europe/Berlin",
        )
    })
}
