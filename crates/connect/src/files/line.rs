//! Lines of a file as bytes, with a bound on their length, so that a file without line breaks cannot take the memory.

use super::error::ReadError;
use std::io::{BufRead, Read};

/// Longest row in bytes. Rows of logs have a few hundred; the largest event that a server accepts has 6 KiB.
pub(super) const ROW_MAX_BYTES: usize = 1 << 20;

/// Text of a file, after decompression.
pub(super) type Text = Box<dyn BufRead + Send>;

/// Line without its terminator.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// Number in the file, from 1.
    pub(super) number: u64,
    /// Bytes; the first [`ROW_MAX_BYTES`] of a longer line.
    pub(super) bytes: Vec<u8>,
    /// True if the line is longer.
    pub(super) is_cut: bool,
}

/// Reader of lines.
pub(super) struct Lines {
    text: Text,
    number: u64,
}

impl Lines {
    /// Reads the lines of `text`, whose first one has the number `first`.
    pub(super) fn new(text: Text, first: u64) -> Self {
        Self { text, number: first - 1 }
    }

    /// Reads the next line into `line`; returns false at the end of the file.
    ///
    /// # Errors
    /// [`ReadError::Truncated`] if the file cannot be read; the incomplete line is dropped.
    pub(super) fn read(&mut self, line: &mut Line) -> Result<bool, ReadError> {
        self.number += 1;
        line.number = self.number;
        line.bytes.clear();
        line.is_cut = false;
        let number = self.number;
        let failed = |source| ReadError::Truncated { line: number, source };
        // One byte more than the limit: the terminator of the longest line.
        let limit = ROW_MAX_BYTES as u64 + 1;
        if self.text.by_ref().take(limit).read_until(b'\n', &mut line.bytes).map_err(failed)? == 0 {
            return Ok(false);
        }
        if line.bytes.len() > ROW_MAX_BYTES && !line.bytes.ends_with(b"\n") {
            line.bytes.truncate(ROW_MAX_BYTES);
            line.is_cut = true;
            self.text.skip_until(b'\n').map_err(failed)?;
        }
        if line.bytes.ends_with(b"\n") {
            line.bytes.pop();
        }
        if line.bytes.ends_with(b"\r") {
            line.bytes.pop();
        }
        // Spreadsheet programs start files with a byte order mark.
        if self.number == 1 && line.bytes.starts_with("\u{feff}".as_bytes()) {
            line.bytes.drain(.."\u{feff}".len());
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn read(text: &[u8]) -> Vec<(u64, usize, bool)> {
        let mut lines = Lines::new(Box::new(Cursor::new(text.to_vec())), 1);
        let mut line = Line::default();
        let mut read = Vec::new();
        while lines.read(&mut line).expect("readable") {
            read.push((line.number, line.bytes.len(), line.is_cut));
        }
        read
    }

    #[test]
    fn lines_lose_their_terminator_and_a_byte_order_mark() {
        assert_eq!(read(b"\xef\xbb\xbfab\r\n\n\xef\xbb\xbfc"), [(1, 2, false), (2, 0, false), (3, 4, false)]);
        assert_eq!(read(b""), []);
    }

    #[test]
    fn a_long_line_is_cut_and_the_next_one_is_read() {
        for (length, is_cut) in
            [(ROW_MAX_BYTES - 1, false), (ROW_MAX_BYTES, false), (3 * ROW_MAX_BYTES, true)]
        {
            let mut text = vec![b'x'; length];
            text.extend_from_slice(b"\nab\n");
            let expected = [(1, length.min(ROW_MAX_BYTES), is_cut), (2, 2, false)];
            assert_eq!(read(&text), expected, "{length}");
        }
    }
}
