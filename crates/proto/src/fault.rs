//! The reason that a caller is given for a text that is no id.

use crate::v1::ErrorReason;
use portrait_profile::TextError;

/// The reason of the closed list.
pub const fn reason_of(fault: TextError) -> ErrorReason {
    match fault {
        TextError::Empty => ErrorReason::EmptyId,
        TextError::TooLong { .. } => ErrorReason::TooLong,
        TextError::ControlCharacter | TextError::OuterSpace => ErrorReason::BadText,
    }
}
