//! Local time of the shop: offset from UTC at a given time, daylight saving included.

use jiff::tz::TimeZone;
use portrait_profile::Timestamp;
use portrait_runtime::config::InvalidValue;

/// Time zone of the shop.
#[derive(Clone, Debug)]
pub(crate) struct ShopTime {
    zone: TimeZone,
    /// Offset of a zone without daylight saving, such as UTC: it spares the lookup for every event.
    fixed_minutes: Option<i16>,
}

impl ShopTime {
    /// Creates the zone of an IANA name.
    pub(crate) fn of_zone(name: &str) -> Result<Self, InvalidValue> {
        let zone = TimeZone::get(name).map_err(|_| {
            let problem = format!("{name:?} is no time zone");
            InvalidValue::new("ingest.time_zone", problem, "use an IANA name such as Europe/Berlin or UTC")
        })?;
        // A zone without transitions has the same offset at all times.
        let fixed_minutes = zone.to_fixed_offset().ok().map(|offset| minutes(offset.seconds()));
        Ok(Self { zone, fixed_minutes })
    }

    /// Returns the offset of the shop's clocks from UTC at `at`, in minutes.
    pub(crate) fn utc_offset_minutes(&self, at: Timestamp) -> i16 {
        if let Some(minutes) = self.fixed_minutes {
            return minutes;
        }
        let timestamp = jiff::Timestamp::from_millisecond(at.millis()).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        minutes(self.zone.to_offset(timestamp).seconds())
    }
}

fn minutes(seconds: i32) -> i16 {
    i16::try_from(seconds / 60).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn daylight_saving_is_followed() {
        let rows = [
            ("UTC", "2024-07-01T00:00:00Z", 0),
            ("Europe/Berlin", "2024-03-31T00:59:59Z", 60),
            ("Europe/Berlin", "2024-03-31T01:00:00Z", 120),
            ("Asia/Kolkata", "2024-07-01T00:00:00Z", 330),
            ("America/New_York", "2024-01-01T00:00:00Z", -300),
        ];
        for (zone, at, minutes) in rows {
            let at: jiff::Timestamp = at.parse().expect("a time");
            let shop = ShopTime::of_zone(zone).expect("a zone");
            assert_eq!(
                shop.utc_offset_minutes(Timestamp::from_millis(at.as_millisecond())),
                minutes,
                "{zone} {at}"
            );
        }
        assert!(ShopTime::of_zone("Mars/Olympus").is_err());
    }
}
