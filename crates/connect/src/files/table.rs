//! Rows of a file of comma-separated values. A row is a line, or several if a quoted field has line breaks. A quote that never closes
//! costs its own line, not the rest of the file.

use super::error::ReadError;
use super::format::{ColumnLayout, Format};
use super::line::{Line, Lines, ROW_MAX_BYTES};
use super::record::{CsvRecord, Quoting};
use super::row::{RowDefect, RowReason};
use std::collections::VecDeque;

/// Most lines of one row. Titles and descriptions of shops have a few.
const ROW_LINES_MAX: usize = 32;

/// Reader of a table.
pub(super) struct Table {
    lines: Lines,
    layout: ColumnLayout,
    /// Lines that were read in search of a closing quote.
    read_ahead: VecDeque<Line>,
    line: Line,
    record: CsvRecord,
}

impl Table {
    /// Reads the header, if the format has one.
    ///
    /// # Errors
    /// [`ReadError::Header`] if the file has another format.
    pub(super) fn open(lines: Lines, format: Format, first: ColumnLayout) -> Result<Self, ReadError> {
        let mut table = Self {
            lines,
            layout: first,
            read_ahead: VecDeque::new(),
            line: Line::default(),
            record: CsvRecord::default(),
        };
        if !table.next_line()? {
            return if first.has_header() { Err(header_error(format, &[])) } else { Ok(table) };
        }
        table.record.split(&table.line.bytes);
        let header: Vec<String> =
            table.record.fields().map(|name| String::from_utf8_lossy(name).trim().to_owned()).collect();
        let header: Vec<&str> = header.iter().map(String::as_str).collect();
        if first.has_header() {
            let layout = format.layouts().iter().find(|layout| layout.columns() == header);
            table.layout = *layout.ok_or_else(|| header_error(format, &header))?;
        } else if Format::of_header(&header).is_some() {
            // Without a header every row would be rejected on its own.
            return Err(header_error(format, &header));
        } else {
            let line = std::mem::take(&mut table.line);
            table.read_ahead.push_back(line);
        }
        Ok(table)
    }

    /// Returns the column layout of the file.
    pub(super) fn layout(&self) -> ColumnLayout {
        self.layout
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
    pub(super) fn split(&mut self) -> Result<Result<&CsvRecord, RowDefect>, ReadError> {
        if self.line.is_cut {
            return Ok(Err(RowDefect::too_long(ROW_MAX_BYTES)));
        }
        if self.record.split(&self.line.bytes) == Quoting::Open && !self.join()? {
            let problem = "has a quote that does not close";
            return Ok(Err(RowDefect::of_row(RowReason::FieldCount, problem)));
        }
        let (found, expected) = (self.record.len(), self.layout.columns().len());
        if found == expected {
            return Ok(Ok(&self.record));
        }
        let problem = format!(
            "has {found} fields, {expected} are expected: the line is truncated, or a cell has a comma without quotes"
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
            match self.record.split(&joined) {
                Quoting::Open => {}
                // Text behind the closing quote: it is the opening quote of another broken row.
                Quoting::Loose => return Ok(false),
                Quoting::Closed if self.record.len() != self.layout.columns().len() => return Ok(false),
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

fn header_error(format: Format, header: &[&str]) -> ReadError {
    // The first layout stands for the format, as the documentation lists it first.
    let expected = format.layouts().first().map_or(&[][..], |layout| layout.columns());
    // The first differing column tells more than the whole header.
    let index = (0..expected.len().max(header.len()))
        .find(|index| expected.get(*index) != header.get(*index))
        .unwrap_or(0);
    let remedy = match Format::of_header(header) {
        Some(other) => format!("it looks like --format {}", other.name()),
        None => format!("its columns are {}", expected.join(",")),
    };
    ReadError::Header {
        column: index + 1,
        format: format.name(),
        found: name_at(header, index),
        expected: name_at(expected, index),
        remedy,
    }
}

fn name_at(names: &[&str], index: usize) -> String {
    names.get(index).map_or_else(|| "nothing".to_owned(), |name| (*name).to_owned())
}
