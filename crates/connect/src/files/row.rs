//! Row of a file: what a reader gives for each line of it.

use portrait_proto::v1::{ErrorReason, Event, Item};

/// One row.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "nearly all of them are events, and they are moved, not kept")]
pub enum LogRow {
    /// Something a shopper did.
    Event(Event),
    /// An item of the catalogue.
    Item(Item),
    /// A row that the format documents as unusable.
    Rejected {
        /// Where, from 1.
        line: u64,
        /// Why.
        reason: ErrorReason,
    },
}
