//! Options of a reader of the binary log.

use super::super::slot::ChangedTable;

/// Binary log and the tables to read from it.
#[derive(Clone, Debug)]
pub struct BinlogOptions {
    /// Number of this reader among the server's replicas, which must be unique.
    pub server_id: u32,
    /// Tables whose changes are handed out.
    pub tables: Vec<ChangedTable>,
    /// Changes after which a batch ends within a transaction, 1 to 100,000; 5,000 by default. Rows of one event stay together: a batch
    /// may exceed it by an event, which is 8 KiB unless a row is longer.
    pub batch_changes: usize,
    /// Time zone (IANA) of columns that have a time without an offset; UTC by default.
    pub time_zone: String,
    /// Whether `TINYINT(1)` is handed out as true and false; true by default.
    pub tinyint1_is_boolean: bool,
}

impl BinlogOptions {
    /// Options with their defaults.
    #[must_use]
    pub fn new(server_id: u32, tables: Vec<ChangedTable>) -> Self {
        Self {
            server_id,
            tables,
            batch_changes: 5_000,
            time_zone: "UTC".to_owned(),
            tinyint1_is_boolean: true,
        }
    }
}
