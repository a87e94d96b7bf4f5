//! Fold of decoded log entries and the profiles they change into one commit. Pure: no store and no clock of its own, so that
//! a rebuild from the same log yields the same profiles.

use crate::assign::Assigner;
use crate::batch::LogEntry;
use crate::cache::ProfileCache;
use crate::shadow::ShadowEvaluator;
use crate::tombstones::TombstoneIndex;
use bytes::Bytes;
use portrait_profile::{
    Applied, Body, PartitionLedger, Profile, ProfileChange, ProfileVersion, Pseudonym, Record, SegmentId,
    TimeDelta, Timestamp, Tombstone, TraceContext,
};
use portrait_store::{
    Commit, CommitNo, Counters, DeadLetter, FeedSeq, LeaseToken, LogSeq, ProfileKey, SeenQuery,
};
use std::collections::{HashMap, HashSet};

/// Position of a partition as its owner knows it after its last commit.
#[derive(Clone, Debug)]
pub(crate) struct OwnedPosition {
    /// Lease token of the owner.
    pub(crate) token: LeaseToken,
    /// Number of the newest commit.
    pub(crate) commit_no: CommitNo,
    /// Position of the newest applied record.
    pub(crate) applied_through: LogSeq,
    /// Clock of the partition: the newest event time, moved by at most `feature.clock_jump_max` per record.
    pub(crate) clock: Timestamp,
    /// Newest change of the feed.
    pub(crate) feed_end: FeedSeq,
    /// Users by segment, and progress of sweeps and erasures.
    pub(crate) ledger: PartitionLedger,
}

/// Numbers of erasures in a commit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ErasureCounts {
    /// Erasures of users of this partition.
    pub(crate) here: u64,
    /// Erasures of users of other partitions.
    pub(crate) elsewhere: u64,
}

/// Result of a fold.
pub(crate) struct FoldResult {
    /// Commit that the store applies whole or not at all.
    pub(crate) commit: Commit,
    /// Ledger after the commit.
    pub(crate) ledger: PartitionLedger,
    /// Erasures applied by the commit.
    pub(crate) erasures: ErasureCounts,
    /// Number of order lines that were sent again.
    pub(crate) corrected_lines: u64,
}

/// Commit under construction from one batch of entries.
pub(crate) struct BatchFold<'a> {
    profiles: &'a mut ProfileCache,
    tombstones: &'a mut TombstoneIndex,
    shadow: &'a mut ShadowEvaluator,
    clock_jump_max: TimeDelta,
    position: &'a OwnedPosition,
    ledger: PartitionLedger,
    clock: Timestamp,
    /// Earliest time that profiles are assigned at, with `profiles.clock=events`.
    not_before: Timestamp,
    applied_through: LogSeq,
    changed: HashSet<ProfileKey>,
    /// Trace context of the newest sampled record, by profile.
    traces: HashMap<ProfileKey, TraceContext>,
    /// Profiles whose edges were checked against all tombstones so far.
    edges_scrubbed: HashSet<ProfileKey>,
    /// Stored profiles that an erasure deletes, unless a later record of the batch creates a new one.
    deleted: HashSet<ProfileKey>,
    /// Changes that announce the deletions.
    deletions: Vec<Bytes>,
    /// Pseudonyms of users erased in this partition.
    erased_here: Vec<Pseudonym>,
    /// Number of erasures of users of other partitions.
    erased_elsewhere: u64,
    seen_in_batch: HashSet<u64>,
    seen: Vec<SeenQuery>,
    dead_letters: Vec<DeadLetter>,
    counted: Counters,
    corrected_lines: u64,
}

impl<'a> BatchFold<'a> {
    /// Begins a commit at `position`. `clock_jump_max` bounds the step of the partition's clock per event.
    pub(crate) fn begin(
        position: &'a OwnedPosition,
        clock_jump_max: TimeDelta,
        profiles: &'a mut ProfileCache,
        tombstones: &'a mut TombstoneIndex,
        shadow: &'a mut ShadowEvaluator,
    ) -> Self {
        Self {
            profiles,
            tombstones,
            shadow,
            clock_jump_max,
            position,
            ledger: position.ledger.clone(),
            clock: position.clock,
            not_before: Timestamp::EPOCH,
            applied_through: position.applied_through,
            changed: HashSet::new(),
            traces: HashMap::new(),
            edges_scrubbed: HashSet::new(),
            deleted: HashSet::new(),
            deletions: Vec::new(),
            erased_here: Vec::new(),
            erased_elsewhere: 0,
            seen_in_batch: HashSet::new(),
            seen: Vec::new(),
            dead_letters: Vec::new(),
            counted: Counters::default(),
            corrected_lines: 0,
        }
    }

