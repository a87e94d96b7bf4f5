//! The wish of one subscriber: which partitions, users and changes its subscription is about.

use portrait_profile::{Profile, SegmentId, SegmentMembership, UserId};
use portrait_proto::request::Shard;
use std::collections::HashSet;

/// What a subscriber wants to hear of.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    /// Which partitions.
    pub(crate) shard: Shard,
    /// Only these users; empty means all.
    pub(crate) users: HashSet<UserId>,
    /// Only changes into or out of these segments; empty means all.
    pub(crate) segments: HashSet<SegmentId>,
    /// Only changes from one segment to another.
    pub(crate) moves_only: bool,
    /// Profiles too.
    pub(crate) include_profile: bool,
}

impl Wish {
    /// Whether a profile is among those that a subscriber wants to know of.
    pub(super) fn concerns(&self, profile: &Profile) -> bool {
        let inside = |held: SegmentMembership| self.segments.contains(&held.segment_id);
        self.segments.is_empty() || profile.segment().is_some_and(inside)
    }

    /// Whether a subscriber wants to hear of a change from one segment to another or the same.
    pub(super) fn wants(&self, before: Option<SegmentId>, after: Option<SegmentId>) -> bool {
        let concerns = |id: Option<SegmentId>| id.is_some_and(|id| self.segments.contains(&id));
        (!self.moves_only || before != after)
            && (self.segments.is_empty() || concerns(before) || concerns(after))
    }
}
