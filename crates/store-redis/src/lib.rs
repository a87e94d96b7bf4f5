//! Redis backend: a store that many processes share, on one Redis server of release 7 or newer, or on a cluster. Every step that
//! changes a partition is one script on the server that owns its slot, which compares before it writes. A request whose reply was
//! lost is never sent again; the caller reads the state to find the outcome.
//!
//! A server that restarts, and a replica that is promoted, may have lost the newest records. The first write after that begins
//! new generations, so that a lost position is an error and never another record.

mod checks;
mod cluster;
mod command_class;
mod commit;
mod commit_arguments;
mod dialer;
mod endpoint;
mod failure;
mod forget;
mod health;
mod identity;
mod items;
mod keys;
mod known_members;
mod layout;
mod listener;
mod membership;
mod models;
mod notifier;
mod options;
mod pacer;
mod partition;
mod profiles;
mod promises;
mod refusal;
mod replication_wait;
mod reply;
mod rewrite;
mod rights;
mod roles;
mod scan;
mod scripts;
mod seen;
mod seen_cache;
mod server_info;
mod slots;
mod space;
mod store;
mod streams;
mod target;
#[cfg(feature = "testing")]
pub mod testing;
mod tls;
mod upkeep;

pub use command_class::CommandClass;
pub use health::{StoreHealth, StoreProblem};
pub use options::{LeaseClock, RedisOptions};
pub use store::RedisStore;
pub use target::RedisTarget;
pub use tls::{ClientIdentity, TlsMaterial, TlsProblem};