    /// Folds one entry. `seen_before` is true if an earlier commit remembers its id.
    pub(crate) fn entry(&mut self, entry: LogEntry, seen_before: bool) {
        self.applied_through = entry.seq;
        // Duplicates first: within a batch a repeated record is counted as a duplicate even if it is blocked. Across batches
        // it is counted as blocked each time, since ids of blocked records are not remembered: they would cost space and
        // protect nothing.
        match entry.record {
            Ok(record) if seen_before || self.is_duplicate(&entry.seen) => {
                tracing::trace!(user_id = %record.user_id, seq = %entry.seq, "duplicate record dropped");
                self.counted.duplicates += 1;
                self.extend_tombstone(entry.seq, &record);
            }
            Ok(record) if self.is_blocked(&record) => {
                tracing::trace!(seq = %entry.seq, "record of an erased user dropped");
                self.counted.blocked += 1;
            }
            Ok(record) => {
                self.seen.extend(entry.seen);
                self.counted.sourced += u64::from(record.source.is_some());
                match record.body {
                    Body::Erase(pseudonym) => self.erase(entry.seq, &record, pseudonym),
                    Body::Forget(pseudonym) => self.forget_edges(entry.seq, &record, pseudonym),
                    Body::Event(_) | Body::Traits(_) | Body::Relation(_) | Body::Outcome(_) => {
                        self.apply(&record);
                    }
                }
            }
            Err(reason) => self.dead_letter(entry.seq, reason, entry.bytes),
        }
    }

    /// Sets the earliest time of assignment, which other partitions have reached.
    pub(crate) fn not_before(mut self, at: Timestamp) -> Self {
        self.not_before = at;
        self
    }

    /// Adds a stored profile that changes without a record: another segment, or an edge to an erased user. Profiles whose keys
    /// are in `missing` are not cached.
    pub(crate) fn sweep_profile(
        &mut self,
        key: ProfileKey,
        stored: Profile,
        bytes: usize,
        missing: &[ProfileKey],
    ) {
        if missing.contains(&key) {
            self.profiles.loaded(key.clone(), stored, bytes);
        }
        if let Some(profile) = self.profiles.get_mut(&key) {
            profile.remove_edges(|other, at| self.tombstones.blocks_edge(other, at));
        }
        self.changed.insert(key);
    }

    /// Completes the commit: assigns segments, encodes profiles and changes, and writes the ledger after `note`.
    pub(crate) fn finish(
        mut self,
        assigner: &Assigner,
        note: impl FnOnce(&mut PartitionLedger),
        at: Timestamp,
    ) -> FoldResult {
        let mut profiles = Vec::with_capacity(self.changed.len());
        // A deletion precedes the changes of a new profile of the same user, or a subscriber would delete the new one.
        let mut changes = std::mem::take(&mut self.deletions);
        let read_at = assigner.read_at(at, self.clock.max(self.not_before));
        // A profile that was deleted and created again is written once, as the new one.
        let deleted = self.deleted.iter().filter(|key| !self.changed.contains(*key));
        profiles.extend(deleted.map(|key| (key.clone(), None)));
        for key in self.changed.drain() {
            let Some(profile) = self.profiles.get_mut(&key) else { continue };
            let before = segment_of(profile);
            assigner.assign(profile, read_at);
            if let Some((profile, bytes)) = self.profiles.advance(&key) {
                self.ledger.record_move(before, segment_of(profile));
                let trace = self.traces.remove(&key);
                changes.push(ProfileChange { trace, ..change_of(profile, before) }.encode().into());
                profiles.push((key, Some(bytes)));
            }
        }
        note(&mut self.ledger);
        // The end of the feed after this commit: no later change is of a profile from before the erasure.
        let feed_seq_max = self.position.feed_end.plus(changes.len() as u64);
        for pseudonym in &self.erased_here {
            self.tombstones.change(*pseudonym, |tombstone| tombstone.feed_seq_max = feed_seq_max);
        }
        let tombstones = self.tombstones.pending().map(|(pseudonym, tombstone)| {
            (pseudonym, tombstone.map(|tombstone| Bytes::from(tombstone.encode())))
        });
        let commit = Commit {
            token: self.position.token,
            expected: self.position.commit_no,
            applied_through: self.applied_through,
            clock: self.clock,
            at,
            profiles,
            tombstones: tombstones.collect(),
            seen: self.seen,
            changes,
            dead_letters: self.dead_letters,
            counted: self.counted,
            note: (self.ledger != self.position.ledger).then(|| self.ledger.encode().into()),
        };
        let erasures =
            ErasureCounts { here: self.erased_here.len() as u64, elsewhere: self.erased_elsewhere };
        FoldResult { commit, ledger: self.ledger, erasures, corrected_lines: self.corrected_lines }
    }

