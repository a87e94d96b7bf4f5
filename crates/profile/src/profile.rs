//! The profile of one shopper as it is stored: four dimensions and bookkeeping. In come records, one at a time; out go its
//! bytes, and what it says at a moment. Folding is the only way it changes.
//!
//! What is summed does not depend on the order of records, but for rounding. What does: visits and transitions (late events are left out of
//! them, and counted), which lines of more than 16 interleaved orders count as one order, and what gave way where a bound was
//! reached.

mod v5;
#[cfg(test)]
mod samples;

use crate::action::ActionKind;
use crate::basic::TRAITS_BUDGET_BYTES;
use crate::codec::{self, DecodeError};
use crate::decay::Decayed;
use crate::dimensions::Dimensions;
use crate::features;
use crate::fingerprint::Fingerprint;
use crate::id::{OrderId, UserId};
use crate::snapshots::{self, TrainingExample, SNAPSHOTS_MAX_BYTES, Snapshots, SnapshotEvent};
use crate::preference::RecentItem;
use crate::preference::{BRANDS_BUDGET_BYTES, CATEGORIES_BUDGET_BYTES, ITEMS_BUDGET_BYTES};
use crate::record::{Body, Event, Record};
use crate::segment::SegmentMembership;
use crate::social::EDGES_BUDGET_BYTES;
use crate::time::Timestamp;
use crate::version::ProfileVersion;
use crate::view::{self, ProfileView, TransitionView};
use v5::ProfileV5;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh64::xxh64;

/// No encoded profile is larger, whatever is folded into it.
pub const PROFILE_MAX_BYTES: usize = 16 * 1024;

/// Few encoded profiles are larger: room for that is made at once.
const PROFILE_TYPICAL_BYTES: usize = 2048;

/// The seed that decides which moments are looked back at: another than that of routing.
const SNAPSHOT_SEED: u64 = 0x4D4F_4D45_4E54;

/// What the lists without a budget of their own take at most: 18 actions with names, 121 transitions, 31 hours and weekdays,
/// 24 price bands, 16 orders, the segment, and the single numbers.
const OTHER_PARTS_MAX_BYTES: usize = 18 * 68 + 121 * 5 + 31 * 5 + 24 * 24 + 16 * 5 + 600;

const _: () = assert!(
    TRAITS_BUDGET_BYTES
        + CATEGORIES_BUDGET_BYTES
        + BRANDS_BUDGET_BYTES
        + ITEMS_BUDGET_BYTES
        + EDGES_BUDGET_BYTES
        + SNAPSHOTS_MAX_BYTES
        + OTHER_PARTS_MAX_BYTES
        < PROFILE_MAX_BYTES
);

/// What is known of one shopper.
///
/// ```
/// use portrait_profile::{Action, Body, Event, Profile, Record, Span, Timestamp, UserId};
///
/// let user_id = UserId::parse("lena")?;
/// let at = Timestamp::from_millis(1_700_000_000_000);
/// let view = Event {
///     action: Action::View,
///     utc_offset_minutes: 60,
///     item_id: None,
///     category: Some("shoes".into()),
///     brand: None,
///     price: Some(59.0),
///     quantity: 1.0,
///     order_id: None,
///     context: None,
/// };
/// let record = Record {
///     user_id: user_id.clone(),
///     record_id: None,
///     occurred_at: at,
///     accepted_at: at,
///     body: Body::Event(view),
///     trace: None,
/// };
///
/// // Records go in one at a time; nothing else changes what a profile says.
/// let mut profile = Profile::new(user_id);
/// profile.apply(&record);
/// assert_eq!(profile.applied_events(), 1);
/// assert_eq!(profile.top_category(), Some("shoes"));
///
/// // A week later half of the 7-day weight is left.
/// let view = profile.view_at(at.plus(Span::from_days(7)));
/// assert_eq!(view.behavior.actions[0].decayed.week, 0.5);
/// assert_eq!(view.preference.price_bands[0].name, "32-64");
///
/// // The store keeps bytes.
/// assert_eq!(Profile::decode(&profile.encode())?, profile);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// Whose it is; also the key, kept so that a profile can be read without it.
    user_id: UserId,
    /// For readers who wait for a change; dropping it breaks subscriptions.
    version: ProfileVersion,
    /// How many records were folded in; proves together with `fingerprint` that none is lost or doubled.
    applied_events: u64,
    /// Which records were folded in.
    fingerprint: Fingerprint,
    /// When ingest accepted the newest of them; freshness is counted from here.
    updated_at: Timestamp,
    /// What features and views are read from.
    dimensions: Dimensions,
    /// Where a model has put the shopper; derived, and none before there was one. Dropping it forgets since when.
    segment: Option<SegmentMembership>,
    /// What is learned from: moments and what came of them. Dropping it costs rows of the next trainings.
    snapshots: Snapshots,
}

