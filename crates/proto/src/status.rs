//! One way from an [`ErrorReason`] to a gRPC status: its code, a `google.rpc.ErrorInfo` with the reason, a `BadRequest`
//! when a field is at fault and a `RetryInfo` when waiting helps. The only place where codes are chosen.

use crate::v1::ErrorReason;
use portrait_profile::StoreFailure;
use std::collections::HashMap;
use std::time::Duration;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// The domain of every `ErrorInfo`.
pub const ERROR_DOMAIN: &str = "portrait.v1";
/// How long a caller is asked to wait before it tries a store again that was full or away.
const STORE_RETRY_AFTER: Duration = Duration::from_secs(1);

/// A call that failed, on its way to a [`Status`].
#[derive(Clone, Debug)]
pub struct CallFailure {
    reason: ErrorReason,
    message: String,
    field: Option<String>,
    retry_after: Option<Duration>,
}

impl CallFailure {
    /// A failure for `reason`; `message` is for a person and says what to do.
    pub fn new(reason: ErrorReason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), field: None, retry_after: None }
    }

    /// A failure of the store that a service keeps its state in.
    pub fn of_store(failure: StoreFailure, message: impl Into<String>) -> Self {
        let made = Self::new(store_reason(failure), message);
        if failure.is_retryable() { made.retry_after(STORE_RETRY_AFTER) } else { made }
    }

    /// Names the field at fault, as `events[3].price`.
    #[must_use]
    pub fn field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// Says when to try again.
    #[must_use]
    pub fn retry_after(mut self, delay: Duration) -> Self {
        self.retry_after = Some(delay);
        self
    }

    /// The status with its details.
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

/// Reason that a caller is given for a failure of the store.
pub const fn store_reason(failure: StoreFailure) -> ErrorReason {
    match failure {
        StoreFailure::Full => ErrorReason::StoreFull,
        StoreFailure::Unavailable | StoreFailure::Fenced => ErrorReason::StoreUnavailable,
        StoreFailure::TrainingInProgress => ErrorReason::TrainingInProgress,
        StoreFailure::ModelNotFound => ErrorReason::ModelNotFound,
        StoreFailure::Incompatible => ErrorReason::StoreIncompatible,
        StoreFailure::Internal => ErrorReason::Internal,
    }
}

/// Gives what the gRPC library says of a message that it could not read the documented form: text that is not UTF-8 and
/// bytes that are no message are the caller's, and so is a message above the limit. Any other status stays as it is.
pub fn normalized(status: Status) -> Status {
    if reason_of(&status).is_some() {
        return status;
    }
    let message = status.message();
    if status.code() == Code::Internal && message.contains("failed to decode Protobuf message") {
        let failure = CallFailure::new(ErrorReason::BadText, format!("the message cannot be read: {message}"));
        return match undecodable_field(message) {
            Some(field) => failure.field(field).into_status(),
            None => failure.into_status(),
        };
    }
    let too_large = status.code() == Code::OutOfRange && message.contains("message length too large");
    let bomb = status.code() == Code::ResourceExhausted && message.contains("exceeded while decompressing");
    if too_large || bomb {
        let remedy = format!("{message}: split the request, or raise the server's max_request");
        return CallFailure::new(ErrorReason::TooLong, remedy).into_status();
    }
    if status.code() == Code::Internal && message.starts_with("Error decompressing") {
        let failure = format!("the message is not compressed as it says: {message}");
        return CallFailure::new(ErrorReason::BadText, failure).into_status();
    }
    status
}

/// Returns an error with its causes, in one line; a cause that the text before it repeats is left out.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

/// The path of the field that prost names innermost first, as `Event.user_id: TrackRequest.events: invalid string value`.
fn undecodable_field(message: &str) -> Option<String> {
    let (_, described) = message.split_once("failed to decode Protobuf message: ")?;
    let steps = described.split(": ").map_while(|step| step.split_once('.').map(|(_, field)| field));
    let mut path: Vec<&str> = steps.filter(|field| !field.contains(' ')).collect();
    path.reverse();
    (!path.is_empty()).then(|| path.join("."))
}

/// The reason as `ErrorInfo` has it: without the prefix of the enum, as `EMPTY_ID`.
pub fn reason_name(reason: ErrorReason) -> &'static str {
    let name = reason.as_str_name();
    name.strip_prefix("ERROR_REASON_").unwrap_or(name)
}

/// The reason of a status that [`Failure`] made; none for any other status.
pub fn reason_of(status: &Status) -> Option<ErrorReason> {
    let info = status.get_details_error_info().filter(|info| info.domain == ERROR_DOMAIN)?;
    ErrorReason::from_str_name(&format!("ERROR_REASON_{}", info.reason))
}

/// The one place where a reason gets its code.
pub const fn code_of(reason: ErrorReason) -> Code {
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
        | ErrorReason::InvalidTime
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
        ErrorReason::TokenExpired => Code::OutOfRange,
        ErrorReason::UserNotFound | ErrorReason::ModelNotFound | ErrorReason::SegmentNotFound => {
            Code::NotFound
        }
        ErrorReason::ReadAfterTimeout => Code::DeadlineExceeded,
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
        let status = CallFailure::new(ErrorReason::Overloaded, "too much waits")
            .field("events")
            .retry_after(Duration::from_millis(250))
            .into_status();
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert_eq!(reason_of(&status), Some(ErrorReason::Overloaded));
        let details = status.get_error_details();
        assert_eq!(details.retry_info().and_then(|info| info.retry_delay), Some(Duration::from_millis(250)));
        let violations = &details.bad_request().expect("a field was named").field_violations;
        assert_eq!(
            (violations[0].field.as_str(), violations[0].description.as_str()),
            ("events", "too much waits")
        );
    }

    #[test]
    fn what_the_library_says_of_a_message_gets_its_documented_form() {
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
    fn a_status_of_somebody_else_has_no_reason() {
        assert_eq!(reason_of(&Status::internal("no details")), None);
    }
}
