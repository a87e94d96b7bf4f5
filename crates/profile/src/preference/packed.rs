//! The preferences as bytes. Most of what a profile stores is here, so it is told in few of them, and nothing is lost: times as
//! distances, from the newest or from the touch before; a name that is a number as that number; a sum that is the same at all
//! half-lives, as everything is that happened once, as one; and how often, only of what was touched again.

use super::{Preference, RecentItem};
use crate::action::ActionKind;
use crate::decay::DecayedSum;
use crate::id::{ItemId, TextFault};
use crate::time::Timestamp;
use compact_str::{CompactString, ToCompactString};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::borrow::Cow;

/// What is written.
#[derive(Serialize, Deserialize)]
struct Packed<'a> {
    /// The newest time of a sum, in milliseconds; the others are told as how long before.
    newest: i64,
    #[serde(borrow)]
    categories: Vec<(Name<'a>, Sum)>,
    #[serde(borrow)]
    brands: Vec<(Name<'a>, Sum)>,
    price_bands: Vec<(u8, Sum)>,
    /// Each with how long it was before the one before it in this list, the first before 1970, so to say.
    #[serde(borrow)]
    recent: Vec<Touch<'a>>,
}

/// A name.
#[derive(Serialize, Deserialize)]
pub(crate) enum Name<'a> {
    /// The decimal digits of this number, without leading zeros.
    Number(u64),
    Text(#[serde(borrow)] Cow<'a, str>),
}

/// A sum; the first number is how long before the newest its time is.
#[derive(Serialize, Deserialize)]
enum Sum {
    /// The same at all half-lives: the bits of the number with the last byte first, since round numbers end in zeros.
    Same(u64, u32),
    /// One for each half-life.
    Faded(u64, [f32; 3]),
}

/// An item: its name, what was done last, how long that was before the touch before, and how often if more than once.
#[derive(Serialize, Deserialize)]
enum Touch<'a> {
    Number(u64, ActionKind, i64),
    Text(#[serde(borrow)] Cow<'a, str>, ActionKind, i64),
    NumberAgain(u64, ActionKind, i64, u32),
    TextAgain(#[serde(borrow)] Cow<'a, str>, ActionKind, i64, u32),
}

impl<'a> Name<'a> {
    fn of(text: &'a str) -> Self {
        let first = text.as_bytes().first();
        let canonical = first.is_some_and(u8::is_ascii_digit) && (text.len() == 1 || first != Some(&b'0'));
        match text.parse().ok().filter(|_| canonical) {
            Some(number) => Self::Number(number),
            None => Self::Text(Cow::Borrowed(text)),
        }
    }

    pub(crate) fn text(&self) -> CompactString {
        match self {
            Self::Number(number) => number.to_compact_string(),
            Self::Text(text) => CompactString::from(&**text),
        }
    }

    pub(crate) fn item_id(&self) -> Result<ItemId, TextFault> {
        match self {
            Self::Number(number) => Ok(ItemId::from(*number)),
            Self::Text(text) => ItemId::parse(text),
        }
    }
}

impl Sum {
    fn of(sum: &DecayedSum, newest: i64) -> Self {
        let (sums, at) = sum.parts();
        let before = newest.wrapping_sub(at.millis()).cast_unsigned();
        let bits = sums.map(f32::to_bits);
        if bits.iter().all(|one| *one == bits[0]) {
            Self::Same(before, bits[0].swap_bytes())
        } else {
            Self::Faded(before, sums)
        }
    }

    fn sum(&self, newest: i64) -> DecayedSum {
        let (before, sums) = match self {
            Self::Same(before, bits) => (before, [f32::from_bits(bits.swap_bytes()); 3]),
            Self::Faded(before, sums) => (before, *sums),
        };
        let at = newest.wrapping_sub(before.cast_signed());
        DecayedSum::from_parts(sums, Timestamp::from_millis(at))
    }
}

impl<'a> Touch<'a> {
    fn of(item: &'a RecentItem, before: i64) -> Self {
        let RecentItem { item_id, kind, at, times } = item;
        let (kind, distance) = (*kind, before.wrapping_sub(at.millis()));
        match (Name::of(item_id.as_str()), *times) {
            (Name::Number(number), 1) => Self::Number(number, kind, distance),
            (Name::Number(number), times) => Self::NumberAgain(number, kind, distance, times),
            (Name::Text(text), 1) => Self::Text(text, kind, distance),
            (Name::Text(text), times) => Self::TextAgain(text, kind, distance, times),
        }
    }

    fn item(self, before: i64) -> Result<RecentItem, TextFault> {
        let (name, kind, distance, times) = match self {
            Self::Number(number, kind, distance) => (Name::Number(number), kind, distance, 1),
            Self::NumberAgain(number, kind, distance, times) => (Name::Number(number), kind, distance, times),
            Self::Text(text, kind, distance) => (Name::Text(text), kind, distance, 1),
            Self::TextAgain(text, kind, distance, times) => (Name::Text(text), kind, distance, times),
        };
        let at = Timestamp::from_millis(before.wrapping_sub(distance));
        Ok(RecentItem { item_id: name.item_id()?, kind, at, times })
    }
}

impl Serialize for Preference {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let named = self.categories.iter().chain(&self.brands).map(|(_, sum)| sum);
        let sums = named.chain(self.price_bands.iter().map(|(_, sum)| sum));
        let newest = sums.map(DecayedSum::at).max().unwrap_or_default().millis();
        let mut before = 0;
        let recent = self.recent.iter().map(|item| {
            let touch = Touch::of(item, before);
            before = item.at.millis();
            touch
        });
        Packed {
            newest,
            categories: named_sums(&self.categories, newest),
            brands: named_sums(&self.brands, newest),
            price_bands: self.price_bands.iter().map(|(band, sum)| (*band, Sum::of(sum, newest))).collect(),
            recent: recent.collect(),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Preference {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Packed { newest, categories, brands, price_bands, recent } = Packed::deserialize(deserializer)?;
        let named = |list: Vec<(Name<'_>, Sum)>| -> Vec<(CompactString, DecayedSum)> {
            list.iter().map(|(name, sum)| (name.text(), sum.sum(newest))).collect()
        };
        let mut before = 0;
        let item = |touch: Touch<'_>| {
            let item = touch.item(before)?;
            before = item.at.millis();
            Ok(item)
        };
        let recent: Result<_, TextFault> = recent.into_iter().map(item).collect();
        Ok(Self {
            categories: named(categories),
            brands: named(brands),
            price_bands: price_bands.iter().map(|(band, sum)| (*band, sum.sum(newest))).collect(),
            recent: recent.map_err(D::Error::custom)?,
        })
    }
}

fn named_sums(list: &[(CompactString, DecayedSum)], newest: i64) -> Vec<(Name<'_>, Sum)> {
    list.iter().map(|(name, sum)| (Name::of(name), Sum::of(sum, newest))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_comes_back_letter_by_letter() {
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
            assert_eq!(Name::of(text).text(), text);
        }
        assert!(
            matches!(Name::of("1004856"), Name::Number(1_004_856))
                && matches!(Name::of("007"), Name::Text(_))
        );
    }

    #[test]
    fn what_was_liked_comes_back_bit_by_bit_at_any_time() {
        let (mut preference, mut recent) = (Preference::default(), Vec::new());
        let moments = [i64::MIN, -1, 0, 1_700_000_000_123, i64::MAX];
        for (number, at) in moments.iter().map(|at| Timestamp::from_millis(*at)).enumerate() {
            let mut sum = DecayedSum::default();
            sum.add(at, 0.1);
            preference.categories.push((format!("{number}").into(), sum));
            sum.add(at, -3.0);
            sum.add(Timestamp::from_millis(5_000_000), 2.0);
            preference.brands.push((format!("b{number}").into(), sum));
            preference.price_bands.push((number as u8, sum));
            let item_id = ItemId::parse(&format!("i{number}")).expect("an id");
            recent.push(RecentItem { item_id, kind: ActionKind::View, at, times: number as u32 });
        }
        preference.recent = recent.into_iter().collect();
        let bytes = postcard::to_allocvec(&preference).expect("it has a known length");
        assert_eq!(postcard::from_bytes::<Preference>(&bytes).expect("what was written"), preference);
    }
}
