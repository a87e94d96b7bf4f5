//! Assignment of profiles to segments by the served model. Without a model every profile keeps its segment; by a model without segments
//! it loses it.

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

    /// Returns the time that profiles are read at: the wall clock `now`, or the
    /// partition's clock `newest`, by `profiles.clock`.
    pub(crate) fn read_at(&self, now: Timestamp, newest: Timestamp) -> Timestamp {
        match self.clock {
            ProfileClock::Wall => now,
            ProfileClock::Events => newest,
        }
    }

    /// Stores the segment that the model assigns in the profile, or that it has none.
    pub(crate) fn assign(&self, profile: &mut Profile, read_at: Timestamp) {
        if let Some(model) = self.model() {
            profile.set_segment(membership(model, profile, read_at));
        }
    }

    /// Returns true if the model assigns another segment than the stored one. Sweeps write only such profiles.
    pub(crate) fn changes_segment(&self, profile: &Profile, read_at: Timestamp) -> bool {
        let Some(model) = self.model() else { return false };
        let stored = profile.segment().map(|membership| membership.segment_id);
        membership(model, profile, read_at).map(|membership| membership.segment_id) != stored
    }
}

/// Assigns a profile; `None` if the model has no segments. A profile that keeps its segment keeps the time of its assignment.
fn membership(model: &Model, profile: &Profile, read_at: Timestamp) -> Option<SegmentMembership> {
    if model.segments.is_empty() {
        return None;
    }
    let current = profile.segment();
    // The current segment goes in for hysteresis: a profile on a border must not change segment with every event.
    let current_id: Option<SegmentId> = current.map(|membership| membership.segment_id);
    let assigned = model.assign(&profile.features_at(read_at), current_id)?;
    let unchanged = current.filter(|membership| membership.segment_id == assigned.segment_id);
    let since = unchanged.map_or(read_at, |membership| membership.since);
    Some(SegmentMembership {
        segment_id: assigned.segment_id,
        distance: assigned.distance,
        model_version: model.version,
        since,
    })
}
