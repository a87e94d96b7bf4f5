//! Encoding of the preferences, the largest part of a stored profile. It is lossless: times are distances, in whole seconds
//! where possible; a numeric name is a number; a sum that is equal at all half-lives, as after a single event, is one
//! value; a count is written only above 1, and the actions on an item only if there are several. One layout byte before each entry
//! says which of these apply.

use super::{ActionAt, BRANDS_MAX, CATEGORIES_MAX, Preference, RecentItem};
use crate::action::ActionKind;
use crate::codec::{Sequence, part};
use crate::decay::DecayedSum;
use crate::distance;
use crate::id::ItemId;
use crate::time::Timestamp;
use compact_str::{CompactString, ToCompactString};
use serde::de::{Error, SeqAccess, Visitor};
use serde::ser::SerializeTuple;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::iter::once;

/// Preferences in the order of their fields, as they are read.
#[derive(Deserialize)]
struct PackedPreference<'a> {
    /// Newest time of all, in milliseconds; sums store their distance to it.
    newest: i64,
    #[serde(borrow)]
    categories: Vec<PackedEntry<'a>>,
    #[serde(borrow)]
    brands: Vec<PackedEntry<'a>>,
    #[serde(borrow)]
    price_bands: Vec<PackedEntry<'a>>,
    /// Items with their distance to the previous one in this list; the first counts from the newest time.
    #[serde(borrow)]
    recent: Vec<PackedEntry<'a>>,
}

/// Entry as it is written, without copies of what it has.
struct EntryRef<'a> {
    name: PackedName<'a>,
    /// Distance to the reference time, in milliseconds.
    age_ms: u64,
    value: ValueRef<'a>,
}

/// Value of an entry as it is written.
enum ValueRef<'a> {
    Sum([f32; 3]),
    Item(&'a RecentItem),
}

/// Name, distance to a reference time, and value of an entry.
struct PackedEntry<'a> {
    name: PackedName<'a>,
    /// Distance to the reference time, in milliseconds.
    age_ms: u64,
    value: PackedValue,
}

/// Name of an entry.
enum PackedName<'a> {
    /// Decimal digits of this number, without leading zeros.
    Number(u64),
    Text(&'a str),
}

/// Value of an entry.
enum PackedValue {
    /// Sum with one value at all half-lives.
    Same(f32),
    /// Sum with a value for each half-life.
    Decayed([f32; 3]),
    Item(PackedItem),
}

/// Item without its id and its newest time.
#[derive(Default)]
struct PackedItem {
    /// Index of the newest action in [`ActionKind::ALL`].
    kind: u8,
    count: u32,
    labels: PackedLabels,
    is_returned: bool,
    /// Other actions, each with its distance to the newest one.
    earlier: Vec<(ActionKind, u64)>,
}

/// Indices of category and brand in one number: 0 if both are unknown.
#[derive(Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct PackedLabels(u16);

/// Flags of the layout byte: the name is a number, the distance is in seconds. The bits above them are the kind of the
/// value.
const NUMBER: u8 = 1;
const SECONDS: u8 = 2;
const KIND: u8 = 4;
/// Kinds of values. From [`ITEM`] and [`LABELLED`] on there are two per kind of action: count 1, and a larger count. From [`FULL`] on
/// there is one.
const SAME: u8 = 0;
const DECAYED: u8 = 1;
const ITEM: u8 = 2;
const LABELLED: u8 = ITEM + 2 * KINDS;
const FULL: u8 = LABELLED + 2 * KINDS;
/// Number of kinds of actions.
const KINDS: u8 = ActionKind::ALL.len() as u8;
/// Milliseconds of a second.
const SECOND: u64 = 1000;
/// Maximum number of parts of an entry: layout byte, name, distance, labels, count, return, and earlier actions.
const PARTS_MAX: usize = 7;

const _: () = assert!(FULL + KINDS <= u8::MAX / KIND, "the layout byte has a code for each kind of value");

impl<'a> PackedName<'a> {
    fn of(text: &'a str) -> Self {
        let first = text.as_bytes().first();
        // A leading zero or a sign would be lost: such a name stays a text.
        let canonical = first.is_some_and(u8::is_ascii_digit) && (text.len() == 1 || first != Some(&b'0'));
        match text.parse().ok().filter(|_| canonical) {
            Some(number) => Self::Number(number),
            None => Self::Text(text),
        }
    }

