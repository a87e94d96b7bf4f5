//! Values of the binary protocol as text, and back.

use super::super::value::ValueKind;
use mysql_async::Value;
use std::string::FromUtf8Error;

/// Prints a value as PostgreSQL would; `None` is NULL.
pub(in super::super) fn printed(kind: ValueKind, value: Value) -> Result<Option<String>, FromUtf8Error> {
    Ok(Some(match value {
        Value::NULL => return Ok(None),
        Value::Bytes(bytes) => match kind {
            ValueKind::Bits => bits(&bytes).to_string(),
            ValueKind::Boolean => (bits(&bytes) != 0).to_string(),
            _ => String::from_utf8(bytes)?,
        },
        Value::Int(number) if kind == ValueKind::Boolean && (0..=1).contains(&number) => {
            (number == 1).to_string()
        }
        Value::Int(number) => number.to_string(),
        Value::UInt(number) => number.to_string(),
        // Rust prints the shortest decimal that reads as the same number, without an exponent.
        Value::Float(number) => number.to_string(),
        Value::Double(number) => number.to_string(),
        Value::Date(year, month, day, ..) if kind == ValueKind::Date => {
            format!("{year:04}-{month:02}-{day:02}")
        }
        Value::Date(year, month, day, hour, minute, second, micros) => {
            let suffix = if kind == ValueKind::Instant { "+00" } else { "" };
            format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{micros:06}{suffix}")
        }
        Value::Time(is_negative, days, hours, minutes, seconds, micros) => {
            let sign = if is_negative { "-" } else { "" };
            let hours = u64::from(days) * 24 + u64::from(hours);
            let fraction = if micros == 0 { String::new() } else { format!(".{micros:06}") };
            format!("{sign}{hours:02}:{minutes:02}:{seconds:02}{}", fraction.trim_end_matches('0'))
        }
    }))
}

/// Reads a printed value as a parameter of its own type, so that the server compares without a conversion and by its index.
pub(super) fn parameter(kind: ValueKind, text: &str) -> Value {
    let typed = match kind {
        ValueKind::Integer => text.parse().map(Value::Int).or_else(|_| text.parse().map(Value::UInt)).ok(),
        ValueKind::Date | ValueKind::Instant | ValueKind::LocalTime => date(text),
        ValueKind::Text
        | ValueKind::Padded
        | ValueKind::Decimal
        | ValueKind::Float
        | ValueKind::Boolean
        | ValueKind::Bits => None,
    };
    typed.unwrap_or_else(|| Value::Bytes(text.as_bytes().to_vec()))
}

/// Reads `2024-05-06` or `2024-05-06 07:08:09.123456`.
fn date(text: &str) -> Option<Value> {
    let text = text.strip_suffix("+00").unwrap_or(text);
    let mut parts = [0_u32; 7];
    for (index, part) in text.split(|letter: char| !letter.is_ascii_digit()).enumerate() {
        *parts.get_mut(index)? = part.parse().ok()?;
    }
    let [year, month, day, hour, minute, second, micros] = parts;
    let small = |part: u32| u8::try_from(part).ok();
    Some(Value::Date(
        u16::try_from(year).ok()?,
        small(month)?,
        small(day)?,
        small(hour)?,
        small(minute)?,
        small(second)?,
        micros,
    ))
}

/// Reads a number of at most 64 bits.
fn bits(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_print_and_read_back() {
        let rows = [
            (ValueKind::Integer, Value::Int(-7), "-7"),
            (ValueKind::Integer, Value::UInt(u64::MAX), "18446744073709551615"),
            (ValueKind::Date, Value::Date(2024, 5, 6, 0, 0, 0, 0), "2024-05-06"),
            (ValueKind::LocalTime, Value::Date(2024, 5, 6, 7, 8, 9, 120), "2024-05-06 07:08:09.000120"),
            (ValueKind::Instant, Value::Date(2024, 5, 6, 7, 8, 9, 120_000), "2024-05-06 07:08:09.120000+00"),
            (ValueKind::LocalTime, Value::Date(0, 0, 0, 0, 0, 0, 0), "0000-00-00 00:00:00.000000"),
            (ValueKind::Text, Value::Bytes(b"a".to_vec()), "a"),
        ];
        for (kind, value, text) in rows {
            assert_eq!(printed(kind, value.clone()).unwrap().as_deref(), Some(text));
            assert_eq!(parameter(kind, text), value);
        }
    }

    #[test]
    fn numbers_times_and_booleans_print_in_one_spelling() {
        let rows = [
            (ValueKind::Boolean, Value::Int(1), "true"),
            (ValueKind::Boolean, Value::Int(0), "false"),
            (ValueKind::Boolean, Value::Int(5), "5"),
            (ValueKind::Boolean, Value::Bytes(vec![1]), "true"),
            (ValueKind::Bits, Value::Bytes(vec![1, 2]), "258"),
            (ValueKind::Float, Value::Float(1.1), "1.1"),
            (ValueKind::Float, Value::Double(1e20), "100000000000000000000"),
            (ValueKind::Text, Value::Time(true, 1, 2, 3, 4, 500_000), "-26:03:04.5"),
            (ValueKind::Text, Value::Time(false, 0, 2, 3, 4, 0), "02:03:04"),
        ];
        for (kind, value, text) in rows {
            assert_eq!(printed(kind, value).unwrap().as_deref(), Some(text));
        }
        assert_eq!(printed(ValueKind::Text, Value::NULL).unwrap(), None);
    }
}
