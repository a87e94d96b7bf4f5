//! Which segment a profile is in, by the model that is served. In come a profile and the moment, out goes the profile with its
//! place. Without a model everybody stays where they are.

use portrait_learning::{Model, ServedModel};
use portrait_profile::{Profile, SegmentId, SegmentMembership, Timestamp};
use portrait_store::ProfileClock;

/// Assigns by one model for the length of one commit.
pub(crate) struct Assigner {
    model: ServedModel,
    clock: ProfileClock,
}

impl Assigner {
    /// Assigns by `model`, at moments that `clock` tells.
    pub(crate) fn new(model: ServedModel, clock: ProfileClock) -> Self {
        Self { model, clock }
    }

    /// The model.
    pub(crate) fn model(&self) -> Option<&Model> {
        self.model.as_deref()
    }

    /// The moment that vectors are read at, when the clock on the wall says `now` and the partition's newest event was at
    /// `newest`.
    pub(crate) fn moment(&self, now: Timestamp, newest: Timestamp) -> Timestamp {
        match self.clock {
            ProfileClock::Wall => now,
            ProfileClock::Events => newest,
        }
    }

    /// Puts a profile where the model says.
    pub(crate) fn assign(&self, profile: &mut Profile, moment: Timestamp) {
        if let Some(membership) = self.membership(profile, moment) {
            profile.assign(Some(membership));
        }
    }

    /// Whether the model says another segment than the one that the profile is in.
    pub(crate) fn moves(&self, profile: &Profile, moment: Timestamp) -> bool {
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
