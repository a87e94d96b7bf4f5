//! Rows of a file of values with a delimiter. A row is a line, or several if a quoted field has line breaks. A quote that never closes
//! costs its own line, not the rest of the file.

use super::error::ReadError;
use super::line::{Line, Lines, ROW_MAX_BYTES};
use super::record::{CsvRecord, Quoting};
use super::row::{RowDefect, RowReason};
use std::collections::VecDeque;

/// Most lines of one row. Titles and descriptions of shops have a few.
const ROW_LINES_MAX: usize = 32;
/// Delimiters that are guessed, the usual one first.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// Reader of a table.
pub(super) struct Table {
    lines: Lines,
    /// Delimiter of fields; none until the first line is read.
    delimiter: Option<u8>,
    /// Number of fields of a row.
    width: usize,
    /// Lines that were read in search of a closing quote.
    read_ahead: VecDeque<Line>,
    line: Line,
    record: CsvRecord,
}

impl Table {
    /// Reads rows of `lines`. Without a delimiter it is guessed from the first line.
    pub(super) fn new(lines: Lines, delimiter: Option<u8>) -> Self {
        Self {
            lines,
            delimiter,
            width: 0,
            read_ahead: VecDeque::new(),
            line: Line::default(),
            record: CsvRecord::default(),
        }
    }

    /// Reads the first line as names of columns, which fix the number of fields; empty for an empty file.
    ///
    /// # Errors
    /// [`ReadError::Truncated`] if the file cannot be read.
    pub(super) fn header(&mut self) -> Result<Vec<String>, ReadError> {
        if !self.read()? {
            return Ok(Vec::new());
        }
        let delimiter = *self.delimiter.get_or_insert_with(|| guessed(&self.line.bytes));
        self.record.split(&self.line.bytes, delimiter);
        self.width = self.record.len();
        Ok(self.record.fields().map(|name| String::from_utf8_lossy(name).trim().to_owned()).collect())
    }

    /// Returns the line that was read by [`Self::header`] to the rows, each of which has `width` fields.
    pub(super) fn return_header(&mut self, width: usize) {
        self.width = width;
        self.read_ahead.push_front(std::mem::take(&mut self.line));
    }

    /// Returns the delimiter, once a line was read.
    pub(super) fn delimiter(&self) -> u8 {
        self.delimiter.unwrap_or(b',')
    }

    /// Reads the next row; returns false at the end of the file.
    ///
    /// # Errors
    /// [`ReadError::Truncated`] if the file cannot be read.
    pub(super) fn read(&mut self) -> Result<bool, ReadError> {
        loop {
            if !self.next_line()? {
                return Ok(false);
            }
            // Blank lines are no rows, as for every reader of such files.
            if !self.line.bytes.trim_ascii().is_empty() {
                return Ok(true);
            }
        }
    }

    /// Splits the row into fields.
    ///
    /// # Errors
    /// The outer error is that of the file, the inner one the defect of the row.
    pub(super) fn split(&mut self) -> Result<Result<&mut CsvRecord, RowDefect>, ReadError> {
        if self.line.is_cut {
            return Ok(Err(RowDefect::too_long(ROW_MAX_BYTES)));
        }
        if self.record.split(&self.line.bytes, self.delimiter()) == Quoting::Open && !self.join()? {
            let problem = "has a quote that does not close";
            return Ok(Err(RowDefect::of_row(RowReason::FieldCount, problem)));
        }
        let (found, expected) = (self.record.len(), self.width);
        if found == expected {
            return Ok(Ok(&mut self.record));
        }
        let problem = format!(
            "has {found} fields, {expected} are expected: the line is truncated, or a cell has a {} without quotes",
            delimiter_name(self.delimiter())
        );
        Ok(Err(RowDefect::of_row(RowReason::FieldCount, problem)))
    }

    /// Returns the number of the row's first line.
    pub(super) fn line(&self) -> u64 {
        self.line.number
    }

    /// Returns the bytes of the row.
    pub(super) fn raw(&self) -> &[u8] {
        &self.line.bytes
    }

    fn next_line(&mut self) -> Result<bool, ReadError> {
        match self.read_ahead.pop_front() {
            Some(line) => {
                self.line = line;
                Ok(true)
            }
            None => self.lines.read(&mut self.line),
        }
    }

    /// Adds the following lines up to the one that closes the quote; returns false, and changes nothing, if that does not make a row.
    fn join(&mut self) -> Result<bool, ReadError> {
        let mut joined = self.line.bytes.clone();
        for index in 0..ROW_LINES_MAX - 1 {
            if index == self.read_ahead.len() {
                let mut line = Line::default();
                if !self.lines.read(&mut line)? {
                    return Ok(false);
                }
                self.read_ahead.push_back(line);
            }
            joined.push(b'\n');
            joined.extend_from_slice(&self.read_ahead[index].bytes);
            if joined.len() > ROW_MAX_BYTES {
                return Ok(false);
            }
            match self.record.split(&joined, self.delimiter()) {
                Quoting::Open => {}
                // Text behind the closing quote: it is the opening quote of another broken row.
                Quoting::Loose => return Ok(false),
                Quoting::Closed if self.record.len() != self.width => return Ok(false),
                Quoting::Closed => {
                    self.read_ahead.drain(..=index);
                    self.line.bytes = joined;
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }
}

/// Returns the delimiter that a line has most often outside of quotes.
fn guessed(line: &[u8]) -> u8 {
    let mut counts = [0_usize; DELIMITERS.len()];
    let mut is_quoted = false;
    for byte in line {
        is_quoted ^= *byte == b'"';
        if let Some(index) = DELIMITERS.iter().position(|delimiter| delimiter == byte).filter(|_| !is_quoted)
        {
            counts[index] += 1;
        }
    }
    let most = counts.into_iter().max().unwrap_or(0);
    // Of equal ones the first, the comma, is the usual one.
    counts.iter().position(|count| *count == most).map_or(b',', |index| DELIMITERS[index])
}

fn delimiter_name(delimiter: u8) -> String {
    match delimiter {
        b',' => "comma".to_owned(),
        b';' => "semicolon".to_owned(),
        b'\t' => "tab".to_owned(),
        other => format!("{:?}", char::from(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delimiter_is_the_one_that_the_first_line_has_most() {
        let rows = [
            ("a,b,c", b','),
            ("a;b;c", b';'),
            ("a\tb,c\td", b'\t'),
            ("a|b|c", b'|'),
            ("\"a,b,c,d\";e;f", b';'),
            ("alone", b','),
            ("", b','),
        ];
        for (line, expected) in rows {
            assert_eq!(guessed(line.as_bytes()), expected, "{line}");
        }
    }
}
