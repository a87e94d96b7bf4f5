//! Fields of a row, of a line of values with a delimiter, or put together. Quotes are as in RFC 4180; what deviates is read as the common readers do.

/// Fields of one row, as bytes.
#[derive(Debug, Default)]
pub(super) struct CsvRecord {
    bytes: Vec<u8>,
    /// End of each field in `bytes`.
    ends: Vec<usize>,
}

/// Quoting of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quoting {
    /// Every quote that opens a field closes before a delimiter or the end.
    Closed,
    /// As `Closed`, but with text behind a closing quote.
    Loose,
    /// The last field has a quote that does not close.
    Open,
}

impl CsvRecord {
    /// Removes all fields.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// Appends a field.
    pub(super) fn push(&mut self, field: &[u8]) {
        self.bytes.extend_from_slice(field);
        self.ends.push(self.bytes.len());
    }

    /// Splits a line into fields.
    pub(super) fn split(&mut self, line: &[u8], delimiter: u8) -> Quoting {
        self.clear();
        let mut quoting = Quoting::Closed;
        let mut at = 0;
        loop {
            if line.get(at) == Some(&b'"') {
                let Some(end) = self.quoted(line, at + 1) else {
                    self.ends.push(self.bytes.len());
                    return Quoting::Open;
                };
                at = end;
            }
            let rest = &line[at..];
            let length = rest.iter().position(|byte| *byte == delimiter).unwrap_or(rest.len());
            if length > 0 && at > 0 && line[at - 1] == b'"' {
                quoting = Quoting::Loose;
            }
            self.bytes.extend_from_slice(&rest[..length]);
            self.ends.push(self.bytes.len());
            at += length + 1;
            if at > line.len() {
                return quoting;
            }
        }
    }

    /// Returns the number of fields.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns a field; empty if there is none.
    pub(super) fn get(&self, index: usize) -> &[u8] {
        let begin = if index == 0 { Some(0) } else { self.ends.get(index - 1).copied() };
        match (begin, self.ends.get(index)) {
            (Some(begin), Some(end)) => &self.bytes[begin..*end],
            _ => &[],
        }
    }

    /// Returns all fields in order.
    pub(super) fn fields(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map(|index| self.get(index))
    }

    /// Reads a quoted field from behind its opening quote; returns the position behind the closing one.
    fn quoted(&mut self, line: &[u8], mut at: usize) -> Option<usize> {
        loop {
            let length = line[at..].iter().position(|byte| *byte == b'"');
            let end = at + length.unwrap_or(line.len() - at);
            self.bytes.extend_from_slice(&line[at..end]);
            length?;
            // Two quotes stand for one.
            if line.get(end + 1) != Some(&b'"') {
                return Some(end + 1);
            }
            self.bytes.push(b'"');
            at = end + 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_removed_and_their_state_is_known() {
        let rows: [(&str, &[&str], Quoting); 13] = [
            ("a,b", &["a", "b"], Quoting::Closed),
            ("", &[""], Quoting::Closed),
            (",", &["", ""], Quoting::Closed),
            ("a,,", &["a", "", ""], Quoting::Closed),
            ("\"a,b\",c", &["a,b", "c"], Quoting::Closed),
            ("\"\",c", &["", "c"], Quoting::Closed),
            ("\"a \"\"b\"\"\",c", &["a \"b\"", "c"], Quoting::Closed),
            ("5\" pipe,c", &["5\" pipe", "c"], Quoting::Closed),
            ("\"a\"b,c", &["ab", "c"], Quoting::Loose),
            ("x,\"a\" \"b\",c", &["x", "a \"b\"", "c"], Quoting::Loose),
            ("x,\"a,b", &["x", "a,b"], Quoting::Open),
            ("x,\"", &["x", ""], Quoting::Open),
            ("x,\"a\"\"", &["x", "a\""], Quoting::Open),
        ];
        let mut record = CsvRecord::default();
        for (line, fields, quoting) in rows {
            assert_eq!(record.split(line.as_bytes(), b','), quoting, "{line}");
            let read: Vec<&str> =
                record.fields().map(|field| std::str::from_utf8(field).expect("UTF-8")).collect();
            assert_eq!(read, fields, "{line}");
            assert_eq!(record.len(), fields.len());
            assert_eq!(record.get(fields.len()), b"");
        }
    }
}
