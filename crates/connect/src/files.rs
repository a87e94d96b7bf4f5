//! Event files: readers of any table or log by a mapping, and the mappings of published data sets. A row that cannot be read is
//! rejected with its line and column, and reading goes on. Event ids are derived from what rows mean, so that a file can be sent again.

mod bound;
mod cell;
mod check;
mod choice;
mod error;
mod forms;
mod guess;
mod identity;
mod input;
mod join;
mod line;
mod mapping;
mod moment;
mod numbering;
mod object_rows;
mod objects;
#[cfg(feature = "parquet")]
mod parquet;
#[cfg(not(feature = "parquet"))]
#[path = "files/without_parquet.rs"]
mod parquet;
mod private;
mod reader;
mod record;
mod rejects;
mod row;
mod rows;
mod sample;
#[cfg(test)]
mod shapes;
mod shipped;
mod sort;
mod source;
mod spreadsheet;
mod table;
mod xlsx;

pub use bound::LogColumns;
pub use check::{MappingCheck, check};
pub use choice::MappingArgs;
pub use error::ReadError;
pub use guess::{GuessedMapping, guess};
pub use mapping::{FileKind, Mapping, MappingError, RepeatRule, RowKind};
pub use private::private_file;
pub use reader::LogReader;
pub use rejects::{RejectCount, RejectCounts, RejectsFile};
pub use row::{LogOptions, LogRow, RowBody, RowDefect, RowReason};
pub use sample::detect;
pub use shipped::Format;
pub use sort::{LogPass, LogProgress, SortLimits, SortedLog};
pub use spreadsheet::spreadsheet_cell;
