//! Decoding of a page of the log, and the cut that makes its result fit into one commit. Entries keep the order of the log.

use crate::error::Error;
use bytes::Bytes;
use portrait_profile::{Body, DecodeError, Record, SeenId, Timestamp, TraceContext, UserId};
use portrait_proto::status::with_causes;
use portrait_store::{Limits, LogRecord, LogSeq, ProfileKey, SeenQuery};
use std::collections::HashSet;

/// Upper bound of the bytes that an entry adds to a commit beside its record: growth of the encoded profile, its key, the
/// change in the feed and the remembered id. The sum over a batch decides where it is cut, so it must not be too small.
const ENTRY_OVERHEAD_BYTES: usize = 512;

/// Decoded entry of the log.
pub(crate) struct LogEntry {
    /// Position in the partition's log.
    pub(crate) seq: LogSeq,
    /// Decoded record, or the reason why it cannot be decoded.
    pub(crate) record: Result<Record, String>,
    /// De-duplication query; none for a record without an id.
    pub(crate) seen: Option<SeenQuery>,
    /// Record as logged, kept for a dead letter.
    pub(crate) bytes: Bytes,
}

impl LogEntry {
    /// Decodes a logged record. Times are not checked again: ingest has validated them, and a rebuild must accept the same.
    ///
    /// # Errors
    /// Fails if a later release wrote the record. It is not damaged, so it must not become a dead letter.
    fn decode(logged: LogRecord) -> Result<Self, Error> {
        let record = match Record::decode(&logged.value) {
            Err(source @ DecodeError::Newer { .. }) => return Err(Error::Record { seq: logged.seq, source }),
            read => read.map_err(|error| with_causes(&error)),
        };
        let seen = record.as_ref().ok().and_then(|record| {
            let record_id = record.record_id.as_ref()?;
            let id = match &record.body {
                // An event of the user may have the same id. In a namespace of its own the erasure is no duplicate of it.
                Body::Erase(pseudonym) => SeenId::of(&pseudonym.as_user_id(), record_id),
                Body::Event(_) | Body::Traits(_) | Body::Relation(_) | Body::Outcome(_) | Body::Forget(_) => {
                    SeenId::of(&record.user_id, record_id)
                }
            };
            let source_day = record.source.map(|source| source.on_day_of(record.occurred_at));
            Some(SeenQuery { id, arrived_at: record.accepted_at, source_day })
        });
        Ok(Self { seq: logged.seq, record, seen, bytes: logged.value })
    }

    /// Returns the user whose profile the record changes; none for `Forget`, which names a pseudonym.
    pub(crate) fn user_id(&self) -> Option<&UserId> {
        let record = self.record.as_ref().ok()?;
        (!matches!(record.body, Body::Forget(_))).then_some(&record.user_id)
    }

    /// Returns the trace context of the sampled call that logged the record.
    pub(crate) fn trace_mut(&mut self) -> Option<&mut TraceContext> {
        self.record.as_mut().ok()?.trace.as_mut()
    }

    /// Returns the time at which ingest accepted the record.
    pub(crate) fn accepted_at(&self) -> Option<Timestamp> {
        self.record.as_ref().ok().map(|record| record.accepted_at)
    }
}

/// Decodes a page of the log up to the first record that a later release wrote.
///
/// # Errors
/// Fails if that is the first record: the partition then stalls until a release that can decode it owns it.
pub(crate) fn readable(page: Vec<LogRecord>) -> Result<Vec<LogEntry>, Error> {
    let mut entries = Vec::with_capacity(page.len());
    for logged in page {
        match LogEntry::decode(logged) {
            Ok(entry) => entries.push(entry),
            Err(error) if entries.is_empty() => return Err(error),
            // The readable prefix is committed first; the next page then begins with the record of the later release.
            Err(_) => break,
        }
    }
    Ok(entries)
}

/// Returns the length of the prefix of `entries` that fits into one commit; at least 1.
///
/// `stored_bytes` returns the encoded size of a profile before this batch. Sizes are upper bounds, since the exact ones are
/// known only after the fold.
pub(crate) fn fitting_prefix(
    entries: &[LogEntry],
    limits: &Limits,
    stored_bytes: impl Fn(&ProfileKey) -> usize,
) -> usize {
    let mut users = HashSet::<&str>::new();
    let mut total_bytes = 0;
    for (index, entry) in entries.iter().enumerate() {
        let added_bytes = entry.bytes.len() + ENTRY_OVERHEAD_BYTES;
        total_bytes += added_bytes;
        if let Some(user_id) = entry.user_id()
            && users.insert(user_id.as_str())
        {
            total_bytes += stored_bytes(&ProfileKey::of(user_id));
        }
        // A batch of one always passes: it is within the limits of a commit, which are larger than a record and a profile.
        if index > 0 && (users.len() > limits.commit_profiles || total_bytes > limits.commit_bytes) {
            return index;
        }
    }
    entries.len()
}

/// Returns the length of the prefix of profiles, given their encoded sizes in bytes, that one commit can write; at least 1
/// if there is one.
pub(crate) fn fitting_profiles_prefix(sizes: impl ExactSizeIterator<Item = usize>, limits: &Limits) -> usize {
    let count = sizes.len();
    let mut total_bytes = 0;
    for (index, bytes) in sizes.enumerate() {
        total_bytes += bytes + ENTRY_OVERHEAD_BYTES;
        if index > 0 && (index >= limits.commit_profiles || total_bytes > limits.commit_bytes) {
            return index;
        }
    }
    count
}
