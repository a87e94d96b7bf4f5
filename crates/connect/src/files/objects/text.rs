//! Text of one object of a file.

/// Text of one object, and where it is.
#[derive(Debug, Default)]
pub(in crate::files) struct ObjectText {
    /// Line on which it begins, from 1.
    pub(in crate::files) line: u64,
    /// Bytes of that line before it.
    pub(in crate::files) column: usize,
    /// Bytes; the first ones of an object above the limit of a row.
    pub(in crate::files) bytes: Vec<u8>,
    /// True if the object is longer.
    pub(in crate::files) is_cut: bool,
}
