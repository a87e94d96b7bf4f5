//! Forms of files by their first bytes.

use super::mapping::FileKind;
use std::io::{self, BufRead};

/// Magic number of Parquet.
const PARQUET: &[u8] = b"PAR1";
/// Magic number of a ZIP archive, which a workbook is.
const ZIP: &[u8] = b"PK\x03\x04";

/// Returns the form of a text by its first bytes. Without a magic number it is `named`, else objects if it begins with a brace, else a
/// table.
///
/// # Errors
/// If the text cannot be read.
pub(super) fn form(text: &mut dyn BufRead, named: Option<FileKind>) -> io::Result<FileKind> {
    let begin = text.fill_buf()?;
    let first = begin.trim_ascii_start().first();
    Ok(match named {
        _ if begin.starts_with(PARQUET) => FileKind::Parquet,
        _ if begin.starts_with(ZIP) => FileKind::Xlsx,
        Some(kind) => kind,
        None if first == Some(&b'{') => FileKind::Jsonl,
        None => FileKind::Csv,
    })
}

/// Returns true if the cells of a form have types, so that numbers and times have one spelling, which a mapping need not tell.
pub(super) fn has_types(kind: FileKind) -> bool {
    match kind {
        FileKind::Parquet | FileKind::Xlsx => true,
        FileKind::Csv | FileKind::Jsonl => false,
    }
}

#[cfg(test)]
mod tests;
