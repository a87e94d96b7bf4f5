//! Contract of Portrait's store: each partition's log, profiles, change feed and de-duplication windows, the catalogue and the
//! models.
//!
//! Values are opaque bytes with positions; a store never decodes a record or a profile. [`Store`] is the contract, composed of
//! one trait per role. Backends are crates of their own, built from the parts in [`backend`].
//!
//! The feature `testing` adds the conformance suite that every backend passes (`conformance`) and a store that injects faults
//! (`faulty`).

pub mod backend;
#[cfg(feature = "testing")]
pub mod conformance;
pub mod contract;
mod error;
#[cfg(feature = "testing")]
pub mod faulty;
mod position;
mod profile_clock;

pub use contract::{
    AckLevel, Acquisition, Appended, CatalogueEntry, CatalogueStore, Commit, Committed, Counters, DeadLetter,
    FeedPage, FeedStore, IntakeStore, ItemPage, Layout, LeaseClaim, Limits, LogPage, LogRecord, LogStore,
    MEMBER_NAME_MAX, MEMBERS_MAX, Member, MemberId, MembershipStore, OwnerStore, PartName, PartitionMeta,
    ProfileKey, ProfilePage, ProfileStore, PublishedModel, ReadStore, Registry, RegistryChange,
    RegistryStore, ScanCursor, SeenQuery, Store, StoreId, StoreInfo, StoreSpace, TombstonePage,
    TombstoneStore, TrainingStore, Trim, Trimmed, WorkerStore,
};
pub use error::{Error, Result};
pub use position::{
    CommitNo, Epoch, FeedPosition, FeedSeq, GENERATIONS_KEPT, Generation, GenerationId, Generations,
    LeaseToken, LogPosition, LogSeq, Nonce, Position, PositionFate, RegistryNo,
};
pub use profile_clock::ProfileClock;
