//! Filter of a subscription: its partitions, users and kinds of changes.

use portrait_profile::{Profile, SegmentId, SegmentMembership, UserId};
use portrait_proto::request::Shard;
use std::collections::HashSet;

/// Filter of a subscription.
#[derive(Clone, Debug)]
pub(crate) struct SubscriptionFilter {
    /// Partitions of the subscription.
    pub(crate) shard: Shard,
    /// Users of the subscription; empty means all.
    pub(crate) users: HashSet<UserId>,
    /// Segments whose joins and leaves are delivered; empty means all.
    pub(crate) segments: HashSet<SegmentId>,
    /// Delivers only changes of the segment.
    pub(crate) moves_only: bool,
    /// Delivers the profile with each change.
    pub(crate) include_profile: bool,
}

impl SubscriptionFilter {
    /// Returns true if a profile matches the segments of the filter.
    pub(super) fn matches_profile(&self, profile: &Profile) -> bool {
        let inside = |held: SegmentMembership| self.segments.contains(&held.segment_id);
        self.segments.is_empty() || profile.segment().is_some_and(inside)
    }

    /// Returns true if a change from segment `before` to `after` matches the filter.
    pub(super) fn matches_change(&self, before: Option<SegmentId>, after: Option<SegmentId>) -> bool {
        let concerns = |id: Option<SegmentId>| id.is_some_and(|id| self.segments.contains(&id));
        (!self.moves_only || before != after)
            && (self.segments.is_empty() || concerns(before) || concerns(after))
    }
}
