//! Profiles as format 4 wrote them: every sum in eight bytes, the hash of an order too, and how often of every item. They are written
//! as today's when they next change.

use super::{Profile, ProfileVersion};
use crate::action::{Action, ActionKind};
use crate::basic::Basic;
use crate::behavior::{ActionSum, Behavior, Orders, Sessions};
use crate::decay::{DecayedShape, DecayedSum};
use crate::fingerprint::Fingerprint;
use crate::id::{TextFault, UserId};
use crate::moments::Moments;
use crate::preference::packed::Name;
use crate::preference::{Preference, RecentItem};
use crate::segment::SegmentMembership;
use crate::social::Social;
use crate::time::Timestamp;
use serde::{Deserialize, Deserializer, de::Error as _};

/// See [`Profile`].
#[derive(Deserialize)]
pub(crate) struct FormerProfile {
    user_id: UserId,
    version: ProfileVersion,
    applied_events: u64,
    fingerprint: Fingerprint,
    updated_at: Timestamp,
    basic: Basic,
    behavior: FormerBehavior,
    #[serde(deserialize_with = "preference")]
    preference: Preference,
    social: Social,
    segment: Option<SegmentMembership>,
    moments: Moments,
}

#[derive(Deserialize)]
struct FormerBehavior {
    actions: Vec<(Action, u64, FormerSum)>,
    first_at: Option<Timestamp>,
    newest: Option<(Timestamp, ActionKind)>,
    orders: FormerOrders,
    sessions: FormerSessions,
    hours: FormerShape,
    weekdays: FormerShape,
    transitions: FormerShape,
    late_events: u64,
}

#[derive(Deserialize)]
struct FormerOrders {
    last_at: Option<Timestamp>,
    total: u64,
    decayed: FormerSum,
    money_total: f64,
    money: FormerSum,
    recent: Vec<u64>,
}

#[derive(Deserialize)]
struct FormerSessions {
    total: u64,
    decayed: FormerSum,
    events: u64,
    millis: u64,
    current_started_at: Timestamp,
    current_events: u64,
}

