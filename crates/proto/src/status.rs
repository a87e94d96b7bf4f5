//! Conversion of an [`ErrorReason`] to a gRPC status: its code, a `google.rpc.ErrorInfo` with the reason, a `BadRequest`
//! for an invalid field, and a `RetryInfo` when a retry helps. This is the only place where codes are chosen.

use crate::v1::ErrorReason;
use portrait_profile::StoreFailure;
use std::collections::HashMap;
use std::time::Duration;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// Domain of every `ErrorInfo`.
pub const ERROR_DOMAIN: &str = "portrait.v1";
/// Delay after which a caller retries when the store was full or unavailable.
const STORE_RETRY_AFTER: Duration = Duration::from_secs(1);

/// Failed call, the source of a [`Status`].
///
/// ```
/// use portrait_proto::status::{CallFailure, reason_of};
/// use portrait_proto::v1::ErrorReason;
///
/// let status = CallFailure::new(ErrorReason::TooMany, "send at most 1000").field("events").into_status();
/// assert_eq!(status.code(), tonic::Code::InvalidArgument);
/// assert_eq!(reason_of(&status), Some(ErrorReason::TooMany));
/// ```
#[derive(Clone, Debug)]
pub struct CallFailure {
    reason: ErrorReason,
    message: String,
    field: Option<String>,
    retry_after: Option<Duration>,
}

impl CallFailure {
    /// Builds a failure for `reason`; `message` is human-readable and states the remedy.
    pub fn new(reason: ErrorReason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), field: None, retry_after: None }
    }

    /// Builds a failure of the service's store.
    pub fn of_store(failure: StoreFailure, message: impl Into<String>) -> Self {
        let call_failure = Self::new(store_reason(failure), message);
        if failure.is_retryable() { call_failure.retry_after(STORE_RETRY_AFTER) } else { call_failure }
    }

    /// Adds the path of the invalid field, as `events[3].price`.
    #[must_use]
    pub fn field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// Adds the delay after which a retry may succeed.
    #[must_use]
    pub fn retry_after(mut self, delay: Duration) -> Self {
        self.retry_after = Some(delay);
        self
    }

    /// Converts the failure to a status with details.
    pub fn into_status(self) -> Status {
        let mut details = ErrorDetails::new();
        details.set_error_info(reason_name(self.reason), ERROR_DOMAIN, HashMap::new());
        if let Some(field) = self.field {
            details.add_bad_request_violation(field, self.message.clone());
        }
        if let Some(delay) = self.retry_after {
            details.set_retry_info(Some(delay));
        }
        Status::with_error_details(code_of(self.reason), self.message, details)
    }
}

impl From<CallFailure> for Status {
    fn from(failure: CallFailure) -> Self {
        failure.into_status()
    }
}

/// Returns the reason of a store failure.
pub const fn store_reason(failure: StoreFailure) -> ErrorReason {
    match failure {
        StoreFailure::Full => ErrorReason::StoreFull,
        // Callers cannot act on a fencing, which another owner resolves; to them the store is unavailable.
        StoreFailure::Unavailable | StoreFailure::Fenced => ErrorReason::StoreUnavailable,
        StoreFailure::TrainingInProgress => ErrorReason::TrainingInProgress,
        StoreFailure::ModelNotFound => ErrorReason::ModelNotFound,
        StoreFailure::Incompatible => ErrorReason::StoreIncompatible,
        StoreFailure::Internal => ErrorReason::Internal,
    }
}

/// Converts the gRPC library's statuses for unreadable messages to the documented form: text that is not UTF-8, bytes that
/// are no message, and messages above the size limit are errors of the caller. Any other status stays as it is.
pub fn normalized(status: Status) -> Status {
    // A service already chose the reason.
    if reason_of(&status).is_some() {
        return status;
    }
    // tonic has no types for these cases, so that its texts are the only way to recognise them; a test holds each.
    let message = status.message();
    if status.code() == Code::Internal && message.contains("failed to decode Protobuf message") {
        let failure =
            CallFailure::new(ErrorReason::BadText, format!("the message cannot be decoded: {message}"));
        return match undecodable_field(message) {
            Some(field) => failure.field(field).into_status(),
            None => failure.into_status(),
        };
    }
    // The library uses two codes for one fault: a message above the limit, sent plain or compressed.
    let too_large = status.code() == Code::OutOfRange && message.contains("message length too large");
    let too_large_inflated =
        status.code() == Code::ResourceExhausted && message.contains("exceeded while decompressing");
    if too_large || too_large_inflated {
        let text = format!("{message}: split the request, or raise the server's max_request");
        return CallFailure::new(ErrorReason::TooLong, text).into_status();
    }
    if status.code() == Code::Internal && message.starts_with("Error decompressing") {
        let text = format!("the message does not match its declared compression: {message}");
        return CallFailure::new(ErrorReason::BadText, text).into_status();
    }
    status
}

/// Returns an error with its causes in one line, without causes that the preceding text repeats.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Some libraries print their cause in their own text.
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

/// Returns the path of a field that prost reports innermost first, as `Event.user_id: TrackRequest.events: invalid string
/// value`.
fn undecodable_field(message: &str) -> Option<String> {
    let (_, description) = message.split_once("failed to decode Protobuf message: ")?;
    let steps = description.split(": ").map_while(|step| step.split_once('.').map(|(_, field)| field));
    // The last step is the description of the error, which has spaces.
    let mut path: Vec<&str> = steps.filter(|field| !field.contains(' ')).collect();
    path.reverse();
    (!path.is_empty()).then(|| path.join("."))
}

