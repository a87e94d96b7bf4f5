//! From a stretch of log to one commit. In come decoded records and the profiles they touch; out go the changed profiles
//! and everything that is committed with them. Pure: no store, no clock of its own.

use crate::assign::Assigner;
use crate::batch::Entry;
use crate::cache::Profiles;
use crate::erased::Erased;
use crate::gap::Gap;
use bytes::Bytes;
use portrait_profile::{
    Applied, Body, FeedPlace, LogPlace, PartitionLedger, Profile, ProfileChange, ProfileVersion, Pseudonym,
    Record, SegmentId, Span, Timestamp, Tombstone, TraceContext,
};
use portrait_store::{
    Commit, CommitNo, Counters, DeadLetter, FeedSeq, LeaseToken, LogSeq, ProfileKey, SeenQuery,
};
use std::collections::{HashMap, HashSet};

/// Where a partition stands, as its owner knows it.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    /// The owner's.
    pub(crate) token: LeaseToken,
    /// The newest commit.
    pub(crate) commit_no: CommitNo,
    /// Records up to here are applied.
    pub(crate) applied_through: LogSeq,
    /// The newest event time.
    pub(crate) clock: Timestamp,
    /// The newest change.
    pub(crate) feed_end: FeedSeq,
    /// Who is in which segment, and how far erasures are.
    pub(crate) ledger: PartitionLedger,
}

/// A stretch of log, folded.
pub(crate) struct Folded {
    /// What is to be committed.
    pub(crate) commit: Commit,
    /// What the ledger is after it.
    pub(crate) ledger: PartitionLedger,
    /// How many erasures there were: of shoppers of this partition, and of others.
    pub(crate) erasures: (u64, u64),
}

/// One commit in the making.
pub(crate) struct Fold<'a> {
    profiles: &'a mut Profiles,
    erased: &'a mut Erased,
    gap: &'a mut Gap,
    clock_jump: Span,
    standing: &'a Standing,
    ledger: PartitionLedger,
    clock: Timestamp,
    /// Nobody is assigned as of an earlier moment, if the clock follows the events.
    not_before: Timestamp,
    applied_through: LogSeq,
    changed: HashSet<ProfileKey>,
    /// Of whose changes somebody follows the newest call.
    followed: HashMap<ProfileKey, TraceContext>,
    /// Who has no edge to anybody erased so far.
    parted: HashSet<ProfileKey>,
    /// Who is erased and was stored: deleted, unless a new profile takes the place.
    deleted: HashSet<ProfileKey>,
    /// What tells of that.
    deletions: Vec<Bytes>,
    /// Who of this partition is erased here.
    raised: Vec<Pseudonym>,
    /// How many of other partitions are.
    forgotten: u64,
    seen_here: HashSet<u64>,
    seen: Vec<SeenQuery>,
    dead_letters: Vec<DeadLetter>,
    counted: Counters,
}

impl<'a> Fold<'a> {
    /// Begins where the partition stands. `clock_jump` is how far one event may move the partition's clock.
    pub(crate) fn begin(
        standing: &'a Standing,
        clock_jump: Span,
        profiles: &'a mut Profiles,
        erased: &'a mut Erased,
        gap: &'a mut Gap,
    ) -> Self {
        Self {
            profiles,
            erased,
            gap,
            clock_jump,
            standing,
            ledger: standing.ledger.clone(),
            clock: standing.clock,
            not_before: Timestamp::EPOCH,
            applied_through: standing.applied_through,
            changed: HashSet::new(),
            followed: HashMap::new(),
            parted: HashSet::new(),
            deleted: HashSet::new(),
            deletions: Vec::new(),
            raised: Vec::new(),
            forgotten: 0,
            seen_here: HashSet::new(),
            seen: Vec::new(),
            dead_letters: Vec::new(),
            counted: Counters::default(),
        }
    }

    /// Folds one entry of the log. `seen_before` tells that an earlier commit has its id.
    pub(crate) fn entry(&mut self, entry: Entry, seen_before: bool) {
        self.applied_through = entry.seq;
        match entry.record {
            Ok(record) if seen_before || self.repeats(&entry.seen) => {
                tracing::trace!(user_id = %record.user_id, seq = %entry.seq, "duplicate record dropped");
                self.counted.duplicates += 1;
                self.erase_again(entry.seq, &record);
            }
            Ok(record) if self.is_blocked(&record) => {
                tracing::trace!(seq = %entry.seq, "record of an erased shopper dropped");
                self.counted.blocked += 1;
            }
            Ok(record) => {
                self.seen.extend(entry.seen);
                match record.body {
                    Body::Erase(pseudonym) => self.erase(entry.seq, &record, pseudonym),
                    Body::Forget(pseudonym) => self.forget(entry.seq, &record, pseudonym),
                    Body::Event(_) | Body::Traits(_) | Body::Relation(_) | Body::Outcome(_) => {
                        self.apply(&record);
                    }
                }
            }
            Err(fault) => self.set_aside(entry.seq, fault, entry.bytes),
        }
    }

