//! Encoding of the kept orders. It is lossless: money is a whole number of cents where possible; one unit, times equal to that of
//! the order, and what came back as a whole are not written. A layout byte before each line says which of these apply.

use super::order::{Amount, Order, OrderLine};
use crate::codec::{Sequence, part, varint_bytes};
use crate::time::Timestamp;
use serde::de::{SeqAccess, Visitor};
use serde::ser::SerializeTuple;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// Flags of the layout byte of a line.
const ITEM: u8 = 1;
const NUMBERED: u8 = 1 << 1;
/// The time differs from that of the order.
const TIMED: u8 = 1 << 2;
/// The money is a whole number of cents.
const CENTS: u8 = 1 << 3;
/// The number of units is 1.
const ONE: u8 = 1 << 4;
/// The number of units is a whole number.
const WHOLE: u8 = 1 << 5;
/// Some of the line came back: a layout byte of its own and the amount follow.
const PARTLY_RETURNED: u8 = 1 << 6;
/// All of the line came back.
const RETURNED: u8 = 1 << 7;
/// Maximum number of parts of a line: the layout byte, item, number, time, money, units, and the same of what came back.
const PARTS_MAX: usize = 9;
/// Largest number of cents and units that is written as a whole number; all of these are exact as `f64`.
const WHOLE_MAX: f64 = 1e15;

/// Lines of one order with their reference time, as they are read.
#[derive(Deserialize)]
struct PackedOrder {
    key: Option<[u8; 4]>,
    at: Timestamp,
    lines: Vec<PackedLine>,
}

/// Line with its distance to the time of its order, in milliseconds.
#[derive(Clone, Copy)]
struct PackedLine {
    item: Option<u32>,
    number: u32,
    age_ms: u64,
    bought: Amount,
    returned: Amount,
}

/// Returns an order with its encoded size.
pub(super) fn order(key: Option<u32>, at: Timestamp, lines: Vec<OrderLine>) -> Order {
    let mut order = Order { key, at, lines, bytes: 0 };
    measure(&mut order);
    order
}

/// Computes the encoded size of an order after a change of its lines.
pub(super) fn measure(order: &mut Order) {
    let key = if order.key.is_some() { 5 } else { 1 };
    let lines: usize = order.lines.iter().map(|line| line_bytes(order.at, line)).sum();
    // A time of ten bytes and a count of one.
    order.bytes = key + 10 + 1 + lines;
}

/// Returns the encoded size of a line, in bytes.
pub(super) fn line_bytes(order_at: Timestamp, line: &OrderLine) -> usize {
    let age_ms = order_at.millis().wrapping_sub(line.at.millis()).cast_unsigned();
    let optional = |is_there: bool, bytes: usize| if is_there { bytes } else { 0 };
    let is_partly_returned = line.returned != Amount::default() && line.returned != line.bought;
    1 + optional(line.item.is_some(), 4)
        + optional(line.number != 0, varint_bytes(u64::from(line.number)))
        + optional(age_ms != 0, varint_bytes(age_ms))
        + line.bought.bytes()
        + if is_partly_returned { 1 + line.returned.bytes() } else { 0 }
}

/// Returns a number as a whole one; none if that would lose something.
fn whole(value: f64) -> Option<u64> {
    // By bits: 0 and -0 are equal, but must both survive.
    let number = value as u64;
    (value <= WHOLE_MAX && (number as f64).to_bits() == value.to_bits()).then_some(number)
}

/// Returns an amount in cents; none if that would lose something.
fn cents(money: f64) -> Option<u64> {
    let hundredfold = money * 100.0;
    // The cast rounds down, and numbers up to the maximum have a bit for the half.
    let cents = (hundredfold + 0.5) as u64;
    (hundredfold <= WHOLE_MAX && amount_of(cents).to_bits() == money.to_bits()).then_some(cents)
}

fn amount_of(cents: u64) -> f64 {
    cents as f64 / 100.0
}

impl PackedLine {
    fn of(line: &OrderLine, order_at: Timestamp) -> Self {
        let OrderLine { item, number, at, bought, returned } = *line;
        // Wrapping, so that any pair of times is representable.
        let age_ms = order_at.millis().wrapping_sub(at.millis()).cast_unsigned();
        Self { item, number, age_ms, bought, returned }
    }

    fn line(self, order_at: Timestamp) -> OrderLine {
        let Self { item, number, age_ms, bought, returned } = self;
        let at = Timestamp::from_millis(order_at.millis().wrapping_sub(age_ms.cast_signed()));
        OrderLine { item, number, at, bought, returned }
    }

    fn layout(&self) -> u8 {
        let is_returned = self.returned == self.bought && self.returned != Amount::default();
        let flags = [
            (ITEM, self.item.is_some()),
            (NUMBERED, self.number != 0),
            (TIMED, self.age_ms != 0),
            (RETURNED, is_returned),
            (PARTLY_RETURNED, !is_returned && self.returned != Amount::default()),
        ];
        self.bought.layout() | combined(flags)
    }
}

/// Returns the flags that are set.
fn combined<const N: usize>(flags: [(u8, bool); N]) -> u8 {
    flags.into_iter().filter_map(|(flag, is_set)| is_set.then_some(flag)).fold(0, std::ops::BitOr::bitor)
}

impl Amount {
    fn layout(self) -> u8 {
        let is_one = self.units.to_bits() == 1.0_f64.to_bits();
        combined([
            (CENTS, cents(self.money).is_some()),
            (ONE, is_one),
            (WHOLE, !is_one && whole(self.units).is_some()),
        ])
    }