/// What became of a record that was folded in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// It was an event too late for visits and transitions.
    pub late: bool,
}

impl Profile {
    /// The profile of a shopper of whom nothing is known.
    pub fn new(user_id: UserId) -> Self {
        Self {
            user_id,
            version: ProfileVersion::default(),
            applied_events: 0,
            fingerprint: Fingerprint::default(),
            updated_at: Timestamp::EPOCH,
            dimensions: Dimensions::default(),
            segment: None,
            snapshots: Snapshots::default(),
        }
    }

    /// The profile of a shopper who had one before: versions go on after `last`.
    pub fn after(user_id: UserId, last: ProfileVersion) -> Self {
        Self { version: last, ..Self::new(user_id) }
    }

    /// Counts a record in of which nothing else is kept.
    pub fn count(&mut self, record: &Record) {
        self.applied_events += 1;
        if let Some(record_id) = &record.record_id {
            self.fingerprint = self.fingerprint.with(record_id);
        }
        self.updated_at = self.updated_at.max(record.accepted_at);
    }

    /// Folds a record in. Whether it was folded in before is for the caller to know.
    pub fn apply(&mut self, record: &Record) -> Applied {
        let at = record.occurred_at;
        self.count(record);
        let mut applied = Applied::default();
        match &record.body {
            Body::Event(event) => applied.late = self.fold(at, event),
            Body::Traits(values) => self.dimensions.basic.state(at, values),
            Body::Relation(relation) => self.dimensions.social.state(at, relation),
            Body::Outcome(outcome) => self.snapshots.record_label(at, outcome),
            // They end profiles, and are folded into none.
            Body::Erase(_) | Body::Forget(_) => {}
        }
        applied
    }

    /// Drops the edges to those who are `gone`, by neighbour and when the edge was stated. Whether there were any.
    pub fn forget_edges(&mut self, gone: impl Fn(&UserId, Timestamp) -> bool) -> bool {
        self.dimensions.social.forget(gone)
    }

    /// Folds an event in and tells whether it was late.
    fn fold(&mut self, at: Timestamp, event: &Event) -> bool {
        let order = event.order_id.as_ref().map(OrderId::hash);
        if let Some(ended_at) = self.snapshots.closing_order(order) {
            let known = self.features_at(ended_at);
            self.snapshots.close_order(&known);
        }
        let late = self.dimensions.behavior.fold(at, event);
        self.dimensions.preference.fold(at, event);
        let purchase = event.action.kind() == ActionKind::Purchase;
        let newest_at = self.dimensions.read_at(at);
        let step = SnapshotEvent { at, newest_at, purchase, order, late };
        let mut moments = std::mem::take(&mut self.snapshots);
        moments.record(&step, self.salt(), || self.features_at(newest_at));
        self.snapshots = moments;
        late
    }

    /// What the draws of this shopper's moments depend on.
    fn salt(&self) -> u64 {
        xxh64(self.user_id.as_str().as_bytes(), SNAPSHOT_SEED)
    }

    /// Counts a commit that changed the profile.
    pub fn advance_version(&mut self) {
        self.version = self.version.next();
    }

    /// Puts the shopper where a model says.
    pub fn set_segment(&mut self, segment: Option<SegmentMembership>) {
        self.segment = segment;
    }

    /// Where a model has put the shopper.
    pub fn segment(&self) -> Option<SegmentMembership> {
        self.segment
    }

    /// The categories that are liked most, lately more than long ago, the most liked first.
    pub fn top_categories(&self, count: usize) -> Vec<&str> {
        self.dimensions.preference.top_categories(count)
    }

    /// The category that is liked most lately.
    pub fn top_category(&self) -> Option<&str> {
        self.dimensions.preference.top_category()
    }

