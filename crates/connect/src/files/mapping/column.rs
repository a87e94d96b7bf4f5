//! Columns that a field of the API is read from.

use super::error::MappingError;
use super::keys::{KeyValue, Keys};

/// Columns of one field by name: per row, the first one with a value counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::files) struct ColumnNames {
    pub(in crate::files) names: Vec<String>,
    /// True if a file may have none of them.
    pub(in crate::files) is_optional: bool,
}

/// Origin of the value of a field, by columns of type `C`: names in a mapping, indexes in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::files) enum FieldSource<C> {
    /// Value of the row.
    Column {
        columns: C,
        /// Words for a missing value of this field.
        missing: Vec<String>,
    },
    /// The same value in all rows.
    Constant(String),
}

impl ColumnNames {
    /// Reads a name, or a list of names.
    pub(super) fn of(value: &KeyValue<'_>) -> Result<Self, MappingError> {
        Ok(Self { names: value.texts()?, is_optional: false })
    }

    /// Takes the columns under `key` of a table.
    pub(super) fn take(keys: &mut Keys<'_>, key: &'static str) -> Result<Option<Self>, MappingError> {
        keys.take(key).map(|value| Self::of(&value)).transpose()
    }
}

impl FieldSource<ColumnNames> {
    /// Reads a name, a list of names, or a table with `column`, `missing` and `optional`, or with `value`.
    pub(super) fn of(value: KeyValue<'_>) -> Result<Self, MappingError> {
        if !value.is_table() {
            return Ok(Self::Column { columns: ColumnNames::of(&value)?, missing: Vec::new() });
        }
        let mut keys = value.table()?;
        let constant = keys.take("value");
        let columns = ColumnNames::take(&mut keys, "column")?;
        let missing = keys.take("missing").map(|value| value.texts()).transpose()?.unwrap_or_default();
        let is_optional = keys.take("optional").map_or(Ok(false), |value| value.flag())?;
        let source = match (constant, columns) {
            (Some(value), None) => Self::Constant(value.text()?.to_owned()),
            (None, Some(columns)) => {
                Self::Column { columns: ColumnNames { is_optional, ..columns }, missing }
            }
            (Some(value), Some(_)) => {
                return Err(value.error("stands beside a column", "leave out one of them"));
            }
            (None, None) => {
                return Err(keys.missing("column", "name the column, or give a value for all rows"));
            }
        };
        keys.finish()?;
        Ok(source)
    }
}

impl<C> FieldSource<C> {
    /// Converts the columns.
    pub(in crate::files) fn try_map<D, E>(
        &self,
        convert: impl FnOnce(&C) -> Result<D, E>,
    ) -> Result<FieldSource<D>, E> {
        Ok(match self {
            Self::Column { columns, missing } => {
                FieldSource::Column { columns: convert(columns)?, missing: missing.clone() }
            }
            Self::Constant(value) => FieldSource::Constant(value.clone()),
        })
    }

    /// Returns the columns; none for a constant.
    pub(in crate::files) fn columns(&self) -> Option<&C> {
        match self {
            Self::Column { columns, .. } => Some(columns),
            Self::Constant(_) => None,
        }
    }
}
