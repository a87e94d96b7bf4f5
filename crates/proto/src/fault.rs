//! The reason that a caller is given for a text that is no id.

use crate::v1::ErrorReason;
use portrait_profile::TextFault;

/// The reason of the closed list.
pub const fn reason_of(fault: TextFault) -> ErrorReason {
    match fault {
        TextFault::Empty => ErrorReason::EmptyId,
        TextFault::TooLong { .. } => ErrorReason::TooLong,
        TextFault::ControlCharacter | TextFault::OuterSpace => ErrorReason::BadText,
    }
}
