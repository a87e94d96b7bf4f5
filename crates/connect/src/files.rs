//! Event files: a path and one of the documented formats in, events, items and rejected rows out. Every error names the line; ids
//! come from the rows, so that a file can be sent again.

mod error;
mod format;
mod reader;
mod row;
mod rows;

pub use error::ReadError;
pub use format::{EventId, Format};
pub use reader::LogReader;
pub use row::LogRow;