    /// Returns true if an earlier entry of this batch has the id. The store knows only the ids of earlier commits.
    fn is_duplicate(&mut self, seen: &Option<SeenQuery>) -> bool {
        seen.is_some_and(|query| !self.seen_in_batch.insert(query.id.get()))
    }

    /// Applies a record to the profile of its user.
    fn apply(&mut self, record: &Record) {
        let key = ProfileKey::of(&record.user_id);
        let tombstones = &*self.tombstones;
        // A new profile continues after the last version of the user, or after the highest of all expired tombstones, which
        // may have been the user's: a version never repeats.
        let floor = self.ledger.erasures().version_floor();
        let last_version = || tombstones.last_version(&record.user_id).max(floor);
        let profile = self.profiles.get_or_create(&key, &record.user_id, last_version);
        // Edges are scrubbed before the first use of the profile. A rebuild sweeps at other times and must see the same edges.
        if !tombstones.is_empty() && self.edges_scrubbed.insert(key.clone()) {
            profile.remove_edges(|other, at| tombstones.blocks_edge(other, at));
        }
        // Before the record is applied: the prediction must not know the event.
        self.shadow.observe(profile, record);
        let applied = match &record.body {
            Body::Relation(relation)
                if tombstones.blocks_edge(&relation.other_user_id, record.occurred_at) =>
            {
                // The record counts, or the fingerprint would depend on when the erasure arrived; the edge is not stored.
                profile.count(record);
                Applied::default()
            }
            _ => profile.apply(record),
        };
        self.counted.applied += 1;
        self.counted.late += u64::from(applied.late);
        self.corrected_lines += u64::from(applied.corrected);
        self.clock = advanced(self.clock, record.occurred_at, self.clock_jump_max);
        if let Some(trace) = record.trace {
            self.traces.insert(key.clone(), trace);
        }
        self.changed.insert(key);
    }

    /// Returns true if the user of a record was erased after it occurred.
    fn is_blocked(&self, record: &Record) -> bool {
        match record.body {
            Body::Erase(_) | Body::Forget(_) => false,
            Body::Event(_) | Body::Traits(_) | Body::Relation(_) | Body::Outcome(_) => {
                let tombstone = self.tombstones.of_user(&record.user_id);
                tombstone.is_some_and(|tombstone| record.occurred_at <= tombstone.erased_at)
            }
        }
    }

    /// Deletes the profile of an erased user and inserts a tombstone.
    fn erase(&mut self, seq: LogSeq, record: &Record, pseudonym: Pseudonym) {
        let key = ProfileKey::of(&record.user_id);
        self.shadow.forget(&record.user_id);
        self.changed.remove(&key);
        let mut version = ProfileVersion::default();
        let mut newest_event_at = None;
        if let Some((profile, is_stored)) = self.profiles.remove(&key) {
            version = profile.version();
            newest_event_at = profile.newest_event_at();
            // A profile that only this batch created was never visible: nothing to delete or to announce.
            if is_stored {
                version = version.next();
                self.ledger.record_move(segment_of(&profile), None);
                self.deletions.push(deletion_of(&profile, version, record).encode().into());
                self.deleted.insert(key);
            }
        }
        // An event of the user may be stamped later than the erasure, by a clock that runs ahead. It precedes the erasure in
        // the log, so it is erased too.
        let erased_at = newest_event_at.map_or(record.occurred_at, |newest| newest.max(record.occurred_at));
        let edges_through = self.edges_through(record);
        let tombstone = Tombstone { erased_at, edges_through, version, ..tombstone_at(seq, record) };
        self.insert_tombstone(pseudonym, tombstone);
        self.erased_here.push(pseudonym);
    }

