//! Rows of objects of JSON: an object each, or the entries of a list in it.

use super::bound::BoundMapping;
use super::error::ReadError;
use super::line::{ROW_MAX_BYTES, Text};
use super::mapping::Mapping;
use super::objects::{ObjectText, Objects};
use super::record::CsvRecord;
use super::row::{RowBody, RowDefect};
use super::rows::{self, ObjectRow};
use std::collections::VecDeque;

/// Objects, and the rows of the newest one that were not returned yet.
pub(super) struct ObjectRows {
    objects: Objects,
    object: ObjectText,
    pending: VecDeque<Result<ObjectRow, RowDefect>>,
    raw: Vec<u8>,
}

impl ObjectRows {
    /// Begins to read the objects of a text.
    ///
    /// # Errors
    /// [`ReadError::Truncated`] if it cannot be read.
    pub(super) fn open(text: Text) -> Result<Self, ReadError> {
        let objects = Objects::open(text)?;
        Ok(Self { objects, object: ObjectText::default(), pending: VecDeque::new(), raw: Vec::new() })
    }

    /// Reads an object with the field names of the API.
    pub(super) fn api_row(&mut self) -> Result<Option<RowBody>, ReadError> {
        if !self.objects.read(&mut self.object)? {
            return Ok(None);
        }
        let body = if self.object.is_cut {
            Err(RowDefect::too_long(ROW_MAX_BYTES))
        } else {
            rows::json(&self.object).map(RowBody::Event)
        };
        Ok(Some(body.unwrap_or_else(RowBody::Rejected)))
    }

    /// Reads the next row of a mapping; an object may have several.
    pub(super) fn mapped_row(
        &mut self,
        bound: &BoundMapping,
    ) -> Result<Option<Result<CsvRecord, RowDefect>>, ReadError> {
        self.raw.clear();
        // An object whose list is empty has no rows.
        while self.pending.is_empty() {
            if !self.objects.read(&mut self.object)? {
                return Ok(None);
            }
            if self.object.is_cut {
                return Ok(Some(Err(RowDefect::too_long(ROW_MAX_BYTES))));
            }
            let names = &bound.names[..bound.width];
            match rows::objects(&self.object, names, bound.mapping.source.each.as_deref()) {
                Ok(rows) => self.pending.extend(rows),
                Err(defect) => return Ok(Some(Err(defect))),
            }
        }
        Ok(self.pending.pop_front().map(|row| {
            row.map(|row| {
                self.raw = row.raw;
                row.record
            })
        }))
    }

    /// Returns the line of the newest object.
    pub(super) fn line(&self) -> u64 {
        self.object.line
    }

    /// Returns the bytes of the newest row.
    pub(super) fn raw(&self) -> &[u8] {
        if self.raw.is_empty() { &self.object.bytes } else { &self.raw }
    }
}

/// Returns the names that a mapping reads from objects.
pub(super) fn names_of(mapping: &Mapping) -> Vec<String> {
    let fields = mapping.fields.iter().flat_map(|fields| fields.columns()).map(|(_, columns)| columns);
    let others = mapping.rows.distinguish.iter().chain(mapping.rows.only.iter().map(|(columns, _)| columns));
    let mut names: Vec<String> =
        fields.chain(others).flat_map(|columns| columns.names.iter().cloned()).collect();
    names.sort_unstable();
    names.dedup();
    names
}
