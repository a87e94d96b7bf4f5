//! The store of Portrait as a contract: each partition's log, profiles, change feed and de-duplication windows, the catalogue and
//! the models.
//!
//! In come opaque bytes with positions; out come the same bytes. [`Store`] is the contract, made of one trait a role; backends
//! are crates of their own, built from the parts in [`backend`]. A store never looks into a record or a profile.
//!
//! The feature `testing` adds the suite that every backend passes (`conformance`) and a store with faults (`faulty`).

pub mod backend;
#[cfg(feature = "testing")]
pub mod conformance;
pub mod contract;
mod error;
#[cfg(feature = "testing")]
pub mod faulty;
mod moment;
mod position;

pub use contract::{
    AckLevel, Appended, CatalogueEntry, CatalogueStore, Commit, Committed, Counters, DeadLetter, FeedPage,
    FeedStore, IntakeStore, ItemPage, Layout, Limits, LogPage, LogRecord, LogStore, MembershipStore,
    OwnerStore, PartName, PartitionMeta, ProfileKey, ProfilePage, ProfileStore, PublishedModel, ReadStore,
    Registry, RegistryChange, RegistryStore, ScanCursor, SeenQuery, Store, StoreInfo, TombstonePage,
    TrainingStore, Trim, Trimmed, WORKER_NAME_MAX, WORKERS_MAX, Worker, WorkerStore,
};
pub use error::{Error, Result};
pub use moment::ProfileClock;
pub use position::{
    CommitNo, Epoch, FeedPosition, FeedSeq, GENERATIONS_KEPT, Generation, GenerationId, Generations,
    LeaseToken, LogPosition, LogSeq, Nonce, Position, PositionFate, RegistryNo,
};
