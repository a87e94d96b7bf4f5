//! Objects of JSON in a file: one a line, or the elements of an array. An array is scanned without building it, so that memory is
//! bounded by the longest object.

mod array;
mod text;

pub(super) use text::ObjectText;

use super::error::ReadError;
use super::line::{Line, Lines, Text};
use array::ArrayScanner;
use std::io::{Cursor, Read};

/// Reader of objects.
pub(super) enum Objects {
    Lines(Lines),
    Array(Box<ArrayScanner>),
}

impl Objects {
    /// Chooses the form by the first byte that is no white space.
    ///
    /// # Errors
    /// [`ReadError::Truncated`] if the file cannot be read.
    pub(super) fn open(mut text: Text) -> Result<Self, ReadError> {
        let (mut line, mut column) = (1, 0);
        let mut first = [0];
        loop {
            let count = text.read(&mut first).map_err(|source| ReadError::Truncated { line, source })?;
            match first[0] {
                _ if count == 0 => return Ok(Self::Lines(Lines::new(text, line))),
                b'\n' => (line, column) = (line + 1, 0),
                // A byte order mark begins no object either.
                b' ' | b'\t' | b'\r' | 0xef | 0xbb | 0xbf => column += 1,
                _ => break,
            }
        }
        let is_array = first[0] == b'[';
        let text: Text = Box::new(Cursor::new(first).chain(text));
        Ok(if is_array {
            Self::Array(Box::new(ArrayScanner::new(text, line, column)))
        } else {
            Self::Lines(Lines::new(text, line))
        })
    }

    /// Reads the next object into `object`; returns false at the end of the file. Blank lines are passed over.
    ///
    /// # Errors
    /// [`ReadError::Truncated`] if the file cannot be read, or ends within an array.
    pub(super) fn read(&mut self, object: &mut ObjectText) -> Result<bool, ReadError> {
        let lines = match self {
            Self::Array(scanner) => return scanner.read(object),
            Self::Lines(lines) => lines,
        };
        let mut line = Line { bytes: std::mem::take(&mut object.bytes), ..Line::default() };
        loop {
            if !lines.read(&mut line)? {
                return Ok(false);
            }
            let length = line.bytes.trim_ascii_end().len();
            if length > 0 {
                line.bytes.truncate(length);
                *object = ObjectText { line: line.number, column: 0, bytes: line.bytes, is_cut: line.is_cut };
                return Ok(true);
            }
        }
    }
}

#[cfg(test)]
mod tests;
