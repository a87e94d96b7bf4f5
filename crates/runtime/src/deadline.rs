//! Deadlines of callers, from the header `grpc-timeout`. An invalid header counts as absent.

use axum::http::HeaderMap;
use std::time::Duration;

/// Time before the caller's deadline at which the server responds, so that the status still reaches the caller.
const RESPONSE_MARGIN: Duration = Duration::from_millis(5);

/// Returns the timeout of the caller: at most eight digits and a unit, as in the gRPC specification. `None` without a valid
/// header.
pub fn from_headers(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    // The specification allows 1 to 8 ASCII digits; `parse` alone would accept a sign.
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

/// Time after which the server gives up on a call with this timeout: [`RESPONSE_MARGIN`] sooner, or a tenth of the timeout if
/// that is less.
pub(crate) fn before(timeout: Duration) -> Duration {
    timeout - RESPONSE_MARGIN.min(timeout / 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_parsed_as_the_grpc_specification_requires() {
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
            assert_eq!(from_headers(&headers), expected, "{text:?}");
        }
        assert_eq!(from_headers(&HeaderMap::new()), None);
    }

    #[test]
    fn the_server_gives_up_shortly_before_the_caller_does() {
        let rows = [(10_000, 9995), (50, 45), (10, 9), (0, 0)];
        for (timeout_ms, before_ms) in rows {
            assert_eq!(before(Duration::from_millis(timeout_ms)), Duration::from_millis(before_ms));
        }
    }
}
