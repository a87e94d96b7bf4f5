//! Conversion of times between wire and domain. The domain counts whole milliseconds; the finer part of a wire time is
//! truncated.
//!
//! ```
//! use portrait_profile::Timestamp;
//! use portrait_proto::time;
//!
//! let at = Timestamp::from_millis(1_700_000_000_123);
//! assert_eq!(time::from_wire(&time::to_wire(at))?, at);
//! # Ok::<(), time::InvalidTime>(())
//! ```

use portrait_profile::Timestamp;

/// Error for an invalid wire time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTime {
    /// Nanoseconds that are negative, or a whole second or more.
    #[error("nanos must be 0 to 999999999")]
    Nanos,
    /// Seconds outside the years 1 to 9999.
    #[error("seconds lie outside the years 1 to 9999")]
    Seconds,
}

/// Range of `google.protobuf.Timestamp`: 0001-01-01T00:00:00Z to 9999-12-31T23:59:59Z.
const SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

/// Converts a time to the wire.
pub fn to_wire(at: Timestamp) -> prost_types::Timestamp {
    let millis = at.millis();
    // Euclidean division: nanoseconds count forward also before 1970.
    prost_types::Timestamp {
        seconds: millis.div_euclid(1000),
        nanos: i32::try_from(millis.rem_euclid(1000)).unwrap_or(0) * 1_000_000,
    }
}

/// Converts a time from the wire.
///
/// # Errors
/// If the time is outside the range of `google.protobuf.Timestamp`.
pub fn from_wire(at: &prost_types::Timestamp) -> Result<Timestamp, InvalidTime> {
    if !(0..1_000_000_000).contains(&at.nanos) {
        return Err(InvalidTime::Nanos);
    }
    if !SECONDS.contains(&at.seconds) {
        return Err(InvalidTime::Seconds);
    }
    Ok(Timestamp::from_millis(at.seconds * 1000 + i64::from(at.nanos) / 1_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_survives_a_round_trip() {
        for millis in [0, 1, -1, 1_700_000_000_123, -62_135_596_800_000, 253_402_300_799_999] {
            let at = Timestamp::from_millis(millis);
            assert_eq!(from_wire(&to_wire(at)), Ok(at));
        }
    }

    #[test]
    fn invalid_times_are_refused() {
        let rows = [
            (0, -1, InvalidTime::Nanos),
            (0, 1_000_000_000, InvalidTime::Nanos),
            (i64::MAX, 0, InvalidTime::Seconds),
            (i64::MIN, 0, InvalidTime::Seconds),
        ];
        for (seconds, nanos, error) in rows {
            assert_eq!(from_wire(&prost_types::Timestamp { seconds, nanos }), Err(error));
        }
    }
}
