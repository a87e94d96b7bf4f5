//! Event files: readers for the documented formats. Every error names the line. Event ids are derived from the rows, so that a file
//! can be sent again.

mod error;
mod format;
mod reader;
mod row;
mod rows;

pub use error::ReadError;
pub use format::{EventId, Format};
pub use reader::LogReader;
pub use row::LogRow;
