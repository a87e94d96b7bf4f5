//! The room in one process on one disk, on fjall. In come calls from any task; reads look at memory and database at once,
//! writes go to one thread that groups them. The directory belongs to one process; every opening begins new generations,
//! because what was not synced may be lost.

mod attendance;
mod format;
mod keys;
mod lease;
mod models;
mod read;
mod rewrite;
mod roles;
mod seen;
mod shelf;
mod space;
mod standing;
mod store;
mod tail;
mod writer;

pub use space::FreeBytes;
pub use store::{Embedded, Options};
