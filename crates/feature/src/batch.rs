//! A stretch of log, decoded and cut so that what it becomes fits into one commit. In comes a page of the log; out go
//! entries in log order, each a record or the reason why it is none.

use crate::error::Error;
use bytes::Bytes;
use portrait_profile::{Body, DecodeError, Record, SeenId, Timestamp, TraceContext, UserId};
use portrait_proto::status::with_causes;
use portrait_store::{Limits, LogRecord, LogSeq, ProfileKey, SeenQuery};
use std::collections::HashSet;

/// What a record can add to the encoded size of a profile beyond its own bytes, and what key, change and remembered id of a
/// profile take in a commit.
const ENTRY_OVERHEAD_BYTES: usize = 512;

/// One entry of the log.
pub(crate) struct Entry {
    /// Its place.
    pub(crate) seq: LogSeq,
    /// The record, or why it cannot be read.
    pub(crate) record: Result<Record, String>,
    /// What de-duplication asks about it; none for a record without an id.
    pub(crate) seen: Option<SeenQuery>,
    /// The record as it was logged.
    pub(crate) bytes: Bytes,
}

impl Entry {
    /// Decodes what the log holds. A record is applied even if its sender's clock was wild: ingest has judged that.
    ///
    /// # Errors
    /// If a later release wrote it: there is nothing wrong with it, so that it must not be set aside.
    fn decode(logged: LogRecord) -> Result<Self, Error> {
        let record = match Record::decode(&logged.value) {
            Err(source @ DecodeError::Newer { .. }) => return Err(Error::Record { seq: logged.seq, source }),
            read => read.map_err(|error| with_causes(&error)),
        };
        let seen = record.as_ref().ok().and_then(|record| {
            let record_id = record.record_id.as_ref()?;
            let id = match &record.body {
                // An event of the shopper may have the same id, and would keep the erasure out.
                Body::Erase(pseudonym) => SeenId::of(&pseudonym.as_user_id(), record_id),
                Body::Event(_) | Body::Traits(_) | Body::Relation(_) | Body::Outcome(_) | Body::Forget(_) => {
                    SeenId::of(&record.user_id, record_id)
                }
            };
            Some(SeenQuery { id, arrived_at: record.accepted_at })
        });
        Ok(Self { seq: logged.seq, record, seen, bytes: logged.value })
    }

    /// Whose profile it touches.
    pub(crate) fn user_id(&self) -> Option<&UserId> {
        let record = self.record.as_ref().ok()?;
        (!matches!(record.body, Body::Forget(_))).then_some(&record.user_id)
    }

    /// The span that logged it, if that is followed.
    pub(crate) fn trace_mut(&mut self) -> Option<&mut TraceContext> {
        self.record.as_mut().ok()?.trace.as_mut()
    }

    /// When ingest took it.
    pub(crate) fn accepted_at(&self) -> Option<Timestamp> {
        self.record.as_ref().ok().map(|record| record.accepted_at)
    }
}

/// The entries of a page of the log, up to the first that a later release wrote.
///
/// # Errors
/// If that is the first of all: the partition stands still until a release owns it that can read it.
pub(crate) fn readable(page: Vec<LogRecord>) -> Result<Vec<Entry>, Error> {
    let mut entries = Vec::with_capacity(page.len());
    for logged in page {
        match Entry::decode(logged) {
            Ok(entry) => entries.push(entry),
            Err(error) if entries.is_empty() => return Err(error),
            Err(_) => break,
        }
    }
    Ok(entries)
}

/// How many of `entries`, from the first, fit into one commit; at least one.
///
/// `stored_bytes` gives the encoded size of a profile before this batch. Sizes are bounded from above, since the true ones
/// are known only after folding.
pub(crate) fn fitting(
    entries: &[Entry],
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
        if index > 0 && (users.len() > limits.commit_profiles || total_bytes > limits.commit_bytes) {
            return index;
        }
    }
    entries.len()
}

/// How many of some profiles, from the first, can be written again by one commit; at least one if there is one. In come their
/// encoded sizes.
pub(crate) fn fitting_profiles(sizes: impl ExactSizeIterator<Item = usize>, limits: &Limits) -> usize {
    let (count, mut total_bytes) = (sizes.len(), 0);
    for (index, bytes) in sizes.enumerate() {
        total_bytes += bytes + ENTRY_OVERHEAD_BYTES;
        if index > 0 && (index >= limits.commit_profiles || total_bytes > limits.commit_bytes) {
            return index;
        }
    }
    count
}