    /// Inserts the tombstone of a user of another partition, for edges to the user.
    fn forget_edges(&mut self, seq: LogSeq, record: &Record, pseudonym: Pseudonym) {
        let edges_through = self.edges_through(record);
        let tombstone =
            Tombstone { erased_at: record.occurred_at, edges_through, ..tombstone_at(seq, record) };
        self.insert_tombstone(pseudonym, tombstone);
        self.erased_elsewhere += 1;
    }

    /// Returns the time at which every edge that precedes the record in the log was stated, or earlier.
    fn edges_through(&self, record: &Record) -> Timestamp {
        record.occurred_at.max(self.clock)
    }

    fn insert_tombstone(&mut self, pseudonym: Pseudonym, tombstone: Tombstone) {
        self.tombstones.insert(pseudonym, tombstone, self.ledger.erasures().cleared());
        // Profiles already checked may hold an edge to this user.
        self.edges_scrubbed.clear();
        self.ledger.erasures_mut().applied(tombstone.log_seq);
    }

    /// Extends a tombstone for a duplicate erasure: it erases nothing more, but its record is in the log and names the user,
    /// so the erasure is complete only when this record is trimmed too. One that expired exists again, since the receipt of
    /// the duplicate finds its erasure by it.
    fn extend_tombstone(&mut self, seq: LogSeq, record: &Record) {
        if let Body::Erase(pseudonym) | Body::Forget(pseudonym) = record.body {
            self.insert_tombstone(pseudonym, tombstone_at(seq, record));
        }
    }

    /// Stores an undecodable record as a dead letter, so that it does not stall the partition.
    fn dead_letter(&mut self, seq: LogSeq, reason: String, record: Bytes) {
        tracing::warn!(%seq, error = reason, "record moved to the dead letters");
        self.counted.dead_letters += 1;
        self.dead_letters.push(DeadLetter { seq, reason, record });
    }
}

/// Returns a tombstone for the record of an erasure; it blocks nothing, since no event is as old as its times.
fn tombstone_at(seq: LogSeq, record: &Record) -> Tombstone {
    Tombstone {
        accepted_at: record.accepted_at,
        erased_at: Timestamp::EPOCH,
        edges_through: Timestamp::EPOCH,
        version: ProfileVersion::default(),
        log_seq: seq,
        log_seq_min: seq,
        feed_seq_max: FeedSeq::default(),
    }
}

fn segment_of(profile: &Profile) -> Option<SegmentId> {
    profile.segment().map(|membership| membership.segment_id)
}

/// Builds the change that announces `profile`, previously in `segment_before`.
fn change_of(profile: &Profile, segment_before: Option<SegmentId>) -> ProfileChange {
    ProfileChange {
        user_id: profile.user_id().clone(),
        version: profile.version(),
        deleted: false,
        accepted_at: profile.updated_at(),
        segment_before,
        segment_after: segment_of(profile),
        trace: None,
    }
}

/// Builds the change that announces the deletion of `profile`.
fn deletion_of(profile: &Profile, version: ProfileVersion, erasure: &Record) -> ProfileChange {
    ProfileChange {
        user_id: profile.user_id().clone(),
        version,
        deleted: true,
        accepted_at: erasure.accepted_at,
        segment_before: segment_of(profile),
        segment_after: None,
        trace: erasure.trace,
    }
}

/// Returns the clock after an event at `occurred_at`. It never goes back, and one event moves it by at most `jump_max`: a
/// single wrong date must not decay every profile to nothing. The first event sets it.
fn advanced(clock: Timestamp, occurred_at: Timestamp, jump_max: TimeDelta) -> Timestamp {
    if clock <= Timestamp::EPOCH {
        return occurred_at.max(clock);
    }
    occurred_at.min(clock.plus(jump_max)).max(clock)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_follows_the_events_by_bounded_steps_and_never_back() {
        let jump_max = TimeDelta::from_days(7);
        let at = |days: i64| Timestamp::EPOCH.plus(TimeDelta::from_days(days));
        let rows = [
            (at(0), at(5000), at(5000)),
            (at(5000), at(5001), at(5001)),
            (at(5000), at(4000), at(5000)),
            (at(5000), at(9000), at(5007)),
        ];
        for (clock, event, expected) in rows {
            assert_eq!(advanced(clock, event, jump_max), expected, "{clock} {event}");
        }
    }
}