    /// The category of most of what was done last, within about an hour of it.
    pub fn latest_category(&self) -> Option<&str> {
        self.dimensions.preference.latest_category()
    }

    /// The newest items, newest first, each once.
    pub fn recent_items(&self) -> impl ExactSizeIterator<Item = &RecentItem> {
        self.dimensions.preference.recent.iter()
    }

    /// The categories that are liked, each with when it was taken up last and how much that weighs then.
    pub fn categories(&self) -> impl ExactSizeIterator<Item = (&str, Timestamp, Decayed)> {
        self.dimensions
            .preference
            .categories
            .iter()
            .map(|(name, sum)| (name.as_str(), sum.at(), sum.read(sum.at())))
    }

    /// The moments that are looked back at, as they look at `as_of`.
    pub fn training_examples(&self, as_of: Timestamp) -> Vec<TrainingExample> {
        self.snapshots.training_examples(as_of, |at| self.features_at(at))
    }

    /// The feature vector as [`Self::looked_back`] has those of earlier moments: what was learned from them is asked of this.
    pub fn features_bf16_at(&self, at: Timestamp) -> Vec<f32> {
        snapshots::round_to_bf16(self.features_at(at))
    }

    /// The feature vector at `at`, or at the newest event if that is later: one finite value a component of
    /// [`FeatureSchema::current`](crate::FeatureSchema::current), in its order and unit.
    pub fn features_at(&self, at: Timestamp) -> Vec<f32> {
        features::vector(&self.dimensions, at)
    }

    /// What the profile says at `at`, or at its newest event if that is later.
    pub fn view_at(&self, at: Timestamp) -> ProfileView {
        let Dimensions { basic, behavior, preference, social } = &self.dimensions;
        let read_at = self.dimensions.read_at(at);
        ProfileView {
            user_id: self.user_id.clone(),
            version: self.version,
            applied_events: self.applied_events,
            fingerprint: self.fingerprint,
            updated_at: self.updated_at,
            read_at,
            traits: basic.active().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            behavior: behavior.view_at(read_at),
            preference: preference.view_at(read_at),
            edges: view::edges(social),
            segment: self.segment,
        }
    }

    /// What was done last and when.
    pub fn newest_action(&self) -> Option<(Timestamp, ActionKind)> {
        self.dimensions.behavior.newest
    }

    /// Steps from an action to the next within a visit, faded to `at`, most frequent first.
    pub fn transitions_at(&self, at: Timestamp) -> Vec<TransitionView> {
        self.dimensions.behavior.transitions_at(at)
    }

    /// Whose it is.
    pub fn user_id(&self) -> &UserId {
        &self.user_id
    }

    /// How often it was committed.
    pub fn version(&self) -> ProfileVersion {
        self.version
    }

    /// How many records were folded in.
    pub fn applied_events(&self) -> u64 {
        self.applied_events
    }

    /// Which records were folded in.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// When ingest accepted the newest of its records.
    pub fn updated_at(&self) -> Timestamp {
        self.updated_at
    }

    /// When the newest of its events happened.
    pub fn newest_event_at(&self) -> Option<Timestamp> {
        self.dimensions.newest_event_at()
    }

    /// The bytes for the store: a version byte and postcard.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode_after(Vec::with_capacity(PROFILE_TYPICAL_BYTES), codec::profile_version(), self)
    }

    /// The profile of such bytes; those of the version before are taken to today's. Fails on bytes that are damaged or were
    /// written by a newer version.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        if codec::PROFILE_VERSION_V5.is_of(bytes) {
            return codec::decode(codec::PROFILE_VERSION_V5, bytes).map(ProfileV5::into);
        }
        codec::decode(codec::profile_version(), bytes)
    }
}

impl From<ProfileV5> for Profile {
    fn from(former: ProfileV5) -> Self {
        Self {
            user_id: former.user_id,
            version: former.version,
            applied_events: former.applied_events,
            fingerprint: former.fingerprint,
            updated_at: former.updated_at,
            dimensions: Dimensions {
                basic: former.basic,
                behavior: former.behavior,
                preference: former.preference,
                social: former.social,
            },
            segment: former.segment,
            snapshots: former.snapshots,
        }
    }
}