    fn text(&self) -> CompactString {
        match self {
            Self::Number(number) => number.to_compact_string(),
            Self::Text(text) => CompactString::from(*text),
        }
    }

    fn item_id<E: Error>(&self) -> Result<ItemId, E> {
        match self {
            Self::Number(number) => Ok(ItemId::from(*number)),
            Self::Text(text) => ItemId::parse(text).map_err(E::custom),
        }
    }

    fn band<E: Error>(&self) -> Result<u8, E> {
        match self {
            Self::Number(number) => u8::try_from(*number).map_err(E::custom),
            Self::Text(_) => Err(E::custom("a price band has a number")),
        }
    }
}

impl PackedLabels {
    fn of(item: &RecentItem) -> Self {
        let number = |index: Option<u8>| index.map_or(0, |index| u16::from(index) + 1);
        Self(number(item.category) + number(item.brand) * (CATEGORIES_MAX as u16 + 1))
    }

    /// Returns the indices of category and brand; none for those that no list can have, since damaged bytes may hold any.
    fn indices(self) -> (Option<u8>, Option<u8>) {
        let index = |number: u16, max: usize| {
            number.checked_sub(1).filter(|index| usize::from(*index) < max).map(|index| index as u8)
        };
        let radix = CATEGORIES_MAX as u16 + 1;
        (index(self.0 % radix, CATEGORIES_MAX), index(self.0 / radix, BRANDS_MAX))
    }
}

impl<'a> EntryRef<'a> {
    fn of_sum(name: PackedName<'a>, sum: &DecayedSum, newest: i64) -> Self {
        let (sums, at) = sum.parts();
        Self { name, age_ms: distance_ms(newest, at.millis()), value: ValueRef::Sum(sums) }
    }

    fn of_item(item: &'a RecentItem, newest: i64) -> Self {
        Self {
            name: PackedName::of(item.item_id.as_str()),
            age_ms: distance_ms(newest, item.at.millis()),
            value: ValueRef::Item(item),
        }
    }
}

/// Returns whether a sum is equal at all half-lives.
fn is_same(sums: [f32; 3]) -> bool {
    // By bits: 0 and -0 are equal, but must both survive.
    sums.iter().all(|sum| sum.to_bits() == sums[0].to_bits())
}

/// Returns whether an item is written with all of its parts.
fn is_full(item: &RecentItem) -> bool {
    item.is_returned || !item.earlier.is_empty()
}

impl ValueRef<'_> {
    fn code(&self) -> u8 {
        match self {
            Self::Sum(sums) if is_same(*sums) => SAME,
            Self::Sum(_) => DECAYED,
            Self::Item(item) if is_full(item) => FULL + item.kind.index() as u8,
            Self::Item(item) => {
                let first = if PackedLabels::of(item) == PackedLabels::default() { ITEM } else { LABELLED };
                first + 2 * item.kind.index() as u8 + u8::from(item.count != 1)
            }
        }
    }
}

impl PackedEntry<'_> {
    fn sum<E: Error>(&self, newest: i64) -> Result<DecayedSum, E> {
        let sums = match self.value {
            PackedValue::Same(sum) => [sum; 3],
            PackedValue::Decayed(sums) => sums,
            PackedValue::Item(_) => return Err(E::custom("an item is no sum")),
        };
        Ok(DecayedSum::from_parts(sums, Timestamp::from_millis(earlier(newest, self.age_ms))))
    }

    fn item<E: Error>(self, newest: i64) -> Result<RecentItem, E> {
        let PackedValue::Item(item) = self.value else { return Err(E::custom("a sum is no item")) };
        let at = Timestamp::from_millis(earlier(newest, self.age_ms));
        let (category, brand) = item.labels.indices();
        let action_at = |(kind, ago)| ActionAt { kind, at: distance::before(at, ago) };
        Ok(RecentItem {
            item_id: self.name.item_id()?,
            kind: *ActionKind::ALL.get(usize::from(item.kind)).ok_or_else(|| E::custom("unknown action"))?,
            at,
            count: item.count,
            earlier: item.earlier.into_iter().map(action_at).collect(),
            category,
            brand,
            is_returned: item.is_returned,
        })
    }
}

