//! Domain types of Portrait and the pure rules that fold events into a user's profile.
//!
//! Input: validated records. Output: a [`Profile`], its feature vector and its bytes. Nothing here does I/O, reads a clock,
//! draws random numbers, or panics on any input.

mod action;
mod basic;
mod behavior;
mod catalogue;
mod change;
mod codec;
mod decay;
mod dimensions;
mod distance;
mod erasure;
mod features;
mod fingerprint;
mod id;
mod label;
mod ledger;
mod preference;
mod profile;
mod pseudonym;
mod record;
mod routing;
mod segment;
mod seq;
mod snapshots;
mod social;
mod source;
mod store_failure;
#[cfg(feature = "testing")]
pub mod testing;
mod time;
mod trace;
mod version;
mod view;

pub use action::{Action, ActionKind, CUSTOM_ACTION_MAX_BYTES, CustomAction};
pub use basic::TRAITS_MAX;
pub use behavior::{
    ACTION_TIMES_MAX, CUSTOM_ACTIONS_MAX, MACHINE_MEMORY, MACHINE_VISIT_EVENTS, ORDER_LINES_MAX, ORDERS_MAX,
    SESSION_GAP, VISIT_MAX,
};
pub use catalogue::CatalogueItem;
pub use change::ProfileChange;
pub use codec::DecodeError;
pub use decay::{Decayed, HALF_LIVES};
pub use erasure::{ErasureLedger, Tombstone};
pub use features::{Dimension, Facet, FeatureComponent, FeatureMemory, FeatureSchema};
pub use fingerprint::Fingerprint;
pub use id::{
    ID_MAX_BYTES, ItemId, OrderId, RecordId, TextError, UserId, check_id, check_new_id, check_text,
    is_invisible,
};
pub use label::label_key;
pub use ledger::PartitionLedger;
pub use preference::{
    ActionAt, BRANDS_MAX, CATEGORIES_MAX, ItemState, PRICE_BANDS_MAX, RECENT_ITEMS_MAX, RecentItem,
};
pub use profile::{Applied, PROFILE_MAX_BYTES, Profile};
pub use pseudonym::{Pseudonym, PseudonymKey, SEAL_BYTES};
pub use record::{
    Body, Event, EventContext, Outcome, Record, Relation, RelationKind, ScoreTarget, TraitValue,
};
pub use routing::{PartitionCount, PartitionId, SeenId};
pub use segment::{ModelVersion, SegmentId, SegmentMembership};
pub use seq::{FeedSeq, LogSeq};
pub use snapshots::{LABEL_WINDOW, SnapshotKind, TrainingExample};
pub use social::EDGES_MAX;
pub use source::{SOURCE_NAME_MAX_BYTES, SourceDay, SourceId};
pub use store_failure::StoreFailure;
pub use time::{TimeDelta, Timestamp};
pub use trace::TraceContext;
pub use version::ProfileVersion;
pub use view::{
    ActionCount, Affinity, BehaviorView, EdgeView, PreferenceView, ProfileView, Rfm, SessionsView,
    TransitionView,
};
