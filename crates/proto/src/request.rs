//! Request checks shared by the services: batch sizes, user ids, times and shards. Each returns the domain value, or an
//! error with the field's path and the remedy.

use crate::status::CallFailure;
use crate::v1::ErrorReason;
use crate::{text_error, time};
use portrait_profile::{PartitionCount, PartitionId, TextError, Timestamp, UserId};
use tonic::Status;

/// Maximum number of items, users or segments in one request. A thousand items fill one append of the log, and a thousand
/// full profiles a response of 40 MiB.
pub const BATCH_MAX: usize = 1000;

/// Maximum number of categories of one request for recommendations.
pub const CATEGORIES_MAX: usize = 100;

/// Rejection of a request or of one of its items.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct ValidationError {
    /// Reason from the closed list.
    pub reason: ErrorReason,
    /// Path of the invalid field, as `price` or `user_ids[3]`; empty for an item as a whole.
    pub field: String,
    /// Human-readable reason and remedy.
    pub message: String,
}

/// Shard of a deployment's partitions: those whose number is `index` modulo `count`.
///
/// ```
/// use portrait_profile::{PartitionCount, PartitionId};
/// use portrait_proto::request::Shard;
///
/// let shard = Shard::from_wire(1, 3)?;
/// let partitions = shard.partitions(PartitionCount::new(8).unwrap());
/// assert_eq!(partitions.map(PartitionId::get).collect::<Vec<_>>(), [1, 4, 7]);
/// # Ok::<(), portrait_proto::request::ValidationError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Number of this shard, from 0.
    pub index: u32,
    /// Number of shards, at least 1.
    pub count: u32,
}

impl ValidationError {
    /// Builds the rejection of `field` for `reason`.
    pub fn new(reason: ErrorReason, field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { reason, field: field.into(), message: message.into() }
    }

    /// Builds the rejection of a text that is no id.
    pub fn of_text(field: impl Into<String>, error: TextError) -> Self {
        Self::new(text_error::reason_of(error), field, error.to_string())
    }
}

impl From<ValidationError> for CallFailure {
    fn from(ValidationError { reason, field, message }: ValidationError) -> Self {
        Self::new(reason, message).field(field)
    }
}

impl From<ValidationError> for Status {
    fn from(error: ValidationError) -> Self {
        CallFailure::from(error).into_status()
    }
}

/// Checks that a list is neither empty nor larger than [`BATCH_MAX`].
///
/// # Errors
/// `EMPTY_BATCH` or `TOO_MANY`.
pub fn batch(field: &str, count: usize) -> Result<(), ValidationError> {
    if count == 0 {
        return Err(ValidationError::new(ErrorReason::EmptyBatch, field, format!("send 1 to {BATCH_MAX}")));
    }
    at_most(field, count, BATCH_MAX)
}

/// Checks that a list, which may be empty, is not larger than `max`.
///
/// # Errors
/// `TOO_MANY`.
pub fn at_most(field: &str, count: usize, max: usize) -> Result<(), ValidationError> {
    if count > max {
        let message = format!("{count} were sent, {max} are allowed: split the request");
        return Err(ValidationError::new(ErrorReason::TooMany, field, message));
    }
    Ok(())
}

/// Parses a user id.
///
/// # Errors
/// The defect of the text.
pub fn user_id(field: impl Into<String>, text: &str) -> Result<UserId, ValidationError> {
    UserId::parse(text).map_err(|error| ValidationError::of_text(field, error))
}

/// Parses a list of at most [`BATCH_MAX`] user ids; it may be empty.
///
/// # Errors
/// `TOO_MANY`, or the defect of the first text that is no id.
pub fn user_ids(field: &str, texts: &[String]) -> Result<Vec<UserId>, ValidationError> {
    at_most(field, texts.len(), BATCH_MAX)?;
    texts.iter().enumerate().map(|(index, text)| user_id(format!("{field}[{index}]"), text)).collect()
}

/// Converts the time of a read; none means now.
///
/// # Errors
/// `BAD_TIME` if it is no valid `google.protobuf.Timestamp`.
pub fn timestamp(
    field: &str,
    at: Option<prost_types::Timestamp>,
) -> Result<Option<Timestamp>, ValidationError> {
    at.map(|at| time::from_wire(&at)).transpose().map_err(|error| {
        ValidationError::new(ErrorReason::BadTime, field, format!("{error}; leave it out for now"))
    })
}

impl Shard {
    /// Converts `shard_index` and `shard_count` of a request; a count of 0 means one shard.
    ///
    /// # Errors
    /// `OUT_OF_RANGE` if the index is not below the count.
    pub fn from_wire(index: u32, count: u32) -> Result<Self, ValidationError> {
        // 0 is the default of the wire: a reader that knows no shards gets all partitions.
        let count = count.max(1);
        if index >= count {
            let message = format!("{index} is not below shard_count {count}");
            return Err(ValidationError::new(ErrorReason::OutOfRange, "shard_index", message));
        }
        Ok(Self { index, count })
    }

    /// Returns the partitions of the shard, in order.
    pub fn partitions(self, all: PartitionCount) -> impl Iterator<Item = PartitionId> {
        all.all().filter(move |partition| u32::from(partition.get()) % self.count == self.index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rejection_names_the_invalid_field() {
        let check = |result: Result<(), ValidationError>, reason, field: &str| {
            let error = result.expect_err(field);
            assert_eq!((error.reason, &*error.field), (reason, field));
        };
        check(batch("items", 0), ErrorReason::EmptyBatch, "items");
        check(batch("items", BATCH_MAX + 1), ErrorReason::TooMany, "items");
        check(user_id("user_id", "").map(drop), ErrorReason::EmptyId, "user_id");
        let texts = ["u".to_owned(), String::new()];
        check(user_ids("user_ids", &texts).map(drop), ErrorReason::EmptyId, "user_ids[1]");
        check(Shard::from_wire(2, 2).map(drop), ErrorReason::OutOfRange, "shard_index");
        let at = prost_types::Timestamp { seconds: 0, nanos: -1 };
        check(timestamp("read_at", Some(at)).map(drop), ErrorReason::BadTime, "read_at");
    }

    #[test]
    fn values_within_the_limits_pass() {
        assert_eq!((batch("items", 1), batch("items", BATCH_MAX)), (Ok(()), Ok(())));
        assert_eq!((user_ids("user_ids", &[]), timestamp("read_at", None)), (Ok(Vec::new()), Ok(None)));
        let partitions = PartitionCount::new(5).expect("5 partitions");
        for (index, count, expected) in [(0, 0, vec![0, 1, 2, 3, 4]), (1, 2, vec![1, 3]), (3, 8, vec![3])] {
            let shard = Shard::from_wire(index, count).expect("a shard");
            assert_eq!(shard.partitions(partitions).map(PartitionId::get).collect::<Vec<_>>(), expected);
        }
    }
}