    /// Assigns as of `moment` at the earliest, which other partitions have reached.
    pub(crate) fn not_before(mut self, moment: Timestamp) -> Self {
        self.not_before = moment;
        self
    }

    /// Takes a stored profile along whose segment changes although nothing was logged, or that has edges to who was erased.
    /// Those of `missing` are not in memory.
    pub(crate) fn look_at(&mut self, key: ProfileKey, stored: Profile, bytes: usize, missing: &[ProfileKey]) {
        if missing.contains(&key) {
            self.profiles.loaded(key.clone(), stored, bytes);
        }
        if let Some(profile) = self.profiles.get_mut(&key) {
            profile.forget_edges(|other, at| self.erased.is_gone(other, at));
        }
        self.changed.insert(key);
    }

    /// The commit of everything folded, with everybody in the segment that `assigner` says, and the ledger after it.
    pub(crate) fn finish(
        mut self,
        assigner: &Assigner,
        note: impl FnOnce(&mut PartitionLedger),
        at: Timestamp,
    ) -> Folded {
        let mut profiles = Vec::with_capacity(self.changed.len());
        // Who is gone is told of before whoever has come since.
        let mut changes = std::mem::take(&mut self.deletions);
        let moment = assigner.moment(at, self.clock.max(self.not_before));
        let replaced = |key: &&ProfileKey| !self.changed.contains(*key);
        profiles.extend(self.deleted.iter().filter(replaced).map(|key| (key.clone(), None)));
        for key in self.changed.drain() {
            let Some(profile) = self.profiles.get_mut(&key) else { continue };
            let before = segment_of(profile);
            assigner.assign(profile, moment);
            if let Some((profile, bytes)) = self.profiles.advance(&key) {
                self.ledger.moved(before, segment_of(profile));
                let trace = self.followed.remove(&key);
                changes.push(ProfileChange { trace, ..change_of(profile, before) }.encode().into());
                profiles.push((key, Some(bytes)));
            }
        }
        note(&mut self.ledger);
        let told_through = FeedPlace(self.standing.feed_end.plus(changes.len() as u64).get());
        for pseudonym in &self.raised {
            self.erased.change(*pseudonym, |tombstone| tombstone.told_through = told_through);
        }
        let bytes = |tombstone: &Tombstone| Bytes::from(tombstone.encode());
        let tombstones =
            self.erased.pending().map(|(pseudonym, tombstone)| (pseudonym, tombstone.map(bytes)));
        let commit = Commit {
            token: self.standing.token,
            expected: self.standing.commit_no,
            applied_through: self.applied_through,
            clock: self.clock,
            at,
            profiles,
            tombstones: tombstones.collect(),
            seen: self.seen,
            changes,
            dead_letters: self.dead_letters,
            counted: self.counted,
            note: (self.ledger != self.standing.ledger).then(|| self.ledger.encode().into()),
        };
        Folded { commit, ledger: self.ledger, erasures: (self.raised.len() as u64, self.forgotten) }
    }

    fn repeats(&mut self, seen: &Option<SeenQuery>) -> bool {
        seen.is_some_and(|query| !self.seen_here.insert(query.id.get()))
    }

    fn apply(&mut self, record: &Record) {
        let key = ProfileKey::of(&record.user_id);
        let erased = &*self.erased;
        let floor = self.ledger.erasures().version_floor();
        let last = || erased.last_version(&record.user_id).max(floor);
        let profile = self.profiles.of(&key, &record.user_id, last);
        // Before anything is made of the edges: a rebuild, which sweeps at other moments, must see the same.
        if !erased.is_empty() && self.parted.insert(key.clone()) {
            profile.forget_edges(|other, at| erased.is_gone(other, at));
        }
        self.gap.look(profile, record);
        let applied = match &record.body {
            Body::Relation(relation) if erased.is_gone(&relation.other_user_id, record.occurred_at) => {
                profile.count(record);
                Applied::default()
            }
            _ => profile.apply(record),
        };
        self.counted.applied += 1;
        self.counted.late += u64::from(applied.late);
        self.clock = moved(self.clock, record.occurred_at, self.clock_jump);
        if let Some(trace) = record.trace {
            self.followed.insert(key.clone(), trace);
        }
        self.changed.insert(key);
    }

