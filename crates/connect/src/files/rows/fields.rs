//! Fields of one row by column, with conversions whose defects name the column.

use super::super::bound::BoundMapping;
use super::super::cell::{excerpt, is_missing, without_zero_fraction};
use super::super::mapping::{Field, FieldSource};
use super::super::record::CsvRecord;
use super::super::row::{RowDefect, RowReason};
use std::borrow::Cow;

/// Fields of one row.
pub(in crate::files) struct RowFields<'a> {
    record: &'a CsvRecord,
    bound: &'a BoundMapping,
}

/// Value of a row with the index of its column; none for a constant.
pub(super) struct CellText<'a> {
    pub(super) index: Option<usize>,
    pub(super) text: Cow<'a, str>,
}

impl<'a> RowFields<'a> {
    pub(in crate::files) fn new(record: &'a CsvRecord, bound: &'a BoundMapping) -> Self {
        Self { record, bound }
    }

    /// Returns the defect of a column; `problem` is a predicate.
    pub(super) fn defect(
        &self,
        index: Option<usize>,
        reason: RowReason,
        problem: impl Into<String>,
    ) -> RowDefect {
        let name = index.and_then(|index| self.bound.names.get(index)).cloned().unwrap_or_default();
        RowDefect {
            column: index.map(|index| index + 1),
            name: Cow::Owned(name),
            reason,
            problem: problem.into(),
        }
    }

    /// Returns the defect of a value that is not `expected`.
    pub(super) fn invalid(&self, cell: &CellText<'_>, reason: RowReason, expected: &str) -> RowDefect {
        self.defect(cell.index, reason, format!("{:?} is not {expected}", excerpt(&cell.text)))
    }

    /// Returns the value of a field; none if it is missing.
    pub(super) fn value(&self, field: Field) -> Result<Option<CellText<'a>>, RowDefect> {
        let source = self.bound.fields.as_ref().and_then(|fields| fields.get(field));
        match source {
            None => Ok(None),
            Some(FieldSource::Constant(value)) => {
                Ok(Some(CellText { index: None, text: Cow::Borrowed(value.as_str()) }))
            }
            Some(FieldSource::Column { columns, missing }) => self.first(columns, missing),
        }
    }

    /// Returns the first value that is not missing.
    pub(super) fn first(
        &self,
        columns: &[usize],
        missing: &[String],
    ) -> Result<Option<CellText<'a>>, RowDefect> {
        for index in columns {
            let text = self.decoded(*index)?;
            let trimmed = text.trim();
            let is_word = |words: &[String]| words.iter().any(|word| word == trimmed);
            if !is_missing(&text) && !is_word(&self.bound.mapping.source.missing) && !is_word(missing) {
                return Ok(Some(CellText { index: Some(*index), text }));
            }
        }
        Ok(None)
    }

    /// Returns the value of columns that must have one.
    pub(super) fn required(&self, columns: &[usize]) -> Result<CellText<'a>, RowDefect> {
        let value = self.first(columns, &[])?;
        value.ok_or_else(|| self.defect(columns.first().copied(), RowReason::MissingField, "is missing"))
    }

    /// Returns an optional id or name; empty if it is missing. A number with a fraction of zeros becomes what it was.
    pub(super) fn name(&self, field: Field) -> Result<String, RowDefect> {
        let value = self.value(field)?;
        Ok(value.map(|cell| without_zero_fraction(&cell.text).to_owned()).unwrap_or_default())
    }

    /// Returns an optional text as it is, also if it is a word for what is missing: a search for "none" is one.
    pub(super) fn words(&self, field: Field) -> Result<String, RowDefect> {
        let source = self.bound.fields.as_ref().and_then(|fields| fields.get(field));
        match source.and_then(FieldSource::columns).and_then(|columns| columns.first()) {
            Some(index) => Ok(self.decoded(*index)?.into_owned()),
            None => self.name(field),
        }
    }

    /// Returns the value of columns without a fraction of zeros; empty if it is missing.
    pub(in crate::files) fn plain(&self, columns: &[usize]) -> Result<String, RowDefect> {
        let value = self.first(columns, &[])?;
        Ok(value.map(|cell| without_zero_fraction(&cell.text).to_owned()).unwrap_or_default())
    }

    /// Returns a required id.
    pub(super) fn required_id(&self, field: Field) -> Result<String, RowDefect> {
        let id = self.name(field)?;
        if id.is_empty() {
            Err(self.defect(self.column(field), RowReason::EmptyId, "is missing"))
        } else {
            Ok(id)
        }
    }

    /// Parses an optional number; none if it is missing or NaN in any spelling.
    pub(super) fn number(&self, field: Field) -> Result<Option<f64>, RowDefect> {
        let Some(cell) = self.value(field)? else { return Ok(None) };
        let text = cell.text.trim();
        let number = match self.bound.mapping.source.decimal {
            _ if self.bound.has_types => text.parse().ok(),
            b',' if !text.contains('.') => text.replacen(',', ".", 1).parse().ok(),
            b',' => None,
            _ => text.parse().ok(),
        };
        let number: f64 = number.ok_or_else(|| self.invalid(&cell, RowReason::BadNumber, "a number"))?;
        // A negative zero is no other price than zero.
        Ok(Some(number + 0.0).filter(|number| !number.is_nan()))
    }

    /// Returns true if the cells of the file have types.
    pub(super) fn has_types(&self) -> bool {
        self.bound.has_types
    }

    /// Returns the first column of a field.
    pub(super) fn column(&self, field: Field) -> Option<usize> {
        let source = self.bound.fields.as_ref().and_then(|fields| fields.get(field));
        source.and_then(FieldSource::columns).and_then(|columns| columns.first().copied())
    }

    /// Returns true if the row is one of those that the mapping reads.
    pub(super) fn is_read(&self) -> Result<bool, RowDefect> {
        for (columns, values) in &self.bound.only {
            let value = self.first(columns, &[])?;
            if !value.is_some_and(|cell| values.iter().any(|known| known == cell.text.trim())) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn decoded(&self, index: usize) -> Result<Cow<'a, str>, RowDefect> {
        // Only fields that are used are decoded: a title in another encoding costs no purchase.
        let encoding = self.bound.mapping.source.encoding;
        let bytes = self.record.get(index);
        let text = encoding.decode_without_bom_handling_and_without_replacement(bytes);
        text.ok_or_else(|| {
            let text = String::from_utf8_lossy(bytes);
            let remedy = "name it in source.encoding of the mapping";
            let problem = format!("{:?} is not {}; {remedy}", excerpt(&text), encoding.name());
            self.defect(Some(index), RowReason::BadText, problem)
        })
    }
}
