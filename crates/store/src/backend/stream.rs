//! Kinds of streams that a partition has. Both are sequences of blocks, so backends read them with the same code.

/// Stream of blocks of one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamKind {
    /// Log of records, written by ingest.
    Log,
    /// Feed of changes, written by the owner's commits.
    Feed,
}
