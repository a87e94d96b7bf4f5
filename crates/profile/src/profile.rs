//! Stored profile of one user: four dimensions and bookkeeping. Records are folded in one at a time, which is the only way
//! a profile changes; views, features and bytes are read from it.
//!
//! Sums do not depend on the order of records, except for rounding. The following do: visits and transitions (late events
//! are excluded from them, and counted), refunds and removals that come before what they take back, the order count when the
//! lines of more than 16 orders interleave, and evictions at a limit.

#[cfg(test)]
mod samples;
mod v6;

use crate::action::ActionKind;
use crate::basic::TRAITS_BUDGET_BYTES;
use crate::behavior::{ORDERS_BUDGET_BYTES, OrderEffect, TIMES_BUDGET_BYTES};
use crate::codec::{self, DecodeError};
use crate::decay::Decayed;
use crate::dimensions::Dimensions;
use crate::features;
use crate::fingerprint::Fingerprint;
use crate::id::{OrderId, UserId};
use crate::preference::RecentItem;
use crate::preference::{BRANDS_BUDGET_BYTES, CATEGORIES_BUDGET_BYTES, ITEMS_BUDGET_BYTES};
use crate::record::{Body, Event, Record};
use crate::segment::SegmentMembership;
use crate::snapshots::{self, SNAPSHOTS_MAX_BYTES, SnapshotEvent, Snapshots, TrainingExample};
use crate::social::EDGES_BUDGET_BYTES;
use crate::time::Timestamp;
use crate::version::ProfileVersion;
use crate::view::{self, ProfileView, TransitionView};
use serde::{Deserialize, Serialize};
use v6::ProfileV6;
use xxhash_rust::xxh64::xxh64;

/// Upper limit of an encoded profile, in bytes, for any input.
pub const PROFILE_MAX_BYTES: usize = 24 * 1024;

/// Initial capacity of the encoding buffer, in bytes; few profiles are larger.
const PROFILE_TYPICAL_BYTES: usize = 2048;

/// Seed of the hash that samples visits for snapshots; independent of the hash that routes users to partitions.
const SNAPSHOT_SEED: u64 = 0x4D4F_4D45_4E54;

/// Maximum size of the parts without a budget of their own: 18 actions with names, 121 transitions, 31 hours and weekdays,
/// 24 price bands, the segment, and the scalar fields.
const OTHER_PARTS_MAX_BYTES: usize = 18 * 69 + 121 * 5 + 31 * 5 + 24 * 24 + 700;

const _: () = assert!(
    TRAITS_BUDGET_BYTES
        + CATEGORIES_BUDGET_BYTES
        + BRANDS_BUDGET_BYTES
        + ITEMS_BUDGET_BYTES
        + EDGES_BUDGET_BYTES
        + SNAPSHOTS_MAX_BYTES
        + ORDERS_BUDGET_BYTES
        + TIMES_BUDGET_BYTES
        + OTHER_PARTS_MAX_BYTES
        < PROFILE_MAX_BYTES
);

/// Profile of one user.
///
/// ```
/// use portrait_profile::{Action, Body, Event, Profile, Record, TimeDelta, Timestamp, UserId};
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
///     order_line: 0,
///     strength: None,
///     context: None,
/// };
/// let record = Record {
///     user_id: user_id.clone(),
///     record_id: None,
///     occurred_at: at,
///     accepted_at: at,
///     body: Body::Event(view),
///     trace: None,
///     source: None,
/// };
///
/// // Records go in one at a time; nothing else changes what a profile says.
/// let mut profile = Profile::new(user_id);
/// profile.apply(&record);
/// assert_eq!(profile.applied_events(), 1);
/// assert_eq!(profile.top_category(), Some("shoes"));
///
/// // A week later half of the 7-day weight is left.
/// let view = profile.view_at(at.plus(TimeDelta::from_days(7)));
/// assert_eq!(view.behavior.actions[0].decayed.week, 0.5);
/// assert_eq!(view.preference.price_bands[0].name, "32-64");
///
/// // The store keeps bytes.
/// assert_eq!(Profile::decode(&profile.encode())?, profile);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// Key of the profile, repeated here so that the bytes are readable without it.
    user_id: UserId,
    /// Version that readers and subscribers compare.
    version: ProfileVersion,
    /// Number of folded records; together with `fingerprint` it proves that none is lost or counted twice.
    applied_events: u64,
    /// Fingerprint of the folded records.
    fingerprint: Fingerprint,
    /// Ingest time of the newest record; freshness is measured from here.
    updated_at: Timestamp,
    /// Data that features and views are computed from.
    dimensions: Dimensions,
    /// Segment that a model assigned; none before the first model. It is derived, but only the stored value knows since
    /// when.
    segment: Option<SegmentMembership>,
    /// Labelled snapshots for training.
    snapshots: Snapshots,
}

