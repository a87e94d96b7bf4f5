//! Assignment of profiles to segments by the served model. Without a model every profile keeps its segment.

use portrait_learning::{Model, ServedModel};
use portrait_profile::{Profile, SegmentId, SegmentMembership, Timestamp};
use portrait_store::ProfileClock;

/// Assigner with one model for the duration of a commit, so that all its profiles are assigned alike.
pub(crate) struct Assigner {
    model: ServedModel,
    clock: ProfileClock,
}

impl Assigner {
    /// Creates an assigner that reads profiles by `clock`.
    pub(crate) fn new(model: ServedModel, clock: ProfileClock) -> Self {
        Self { model, clock }
    }

    pub(crate) fn model(&self) -> Option<&Model> {
        self.model.as_deref()
    }

    /// Returns the time that profiles are read at: the wall clock `now`, or the partition's newest event, by `profiles.clock`.
    pub(crate) fn now(&self, now: Timestamp, newest: Timestamp) -> Timestamp {
        match self.clock {
            ProfileClock::Wall => now,
            ProfileClock::Events => newest,
        }
    }

    /// Stores the segment that the model assigns in the profile.
    pub(crate) fn assign(&self, profile: &mut Profile, moment: Timestamp) {
        if let Some(membership) = self.membership(profile, moment) {
            profile.set_segment(Some(membership));
        }
    }

    /// Returns true if the model assigns another segment than the stored one. Sweeps write only such profiles.
    pub(crate) fn changes_segment(&self, profile: &Profile, moment: Timestamp) -> bool {
        let there = |membership: SegmentMembership| membership.segment_id;
        self.membership(profile, moment).is_some_and(|said| profile.segment().map(there) != Some(there(said)))
    }

    fn membership(&self, profile: &Profile, moment: Timestamp) -> Option<SegmentMembership> {
        let model = self.model()?;
        let held = profile.segment();
        let held_id: Option<SegmentId> = held.map(|held| held.segment_id);
        let assigned = model.assign(&profile.features_at(moment), held_id);
        let since =
            held.filter(|held| held.segment_id == assigned.segment_id).map_or(moment, |held| held.since);
        Some(SegmentMembership {
            segment_id: assigned.segment_id,
            distance: assigned.distance,
            model_version: model.version,
            since,
        })
    }
}
