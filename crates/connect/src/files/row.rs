//! Row of a file, as its reader returns it, and the reasons for which a row is rejected.

use portrait_proto::v1::{Event, Item};
use std::borrow::Cow;
use std::fmt;

/// Row of a log file.
#[derive(Clone, Debug, PartialEq)]
pub struct LogRow {
    /// Line of the file, from 1; the first one of a row that has several.
    pub line: u64,
    /// Content of the row.
    pub body: RowBody,
    /// Bytes of the row, for rejected rows and with [`LogOptions::keep_raw`]; else none.
    pub raw: Option<Box<[u8]>>,
    /// True if the id of the event is one of the file, and not derived from the content.
    pub has_own_id: bool,
}

/// Content of a row.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "nearly all of them are events, and they are moved, not kept")]
pub enum RowBody {
    /// Action of a user.
    Event(Event),
    /// Item of the catalogue.
    Item(Item),
    /// Row that cannot be read, or that the format documents as unusable.
    Rejected(RowDefect),
    /// Row that the mapping does not read: `rows.only`.
    LeftOut,
}

/// Defect of a row that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowDefect {
    /// Column from 1: the field of a table, the byte of a JSON row; none for a row as a whole.
    pub column: Option<usize>,
    /// Name of the column.
    pub name: Cow<'static, str>,
    /// Reason, by which rejected rows are counted.
    pub reason: RowReason,
    /// Problem as a predicate, with the value: `"soon" is not a whole number`.
    pub problem: String,
}

/// Reason for which a reader rejects a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowReason {
    /// The user or the item has no id.
    EmptyId,
    /// A required cell is missing.
    MissingField,
    /// A cell is not a number of the expected type.
    BadNumber,
    /// A cell is not a time, or its zone is not understood.
    BadTime,
    /// A cell is not UTF-8, or not of the expected type.
    BadText,
    /// The action is not one of the format.
    UnknownAction,
    /// The row has too few or too many fields.
    FieldCount,
    /// The row is not an object of JSON.
    BadJson,
    /// The row has a field that events do not have.
    UnknownField,
    /// Two fields contradict each other.
    ConflictingFields,
    /// The row is longer than the limit of a row.
    TooLong,
}

/// Options of a reader.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// Keeps the bytes of every row, so that a row the server rejects can be written to a file. Default: only those of rows that
    /// the reader rejects.
    pub keep_raw: bool,
}

impl RowDefect {
    /// Returns the defect with its line: `line 5, column 7 (price): "cheap" is not a number`.
    pub fn at_line(&self, line: u64) -> String {
        match self.column {
            Some(_) => format!("line {line}, {self}"),
            None => format!("line {line}: {self}"),
        }
    }

    /// Creates the defect of a row as a whole.
    pub(super) fn of_row(reason: RowReason, problem: impl Into<String>) -> Self {
        Self { column: None, name: Cow::Borrowed(""), reason, problem: problem.into() }
    }

    /// Creates the defect of a row above the limit of a row.
    pub(super) fn too_long(max_bytes: usize) -> Self {
        Self::of_row(RowReason::TooLong, format!("has more than {max_bytes} bytes"))
    }
}

impl fmt::Display for RowDefect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.column {
            Some(column) => write!(f, "column {column} ({}): {}", self.name, self.problem),
            None => f.write_str(&self.problem),
        }
    }
}

impl RowReason {
    /// Returns the name under which rows are counted, in the style of the API's error reasons.
    pub const fn name(self) -> &'static str {
        match self {
            Self::EmptyId => "EMPTY_ID",
            Self::MissingField => "MISSING_FIELD",
            Self::BadNumber => "BAD_NUMBER",
            Self::BadTime => "BAD_TIME",
            Self::BadText => "BAD_TEXT",
            Self::UnknownAction => "UNKNOWN_ACTION",
            Self::FieldCount => "FIELD_COUNT",
            Self::BadJson => "BAD_JSON",
            Self::UnknownField => "UNKNOWN_FIELD",
            Self::ConflictingFields => "CONFLICTING_FIELDS",
            Self::TooLong => "TOO_LONG",
        }
    }
}
