//! Delivery of a chunk of the feed: the newest change of each matching user, with the segment before the first of
//! them, and the profile if requested. The order of the feed is kept.

use super::filter::SubscriptionFilter;
use super::outbox::{Outbox, SubscriptionEnd};
use super::position::{CursorState, PartitionCursor};
use super::ring::BufferedChange;
use super::token::ResumeToken;
use crate::context::QueryContext;
use crate::read;
use portrait_profile::{SegmentId, UserId};
use portrait_proto::v1::watch_profile_changes_response::Kind;
use portrait_proto::v1::{self, WatchProfileChangesResponse};
use portrait_runtime::telemetry::trace::SpanKind;
use portrait_store::{FeedPosition, GenerationId, Layout};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Position of one subscriber in every partition of its shard, and the path of its responses.
pub(super) struct Delivery {
    /// Rings, store and configuration.
    pub(super) shared: Arc<QueryContext>,
    /// Filter of the subscription.
    pub(super) filter: SubscriptionFilter,
    /// One cursor per partition of the shard, in order. The resume token is made of them.
    pub(super) cursors: Vec<PartitionCursor>,
    /// Queue of responses to the subscriber.
    pub(super) outbox: Outbox,
}

impl Delivery {
    /// Sends a response; the cursors must cover it already.
    pub(super) async fn send(&self, kind: Kind) -> Result<(), SubscriptionEnd> {
        let Layout { partitions, pseudonym_key, .. } = self.shared.store.layout();
        let positions = self.cursors.iter().map(PartitionCursor::token_position);
        let resume_token = ResumeToken::encode(self.filter.shard, partitions, positions, pseudonym_key);
        self.outbox.send(WatchProfileChangesResponse { kind: Some(kind), resume_token }).await
    }

    /// Sends a contiguous range of a partition's feed and advances the cursor to its end.
    pub(super) async fn deliver(
        &mut self,
        index: usize,
        generation: GenerationId,
        changes: Vec<BufferedChange>,
    ) -> Result<(), SubscriptionEnd> {
        let Some(end) = changes.last().map(|change| change.seq) else { return Ok(()) };
        let (mut matching, coalesced) = newest_by_user(changes, &self.filter.users);
        self.shared.metrics.coalesced(coalesced);
        matching.retain(|merged| {
            let change = &merged.change.change;
            // Deletions go to every subscriber that may hold data of the user, regardless of its filter.
            change.deleted || self.filter.matches_change(merged.segment_before, change.segment_after)
        });
        for page in matching.chunks(self.shared.config.page_profiles) {
            let profiles = self.profiles_of(index, page).await?;
            for (merged, profile) in page.iter().zip(profiles) {
                // The token covers exactly the changes sent so far: users whose newest change comes later are sent
                // after a resume.
                self.cursors[index].state =
                    CursorState::At(FeedPosition { generation, seq: merged.change.seq });
                let response = self.to_response(index, merged, profile);
                let parent = merged.change.change.trace.map(|trace| trace.0);
                let mut span = self.shared.tracer.child_span(parent, SpanKind::Producer, "deliver");
                self.send(Kind::Change(response)).await?;
                let latency = self.shared.wall_now().since(merged.change.change.accepted_at);
                span.note("accepted_ms_ago", latency.millis());
                self.shared.metrics.delivered(latency.millis());
            }
        }
        self.cursors[index].state = CursorState::At(FeedPosition { generation, seq: end });
        Ok(())
    }

    /// Returns the profiles of the changes of one page, if requested and still stored.
    async fn profiles_of(
        &self,
        index: usize,
        page: &[MergedChange],
    ) -> Result<Vec<Option<v1::Profile>>, SubscriptionEnd> {
        if !self.filter.include_profile {
            return Ok(page.iter().map(|_| None).collect());
        }
        let partition = self.cursors[index].partition;
        let user_ids: Vec<&UserId> = page.iter().map(|merged| &merged.change.change.user_id).collect();
        let stored = read::stored(&self.shared, partition, &user_ids).await?;
        let read_time = self.shared.profile_now().await?;
        let profiles = stored
            .into_iter()
            .map(|profile| Some(self.shared.profile_to_wire(profile?.view_at(read_time))))
            .collect();
        Ok(profiles)
    }

