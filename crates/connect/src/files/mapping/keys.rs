//! Tables and values of a mapping with their lines. A key that is not taken is an error, so that a misspelt one is not ignored.

use super::error::MappingError;
use std::borrow::Cow;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Most values of a list or a table of a mapping. The widest public table has 25 columns.
const VALUES_MAX: usize = 1000;

/// Table of a mapping, whose keys are taken one after the other.
pub(super) struct Keys<'a> {
    text: &'a str,
    name: String,
    line: usize,
    entries: Vec<(Cow<'a, str>, usize, Spanned<DeValue<'a>>)>,
    known: Vec<&'static str>,
}

/// Value of a key.
pub(super) struct KeyValue<'a> {
    text: &'a str,
    key: String,
    line: usize,
    value: DeValue<'a>,
}

impl<'a> Keys<'a> {
    /// Parses the text of a mapping.
    ///
    /// # Errors
    /// [`MappingError::Syntax`] if it is not TOML.
    pub(super) fn parse(text: &'a str) -> Result<Self, MappingError> {
        let table = DeTable::parse(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            let problem = error.message().lines().next().unwrap_or("is not TOML").to_owned();
            MappingError::Syntax { line: line_at(text, at), problem }
        })?;
        Self::of_table(text, String::new(), 1, table.into_inner())
    }

    fn of_table(text: &'a str, name: String, line: usize, table: DeTable<'a>) -> Result<Self, MappingError> {
        if table.len() > VALUES_MAX {
            let problem = format!("has more than {VALUES_MAX} keys");
            return Err(MappingError::Key { line, key: name, problem, remedy: "leave some out".to_owned() });
        }
        let entries = table.into_iter().map(|(key, value)| {
            let line = line_at(text, key.span().start);
            (key.into_inner(), line, value)
        });
        Ok(Self { text, name, line, entries: entries.collect(), known: Vec::new() })
    }

    /// Takes the value of a key, if the table has it.
    pub(super) fn take(&mut self, key: &'static str) -> Option<KeyValue<'a>> {
        self.known.push(key);
        let index = self.entries.iter().position(|(name, _, _)| name == key)?;
        let (_, line, value) = self.entries.remove(index);
        Some(KeyValue { text: self.text, key: self.path(key), line, value: value.into_inner() })
    }

    /// Takes all keys that are left, in the order of their lines, for a table whose keys are values of the file.
    pub(super) fn take_all(&mut self) -> Vec<(String, KeyValue<'a>)> {
        let mut entries = std::mem::take(&mut self.entries);
        entries.sort_by_key(|(_, line, _)| *line);
        let values = entries.into_iter().map(|(key, line, value)| {
            let path = self.path(&key);
            (key.into_owned(), KeyValue { text: self.text, key: path, line, value: value.into_inner() })
        });
        values.collect()
    }

    /// Refuses the keys that were not taken.
    ///
    /// # Errors
    /// [`MappingError::Key`] for the first of them, with the known ones.
    pub(super) fn finish(self) -> Result<(), MappingError> {
        match self.entries.first() {
            None => Ok(()),
            Some((key, line, _)) => Err(MappingError::Key {
                line: *line,
                key: self.path(key),
                problem: "is no key of a mapping".to_owned(),
                remedy: format!("known here are {}", self.known.join(", ")),
            }),
        }
    }

    /// Returns the error of a key that is missing.
    pub(super) fn missing(&self, key: &str, remedy: impl Into<String>) -> MappingError {
        self.error(key, "is missing", remedy)
    }

    /// Returns an error of a key of this table.
    pub(super) fn error(&self, key: &str, problem: &str, remedy: impl Into<String>) -> MappingError {
        let problem = problem.to_owned();
        MappingError::Key { line: self.line, key: self.path(key), problem, remedy: remedy.into() }
    }

    fn path(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }
}

impl<'a> KeyValue<'a> {
    /// Returns an error of this value.
    pub(super) fn error(&self, problem: impl Into<String>, remedy: impl Into<String>) -> MappingError {
        MappingError::Key {
            line: self.line,
            key: self.key.clone(),
            problem: problem.into(),
            remedy: remedy.into(),
        }
    }

    /// Returns a text that is not empty.
    pub(super) fn text(&self) -> Result<&str, MappingError> {
        match &self.value {
            DeValue::String(text) if !text.is_empty() => Ok(text),
            _ => Err(self.wrong("a text that is not empty, as \"user_id\"")),
        }
    }

    /// Returns a text, or the texts of a list that is not empty.
    pub(super) fn texts(&self) -> Result<Vec<String>, MappingError> {
        let DeValue::Array(values) = &self.value else { return Ok(vec![self.text()?.to_owned()]) };
        let expected = "a text, or a list of texts";
        if values.is_empty() || values.len() > VALUES_MAX {
            return Err(self.wrong(expected));
        }
        let texts = values.iter().map(|value| match value.get_ref() {
            DeValue::String(text) => Ok(text.clone().into_owned()),
            _ => Err(self.wrong(expected)),
        });
        texts.collect()
    }

    /// Returns `true` or `false`.
    pub(super) fn flag(&self) -> Result<bool, MappingError> {
        self.value.as_bool().ok_or_else(|| self.wrong("true or false"))
    }

    /// Returns a whole number.
    pub(super) fn whole(&self) -> Result<i64, MappingError> {
        let number = self.value.as_integer().and_then(|number| number.as_str().parse().ok());
        number.ok_or_else(|| self.wrong("a whole number"))
    }

    /// Returns true if the value is a table.
    pub(super) fn is_table(&self) -> bool {
        self.value.is_table()
    }

    /// Returns the keys of a table.
    pub(super) fn table(self) -> Result<Keys<'a>, MappingError> {
        match self.value {
            DeValue::Table(table) => Keys::of_table(self.text, self.key, self.line, table),
            _ => Err(self.wrong("a table")),
        }
    }

    fn wrong(&self, expected: &str) -> MappingError {
        self.error(format!("is {}", self.value.type_str()), format!("write {expected}"))
    }
}

fn line_at(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}
