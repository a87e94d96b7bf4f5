//! Contract of a store: obligations of every backend in terms of MUST and MAY. Values are opaque bytes; a store interprets
//! positions, tokens and times, not profiles. There is one trait per role, and the suite `conformance` checks all of them.
//!
//! Reads see everything that was acknowledged before they began. Every method MAY fail with [`crate::Error::Unavailable`]; the
//! outcome of a write is then unknown, and the caller MUST re-read [`LogStore::meta`] before it writes to that partition again.

mod catalogue;
mod cursor;
mod feed;
mod info;
mod lease;
mod log;
mod membership;
mod owner;
mod profiles;
mod registry;
mod roles;
mod tombstones;

pub use catalogue::{CatalogueEntry, CatalogueStore, ItemPage};
pub use cursor::ScanCursor;
pub use feed::{FeedPage, FeedStore};
pub use info::{AckLevel, Layout, Limits, StoreId, StoreInfo};
pub use lease::{Acquisition, LeaseClaim};
pub use log::{Appended, Counters, LogPage, LogRecord, LogStore, PartitionMeta};
pub use membership::{MEMBER_NAME_MAX, MEMBERS_MAX, Member, MemberId, MembershipStore};
pub use owner::{Commit, Committed, DeadLetter, OwnerStore, SeenQuery, StoreSpace, Trim, Trimmed};
pub use profiles::{ProfileKey, ProfilePage, ProfileStore};
pub use registry::{PartName, PublishedModel, Registry, RegistryChange, RegistryStore};
pub use roles::{IntakeStore, ReadStore, Store, TrainingStore, WorkerStore};
pub use tombstones::{TombstonePage, TombstoneStore};
