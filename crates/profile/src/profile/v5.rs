//! Profiles of format 5, in which entries of the preferences spend one byte each on the kind of the name and of the value,
//! and all distances are in milliseconds. They are written in the current format when they next change.

use crate::action::ActionKind;
use crate::basic::Basic;
use crate::behavior::Behavior;
use crate::decay::DecayedSum;
use crate::fingerprint::Fingerprint;
use crate::id::{ItemId, TextError, UserId};
use crate::preference::{Preference, RecentItem};
use crate::segment::SegmentMembership;
use crate::snapshots::Snapshots;
use crate::social::Social;
use crate::time::Timestamp;
use crate::version::ProfileVersion;
use compact_str::{CompactString, ToCompactString};
use serde::{Deserialize, Deserializer, de::Error as _};
use std::borrow::Cow;

/// Profile of format 5: the current fields, with another encoding of the preferences.
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
    /// Newest time of a sum, in milliseconds.
    newest: i64,
    #[serde(borrow)]
    categories: Vec<(NameV5<'a>, SumV5)>,
    #[serde(borrow)]
    brands: Vec<(NameV5<'a>, SumV5)>,
    price_bands: Vec<(u8, SumV5)>,
    /// Items with their distance to the previous one in this list, in milliseconds; the first counts back from 1970.
    #[serde(borrow)]
    recent: Vec<TouchV5<'a>>,
}

#[derive(Deserialize)]
enum NameV5<'a> {
    Number(u64),
    Text(#[serde(borrow)] Cow<'a, str>),
}

/// Sum with its distance to the newest time, in milliseconds.
#[derive(Deserialize)]
enum SumV5 {
    /// One value for all half-lives, as the byte-swapped bits.
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

    fn try_from(preference: PreferenceV5<'_>) -> Result<Self, TextError> {
        let newest = preference.newest;
        let named = |(name, sum): (NameV5<'_>, SumV5)| (name.text(), sum.sum(newest));
        // Each item stores its distance to the one before it, so that the times are restored in order.
        let mut previous: i64 = 0;
        let recent = preference.recent.into_iter().map(|touch| {
            let (name, kind, distance, count) = touch.parts();
            previous = previous.wrapping_sub(distance);
            let at = Timestamp::from_millis(previous);
            Ok(RecentItem { item_id: ItemId::parse(&name.text())?, kind, at, count })
        });
        let recent = recent.collect::<Result<_, TextError>>()?;
        Ok(Self {
            categories: preference.categories.into_iter().map(named).collect(),
            brands: preference.brands.into_iter().map(named).collect(),
            price_bands: preference
                .price_bands
                .into_iter()
                .map(|(band, sum)| (band, sum.sum(newest)))
                .collect(),
            recent,
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
        let (age_ms, sums) = match self {
            // Swapped, because round numbers end in zero bytes, which a variable-length integer drops at its high end.
            Self::Same(age_ms, bits) => (age_ms, [f32::from_bits(bits.swap_bytes()); 3]),
            Self::Decayed(age_ms, sums) => (age_ms, sums),
        };
        DecayedSum::from_parts(sums, Timestamp::from_millis(newest.wrapping_sub(age_ms.cast_signed())))
    }
}

impl<'a> TouchV5<'a> {
    /// Returns the name, the newest action, the distance to the previous item, and the count.
    fn parts(self) -> (NameV5<'a>, ActionKind, i64, u32) {
        match self {
            Self::Number(number, kind, distance) => (NameV5::Number(number), kind, distance, 1),
            Self::NumberRepeated(number, kind, distance, count) => {
                (NameV5::Number(number), kind, distance, count)
            }
            Self::Text(text, kind, distance) => (NameV5::Text(text), kind, distance, 1),
            Self::TextRepeated(text, kind, distance, count) => (NameV5::Text(text), kind, distance, count),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use crate::Profile;

    /// Bytes of [`samples::rich`] as the release with format 5 wrote them.
    const WRITTEN: &[u8] = include_bytes!("testdata/format_5.profile");

    #[test]
    fn a_profile_of_format_5_is_read_completely_and_written_in_fewer_bytes() {
        let read = Profile::decode(WRITTEN).expect("format 5");
        assert_eq!(read, samples::rich());
        let bytes = read.encode();
        assert!(bytes[0] == 6 && bytes.len() < WRITTEN.len(), "{} of {}", bytes.len(), WRITTEN.len());
        assert_eq!(Profile::decode(&bytes).expect("the current format"), read);
    }

    #[test]
    fn older_formats_are_refused() {
        for format in 0..5 {
            let refused = Profile::decode(&[&[format], &WRITTEN[1..]].concat()).expect_err("it is too old");
            assert_eq!(refused.to_string(), format!("format {format} is not readable"));
        }
    }
}
