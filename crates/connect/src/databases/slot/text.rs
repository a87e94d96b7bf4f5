//! Text of `test_decoding`, read strictly: what is unknown is an error, never a guess.

use super::super::error::SourceError;
use super::change::{ChangeKind, Lsn};

/// Line of the decoded log.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum DecodedLine<'a> {
    /// Start of a transaction.
    Begin,
    /// End of a transaction.
    Commit,
    /// Message of an application, which concerns no table.
    Message,
    /// Tables (schema, name) that were emptied.
    Truncate(Vec<(String, String)>),
    /// Change of a row.
    Change(ChangeLine<'a>),
}

/// Change of a row.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ChangeLine<'a> {
    pub(super) schema: String,
    pub(super) table: String,
    pub(super) kind: ChangeKind,
    pub(super) old_key: Vec<RawColumn<'a>>,
    pub(super) columns: Vec<RawColumn<'a>>,
}

/// Column of a change.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RawColumn<'a> {
    pub(super) name: String,
    /// Type as the server prints it, as in `timestamp with time zone`.
    pub(super) data_type: &'a str,
    pub(super) value: RawValue,
}

/// Value of a column.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum RawValue {
    /// NULL.
    Null,
    /// Large value that did not change and is not in the log.
    Unchanged,
    /// Text without its quotes.
    Text(String),
}

/// First part of a line that is not as expected.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LineDefect {
    expected: &'static str,
    at: usize,
}

impl LineDefect {
    /// Converts to the error of a line.
    pub(super) fn error(self, lsn: Lsn, line: &str) -> SourceError {
        let line = line.chars().take(400).collect();
        SourceError::ChangeText { lsn: lsn.to_string(), expected: self.expected, at: self.at, line }
    }
}

impl<'a> DecodedLine<'a> {
    /// Reads a line.
    pub(super) fn parse(line: &'a str) -> Result<Self, LineDefect> {
        match line {
            "BEGIN" => return Ok(Self::Begin),
            "COMMIT" => return Ok(Self::Commit),
            _ if line.starts_with("message: ") => return Ok(Self::Message),
            _ => {}
        }
        let mut scanner = Scanner { line, at: 0 };
        scanner.expect("table ", "BEGIN, COMMIT, message or table")?;
        let mut tables = vec![scanner.table()?];
        while scanner.take(", ") {
            tables.push(scanner.table()?);
        }
        scanner.expect(": ", "a colon after the table")?;
        if scanner.take("TRUNCATE: ") {
            scanner.truncate_flags()?;
            return Ok(Self::Truncate(tables));
        }
        match (tables.pop(), tables.is_empty()) {
            (Some((schema, table)), true) => scanner.change(schema, table).map(Self::Change),
            _ => Err(scanner.defect("TRUNCATE")),
        }
    }
}

