//! Meaning of values in the binary log, which holds them as the storage engine does.

use super::super::mysql::{self, printed};
use super::super::value::{LocalZone, ValueKind, spell};
use jiff::Timestamp;
use mysql_async::Value;

/// Meaning of a value in the log.
pub(super) enum Coding {
    Plain(ValueKind),
    /// Text in the character set `latin1` of MySQL, which is Windows-1252.
    Latin1(ValueKind),
    /// Number of a label, from 1.
    Enum(Vec<String>),
    /// Bits of labels, from the lowest.
    Set(Vec<String>),
}

impl Coding {
    /// Reads the coding of a type; `None` if its values have no text in the log.
    pub(super) fn of(
        data_type: &str,
        column_type: &str,
        charset: Option<&str>,
        tinyint1_is_boolean: bool,
    ) -> Option<Self> {
        let is_utf8 = charset.is_none_or(|name| ["utf8mb4", "utf8mb3", "utf8", "ascii"].contains(&name));
        match data_type {
            "enum" => Some(Self::Enum(labels(column_type))),
            "set" => Some(Self::Set(labels(column_type))),
            // The log holds JSON of MySQL, addresses and UUIDs as bytes.
            "json" | "uuid" | "inet4" | "inet6" => None,
            "tinyint" if tinyint1_is_boolean && column_type.starts_with("tinyint(1)") => {
                Some(Self::Plain(ValueKind::Boolean))
            }
            _ if charset == Some("latin1") => mysql::kind_of(data_type, column_type).map(Self::Latin1),
            _ => mysql::kind_of(data_type, column_type).filter(|_| is_utf8).map(Self::Plain),
        }
    }

    /// Spells a value; `None` is NULL, and an error a value that is not of the coding.
    pub(super) fn text(&self, value: Value, zone: &LocalZone) -> Result<Option<Box<str>>, ()> {
        let number = |value: &Value| match value {
            Value::Int(number) => u64::try_from(*number).ok(),
            // Sets come with their lowest byte first.
            Value::Bytes(bytes) => {
                Some(bytes.iter().rev().fold(0, |bits, byte| bits << 8 | u64::from(*byte)))
            }
            _ => None,
        };
        if value == Value::NULL {
            return Ok(None);
        }
        match self {
            Self::Plain(kind) => {
                let value = if *kind == ValueKind::Instant { instant(value).ok_or(())? } else { value };
                let text = printed(*kind, value).map_err(|_| ())?;
                Ok(text.map(|text| spell(*kind, &text, zone)))
            }
            Self::Latin1(kind) => {
                let Value::Bytes(bytes) = value else { return Err(()) };
                Ok(Some(spell(*kind, &latin1(&bytes), zone)))
            }
            Self::Enum(labels) => {
                let label = number(&value).ok_or(())?.checked_sub(1).map(usize::try_from);
                // Number 0 is the empty label of an invalid value.
                let Some(Ok(index)) = label else { return Ok(Some("".into())) };
                labels.get(index).map(|label| Some(label.as_str().into())).ok_or(())
            }
            Self::Set(labels) => {
                let bits = number(&value).ok_or(())?;
                let is_set = |(place, _): &(usize, &String)| bits >> place & 1 == 1;
                let found: Vec<&str> =
                    labels.iter().enumerate().filter(is_set).map(|(_, label)| label.as_str()).collect();
                Ok(Some(found.join(",").into()))
            }
        }
    }
}

/// Reads seconds since 1970, with a fraction of six digits, as a date in UTC.
fn instant(value: Value) -> Option<Value> {
    let text = match value {
        Value::Int(seconds) => seconds.to_string(),
        Value::Bytes(bytes) => String::from_utf8(bytes).ok()?,
        other => return Some(other),
    };
    let (seconds, micros) = text.split_once('.').unwrap_or((&text, "0"));
    let seconds: i64 = seconds.parse().ok()?;
    let micros: u32 = micros.parse().ok()?;
    if seconds == 0 && micros == 0 {
        // The zero of the type, which is no point in time.
        return Some(Value::Date(0, 0, 0, 0, 0, 0, 0));
    }
    let at = Timestamp::from_second(seconds).ok()?.to_zoned(jiff::tz::TimeZone::UTC);
    let year = u16::try_from(at.year()).ok()?;
    let parts = [at.month(), at.day(), at.hour(), at.minute(), at.second()].map(i8::unsigned_abs);
    let [month, day, hour, minute, second] = parts;
    Some(Value::Date(year, month, day, hour, minute, second, micros))
}

/// Reads Windows-1252; bytes that it leaves free are control characters, as MySQL has them.
fn latin1(bytes: &[u8]) -> String {
    const FROM_0X80: [char; 32] = [
        '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}',
        '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
    ];
    bytes
        .iter()
        .map(|byte| match byte {
            0x80..=0x9f => FROM_0X80[usize::from(byte - 0x80)],
            _ => char::from(*byte),
        })
        .collect()
}

/// Reads the labels of `enum('a','it''s')`.
fn labels(column_type: &str) -> Vec<String> {
    let mut labels = Vec::new();
    let mut rest = column_type;
    while let Some(start) = rest.find('\'') {
        let mut label = String::new();
        rest = &rest[start + 1..];
        while let Some(end) = rest.find('\'') {
            label.push_str(&rest[..end]);
            rest = &rest[end + 1..];
            if !rest.starts_with('\'') {
                break;
            }
            label.push('\'');
            rest = &rest[1..];
        }
        labels.push(label);
    }
    labels
}

#[cfg(test)]
mod tests {
    use super::labels;

    #[test]
    fn labels_are_read_with_their_quotes() {
        assert_eq!(labels("enum('paid','it''s, ''off''','')"), ["paid", "it's, 'off'", ""]);
        assert_eq!(labels("set('a')"), ["a"]);
    }
}
