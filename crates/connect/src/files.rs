//! Event files: readers for the documented formats. A row that cannot be read is rejected with its line and column, and reading goes
//! on. Event ids are derived from the rows, so that a file can be sent again.

mod cell;
mod error;
mod format;
mod input;
mod line;
mod moment;
mod objects;
mod order_lines;
mod private;
mod reader;
mod record;
mod rejects;
mod row;
mod rows;
mod sort;
mod spreadsheet;
mod table;

pub use error::ReadError;
pub use format::{Format, LogColumns};
pub use private::private_file;
pub use reader::LogReader;
pub use rejects::{RejectCount, RejectCounts, RejectsFile};
pub use row::{EventId, LogOptions, LogRow, RowBody, RowDefect, RowReason};
pub use sort::{LogPass, LogProgress, SortLimits, SortedLog};
pub use spreadsheet::spreadsheet_cell;