/// Returns the reason as `ErrorInfo` has it: without the prefix of the enum, as `EMPTY_ID`.
pub fn reason_name(reason: ErrorReason) -> &'static str {
    let name = reason.as_str_name();
    name.strip_prefix("ERROR_REASON_").unwrap_or(name)
}

/// Returns the reason of a status made by [`CallFailure`]; none for any other status.
pub fn reason_of(status: &Status) -> Option<ErrorReason> {
    let info = status.get_details_error_info().filter(|info| info.domain == ERROR_DOMAIN)?;
    ErrorReason::from_str_name(&format!("ERROR_REASON_{}", info.reason))
}

/// Returns the gRPC code of a reason.
pub const fn code_of(reason: ErrorReason) -> Code {
    // No wildcard: a new reason does not compile until its code is chosen.
    match reason {
        ErrorReason::EmptyId
        | ErrorReason::TooLong
        | ErrorReason::BadText
        | ErrorReason::NotFinite
        | ErrorReason::OutOfRange
        | ErrorReason::MissingField
        | ErrorReason::UnknownAction
        | ErrorReason::UnknownRelation
        | ErrorReason::UnknownTarget
        | ErrorReason::UnknownCurrency
        | ErrorReason::TimeInFuture
        | ErrorReason::TimeTooOld
        | ErrorReason::BadTime
        | ErrorReason::TooMany
        | ErrorReason::EmptyBatch
        | ErrorReason::BadToken
        | ErrorReason::ReadBeforeNewest
        | ErrorReason::ConflictingFields => Code::InvalidArgument,
        ErrorReason::RateLimited | ErrorReason::Overloaded | ErrorReason::StoreFull => {
            Code::ResourceExhausted
        }
        ErrorReason::StoreUnavailable | ErrorReason::ShuttingDown | ErrorReason::TrainingInProgress => {
            Code::Unavailable
        }
        ErrorReason::StoreIncompatible
        | ErrorReason::NoModel
        | ErrorReason::NotTrained
        | ErrorReason::TooFewUsers => Code::FailedPrecondition,
        // The request was valid when the token was issued; only its position is gone.
        ErrorReason::TokenExpired => Code::OutOfRange,
        ErrorReason::UserNotFound | ErrorReason::ModelNotFound | ErrorReason::SegmentNotFound => {
            Code::NotFound
        }
        ErrorReason::ReadAfterTimeout => Code::DeadlineExceeded,
        // ABORTED: the caller resumes with its token instead of repeating the call.
        ErrorReason::SubscriberStalled => Code::Aborted,
        ErrorReason::Unauthenticated => Code::Unauthenticated,
        ErrorReason::PermissionDenied => Code::PermissionDenied,
        ErrorReason::Internal | ErrorReason::Unspecified => Code::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_carries_its_reason_field_and_delay() {
        let status = CallFailure::new(ErrorReason::Overloaded, "the queue is full")
            .field("events")
            .retry_after(Duration::from_millis(250))
            .into_status();
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert_eq!(reason_of(&status), Some(ErrorReason::Overloaded));
        let details = status.get_error_details();
        assert_eq!(details.retry_info().and_then(|info| info.retry_delay), Some(Duration::from_millis(250)));
        let violations = &details.bad_request().expect("a field violation").field_violations;
        assert_eq!(
            (violations[0].field.as_str(), violations[0].description.as_str()),
            ("events", "the queue is full")
        );
    }

    #[test]
    fn library_statuses_of_unreadable_messages_get_their_documented_form() {
        let text = "failed to decode Protobuf message: Event.user_id: TrackRequest.events: invalid string value: data is \
                    not UTF-8 encoded";
        let status = normalized(Status::internal(text));
        assert_eq!((status.code(), reason_of(&status)), (Code::InvalidArgument, Some(ErrorReason::BadText)));
        let violations = status.get_error_details().bad_request().map(|bad| bad.field_violations.clone());
        assert_eq!(
            violations.map(|violations| violations[0].field.clone()),
            Some("events.user_id".to_owned())
        );
        let large = "Error, decoded message length too large: found 9 bytes, the limit is: 8 bytes";
        let status = normalized(Status::out_of_range(large));
        assert_eq!((status.code(), reason_of(&status)), (Code::InvalidArgument, Some(ErrorReason::TooLong)));
        let bomb = "Error decompressing: size limit, of 8 bytes, exceeded while decompressing message";
        let status = normalized(Status::resource_exhausted(bomb));
        assert_eq!((status.code(), reason_of(&status)), (Code::InvalidArgument, Some(ErrorReason::TooLong)));
        let status = normalized(Status::internal("Error decompressing: corrupt, while sending request"));
        assert_eq!((status.code(), reason_of(&status)), (Code::InvalidArgument, Some(ErrorReason::BadText)));
        let other = normalized(Status::internal("else"));
        assert_eq!((other.code(), reason_of(&other)), (Code::Internal, None));
    }

    #[test]
    fn a_foreign_status_has_no_reason() {
        assert_eq!(reason_of(&Status::internal("no details")), None);
    }
}
