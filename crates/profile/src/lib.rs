//! The nouns of Portrait and the pure rules that turn events into a shopper's profile.
//!
//! In come checked records; out goes a [`Profile`], its feature vector and its bytes. Nothing here does I/O, asks the time,
//! draws random numbers or panics on any input.

#![forbid(unsafe_code)]

mod action;
mod catalogue;
mod change;
mod codec;
mod fingerprint;
mod id;
mod profile;
mod record;
mod routing;
mod time;

pub use action::{Action, ActionKind, CUSTOM_ACTION_MAX_BYTES, CustomAction};
pub use catalogue::CatalogueItem;
pub use change::ProfileChange;
pub use codec::DecodeError;
pub use fingerprint::Fingerprint;
pub use id::{ID_MAX_BYTES, ItemId, OrderId, RecordId, TextFault, UserId, check_id, check_text};
pub use profile::ProfileVersion;
pub use record::{Body, Event, EventContext, Record, Relation, RelationKind, TraitValue};
pub use routing::{PartitionCount, PartitionId, SeenId};
pub use time::{Span, Timestamp};
