//! Scanner of an array of objects: finds where each element begins and ends, and leaves the rest to the parser of rows. An element
//! that misses its end costs itself: the next one begins where only an element can.

use super::super::error::ReadError;
use super::super::line::{ROW_MAX_BYTES, Text};
use super::text::ObjectText;
use std::io;

/// Place of a byte in the structure of the array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Between elements.
    Between,
    /// In an object, outside of strings.
    Object,
    /// In a string of an object.
    String,
    /// In a string, behind a backslash.
    Escape,
    /// In an element that is no object.
    Scalar,
}

/// Effect of a byte on the element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ScanStep {
    /// The element goes on, or none has begun.
    Next,
    /// The element ends with this byte.
    Last,
    /// The element ended before this byte.
    Past,
}

/// Scanner of the elements of an array, or of several arrays in a row.
pub(in crate::files) struct ArrayScanner {
    text: Text,
    /// Bytes to scan again before `text`, from `reread_at` on.
    reread: Vec<u8>,
    reread_at: usize,
    state: ScanState,
}

struct ScanState {
    line: u64,
    /// Bytes of the line that were read.
    column: usize,
    place: Place,
    /// Open braces of the element.
    braces: u32,
    /// Open brackets of the element.
    brackets: u32,
    /// Newest byte of the element outside of strings that is no white space.
    newest: u8,
    /// True until the array has ended.
    is_open: bool,
}

impl ArrayScanner {
    pub(super) fn new(text: Text, line: u64, column: usize) -> Self {
        let state = ScanState {
            line,
            column,
            place: Place::Between,
            braces: 0,
            brackets: 0,
            newest: 0,
            is_open: false,
        };
        Self { text, reread: Vec::new(), reread_at: 0, state }
    }

    /// Reads the next element into `object`; returns false at the end of the file.
    pub(super) fn read(&mut self, object: &mut ObjectText) -> Result<bool, ReadError> {
        object.bytes.clear();
        object.is_cut = false;
        loop {
            let line = self.state.line;
            let is_reread = self.reread_at < self.reread.len();
            let chunk = if is_reread {
                &self.reread[self.reread_at..]
            } else {
                match self.text.fill_buf() {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    chunk => chunk.map_err(|source| ReadError::Truncated { line, source })?,
                }
            };
            if chunk.is_empty() {
                return self.end(object);
            }
            let (used, step) = self.state.steps(chunk, object);
            if is_reread {
                self.reread_at += used;
            } else {
                self.text.consume(used);
            }
            match step {
                ScanStep::Last | ScanStep::Past => return Ok(true),
                // The longest object is full and has no end: an element without its end may be in it.
                ScanStep::Next if object.bytes.len() == ROW_MAX_BYTES && !object.is_cut => {
                    if self.split_off(object) {
                        return Ok(true);
                    }
                    object.is_cut = true;
                }
                ScanStep::Next => {}
            }
        }
    }

    /// Ends the file: an element that is still open is rejected if the file has its closing bracket, else the file is truncated.
    fn end(&mut self, object: &mut ObjectText) -> Result<bool, ReadError> {
        let is_between = self.state.place == Place::Between;
        if !is_between && !object.is_cut && self.split_off(object) {
            return Ok(true);
        }
        self.state.place = Place::Between;
        if !is_between && object.bytes.trim_ascii_end().ends_with(b"]") {
            self.state.is_open = false;
            return Ok(true);
        }
        if is_between && !self.state.is_open {
            return Ok(false);
        }
        let source = io::Error::new(io::ErrorKind::UnexpectedEof, "the array of JSON has no end");
        Err(ReadError::Truncated { line: self.state.line, source })
    }

    /// Ends the element at the first `},{` in it, and scans what is behind the comma again.
    fn split_off(&mut self, object: &mut ObjectText) -> bool {
        let Some((end, next)) = boundary(&object.bytes) else { return false };
        let before = &object.bytes[..next];
        let lines = before.iter().filter(|byte| **byte == b'\n').count();
        self.state.line = object.line + lines as u64;
        self.state.column = match before.iter().rposition(|byte| *byte == b'\n') {
            Some(newline) => next - newline - 1,
            None => object.column + next,
        };
        let mut reread = object.bytes.split_off(next);
        reread.extend_from_slice(&self.reread[self.reread_at..]);
        (self.reread, self.reread_at) = (reread, 0);
        object.bytes.truncate(end);
        self.state.place = Place::Between;
        true
    }
}