    fn bytes(self) -> usize {
        let is_one = self.units.to_bits() == 1.0_f64.to_bits();
        let units = if is_one { 0 } else { whole(self.units).map_or(8, varint_bytes) };
        cents(self.money).map_or(8, varint_bytes) + units
    }

    /// Writes the amount by its layout.
    fn write<T: SerializeTuple>(self, layout: u8, parts: &mut T) -> Result<(), T::Error> {
        match cents(self.money).filter(|_| layout & CENTS != 0) {
            Some(cents) => parts.serialize_element(&cents)?,
            None => parts.serialize_element(&self.money)?,
        }
        match (layout & ONE != 0, layout & WHOLE != 0) {
            (true, _) => Ok(()),
            (false, true) => parts.serialize_element(&(self.units as u64)),
            (false, false) => parts.serialize_element(&self.units),
        }
    }

    fn read<'de, A: SeqAccess<'de>>(layout: u8, parts: &mut A) -> Result<Self, A::Error> {
        let money = if layout & CENTS != 0 { amount_of(part(parts)?) } else { part(parts)? };
        let units = match (layout & ONE != 0, layout & WHOLE != 0) {
            (true, _) => 1.0,
            (false, true) => part::<u64, A>(parts)? as f64,
            (false, false) => part(parts)?,
        };
        Ok(Self { money, units })
    }
}

impl Serialize for PackedLine {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let layout = self.layout();
        let mut parts = serializer.serialize_tuple(PARTS_MAX)?;
        parts.serialize_element(&layout)?;
        if let Some(item) = self.item {
            // A hash uses all of its bits, so that a variable-length integer would take five bytes.
            parts.serialize_element(&item.to_le_bytes())?;
        }
        if layout & NUMBERED != 0 {
            parts.serialize_element(&self.number)?;
        }
        if layout & TIMED != 0 {
            parts.serialize_element(&self.age_ms)?;
        }
        self.bought.write(layout, &mut parts)?;
        if layout & PARTLY_RETURNED != 0 {
            let layout = self.returned.layout();
            parts.serialize_element(&layout)?;
            self.returned.write(layout, &mut parts)?;
        }
        parts.end()
    }
}

impl<'de> Deserialize<'de> for PackedLine {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_tuple(PARTS_MAX, LineVisitor)
    }
}

/// Deserializer of a line, part by part.
struct LineVisitor;

impl<'de> Visitor<'de> for LineVisitor {
    type Value = PackedLine;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a line of an order")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<PackedLine, A::Error> {
        let layout: u8 = part(&mut parts)?;
        let has = |flag: u8| layout & flag != 0;
        let item = if has(ITEM) { Some(u32::from_le_bytes(part(&mut parts)?)) } else { None };
        let number = if has(NUMBERED) { part(&mut parts)? } else { 0 };
        let age_ms = if has(TIMED) { part(&mut parts)? } else { 0 };
        let bought = Amount::read(layout, &mut parts)?;
        let returned = match (has(RETURNED), has(PARTLY_RETURNED)) {
            (true, _) => bought,
            (false, true) => {
                let layout = part(&mut parts)?;
                Amount::read(layout, &mut parts)?
            }
            (false, false) => Amount::default(),
        };
        Ok(PackedLine { item, number, age_ms, bought, returned })
    }
}

impl Serialize for Order {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let lines = Sequence(|| self.lines.iter().map(|line| PackedLine::of(line, self.at)));
        // In the order of the fields of `PackedOrder`.
        (self.key.map(u32::to_le_bytes), self.at, lines).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Order {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let PackedOrder { key, at, lines } = PackedOrder::deserialize(deserializer)?;
        let lines = lines.into_iter().map(|line| line.line(at)).collect();
        Ok(order(key.map(u32::from_le_bytes), at, lines))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_survives_a_round_trip_and_its_size_is_known() {
        let amounts = [0.0, 0.01, 89.9, 0.1 + 0.2, 1.0, 3.0, 2.5, 1e15, 1e-300, f64::MAX, 12_345.67];
        let times = [i64::MIN, -1, 0, 1_700_000_000_123, i64::MAX];
        let mut lines = Vec::new();
        for (number, money) in amounts.into_iter().enumerate() {
            for (item, at) in [None, Some(7), Some(u32::MAX)].into_iter().zip(times) {
                let bought = Amount { money, units: amounts[(number + 3) % amounts.len()] };
                let partly = Amount { money: money / 2.0, units: bought.units / 2.0 };
                let returned = [Amount::default(), bought, partly][number % 3];
                let number = if number % 2 == 0 { 0 } else { number as u32 * 1000 };
                lines.push(OrderLine { item, number, at: Timestamp::from_millis(at), bought, returned });
            }
        }
        for (key, at) in [None, Some(9), Some(0)].into_iter().zip(times) {
            let order = order(key, Timestamp::from_millis(at), lines.clone());
            let bytes = postcard::to_allocvec(&order).expect("of known length");
            assert_eq!(postcard::from_bytes::<Order>(&bytes).expect("what was written"), order);
            assert!(bytes.len() <= order.bytes, "{} {}", bytes.len(), order.bytes);
        }
    }

    #[test]
    fn an_ordinary_line_takes_seven_bytes() {
        let bought = Amount { money: 89.9, units: 1.0 };
        let at = Timestamp::from_millis(1_700_000_000_000);
        let line = OrderLine { item: Some(77), number: 0, at, bought, returned: Amount::default() };
        assert_eq!(line_bytes(at, &line), 7);
    }
}
