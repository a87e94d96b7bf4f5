//! How long a caller wants to wait. In comes the header `grpc-timeout`, out goes an interval; a header that cannot be read
//! counts as none.

use axum::http::HeaderMap;
use std::time::Duration;

/// How much sooner than the caller's own deadline we answer, so that it hears why rather than nothing.
const SOONER: Duration = Duration::from_millis(5);

/// How long the caller waits, if it says so: at most eight digits and a unit.
pub fn of_caller(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let count = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(count * 3600)),
        "M" => Some(Duration::from_secs(count * 60)),
        "S" => Some(Duration::from_secs(count)),
        "m" => Some(Duration::from_millis(count)),
        "u" => Some(Duration::from_micros(count)),
        "n" => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

/// When to give up on a call whose caller waits for `told`: a little sooner, and never much of a short time.
pub(crate) fn before(told: Duration) -> Duration {
    told - SOONER.min(told / 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_read_to_the_letter_of_the_protocol() {
        let rows = [
            ("1S", Some(Duration::from_secs(1))),
            ("250m", Some(Duration::from_millis(250))),
            ("99999999H", Some(Duration::from_secs(99_999_999 * 3600))),
            ("7M", Some(Duration::from_secs(420))),
            ("5u", Some(Duration::from_micros(5))),
            ("5n", Some(Duration::from_nanos(5))),
            ("0S", Some(Duration::ZERO)),
            ("999999999S", None),
            ("S", None),
            ("1", None),
            ("", None),
            ("-1S", None),
            ("+1S", None),
            ("1 S", None),
            ("1s", None),
        ];
        for (text, expected) in rows {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-timeout", text.parse().expect("a header of plain characters"));
            assert_eq!(of_caller(&headers), expected, "{text:?}");
        }
        assert_eq!(of_caller(&HeaderMap::new()), None);
    }

    #[test]
    fn a_call_is_given_up_a_little_before_its_caller_does() {
        let rows = [(10_000, 9995), (50, 45), (10, 9), (0, 0)];
        for (told, before_ms) in rows {
            assert_eq!(before(Duration::from_millis(told)), Duration::from_millis(before_ms));
        }
    }
}
