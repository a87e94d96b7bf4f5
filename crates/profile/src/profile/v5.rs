//! Profiles as format 5 wrote them: every category, brand, band and item with what it is and what it is like in a byte each, and all
//! distances in milliseconds. They are written as today's when they next change.

use crate::action::ActionKind;
use crate::basic::Basic;
use crate::behavior::Behavior;
use crate::decay::DecayedSum;
use crate::fingerprint::Fingerprint;
use crate::id::{ItemId, TextError, UserId};
use crate::snapshots::Snapshots;
use crate::preference::{Preference, RecentItem};
use crate::segment::SegmentMembership;
use crate::social::Social;
use crate::time::Timestamp;
use crate::version::ProfileVersion;
use compact_str::{CompactString, ToCompactString};
use serde::{Deserialize, Deserializer, de::Error as _};
use std::borrow::Cow;

/// A profile of format 5: the same fields, of which preferences were written otherwise.
#[derive(Deserialize)]
pub(super) struct ProfileV5 {
    pub(super) user_id: UserId,
    pub(super) version: ProfileVersion,
    pub(super) applied_events: u64,
    pub(super) fingerprint: Fingerprint,
    pub(super) updated_at: Timestamp,
    pub(super) basic: Basic,
    pub(super) behavior: Behavior,
    #[serde(deserialize_with = "preference")]
    pub(super) preference: Preference,
    pub(super) social: Social,
    pub(super) segment: Option<SegmentMembership>,
    pub(super) snapshots: Snapshots,
}

#[derive(Deserialize)]
struct PreferenceV5<'a> {
    /// The newest time of a sum, in milliseconds.
    newest: i64,
    #[serde(borrow)]
    categories: Vec<(NameV5<'a>, SumV5)>,
    #[serde(borrow)]
    brands: Vec<(NameV5<'a>, SumV5)>,
    price_bands: Vec<(u8, SumV5)>,
    /// Each with how long it was before the one before it in this list, the first before 1970, so to say.
    #[serde(borrow)]
    recent: Vec<TouchV5<'a>>,
}

#[derive(Deserialize)]
enum NameV5<'a> {
    Number(u64),
    Text(#[serde(borrow)] Cow<'a, str>),
}

/// The first number is how long before the newest its time is.
#[derive(Deserialize)]
enum SumV5 {
    /// The bits of the number, the last byte first.
    Same(u64, u32),
    Decayed(u64, [f32; 3]),
}

#[derive(Deserialize)]
enum TouchV5<'a> {
    Number(u64, ActionKind, i64),
    Text(#[serde(borrow)] Cow<'a, str>, ActionKind, i64),
    NumberRepeated(u64, ActionKind, i64, u32),
    TextRepeated(#[serde(borrow)] Cow<'a, str>, ActionKind, i64, u32),
}

fn preference<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Preference, D::Error> {
    PreferenceV5::deserialize(deserializer)?.try_into().map_err(D::Error::custom)
}

impl TryFrom<PreferenceV5<'_>> for Preference {
    type Error = TextError;

    fn try_from(former: PreferenceV5<'_>) -> Result<Self, TextError> {
        let newest = former.newest;
        let named = |(name, sum): (NameV5<'_>, SumV5)| (name.text(), sum.sum(newest));
        let mut before: i64 = 0;
        let touch = |touch: TouchV5<'_>| {
            let (name, kind, distance, times) = touch.parts();
            before = before.wrapping_sub(distance);
            let at = Timestamp::from_millis(before);
            Ok(RecentItem { item_id: ItemId::parse(&name.text())?, kind, at, count: times })
        };
        Ok(Self {
            categories: former.categories.into_iter().map(named).collect(),
            brands: former.brands.into_iter().map(named).collect(),
            price_bands: former.price_bands.into_iter().map(|(band, sum)| (band, sum.sum(newest))).collect(),
            recent: former.recent.into_iter().map(touch).collect::<Result<_, TextError>>()?,
        })
    }
}

impl NameV5<'_> {
    fn text(&self) -> CompactString {
        match self {
            Self::Number(number) => number.to_compact_string(),
            Self::Text(text) => CompactString::from(&**text),
        }
    }
}

impl SumV5 {
    fn sum(self, newest: i64) -> DecayedSum {
        let (before, sums) = match self {
            Self::Same(before, bits) => (before, [f32::from_bits(bits.swap_bytes()); 3]),
            Self::Decayed(before, sums) => (before, sums),
        };
        DecayedSum::from_parts(sums, Timestamp::from_millis(newest.wrapping_sub(before.cast_signed())))
    }
}

impl<'a> TouchV5<'a> {
    /// The name, what was done last, how long before the touch before, and how often.
    fn parts(self) -> (NameV5<'a>, ActionKind, i64, u32) {
        match self {
            Self::Number(number, kind, distance) => (NameV5::Number(number), kind, distance, 1),
            Self::NumberRepeated(number, kind, distance, times) => {
                (NameV5::Number(number), kind, distance, times)
            }
            Self::Text(text, kind, distance) => (NameV5::Text(text), kind, distance, 1),
            Self::TextRepeated(text, kind, distance, times) => (NameV5::Text(text), kind, distance, times),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use crate::Profile;

    /// What the release that had format 5 wrote of [`samples::rich`].
    const WRITTEN: &[u8] = include_bytes!("testdata/format_5.profile");

    #[test]
    fn what_format_5_wrote_is_read_whole_and_written_in_fewer_bytes() {
        let (read, today) = (Profile::decode(WRITTEN).expect("format 5"), samples::rich());
        assert_eq!(read, today);
        let bytes = read.encode();
        assert!(bytes[0] == 6 && bytes.len() < WRITTEN.len(), "{} of {}", bytes.len(), WRITTEN.len());
        assert_eq!(Profile::decode(&bytes).expect("today's"), read);
    }

    #[test]
    fn formats_before_are_refused() {
        for format in 0..5 {
            let refused = Profile::decode(&[&[format], &WRITTEN[1..]].concat()).expect_err("it is too old");
            assert_eq!(refused.to_string(), format!("format {format} is none that is read"));
        }
    }
}