    fn to_response(
        &self,
        index: usize,
        merged: &MergedChange,
        profile: Option<v1::Profile>,
    ) -> v1::ProfileChange {
        let change = &merged.change.change;
        // A missing profile was deleted by a later change, which will follow. A profile that exists although this
        // change deleted it was created again by a later change.
        let deleted = change.deleted || (self.filter.include_profile && profile.is_none());
        let profile = profile.filter(|_| !deleted);
        let version = profile.as_ref().map_or(change.version.get(), |profile| profile.version);
        // The profile may be newer than the change; then its segment is the true one.
        let after = match &profile {
            Some(profile) => {
                profile.segment.as_ref().map_or_else(String::new, |membership| membership.segment_id.clone())
            }
            None => name_of(change.segment_after.filter(|_| !deleted)),
        };
        v1::ProfileChange {
            user_id: change.user_id.as_str().to_owned(),
            version,
            segment_id_before: name_of(merged.segment_before),
            segment_id_after: after,
            deleted,
            profile,
            partition: u32::from(self.cursors[index].partition.get()),
        }
    }
}

/// Formats a segment id for the wire; empty for none.
pub(super) fn name_of(segment: Option<SegmentId>) -> String {
    segment.map_or_else(String::new, |id| id.to_string())
}

/// Newest change of a user, with the segment before the first coalesced change.
struct MergedChange {
    change: BufferedChange,
    segment_before: Option<SegmentId>,
}

/// Returns the newest change of each matching user, in feed order, and the number of coalesced changes. A deletion is
/// never coalesced into a later change: every holder of data must receive it.
fn newest_by_user(mut changes: Vec<BufferedChange>, users: &HashSet<UserId>) -> (Vec<MergedChange>, usize) {
    if !users.is_empty() {
        changes.retain(|change| users.contains(&change.change.user_id));
    }
    let matching = changes.len();
    let mut first = HashMap::with_capacity(matching);
    let mut before = Vec::with_capacity(matching);
    for BufferedChange { change, .. } in &changes {
        // The segment before the first change of the run: a subscriber sees one move, not its steps.
        before.push(*first.entry(change.user_id.clone()).or_insert(change.segment_before));
        // A deletion ends the run: later changes are those of a new profile.
        if change.deleted {
            first.remove(&change.user_id);
        }
    }
    // Users kept so far; the value is true if their deletion is kept.
    let mut known: HashMap<UserId, bool> = HashMap::with_capacity(first.len());
    let mut newest: Vec<MergedChange> = Vec::with_capacity(first.len());
    // Backwards, so that the first change met of a user is its newest.
    for (change, segment_before) in changes.into_iter().zip(before).rev() {
        let deleted = change.change.deleted;
        let kept_deletion = known.get(&change.change.user_id).copied();
        if kept_deletion.is_none() || (kept_deletion == Some(false) && deleted) {
            known.insert(change.change.user_id.clone(), deleted);
            newest.push(MergedChange { change, segment_before });
        }
    }
    newest.reverse();
    let coalesced = matching - newest.len();
    (newest, coalesced)
}

#[cfg(test)]
mod tests {
    use super::*;
    use portrait_profile::{ProfileChange, ProfileVersion, Timestamp};
    use portrait_store::FeedSeq;

    /// One change per letter; a capital letter is a deletion.
    fn changes(users: &str) -> Vec<BufferedChange> {
        let change = |(index, user): (usize, char)| BufferedChange {
            seq: FeedSeq::new(index as u64 + 1),
            change: Arc::new(ProfileChange {
                user_id: UserId::parse(&user.to_lowercase().to_string()).expect("an id"),
                version: ProfileVersion::default(),
                deleted: user.is_uppercase(),
                accepted_at: Timestamp::EPOCH,
                segment_before: index.checked_sub(1).map(|before| SegmentId::new(before as u32)),
                segment_after: Some(SegmentId::new(index as u32)),
                trace: None,
            }),
            bytes: 1,
        };
        users.chars().enumerate().map(change).collect()
    }

    #[test]
    fn the_newest_change_of_each_matching_user_is_kept_in_order() {
        let rows = [
            ("", "", "", 0),
            ("abc", "", "a1 b2<s0 c3<s1", 0),
            ("abacab", "", "c4<s2 a5 b6<s0", 3),
            ("aaaa", "", "a4", 3),
            ("baaa", "", "b1 a4<s0", 2),
            ("abacab", "bc", "c4<s2 b6<s0", 1),
            ("abacab", "x", "", 0),
            ("aAaa", "", "a2 a4<s1", 2),
            ("aAaAb", "", "a4<s1 b5<s3", 3),
            ("aaA", "", "a3", 2),
        ];
        for (feed, users, expected, coalesced) in rows {
            let users = users.chars().map(|user| UserId::parse(&user.to_string()).expect("an id")).collect();
            let (newest, gone) = newest_by_user(changes(feed), &users);
            let text = |merged: &MergedChange| {
                let before = merged.segment_before.map_or_else(String::new, |id| format!("<{id}"));
                format!("{}{}{before}", merged.change.change.user_id, merged.change.seq)
            };
            let text: Vec<String> = newest.iter().map(text).collect();
            assert_eq!((text.join(" ").as_str(), gone), (expected, coalesced), "{feed}");
        }
    }
}