/// Returns the distance of a time to `newest`; wraps around, so that any pair of times is representable.
fn distance_ms(newest: i64, at: i64) -> u64 {
    newest.wrapping_sub(at).cast_unsigned()
}

/// Returns the time at `distance` before `newest`.
fn earlier(newest: i64, distance: u64) -> i64 {
    newest.wrapping_sub(distance.cast_signed())
}

impl Serialize for EntryRef<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let number = if matches!(self.name, PackedName::Number(_)) { NUMBER } else { 0 };
        // Most senders report whole seconds: their distances are three digits shorter.
        let seconds = if self.age_ms.is_multiple_of(SECOND) { SECONDS } else { 0 };
        let mut parts = serializer.serialize_tuple(PARTS_MAX)?;
        parts.serialize_element(&(self.value.code() * KIND + number + seconds))?;
        match &self.name {
            PackedName::Number(number) => parts.serialize_element(number)?,
            PackedName::Text(text) => parts.serialize_element(text)?,
        }
        parts.serialize_element(&(if seconds == 0 { self.age_ms } else { self.age_ms / SECOND }))?;
        match &self.value {
            // Swapped: round numbers end in zero bytes, which the variable-length integer drops at its high end.
            ValueRef::Sum(sums) if is_same(*sums) => {
                parts.serialize_element(&sums[0].to_bits().swap_bytes())?;
            }
            ValueRef::Sum(sums) => parts.serialize_element(sums)?,
            ValueRef::Item(item) => {
                let (labels, is_full) = (PackedLabels::of(item), is_full(item));
                if is_full || labels != PackedLabels::default() {
                    parts.serialize_element(&labels)?;
                }
                if is_full || item.count != 1 {
                    parts.serialize_element(&item.count)?;
                }
                if is_full {
                    parts.serialize_element(&item.is_returned)?;
                    let earlier = || item.earlier.iter();
                    let with_distance =
                        |action: &ActionAt| (action.kind, distance::between(item.at, action.at));
                    parts.serialize_element(&Sequence(|| earlier().map(with_distance)))?;
                }
            }
        }
        parts.end()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for PackedEntry<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_tuple(PARTS_MAX, EntryVisitor)
    }
}

/// Deserializer of an entry, part by part.
struct EntryVisitor;

impl<'de> Visitor<'de> for EntryVisitor {
    type Value = PackedEntry<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an entry of preferences")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<PackedEntry<'de>, A::Error> {
        let layout: u8 = part(&mut parts)?;
        let name = match layout & NUMBER {
            0 => PackedName::Text(part(&mut parts)?),
            _ => PackedName::Number(part(&mut parts)?),
        };
        let distance: u64 = part(&mut parts)?;
        // Wrapping, since damaged bytes may hold any number and must not panic.
        let age_ms = if layout & SECONDS == 0 { distance } else { distance.wrapping_mul(SECOND) };
        let value = match layout / KIND {
            SAME => PackedValue::Same(f32::from_bits(part::<u32, A>(&mut parts)?.swap_bytes())),
            DECAYED => PackedValue::Decayed(part(&mut parts)?),
            code @ ITEM..LABELLED => {
                let count = if (code - ITEM) % 2 == 1 { part(&mut parts)? } else { 1 };
                PackedValue::Item(PackedItem { kind: (code - ITEM) / 2, count, ..PackedItem::default() })
            }
            code @ LABELLED..FULL => {
                let labels = part(&mut parts)?;
                let count = if (code - LABELLED) % 2 == 1 { part(&mut parts)? } else { 1 };
                PackedValue::Item(PackedItem {
                    kind: (code - LABELLED) / 2,
                    count,
                    labels,
                    ..PackedItem::default()
                })
            }
            code => PackedValue::Item(PackedItem {
                kind: code - FULL,
                labels: part(&mut parts)?,
                count: part(&mut parts)?,
                is_returned: part(&mut parts)?,
                earlier: part(&mut parts)?,
            }),
        };
        Ok(PackedEntry { name, age_ms, value })
    }
}