/// Reader of a line from left to right.
struct Scanner<'a> {
    line: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    fn rest(&self) -> &'a str {
        &self.line[self.at..]
    }

    fn defect(&self, expected: &'static str) -> LineDefect {
        LineDefect { expected, at: self.at }
    }

    /// Skips `text` if it comes next.
    fn take(&mut self, text: &str) -> bool {
        let found = self.rest().starts_with(text);
        if found {
            self.at += text.len();
        }
        found
    }

    fn expect(&mut self, text: &str, expected: &'static str) -> Result<(), LineDefect> {
        if self.take(text) { Ok(()) } else { Err(self.defect(expected)) }
    }

    fn truncate_flags(&mut self) -> Result<(), LineDefect> {
        let found = ["(no-flags)", "restart_seqs cascade", "restart_seqs", "cascade"];
        if found.contains(&self.rest()) { Ok(()) } else { Err(self.defect("flags of TRUNCATE")) }
    }

    fn table(&mut self) -> Result<(String, String), LineDefect> {
        let schema = self.identifier()?;
        self.expect(".", "a point between schema and table")?;
        Ok((schema, self.identifier()?))
    }

    fn change(&mut self, schema: String, table: String) -> Result<ChangeLine<'a>, LineDefect> {
        let (kind, mut old_key) = if self.take("INSERT:") {
            (ChangeKind::Insert, Vec::new())
        } else if self.take("UPDATE:") {
            (ChangeKind::Update, Vec::new())
        } else if self.take("DELETE:") {
            (ChangeKind::Delete, Vec::new())
        } else {
            return Err(self.defect("INSERT, UPDATE, DELETE or TRUNCATE"));
        };
        if kind == ChangeKind::Update && self.take(" old-key:") {
            old_key = self.columns(" new-tuple:")?;
        }
        let columns = self.columns("")?;
        if columns.is_empty() {
            return Err(self.defect("columns"));
        }
        Ok(ChangeLine { schema, table, kind, old_key, columns })
    }

    /// Reads columns through `end`, or to the end of the line if that is empty.
    fn columns(&mut self, end: &str) -> Result<Vec<RawColumn<'a>>, LineDefect> {
        let mut columns = Vec::new();
        loop {
            if end.is_empty() && self.rest().is_empty() || !end.is_empty() && self.take(end) {
                return Ok(columns);
            }
            self.expect(" ", "a space before a column")?;
            let name = self.identifier()?;
            self.expect("[", "the type in brackets")?;
            let data_type = self.data_type()?;
            self.expect("]:", "a colon after the type")?;
            columns.push(RawColumn { name, data_type, value: self.value()? });
        }
    }

    /// Reads an identifier, quoted or of the letters that need no quotes.
    fn identifier(&mut self) -> Result<String, LineDefect> {
        if self.rest().starts_with('"') {
            return self.quoted('"');
        }
        let is_plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_$".contains(byte);
        let length = self.rest().bytes().take_while(is_plain).count();
        if length == 0 {
            return Err(self.defect("a name"));
        }
        let name = self.rest()[..length].to_owned();
        self.at += length;
        Ok(name)
    }

    /// Reads text between marks, in which a mark is doubled.
    fn quoted(&mut self, mark: char) -> Result<String, LineDefect> {
        let start = self.at;
        let mut text = String::new();
        self.at += mark.len_utf8();
        loop {
            let Some(length) = self.rest().find(mark) else {
                return Err(LineDefect { expected: "a closing quote", at: start });
            };
            text.push_str(&self.rest()[..length]);
            self.at += length + mark.len_utf8();
            if !self.rest().starts_with(mark) {
                return Ok(text);
            }
            text.push(mark);
            self.at += mark.len_utf8();
        }
    }

    /// Reads a type through the bracket that closes it. Arrays have brackets of their own, and names of types may be quoted.
    fn data_type(&mut self) -> Result<&'a str, LineDefect> {
        let mut depth = 0_usize;
        let mut is_quoted = false;
        let rest = self.rest();
        for (index, byte) in rest.bytes().enumerate() {
            match byte {
                b'"' => is_quoted = !is_quoted,
                b'[' if !is_quoted => depth += 1,
                b']' if !is_quoted && depth > 0 => depth -= 1,
                b']' if !is_quoted && index > 0 => {
                    self.at += index;
                    return Ok(&rest[..index]);
                }
                _ => {}
            }
        }
        Err(self.defect("a type"))
    }

    fn value(&mut self) -> Result<RawValue, LineDefect> {
        if self.rest().starts_with('\'') {
            return self.quoted('\'').map(RawValue::Text);
        }
        if self.rest().starts_with("B'") {
            self.at += 1;
            return self.quoted('\'').map(RawValue::Text);
        }
        let rest = self.rest();
        let word = rest.split(' ').next().unwrap_or(rest);
        let is_number = |word: &str| {
            let allowed = |byte: u8| byte.is_ascii_digit() || b"+-.eE".contains(&byte);
            !word.is_empty() && word.bytes().all(allowed)
        };
        let value = match word {
            "null" => RawValue::Null,
            "unchanged-toast-datum" => RawValue::Unchanged,
            "true" | "false" | "NaN" | "Infinity" | "-Infinity" => RawValue::Text(word.to_owned()),
            _ if is_number(word) => RawValue::Text(word.to_owned()),
            _ => return Err(self.defect("a value")),
        };
        self.at += word.len();
        Ok(value)
    }
}

#[cfg(test)]
mod tests;