    /// Whether a record is of a shopper who was erased after it occurred.
    fn is_blocked(&self, record: &Record) -> bool {
        match record.body {
            Body::Erase(_) | Body::Forget(_) => false,
            Body::Event(_) | Body::Traits(_) | Body::Relation(_) | Body::Outcome(_) => {
                let tombstone = self.erased.of(&record.user_id);
                tombstone.is_some_and(|tombstone| record.occurred_at <= tombstone.erased_at)
            }
        }
    }

    /// Deletes a profile, and leaves a tombstone.
    fn erase(&mut self, seq: LogSeq, record: &Record, pseudonym: Pseudonym) {
        let key = ProfileKey::of(&record.user_id);
        self.gap.forget(&record.user_id);
        self.changed.remove(&key);
        let (mut version, mut newest) = (ProfileVersion::default(), None);
        if let Some((profile, is_stored)) = self.profiles.remove(&key) {
            (version, newest) = (profile.version(), profile.newest_event_at());
            if is_stored {
                version = version.next();
                self.ledger.moved(segment_of(&profile), None);
                self.deletions.push(deletion_of(&profile, version, record).encode().into());
                self.deleted.insert(key);
            }
        }
        // An event of the shopper's own may be stamped later than the erasure, and is of before it all the same.
        let erased_at = newest.map_or(record.occurred_at, |newest| newest.max(record.occurred_at));
        self.raise(seq, record, pseudonym, (erased_at, version));
        self.raised.push(pseudonym);
    }

    /// Notes that somebody of another partition is erased.
    fn forget(&mut self, seq: LogSeq, record: &Record, pseudonym: Pseudonym) {
        self.raise(seq, record, pseudonym, (record.occurred_at, ProfileVersion::default()));
        self.forgotten += 1;
    }

    fn raise(
        &mut self,
        seq: LogSeq,
        record: &Record,
        pseudonym: Pseudonym,
        (erased_at, version): (Timestamp, ProfileVersion),
    ) {
        let placed_at = LogPlace(seq.get());
        let tombstone = Tombstone {
            accepted_at: record.accepted_at,
            erased_at,
            // Every edge that the log has before this place was stated by then.
            edges_through: record.occurred_at.max(self.clock),
            version,
            placed_at,
            left_from: placed_at,
            told_through: FeedPlace::default(),
        };
        self.erased.raise(pseudonym, tombstone, self.ledger.erasures().cleared());
        self.parted.clear();
        self.ledger.erasures_mut().applied(placed_at);
    }

    /// An erasure that was sent again erases nothing more, but its record is in the log and names the shopper.
    fn erase_again(&mut self, seq: LogSeq, record: &Record) {
        if let Body::Erase(pseudonym) | Body::Forget(pseudonym) = record.body {
            let placed_at = LogPlace(seq.get());
            self.erased.change(pseudonym, |tombstone| tombstone.placed_at = placed_at);
            self.ledger.erasures_mut().applied(placed_at);
        }
    }

    fn set_aside(&mut self, seq: LogSeq, fault: String, record: Bytes) {
        tracing::warn!(%seq, fault, "record cannot be applied and is set aside");
        self.counted.dead_letters += 1;
        self.dead_letters.push(DeadLetter { seq, reason: fault, record });
    }
}

fn segment_of(profile: &Profile) -> Option<SegmentId> {
    profile.segment().map(|membership| membership.segment_id)
}

/// The change that tells subscribers of `profile`, which was in `segment_before`.
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

/// The change that tells subscribers that `profile` is gone.
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

/// The clock after an event at `occurred_at`: it never goes back, and one event moves it by at most `jump`, so that a single
/// wrong date cannot fade every profile. The first event sets it.
fn moved(clock: Timestamp, occurred_at: Timestamp, jump: Span) -> Timestamp {
    if clock <= Timestamp::EPOCH {
        return occurred_at.max(clock);
    }
    occurred_at.min(clock.plus(jump)).max(clock)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_follows_the_events_by_bounded_steps_and_never_back() {
        let jump = Span::from_days(7);
        let at = |days: i64| Timestamp::EPOCH.plus(Span::from_days(days));
        let rows = [
            (at(0), at(5000), at(5000)),
            (at(5000), at(5001), at(5001)),
            (at(5000), at(4000), at(5000)),
            (at(5000), at(9000), at(5007)),
        ];
        for (clock, event, expected) in rows {
            assert_eq!(moved(clock, event, jump), expected, "{clock} {event}");
        }
    }
}