impl ScanState {
    /// Takes bytes up to the end of the element; returns how many, and the last step.
    fn steps(&mut self, chunk: &[u8], object: &mut ObjectText) -> (usize, ScanStep) {
        for (index, byte) in chunk.iter().enumerate() {
            match self.step(*byte, object) {
                ScanStep::Next if object.bytes.len() < ROW_MAX_BYTES || object.is_cut => {}
                ScanStep::Past => return (index, ScanStep::Past),
                step => return (index + 1, step),
            }
        }
        (chunk.len(), ScanStep::Next)
    }

    fn step(&mut self, byte: u8, object: &mut ObjectText) -> ScanStep {
        let step = match self.place {
            Place::Between => self.between(byte, object),
            Place::Scalar => {
                // A scalar is no event: its row is rejected, and its quotes need no care.
                if matches!(byte, b',' | b']' | b'\n') {
                    self.place = Place::Between;
                    self.is_open &= byte != b']';
                    return self.counted(byte, ScanStep::Last);
                }
                ScanStep::Next
            }
            Place::String | Place::Escape => {
                self.place = match byte {
                    // A string has no line breaks: here one lacks its closing quote.
                    b'\n' => Place::Object,
                    _ if self.place == Place::Escape => Place::String,
                    b'\\' => Place::Escape,
                    b'"' => Place::Object,
                    _ => Place::String,
                };
                ScanStep::Next
            }
            Place::Object => self.structure(byte),
        };
        if step == ScanStep::Past {
            self.place = Place::Between;
            return step;
        }
        if (self.place != Place::Between || step == ScanStep::Last) && object.bytes.len() < ROW_MAX_BYTES {
            object.bytes.push(byte);
        }
        self.counted(byte, step)
    }

    /// Handles a byte between elements. Brackets and commas are separators there, so that several arrays in a file are one list.
    fn between(&mut self, byte: u8, object: &mut ObjectText) -> ScanStep {
        match byte {
            b'[' => self.is_open = true,
            b']' => self.is_open = false,
            b',' | b' ' | b'\t' | b'\r' | b'\n' => {}
            _ => {
                (object.line, object.column) = (self.line, self.column);
                (self.braces, self.brackets, self.newest) = (u32::from(byte == b'{'), 0, byte);
                self.place = if byte == b'{' { Place::Object } else { Place::Scalar };
            }
        }
        ScanStep::Next
    }

    fn structure(&mut self, byte: u8) -> ScanStep {
        match byte {
            b'"' => self.place = Place::String,
            // An object has an object only as a value, behind a colon: this one is the next element.
            b'{' if self.newest != b':' && self.brackets == 0 => return ScanStep::Past,
            b'{' => self.braces = self.braces.saturating_add(1),
            b'}' if self.braces == 1 => {
                self.place = Place::Between;
                return ScanStep::Last;
            }
            b'}' => self.braces -= 1,
            b'[' => self.brackets = self.brackets.saturating_add(1),
            b']' => self.brackets = self.brackets.saturating_sub(1),
            _ => {}
        }
        if !byte.is_ascii_whitespace() {
            self.newest = byte;
        }
        ScanStep::Next
    }

    fn counted(&mut self, byte: u8, step: ScanStep) -> ScanStep {
        if byte == b'\n' {
            (self.line, self.column) = (self.line + 1, 0);
        } else {
            self.column += 1;
        }
        step
    }
}

/// Finds `},{`, with white space between; returns the positions behind the first brace and of the second.
fn boundary(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut braces = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'}');
    braces.find_map(|(brace, _)| {
        let end = brace + 1;
        let comma = after_spaces(bytes, end).filter(|comma| bytes[*comma] == b',')?;
        let next = after_spaces(bytes, comma + 1).filter(|next| bytes[*next] == b'{')?;
        Some((end, next))
    })
}

/// Returns the position of the first byte from `at` on that is no white space.
fn after_spaces(bytes: &[u8], at: usize) -> Option<usize> {
    bytes[at..].iter().position(|byte| !byte.is_ascii_whitespace()).map(|skip| at + skip)
}
