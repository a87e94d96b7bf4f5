//! Subscriptions. In comes where to begin and what is wanted; out goes a stream of changes, each with a token that resumes
//! after it.
//!
//! ```text
//! store ── read_feed ──> tail ──> ring ─┬─> subscriber ──> outbox ──> stream     one tail and one ring for each partition
//!   └────── what the ring no longer has ┴─> subscriber ──> outbox ──> stream     one cursor for each of them
//! ```
//!
//! Subscribers pull: a slow one falls behind its ring and reads the store, where what piled up for one user becomes one
//! change. Nothing is ever pushed into a queue that could grow, and no tail waits for a subscriber.

mod deliver;
mod outbox;
mod position;
mod resync;
mod ring;
mod subscriber;
pub(crate) mod tail;
mod token;

pub(crate) use outbox::Answers;
pub(crate) use ring::Ring;
pub(crate) use token::ResumeToken;

use crate::error::Error;
use crate::service::Shared;
use outbox::Seat;
use portrait_profile::{PartitionCount, PartitionId, Profile, SegmentId, SegmentMembership, UserId};
use std::collections::HashSet;
use std::sync::Arc;
use subscriber::Subscriber;

/// A part of the feed: the partitions p with p % count == index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shard {
    /// Which part, from 0.
    pub(crate) index: u32,
    /// Of how many; at least 1.
    pub(crate) count: u32,
}

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
    fn concerns(&self, profile: &Profile) -> bool {
        let inside = |held: SegmentMembership| self.segments.contains(&held.segment_id);
        self.segments.is_empty() || profile.segment().is_some_and(inside)
    }

    /// Whether a subscriber wants to hear of a change from one segment to another or the same.
    fn wants(&self, before: Option<SegmentId>, after: Option<SegmentId>) -> bool {
        let concerns = |id: Option<SegmentId>| id.is_some_and(|id| self.segments.contains(&id));
        (!self.moves_only || before != after)
            && (self.segments.is_empty() || concerns(before) || concerns(after))
    }
}

/// Where a subscription begins.
#[derive(Clone, Debug)]
pub(crate) enum Start {
    /// With the first change after the call.
    Now,
    /// With the oldest that is kept.
    Earliest,
    /// With every profile.
    Snapshot,
    /// After what a token covers.
    Resume(ResumeToken),
}

impl Shard {
    /// Its partitions, in order.
    pub(crate) fn partitions(self, all: PartitionCount) -> impl Iterator<Item = PartitionId> {
        all.all().filter(move |partition| u32::from(partition.get()) % self.count == self.index)
    }
}

/// Begins a subscription: when this returns, its place in every feed is fixed.
pub(crate) async fn begin(shared: &Arc<Shared>, wish: Wish, start: Start) -> Result<Answers, Error> {
    if shared.closing.is_cancelled() {
        return Err(Error::ShuttingDown);
    }
    let limit = shared.config.max_subscribers;
    let seat = Seat::take(shared).ok_or(Error::TooManySubscribers { limit })?;
    let cursors = position::find(shared, wish.shard, start).await?;
    let (outbox, last_word, answers) = outbox::open(shared, seat);
    let subscriber = Subscriber::new(Arc::clone(shared), wish, cursors, outbox);
    shared.tasks.spawn(subscriber.run(last_word));
    Ok(answers)
}
