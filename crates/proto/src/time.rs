//! Moments on the wire and in the domain. The domain counts whole milliseconds; finer parts of a wire moment are cut off.

use portrait_profile::Timestamp;

/// A wire moment that is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTime {
    /// Nanoseconds are a whole second or more, or negative.
    #[error("nanos must be 0 to 999999999")]
    Nanos,
    /// The moment lies outside the years 1 to 9999.
    #[error("seconds lie outside the years 1 to 9999")]
    Seconds,
}

/// 0001-01-01T00:00:00Z and 9999-12-31T23:59:59Z, the range of `google.protobuf.Timestamp`.
const SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

/// The moment for the wire.
pub fn to_wire(at: Timestamp) -> prost_types::Timestamp {
    let millis = at.millis();
    prost_types::Timestamp {
        seconds: millis.div_euclid(1000),
        nanos: i32::try_from(millis.rem_euclid(1000)).unwrap_or(0) * 1_000_000,
    }
}

/// The moment of the wire.
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
    fn a_moment_comes_back_as_it_went() {
        for millis in [0, 1, -1, 1_700_000_000_123, -62_135_596_800_000, 253_402_300_799_999] {
            let at = Timestamp::from_millis(millis);
            assert_eq!(from_wire(&to_wire(at)), Ok(at));
        }
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        let rows = [
            (0, -1, InvalidTime::Nanos),
            (0, 1_000_000_000, InvalidTime::Nanos),
            (i64::MAX, 0, InvalidTime::Seconds),
            (i64::MIN, 0, InvalidTime::Seconds),
        ];
        for (seconds, nanos, fault) in rows {
            assert_eq!(from_wire(&prost_types::Timestamp { seconds, nanos }), Err(fault));
        }
    }
}
