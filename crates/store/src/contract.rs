//! The contract of a store: what every backend MUST and MAY do. Values are opaque bytes; a store knows positions, tokens and
//! times, not profiles. One trait for each role that a store has; the suite `conformance` holds every backend to all of them.
//!
//! Reads see everything that was acknowledged before they began. Every method MAY fail with [`crate::Error::Unavailable`]; then
//! nothing is known of a write, and the caller MUST re-read [`LogStore::meta`] before it writes to that partition again.

mod catalogue;
mod cursor;
mod feed;
mod info;
mod log;
mod membership;
mod owner;
mod profiles;
mod registry;
mod roles;

pub use catalogue::{CatalogueEntry, CatalogueStore, ItemPage};
pub use cursor::ScanCursor;
pub use feed::{FeedPage, FeedStore};
pub use info::{AckLevel, Layout, Limits, StoreInfo};
pub use log::{Appended, Counters, LogPage, LogRecord, LogStore, PartitionMeta};
pub use membership::{MembershipStore, WORKER_NAME_MAX, WORKERS_MAX, Worker};
pub use owner::{Commit, Committed, DeadLetter, OwnerStore, SeenQuery, Trim, Trimmed};
pub use profiles::{ProfileKey, ProfilePage, ProfileStore, TombstonePage};
pub use registry::{PartName, PublishedModel, Registry, RegistryChange, RegistryStore};
pub use roles::{IntakeStore, ReadStore, Store, TrainingStore, WorkerStore};