/// Result of folding a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// True for an event that was too late for visits and transitions.
    pub late: bool,
    /// True for a line of an order that was sent again: only its money and its units changed.
    pub corrected: bool,
}

impl Profile {
    /// Returns the profile of an unknown user.
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

    /// Returns the empty profile of a user who had one before: versions continue after `last`.
    pub fn after(user_id: UserId, last: ProfileVersion) -> Self {
        Self { version: last, ..Self::new(user_id) }
    }

    /// Counts a record of which only the count, the fingerprint and the time are kept.
    pub fn count(&mut self, record: &Record) {
        self.applied_events += 1;
        if let Some(record_id) = &record.record_id {
            self.fingerprint = self.fingerprint.with(record_id);
        }
        // Clocks of several ingest processes differ: the newest time stays the newest.
        self.updated_at = self.updated_at.max(record.accepted_at);
    }

    /// Folds a record in. De-duplication is the caller's task.
    pub fn apply(&mut self, record: &Record) -> Applied {
        let at = record.occurred_at;
        self.count(record);
        let mut applied = Applied::default();
        match &record.body {
            Body::Event(event) => applied = self.fold(at, event),
            Body::Traits(values) => self.dimensions.basic.set_traits(at, values),
            Body::Relation(relation) => self.dimensions.social.set_edge(at, relation),
            Body::Outcome(outcome) => self.snapshots.record_label(at, outcome),
            // Erasures end profiles; the owner applies them.
            Body::Erase(_) | Body::Forget(_) => {}
        }
        applied
    }

    /// Removes the edges for which `is_erased` returns true, given the neighbour and the time of the statement. Returns
    /// whether any was removed.
    pub fn remove_edges(&mut self, is_erased: impl Fn(&UserId, Timestamp) -> bool) -> bool {
        self.dimensions.social.remove_edges(is_erased)
    }

    fn fold(&mut self, at: Timestamp, event: &Event) -> Applied {
        let order = event.order_id.as_ref().map(OrderId::hash);
        // Before the event changes any dimension: the features of the open order must not include it.
        if let Some(ordered_at) = self.snapshots.closing_order(order) {
            let features = self.features_at(ordered_at);
            self.snapshots.close_order(&features);
        }
        let Dimensions { behavior, preference, .. } = &mut self.dimensions;
        let effect = behavior.orders.fold(at, event);
        // A line that is sent again is no further action: neither counts nor interests nor visits know it.
        if effect == OrderEffect::Corrected {
            return Applied { late: false, corrected: true };
        }
        let category = preference.fold(at, event, effect);
        category.evicted.iter().for_each(|index| behavior.forget_category(*index));
        let late = behavior.fold(at, event, category.index);
        let purchase = event.action.kind() == ActionKind::Purchase;
        let newest_at = self.dimensions.read_at(at);
        let step = SnapshotEvent { at, newest_at, purchase, order, late };
        // Taken out, because the closure reads the profile. It is only called for a sampled event, since features cost about as much as decoding the profile.
        let mut snapshots = std::mem::take(&mut self.snapshots);
        snapshots.record(&step, self.salt(), || self.features_at(newest_at));
        self.snapshots = snapshots;
        Applied { late, corrected: false }
    }

    /// Returns the salt of this user's snapshot sampling.
    fn salt(&self) -> u64 {
        xxh64(self.user_id.as_str().as_bytes(), SNAPSHOT_SEED)
    }

    /// Counts a commit that changed the profile.
    pub fn advance_version(&mut self) {
        self.version = self.version.next();
    }

    /// Sets the segment that a model assigned.
    pub fn set_segment(&mut self, segment: Option<SegmentMembership>) {
        self.segment = segment;
    }

    /// Returns the segment that a model assigned.
    pub fn segment(&self) -> Option<SegmentMembership> {
        self.segment
    }

