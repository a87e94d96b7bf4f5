//! Error reasons of texts that are no id.

use crate::v1::ErrorReason;
use portrait_profile::TextError;

/// Returns the reason of a text's defect.
pub const fn reason_of(error: TextError) -> ErrorReason {
    // A client can correct a control character, an outer space and an invisible character alike: one reason for all.
    match error {
        TextError::Empty => ErrorReason::EmptyId,
        TextError::TooLong { .. } => ErrorReason::TooLong,
        TextError::ControlCharacter | TextError::OuterSpace | TextError::InvisibleCharacter => {
            ErrorReason::BadText
        }
    }
}
