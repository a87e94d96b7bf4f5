//! Coarser forms of a value, which tell less about a person: bands, prefixes, networks, years and masks.

use std::net::{IpAddr, SocketAddr};

/// Bits of an address that stay: the network of IPv4, and the site of IPv6.
const IPV4_BITS: u32 = 24;
const IPV6_BITS: u32 = 48;
/// Years that a date can have.
const YEARS: std::ops::RangeInclusive<u32> = 1800..=2200;
/// Sign for what a mask hides, in the same number for every value: the length tells something too.
const MASK: &str = "****";

/// Returns the band of a whole number, `30-39` for 34 and a width of 10; `None` for another text or a band beyond `u32`.
pub(crate) fn band(value: &str, width: u32) -> Option<String> {
    let number: u32 = value.trim().parse().ok()?;
    let lower = number - number % width;
    Some(format!("{lower}-{}", lower.checked_add(width - 1)?))
}

/// Returns the network of an IP address, otherwise the first half of a text such as a postcode: the part before a space or dash,
/// or half of the characters, rounded down.
pub(crate) fn truncate(value: &str) -> String {
    let value = value.trim();
    // A header of a proxy lists several addresses; half of such a text would be the first one whole.
    let parts = value.split([',', ' ', ';']).filter(|part| !part.is_empty());
    if let Some(address) = parts.filter_map(address).next() {
        return network(address).to_string();
    }
    match value.split_once([' ', '-']) {
        Some((first, _)) => first.to_owned(),
        None => first_characters(value, value.chars().count() / 2),
    }
}

/// Returns the first `count` characters.
pub(crate) fn first_characters(value: &str, count: usize) -> String {
    value.chars().take(count).collect()
}

fn address(text: &str) -> Option<IpAddr> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip()))
}

fn network(address: IpAddr) -> IpAddr {
    // An IPv4 address in IPv6 notation is an IPv4 address.
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4((v4.to_bits() & (u32::MAX << (u32::BITS - IPV4_BITS))).into()),
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & (u128::MAX << (u128::BITS - IPV6_BITS))).into()),
    }
}

/// Returns the year of a date: `1990-05-17`, `17.05.1990`, `19900517`, `1990`; `None` for another text.
pub(crate) fn year(value: &str) -> Option<String> {
    let groups: Vec<&str> = value
        .split(|character: char| !character.is_ascii_digit())
        .filter(|group| !group.is_empty())
        .collect();
    let year = match groups[..] {
        [digits] if digits.len() == 8 && is_day(&digits[4..6], &digits[6..]) => four_digits(&digits[..4]),
        [digits] if digits.len() == 8 && is_day(&digits[2..4], &digits[..2]) => four_digits(&digits[4..]),
        // A clock after the date has groups too, so the year is looked for in the first three.
        _ => groups.iter().take(3).find_map(|group| four_digits(group)),
    };
    year.map(|year| year.to_string())
}

/// Returns the year that four digits are.
fn four_digits(text: &str) -> Option<u32> {
    text.parse().ok().filter(|year| text.len() == 4 && YEARS.contains(year))
}

fn is_day(month: &str, day: &str) -> bool {
    month.parse().is_ok_and(|month: u32| (1..=12).contains(&month))
        && day.parse().is_ok_and(|day: u32| (1..=31).contains(&day))
}

/// Returns the value with its middle hidden, as `138****1234`. An e-mail address keeps its domain, and a short text less than half.
pub(crate) fn mask(value: &str) -> String {
    let value = value.trim();
    if let Some((local, domain)) = value.rsplit_once('@') {
        return format!("{}{MASK}@{domain}", first_characters(local, 1));
    }
    let count = value.chars().count();
    let (first, last) = match count {
        0..4 => (0, 0),
        4..8 => (1, 1),
        8..11 => (2, 2),
        _ => (3, 4),
    };
    let tail: String = value.chars().skip(count - last).collect();
    format!("{}{MASK}{tail}", first_characters(value, first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_becomes_its_network_and_a_postcode_its_first_half() {
        let rows = [
            ("203.0.113.77", "203.0.113.0"),
            ("203.0.113.77:443", "203.0.113.0"),
            ("2001:db8:aaaa:bbbb::1", "2001:db8:aaaa::"),
            ("[2001:db8:aaaa:bbbb::1]:443", "2001:db8:aaaa::"),
            ("::ffff:203.0.113.77", "203.0.113.0"),
            ("203.0.113.77, 198.51.100.7", "203.0.113.0"),
            ("SW1A 1AA", "SW1A"),
            ("12345-6789", "12345"),
            ("100-0001", "100"),
            ("10115", "10"),
            ("K1A", "K"),
            ("7", ""),
        ];
        for (value, expected) in rows {
            assert_eq!(truncate(value), expected, "{value}");
        }
        assert_eq!(first_characters("邮编100000", 4), "邮编10");
    }

    #[test]
    fn a_date_becomes_its_year() {
        let rows = [
            ("1990-05-17", Some("1990")),
            ("1990-05-17T10:00:00Z", Some("1990")),
            ("17.05.1990", Some("1990")),
            ("5/17/1990", Some("1990")),
            ("17 May 1990", Some("1990")),
            ("1990年5月17日", Some("1990")),
            ("19900517", Some("1990")),
            ("17051990", Some("1990")),
            ("1990", Some("1990")),
            ("17.05.90", None),
            ("0517", None),
            ("641001600", None),
            ("soon", None),
            ("", None),
        ];
        for (value, expected) in rows {
            assert_eq!(year(value).as_deref(), expected, "{value}");
        }
    }

    #[test]
    fn a_mask_hides_at_least_the_middle() {
        let rows = [
            ("13812341234", "138****1234"),
            ("+49 170 1234567", "+49****4567"),
            ("4155552671", "41****71"),
            ("lena@example.com", "l****@example.com"),
            ("Lena", "L****a"),
            ("Li", "****"),
            ("身份证号码", "身****码"),
        ];
        for (value, expected) in rows {
            assert_eq!(mask(value), expected, "{value}");
        }
    }

    #[test]
    fn a_number_becomes_its_band() {
        let rows = [
            ("34", 10, Some("30-39")),
            (" 7 ", 5, Some("5-9")),
            ("-1", 10, None),
            ("3.5", 10, None),
            ("4294967295", 10, None),
        ];
        for (value, width, expected) in rows {
            assert_eq!(band(value, width).as_deref(), expected, "{value}");
        }
    }
}