    /// Returns up to `count` categories by affinity over all three half-lives, strongest first.
    pub fn top_categories(&self, count: usize) -> Vec<&str> {
        self.dimensions.preference.top_categories(count)
    }

    /// Returns the category with the largest 7-day affinity.
    pub fn top_category(&self) -> Option<&str> {
        self.dimensions.preference.top_category()
    }

    /// Returns the category with the largest one-hour affinity at the newest event.
    pub fn latest_category(&self) -> Option<&str> {
        self.dimensions.preference.latest_category()
    }

    /// Returns the recent items, newest first, each once.
    pub fn recent_items(&self) -> impl ExactSizeIterator<Item = &RecentItem> {
        self.dimensions.preference.recent.iter()
    }

    /// Returns the categories, each with the time of its newest event and its affinity at that time.
    pub fn categories(&self) -> impl ExactSizeIterator<Item = (&str, Timestamp, Decayed)> {
        self.dimensions
            .preference
            .categories
            .iter()
            .map(|(name, sum)| (name.as_str(), sum.at(), sum.read(sum.at())))
    }

    /// Returns the labelled snapshots as examples at `as_of`.
    pub fn training_examples(&self, as_of: Timestamp) -> Vec<TrainingExample> {
        self.snapshots.training_examples(as_of, |at| self.features_at(at))
    }

    /// Returns the feature vector in the precision of [`Self::training_examples`], for scorers that were trained on those.
    pub fn features_bf16_at(&self, at: Timestamp) -> Vec<f32> {
        snapshots::round_to_bf16(self.features_at(at))
    }

    /// Returns the feature vector at `at`, or at the newest event if that is later: one finite value per component of
    /// [`FeatureSchema::current`](crate::FeatureSchema::current), in its order and unit.
    pub fn features_at(&self, at: Timestamp) -> Vec<f32> {
        features::vector(&self.dimensions, at)
    }

    /// Returns the view at `at`, or at the newest event if that is later.
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
            is_machine: behavior.is_machine_at(read_at),
        }
    }

    /// Returns the time and kind of the newest event.
    pub fn newest_action(&self) -> Option<(Timestamp, ActionKind)> {
        self.dimensions.behavior.newest
    }

    /// Returns whether the newest visits of the user, before `at`, are those of a program.
    pub fn is_machine_at(&self, at: Timestamp) -> bool {
        self.dimensions.behavior.is_machine_at(at)
    }

    /// Returns the transitions between actions within a visit, decayed to `at`, most frequent first.
    pub fn transitions_at(&self, at: Timestamp) -> Vec<TransitionView> {
        self.dimensions.behavior.transitions_at(at)
    }

    /// Returns the user of the profile.
    pub fn user_id(&self) -> &UserId {
        &self.user_id
    }

    /// Returns the version, which counts the commits that changed the profile.
    pub fn version(&self) -> ProfileVersion {
        self.version
    }

    /// Returns the number of folded records.
    pub fn applied_events(&self) -> u64 {
        self.applied_events
    }

    /// Returns the fingerprint of the folded records.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// Returns the ingest time of the newest record.
    pub fn updated_at(&self) -> Timestamp {
        self.updated_at
    }

    /// Returns the time of the newest event.
    pub fn newest_event_at(&self) -> Option<Timestamp> {
        self.dimensions.newest_event_at()
    }

    /// Encodes the profile for the store: a version byte and postcard.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode_after(Vec::with_capacity(PROFILE_TYPICAL_BYTES), codec::profile_version(), self)
    }

    /// Decodes a profile from the bytes of [`Self::encode`]; those of the previous version are converted.
    ///
    /// # Errors
    /// If the bytes are damaged, of a newer version, or older than the previous one.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        if codec::PROFILE_VERSION_V6.matches(bytes) {
            return codec::decode(codec::PROFILE_VERSION_V6, bytes).map(ProfileV6::into);
        }
        codec::decode(codec::profile_version(), bytes)
    }
}

impl From<ProfileV6> for Profile {
    fn from(profile: ProfileV6) -> Self {
        Self {
            user_id: profile.user_id,
            version: profile.version,
            applied_events: profile.applied_events,
            fingerprint: profile.fingerprint,
            updated_at: profile.updated_at,
            dimensions: Dimensions {
                basic: profile.basic,
                behavior: profile.behavior.into(),
                preference: profile.preference,
                social: profile.social,
            },
            segment: profile.segment,
            snapshots: profile.snapshots,
        }
    }
}
