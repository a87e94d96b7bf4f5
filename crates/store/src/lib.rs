//! What Portrait remembers: each partition's log, profiles, change feed and de-duplication windows, and the catalogue.
//!
//! In come opaque bytes with positions; out come the same bytes. [`Store`] is the contract; [`embedded`] is the room that
//! lives in one process on one disk, [`redis`] the one that many processes share. A store never looks into a record or a
//! profile.

mod block;
pub mod contract;
mod dead;
pub mod embedded;
mod error;
mod failure;
#[cfg(feature = "testing")]
pub mod faulty;
mod id_set;
mod moment;
mod position;
pub mod redis;
mod shared_turn;

pub use contract::{
    AckLevel, Appended, Commit, Committed, Counters, DeadLetter, FeedPage, ItemPage, Layout, Limits, LogPage,
    LogRecord, PartName, PartitionMeta, ProfileKey, ProfilePage, PublishedModel, Registry, RegistryChange,
    ScanCursor, SeenQuery, Store, TombstonePage, Trim, Trimmed, WORKER_NAME_MAX, WORKERS_MAX, Worker,
};
pub use error::{Error, Result};
pub use moment::ProfileClock;
pub use position::{
    CommitNo, Epoch, FeedPosition, FeedSeq, Generation, GenerationId, Generations, LeaseToken, LogPosition,
    LogSeq, Nonce, Position, PositionFate, RegistryNo,
};