impl Serialize for Preference {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Times are near one another: distances to the newest are shorter than times since 1970.
        let named = self.categories.iter().chain(&self.brands).map(|(_, sum)| sum);
        let sums = named.chain(self.price_bands.iter().map(|(_, sum)| sum)).map(DecayedSum::at);
        let items = self.recent.iter().map(|item| item.at);
        let newest = sums.chain(items).max().unwrap_or_default().millis();
        let band = |(band, sum): &(u8, DecayedSum)| {
            EntryRef::of_sum(PackedName::Number(u64::from(*band)), sum, newest)
        };
        // Items are sorted by time, so that each is nearest to the one before it.
        let references = || once(newest).chain(self.recent.iter().map(|item| item.at.millis()));
        let items = || self.recent.iter().zip(references());
        // In the order of the fields of `PackedPreference`.
        let packed = (
            newest,
            named_sums(&self.categories, newest),
            named_sums(&self.brands, newest),
            Sequence(|| self.price_bands.iter().map(band)),
            Sequence(|| items().map(|(item, reference)| EntryRef::of_item(item, reference))),
        );
        packed.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Preference {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let PackedPreference { newest, categories, brands, price_bands, recent } =
            PackedPreference::deserialize(deserializer)?;
        let bands = price_bands.iter().map(|entry| Ok((entry.name.band()?, entry.sum(newest)?)));
        let price_bands = bands.collect::<Result<_, D::Error>>()?;
        let mut previous = newest;
        let mut items = Vec::with_capacity(recent.len());
        for entry in recent {
            let item: RecentItem = entry.item(previous)?;
            previous = item.at.millis();
            items.push(item);
        }
        Ok(Self {
            categories: unpack_sums(&categories, newest)?,
            brands: unpack_sums(&brands, newest)?,
            price_bands,
            recent: items.into_iter().collect(),
        })
    }
}

fn named_sums(list: &[(CompactString, DecayedSum)], newest: i64) -> impl Serialize {
    Sequence(move || list.iter().map(move |(name, sum)| EntryRef::of_sum(PackedName::of(name), sum, newest)))
}

fn unpack_sums<E: Error>(
    list: &[PackedEntry<'_>],
    newest: i64,
) -> Result<Vec<(CompactString, DecayedSum)>, E> {
    list.iter().map(|entry| Ok((entry.name.text(), entry.sum(newest)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_survives_a_round_trip() {
        let rows = [
            "0",
            "7",
            "00",
            "007",
            "+7",
            "-7",
            "18446744073709551615",
            "18446744073709551616",
            "",
            "鞋",
            "7 ",
        ];
        for text in rows {
            assert_eq!(PackedName::of(text).text(), text);
        }
        assert!(
            matches!(PackedName::of("1004856"), PackedName::Number(1_004_856))
                && matches!(PackedName::of("007"), PackedName::Text(_))
        );
    }

    #[test]
    fn preferences_survive_a_round_trip_bit_by_bit_at_any_time() {
        let mut preference = Preference::default();
        let mut recent = Vec::new();
        let times = [i64::MIN, -1, 0, 1_700_000_000_123, i64::MAX];
        for (number, at) in times.iter().map(|at| Timestamp::from_millis(*at)).enumerate() {
            let mut sum = DecayedSum::default();
            sum.add(at, 0.1);
            preference.categories.push((format!("{number}").into(), sum));
            sum.add(at, -3.0);
            sum.add(Timestamp::from_millis(5_000_000), 2.0);
            preference.brands.push((format!("b{number}").into(), sum));
            preference.price_bands.push((number as u8, sum));
            let item_id = ItemId::parse(&format!("i{number}")).expect("an id");
            let view_at = Timestamp::from_millis(at.millis().wrapping_sub(61_000));
            let earlier = vec![ActionAt { kind: ActionKind::View, at: view_at }; number % 3];
            recent.push(RecentItem {
                item_id,
                kind: ActionKind::Custom,
                at,
                count: number as u32,
                earlier,
                category: (number % 2 == 0).then_some(CATEGORIES_MAX as u8 - 1),
                brand: (number > 2).then_some(BRANDS_MAX as u8 - 1),
                is_returned: number == 3,
            });
        }
        preference.recent = recent.into_iter().collect();
        let bytes = postcard::to_allocvec(&preference).expect("it has a known length");
        assert_eq!(postcard::from_bytes::<Preference>(&bytes).expect("what was written"), preference);
    }
}
