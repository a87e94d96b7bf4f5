//! The room that many processes share, on Redis 7 or newer: one server, or a cluster. In come calls from any task; every step
//! that changes a partition is one script on the server that has it, which compares before it writes. Nothing that was sent
//! and not answered is ever sent again; whoever sent it asks what became of it.
//!
//! A server that restarts, or a replica that takes over, may have lost the newest places: the first write after that begins
//! new generations, so that a position that is gone is an error and never another record.

mod membership;
mod notifier;
mod checks;
mod commit;
mod commit_arguments;
mod dialer;
mod server_info;
mod forget;
mod items;
mod keys;
mod layout;
mod endpoint;
mod listener;
mod models;
mod cluster;
mod options;
mod partition;
mod profiles;
mod seen_cache;
mod reply;
mod rewrite;
mod roles;
mod scan;
mod scripts;
mod seen;
mod store;
mod streams;
mod target;
#[cfg(feature = "testing")]
pub mod testing;
mod failure;
mod replication_wait;

pub use options::{LeaseClock, RedisOptions};
pub use store::RedisStore;
pub use target::RedisTarget;
