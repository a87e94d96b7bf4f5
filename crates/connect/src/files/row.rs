//! Row of a file, as its reader returns it.

use portrait_proto::v1::{ErrorReason, Event, Item};

/// Row of a log file.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "nearly all of them are events, and they are moved, not kept")]
pub enum LogRow {
    /// Action of a user.
    Event(Event),
    /// Item of the catalogue.
    Item(Item),
    /// Row that the format documents as unusable.
    Rejected {
        /// Line number, from 1.
        line: u64,
        /// Reason of the rejection.
        reason: ErrorReason,
    },
}
