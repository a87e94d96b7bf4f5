//! Changes as they are handed out.

use super::super::error::SourceError;
use super::super::table::TableName;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Position in the log of PostgreSQL, in bytes. It is printed as the server does, as in `16/B374D848`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Lsn(pub(super) u64);

impl fmt::Display for Lsn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:X}/{:X}", self.0 >> 32, self.0 & 0xffff_ffff)
    }
}

impl FromStr for Lsn {
    type Err = SourceError;

    fn from_str(text: &str) -> Result<Self, SourceError> {
        let half = |digits: &str| u32::from_str_radix(digits, 16).ok();
        text.split_once('/')
            .and_then(|(high, low)| Some(Self(u64::from(half(high)?) << 32 | u64::from(half(low)?))))
            .ok_or_else(|| SourceError::Changes {
                reason: format!("{text:?} is no position such as 16/B374D848"),
            })
    }
}

/// Table whose changes are handed out.
#[derive(Clone, Debug)]
pub struct ChangedTable {
    /// Table; of a partitioned table its partitions are named.
    pub name: TableName,
    /// Columns to hand out; all by default.
    pub columns: Option<Vec<String>>,
}

/// Kind of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// A new row.
    Insert,
    /// New values of a row.
    Update,
    /// A row is gone.
    Delete,
    /// All rows of the table are gone.
    Truncate,
}

/// Column of a change with its value, spelled as in [`TableRow`](crate::databases::TableRow).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangedColumn {
    /// Name of the column.
    pub name: Box<str>,
    /// Value; `None` is NULL.
    pub value: Option<Box<str>>,
}

/// Change of a row. Table, key and `lsn` identify it: it has the same ones whenever it is handed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotChange {
    /// Table with its schema.
    pub table: Arc<TableName>,
    /// Kind of the change.
    pub kind: ChangeKind,
    /// New values of an insert or update. Of a delete those of the replica identity: the primary key, or all that were not NULL.
    pub columns: Vec<ChangedColumn>,
    /// Replica identity before an update; empty unless the update changed it, or it is all columns.
    pub old_key: Vec<ChangedColumn>,
    /// Columns of an update whose large values did not change and are not in the log.
    pub unchanged: Vec<Box<str>>,
    /// Position of the change: its version.
    pub lsn: Lsn,
}

impl SlotChange {
    /// Returns the value of a column; `None` if it is NULL or not in the change.
    #[must_use]
    pub fn value(&self, column: &str) -> Option<&str> {
        self.columns.iter().find(|found| *found.name == *column)?.value.as_deref()
    }
}

/// Changes in the order of commits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotBatch {
    /// Changes, at most as many as configured.
    pub changes: Vec<SlotChange>,
    /// Position to pass to [`SlotChanges::advance`](crate::databases::SlotChanges::advance) once the changes of this and all earlier
    /// batches are acknowledged; `None` within a transaction.
    pub advance_to: Option<Lsn>,
}
