//! The room in one process on one disk, on fjall. In come calls from any task; reads look at memory and database at once,
//! writes go to one thread that groups them. The directory belongs to one process; every opening begins new generations,
//! because what was not synced may be lost.

mod membership;
mod format;
mod keys;
mod lease;
mod models;
mod read;
mod rewrite;
mod roles;
mod seen;
mod partition_cell;
mod disk_space;
mod partition_state;
mod store;
mod recent_blocks;
mod writer;

pub use disk_space::FreeBytes;
pub use store::{Embedded, EmbeddedOptions};
