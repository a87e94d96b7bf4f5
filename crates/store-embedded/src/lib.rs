//! Embedded backend: a store in one process on one disk, on fjall. Reads go to memory and the database directly; writes go to
//! one thread that groups them. The directory belongs to one process. Every open begins new generations, because data that
//! was not synced may be lost.

mod disk_space;
mod format;
mod id_filter;
mod keys;
mod models;
mod partition_cell;
mod partition_state;
mod read;
mod recent_blocks;
mod rewrite;
mod roles;
mod seen;
mod source_ledger;
mod store;
mod tuning;
mod write_batch;
mod write_job;
mod writer;

pub use disk_space::FreeBytes;
pub use format::{holds_store, readable_by_others};
pub use store::{Embedded, EmbeddedOptions};
