//! Changes as they are handed out.

use super::super::slot::{ChangeKind, ChangedColumn};
use super::super::table::TableName;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// Position in the binary log of a server, after an event. It has no meaning on another server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BinlogPosition {
    /// File of the log.
    pub file: String,
    /// Bytes from the start of the file.
    pub offset: u64,
}

impl fmt::Display for BinlogPosition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.file, self.offset)
    }
}

/// Change of a row. Table, key and `version` identify it: it has the same ones whenever it is handed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BinlogChange {
    /// Table with its database.
    pub table: Arc<TableName>,
    /// Kind of the change.
    pub kind: ChangeKind,
    /// New values of an insert or update, last values of a delete.
    pub columns: Vec<ChangedColumn>,
    /// Values before an update; empty otherwise.
    pub old: Vec<ChangedColumn>,
    /// Position of the event and the row's number in it, as in `mariadb-bin.000001:1234:0`.
    pub version: Box<str>,
}

impl BinlogChange {
    /// Returns the value of a column; `None` if it is NULL or not in the change.
    #[must_use]
    pub fn value(&self, column: &str) -> Option<&str> {
        self.columns.iter().find(|found| *found.name == *column)?.value.as_deref()
    }
}

/// Changes in the order of commits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BinlogBatch {
    /// Changes.
    pub changes: Vec<BinlogChange>,
    /// Position to store once the changes of this and all earlier batches are acknowledged; `None` within a transaction.
    pub position: Option<BinlogPosition>,
}
