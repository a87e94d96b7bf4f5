//! Filter of a subscription: its partitions, users and kinds of changes.

use portrait_profile::{Profile, SegmentId, UserId};
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
    pub(crate) segment_changes_only: bool,
    /// Delivers the profile with each change.
    pub(crate) include_profile: bool,
}

impl SubscriptionFilter {
    /// Returns true if a profile matches the segments of the filter.
    pub(super) fn matches_profile(&self, profile: &Profile) -> bool {
        self.segments.is_empty()
            || profile.segment().is_some_and(|membership| self.segments.contains(&membership.segment_id))
    }

    /// Returns true if a change from segment `before` to `after` matches the filter.
    pub(super) fn matches_change(&self, before: Option<SegmentId>, after: Option<SegmentId>) -> bool {
        let in_filter = |id: Option<SegmentId>| id.is_some_and(|id| self.segments.contains(&id));
        (!self.segment_changes_only || before != after)
            && (self.segments.is_empty() || in_filter(before) || in_filter(after))
    }
}
