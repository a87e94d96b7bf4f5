//! From a stretch of log to one commit. In come decoded records and the profiles they touch; out go the changed profiles
//! and everything that is committed with them. Pure: no store, no clock of its own.

use crate::assign::Assigner;
use crate::batch::Entry;
use crate::cache::Profiles;
use bytes::Bytes;
use portrait_profile::{Profile, ProfileChange, Record, SegmentId, PartitionLedger, Span, Timestamp};
use portrait_store::{Commit, CommitNo, Counters, DeadLetter, LeaseToken, LogSeq, ProfileKey, SeenQuery};
use std::collections::HashSet;

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
    /// Who is in which segment.
    pub(crate) ledger: PartitionLedger,
}

/// One commit in the making.
pub(crate) struct Fold<'a> {
    profiles: &'a mut Profiles,
    clock_jump: Span,
    standing: &'a Standing,
    clock: Timestamp,
    /// Nobody is assigned as of an earlier moment, if the clock follows the events.
    not_before: Timestamp,
    applied_through: LogSeq,
    changed: HashSet<ProfileKey>,
    seen_here: HashSet<u64>,
    seen: Vec<SeenQuery>,
    dead_letters: Vec<DeadLetter>,
    counted: Counters,
}

impl<'a> Fold<'a> {
    /// Begins where the partition stands. `clock_jump` is how far one event may move the partition's clock.
    pub(crate) fn begin(standing: &'a Standing, clock_jump: Span, profiles: &'a mut Profiles) -> Self {
        Self {
            profiles,
            clock_jump,
            standing,
            clock: standing.clock,
            not_before: Timestamp::EPOCH,
            applied_through: standing.applied_through,
            changed: HashSet::new(),
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
            }
            Ok(record) => {
                self.seen.extend(entry.seen);
                self.apply(&record);
            }
            Err(fault) => self.set_aside(entry.seq, fault, entry.bytes),
        }
    }

    /// Assigns as of `moment` at the earliest, which other partitions have reached.
    pub(crate) fn not_before(mut self, moment: Timestamp) -> Self {
        self.not_before = moment;
        self
    }

    /// Takes a stored profile along whose segment changes although nothing was logged. Those of `missing` are not in memory.
    pub(crate) fn look_at(&mut self, key: ProfileKey, stored: Profile, bytes: usize, missing: &[ProfileKey]) {
        if missing.contains(&key) {
            self.profiles.loaded(key.clone(), stored, bytes);
        }
        self.changed.insert(key);
    }

    /// The commit of everything folded, with everybody in the segment that `assigner` says, and the ledger after it.
    pub(crate) fn finish(
        self,
        assigner: &Assigner,
        note: impl FnOnce(&mut PartitionLedger),
        at: Timestamp,
    ) -> (Commit, PartitionLedger) {
        let mut profiles = Vec::with_capacity(self.changed.len());
        let mut changes = Vec::with_capacity(self.changed.len());
        let mut ledger = self.standing.ledger.clone();
        let moment = assigner.moment(at, self.clock.max(self.not_before));
        for key in self.changed {
            let Some(profile) = self.profiles.get_mut(&key) else { continue };
            let before = segment_of(profile);
            assigner.assign(profile, moment);
            if let Some((profile, bytes)) = self.profiles.advance(&key) {
                ledger.moved(before, segment_of(profile));
                changes.push(change_of(profile, before).encode().into());
                profiles.push((key, Some(bytes)));
            }
        }
        note(&mut ledger);
        let commit = Commit {
            token: self.standing.token,
            expected: self.standing.commit_no,
            applied_through: self.applied_through,
            clock: self.clock,
            at,
            profiles,
            seen: self.seen,
            changes,
            dead_letters: self.dead_letters,
            counted: self.counted,
            note: (ledger != self.standing.ledger).then(|| ledger.encode().into()),
        };
        (commit, ledger)
    }

    fn repeats(&mut self, seen: &Option<SeenQuery>) -> bool {
        seen.is_some_and(|query| !self.seen_here.insert(query.id.get()))
    }

    fn apply(&mut self, record: &Record) {
        let key = ProfileKey::of(&record.user_id);
        let profile = self.profiles.of(&key, &record.user_id);
        let applied = profile.apply(record);
        self.counted.applied += 1;
        self.counted.late += u64::from(applied.late);
        self.clock = moved(self.clock, record.occurred_at, self.clock_jump);
        self.changed.insert(key);
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