#[derive(Deserialize)]
struct FormerPreference<'a> {
    newest: i64,
    #[serde(borrow)]
    categories: Vec<(Name<'a>, FormerPacked)>,
    #[serde(borrow)]
    brands: Vec<(Name<'a>, FormerPacked)>,
    price_bands: Vec<(u8, FormerPacked)>,
    #[serde(borrow)]
    recent: Vec<(Name<'a>, ActionKind, i64, u32)>,
}

#[derive(Deserialize)]
struct FormerSum([f64; 3], Timestamp);

#[derive(Deserialize)]
struct FormerShape(Vec<(u8, f64)>, Timestamp);

/// The first number is how long before the newest its time is.
#[derive(Deserialize)]
enum FormerPacked {
    /// The bits of the number, the last byte first.
    Same(u64, u64),
    Faded(u64, [f64; 3]),
}

impl From<FormerProfile> for Profile {
    fn from(former: FormerProfile) -> Self {
        Self {
            user_id: former.user_id,
            version: former.version,
            applied_events: former.applied_events,
            fingerprint: former.fingerprint,
            updated_at: former.updated_at,
            basic: former.basic,
            behavior: former.behavior.into(),
            preference: former.preference,
            social: former.social,
            segment: former.segment,
            moments: former.moments,
        }
    }
}

fn preference<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Preference, D::Error> {
    FormerPreference::deserialize(deserializer)?.try_into().map_err(D::Error::custom)
}

impl From<FormerBehavior> for Behavior {
    fn from(former: FormerBehavior) -> Self {
        let action =
            |(action, total, sum): (Action, u64, FormerSum)| ActionSum { action, total, decayed: sum.into() };
        let FormerOrders { last_at, total, decayed, money_total, money, recent } = former.orders;
        let recent = recent.into_iter().map(|hash| hash as u32).collect();
        let orders =
            Orders { last_at, total, decayed: decayed.into(), money_total, money: money.into(), recent };
        let FormerSessions { total, decayed, events, millis, current_started_at, current_events } =
            former.sessions;
        let decayed = decayed.into();
        let sessions = Sessions { total, decayed, events, millis, current_started_at, current_events };
        Self {
            actions: former.actions.into_iter().map(action).collect(),
            first_at: former.first_at,
            newest: former.newest,
            orders,
            sessions,
            hours: former.hours.into(),
            weekdays: former.weekdays.into(),
            transitions: former.transitions.into(),
            late_events: former.late_events,
        }
    }
}

impl TryFrom<FormerPreference<'_>> for Preference {
    type Error = TextFault;

    fn try_from(former: FormerPreference<'_>) -> Result<Self, TextFault> {
        let newest = former.newest;
        let named = |(name, sum): (Name<'_>, FormerPacked)| (name.text(), sum.sum(newest));
        let mut before: i64 = 0;
        let touch = |(name, kind, distance, times): (Name<'_>, ActionKind, i64, u32)| {
            before = before.wrapping_sub(distance);
            let at = Timestamp::from_millis(before);
            Ok(RecentItem { item_id: name.item_id()?, kind, at, times })
        };
        Ok(Self {
            categories: former.categories.into_iter().map(named).collect(),
            brands: former.brands.into_iter().map(named).collect(),
            price_bands: former.price_bands.into_iter().map(|(band, sum)| (band, sum.sum(newest))).collect(),
            recent: former.recent.into_iter().map(touch).collect::<Result<_, TextFault>>()?,
        })
    }
}

impl From<FormerSum> for DecayedSum {
    fn from(FormerSum(sums, at): FormerSum) -> Self {
        Self::from_parts(sums.map(|sum| sum as f32), at)
    }
}

impl From<FormerShape> for DecayedShape {
    fn from(FormerShape(weights, at): FormerShape) -> Self {
        Self::from_parts(weights.into_iter().map(|(index, weight)| (index, weight as f32)).collect(), at)
    }
}

impl FormerPacked {
    fn sum(self, newest: i64) -> DecayedSum {
        let (before, sums) = match self {
            Self::Same(before, bits) => (before, [f64::from_bits(bits.swap_bytes()); 3]),
            Self::Faded(before, sums) => (before, sums),
        };
        FormerSum(sums, Timestamp::from_millis(newest.wrapping_sub(before.cast_signed()))).into()
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use crate::{FeatureSchema, Profile, Span};

    /// What the release that had format 4 wrote of [`samples::rich`].
    const WRITTEN: &[u8] = include_bytes!("testdata/format_4.profile");

    #[test]
    fn what_format_4_wrote_is_read_but_for_rounding_and_written_in_fewer_bytes() {
        let (read, today) = (Profile::decode(WRITTEN).expect("format 4"), samples::rich());
        let told = |profile: &Profile| {
            let fixed =
                (profile.version(), profile.fingerprint(), profile.applied_events(), profile.updated_at());
            let items: Vec<_> = profile.recent_items().cloned().collect();
            let looked_back = profile.looked_back(profile.updated_at().plus(Span::from_days(30)));
            (fixed, items, looked_back, profile.segment(), profile.newest_action())
        };
        assert_eq!(told(&read), told(&today));
        let later = today.updated_at().plus(Span::from_hours(5));
        let (former, vector) = (read.features_at(later), today.features_at(later));
        let components = FeatureSchema::current().components();
        for ((component, one), other) in components.iter().zip(&former).zip(&vector) {
            assert!(
                (one - other).abs() <= 1e-5 * other.abs().max(1.0),
                "{component:?}: {one} is not {other}"
            );
        }
        let bytes = read.encode();
        assert!(bytes[0] == 5 && bytes.len() * 5 < WRITTEN.len() * 4, "{} of {}", bytes.len(), WRITTEN.len());
        assert_eq!(Profile::decode(&bytes).expect("today's"), read);
    }

    #[test]
    fn formats_before_are_refused() {
        for format in 0..4 {
            let refused = Profile::decode(&[&[format], &WRITTEN[1..]].concat()).expect_err("it is too old");
            assert_eq!(refused.to_string(), format!("format {format} is none that is read"));
        }
    }
}
