//! Profiles as formats 1 and 2 wrote them: with the preferences in full. They are written as today's when they next change.

use super::{Profile, ProfileVersion};
use crate::basic::Basic;
use crate::behavior::Behavior;
use crate::fingerprint::Fingerprint;
use crate::id::UserId;
use crate::moments::Moments;
use crate::preference::former::FormerPreference;
use crate::segment::SegmentMembership;
use crate::social::Social;
use crate::time::Timestamp;
use serde::Deserialize;

/// See [`Profile`].
#[derive(Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
pub(crate) struct FormerProfile {
    user_id: UserId,
    version: ProfileVersion,
    applied_events: u64,
    fingerprint: Fingerprint,
    updated_at: Timestamp,
    basic: Basic,
    behavior: Behavior,
    preference: FormerPreference,
    social: Social,
    segment: Option<SegmentMembership>,
}

/// The same fields, the preferences in their other form.
macro_rules! same {
    ($from:ident, $to:ident $(, $moments:expr)?) => {
        impl From<$from> for $to {
            fn from(profile: $from) -> Self {
                Self {
                    user_id: profile.user_id,
                    version: profile.version,
                    applied_events: profile.applied_events,
                    fingerprint: profile.fingerprint,
                    updated_at: profile.updated_at,
                    basic: profile.basic,
                    behavior: profile.behavior,
                    preference: profile.preference.into(),
                    social: profile.social,
                    segment: profile.segment,
                    $(moments: $moments,)?
                }
            }
        }
    };
}

same!(FormerProfile, Profile, Moments::default());
#[cfg(test)]
same!(Profile, FormerProfile);
