//! Durations, timestamps, counts and money as short English text.

use portrait_profile::{TimeDelta, Timestamp};
use portrait_proto::{action, time, v1};

/// Formats an age: "3 days ago"; "just now" below one second or in the future.
pub fn ago(duration: TimeDelta) -> String {
    if duration < TimeDelta::from_secs(1) {
        "just now".to_owned()
    } else {
        format!("{} ago", duration_words(duration))
    }
}

/// Formats a duration in its largest unit: "3 days".
pub fn duration_words(duration: TimeDelta) -> String {
    let seconds = duration.millis().max(0) / 1000;
    let (count, unit) = match seconds {
        0..60 => (seconds, "second"),
        60..3_600 => (seconds / 60, "minute"),
        3_600..86_400 => (seconds / 3_600, "hour"),
        86_400..5_184_000 => (seconds / 86_400, "day"),
        // Days up to 60 and months up to 24: "59 days" says more than "1 month".
        5_184_000..63_072_000 => (seconds / 2_592_000, "month"),
        _ => (seconds / 31_536_000, "year"),
    };
    if count == 1 { format!("1 {unit}") } else { format!("{count} {unit}s") }
}

/// Formats seconds as the length of a visit: "45 s", "4 min", "1 h 5 min".
pub fn length(seconds: f64) -> String {
    // Servers may send any value; text must never panic on NaN or infinity.
    let seconds = if seconds.is_finite() { seconds.max(0.0).round() as u64 } else { 0 };
    match (seconds / 3600, seconds / 60 % 60) {
        (0, 0) => format!("{seconds} s"),
        (0, minutes) => format!("{minutes} min"),
        (hours, 0) => format!("{hours} h"),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    }
}

/// Formats a timestamp to the minute: "2025-09-01 08:30 UTC".
pub fn format_timestamp(at: Timestamp) -> String {
    let timestamp = jiff::Timestamp::from_millisecond(at.millis()).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    timestamp.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// Formats a day: "Mon 2025-09-01".
pub fn date(at: Timestamp) -> String {
    let timestamp = jiff::Timestamp::from_millisecond(at.millis()).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    timestamp.strftime("%a %Y-%m-%d").to_string()
}

/// Converts a timestamp of the wire; `None` if it is absent or out of range.
pub fn format_wire_timestamp(at: Option<&prost_types::Timestamp>) -> Option<Timestamp> {
    at.and_then(|at| time::from_wire(at).ok())
}

/// Formats a number with thousands separators: "1,234".
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut words = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            words.push(',');
        }
        words.push(digit);
    }
    words
}

/// Formats a count with its noun: "1 visit", "1,234 visits".
pub fn counted(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(number), if number == 1 { "" } else { "s" })
}

/// Formats an amount with two decimals: "-1,234.50"; 0 if it is not finite.
pub fn money(amount: f64) -> String {
    let cents = if amount.is_finite() { (amount.abs() * 100.0).round() as u64 } else { 0 };
    let sign = if amount < 0.0 && cents > 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", count(cents / 100), cents % 100)
}

/// Formats a share as a percentage: "45%"; 0 if it is not finite.
pub fn percent(share: f64) -> String {
    let share = if share.is_finite() { share } else { 0.0 };
    format!("{:.0}%", share * 100.0)
}

/// Returns the action of a wire number in words: "add to cart", or the custom name.
pub fn action_words(number: i32, custom_action: &str) -> String {
    match action::kind_from_wire(number) {
        Some(_) if !custom_action.is_empty() => custom_action.to_owned(),
        Some(kind) => kind.name().replace('_', " "),
        None => format!("action {number}"),
    }
}

/// Returns what a user did with an item in words: what became of it, or the newest action.
pub fn touch_words(touch: &v1::ItemTouch) -> String {
    match touch.state() {
        v1::ItemState::Kept => "bought".to_owned(),
        v1::ItemState::Returned => "returned".to_owned(),
        v1::ItemState::Removed => "removed from cart".to_owned(),
        v1::ItemState::InCart => "in cart".to_owned(),
        v1::ItemState::Seen | v1::ItemState::Unspecified => action_words(touch.action, ""),
    }
}

/// Returns the relation of a wire number in words: "friend".
pub fn relation_words(number: i32) -> String {
    match v1::RelationKind::try_from(number) {
        Ok(v1::RelationKind::Friend) => "friend".to_owned(),
        Ok(v1::RelationKind::Family) => "family".to_owned(),
        Ok(v1::RelationKind::Colleague) => "colleague".to_owned(),
        Ok(v1::RelationKind::Follows) => "follows".to_owned(),
        Ok(v1::RelationKind::Stranger) => "met in the shop".to_owned(),
        Ok(v1::RelationKind::Unspecified) | Err(_) => format!("relation {number}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_formatted_in_its_largest_unit() {
        let rows = [
            (TimeDelta::from_secs(-5), "just now"),
            (TimeDelta::from_millis(999), "just now"),
            (TimeDelta::from_secs(1), "1 second ago"),
            (TimeDelta::from_secs(59), "59 seconds ago"),
            (TimeDelta::from_secs(60), "1 minute ago"),
            (TimeDelta::from_minutes(119), "1 hour ago"),
            (TimeDelta::from_hours(23), "23 hours ago"),
            (TimeDelta::from_days(1), "1 day ago"),
            (TimeDelta::from_days(59), "59 days ago"),
            (TimeDelta::from_days(60), "2 months ago"),
            (TimeDelta::from_days(729), "24 months ago"),
            (TimeDelta::from_days(730), "2 years ago"),
            (TimeDelta::from_millis(i64::MAX), "292471208 years ago"),
        ];
        for (duration, words) in rows {
            assert_eq!(ago(duration), words);
        }
    }

    #[test]
    fn numbers_are_formatted_with_separators_and_units() {
        for (number, words) in [(0, "0"), (999, "999"), (1_000, "1,000"), (12_345_678, "12,345,678")] {
            assert_eq!(count(number), words);
        }
        let amounts =
            [(0.0, "0.00"), (1234.5, "1,234.50"), (-0.001, "0.00"), (-19.99, "-19.99"), (f64::NAN, "0.00")];
        for (amount, words) in amounts {
            assert_eq!(money(amount), words);
        }
        let lengths = [
            (0.4, "0 s"),
            (59.0, "59 s"),
            (252.0, "4 min"),
            (3600.0, "1 h"),
            (3900.0, "1 h 5 min"),
            (f64::NAN, "0 s"),
        ];
        for (seconds, words) in lengths {
            assert_eq!(length(seconds), words);
        }
        assert_eq!((counted(1, "visit").as_str(), counted(0, "visit").as_str()), ("1 visit", "0 visits"));
        assert_eq!(format_timestamp(Timestamp::from_millis(1_756_715_400_000)), "2025-09-01 08:30 UTC");
        assert_eq!(date(Timestamp::from_millis(1_756_715_400_000)), "Mon 2025-09-01");
        assert_eq!(format_timestamp(Timestamp::from_millis(i64::MAX)), "1970-01-01 00:00 UTC");
    }
}
