//! Mapping bound to the columns of a file: every field by the indexes of its columns.

use super::cell::letters;
use super::mapping::{ColumnNames, Field, FieldTable, Mapping};
use std::sync::Arc;

/// Mapping whose columns were found in a file.
#[derive(Clone, Debug)]
pub(super) struct BoundMapping {
    pub(super) mapping: Arc<Mapping>,
    /// None if objects have the field names of the API.
    pub(super) fields: Option<FieldTable<Vec<usize>>>,
    pub(super) distinguish: Vec<Vec<usize>>,
    pub(super) only: Vec<(Vec<usize>, Vec<String>)>,
    /// Names of the columns of the file, and behind them those of the joined table that are used.
    pub(super) names: Vec<String>,
    /// Number of columns of the file.
    pub(super) width: usize,
    /// True if cells have types: a form with one spelling of numbers and times.
    pub(super) has_types: bool,
    /// Indexes in the joined table of the columns behind those of the file.
    pub(super) joined: Vec<usize>,
}

/// Columns of a file by the field that they become.
#[derive(Clone, Debug)]
pub struct LogColumns(Arc<BoundMapping>);

/// Columns of a mapping that a file does not have: the key of the field, and the names that were looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MissingColumns(pub(super) Vec<(String, Vec<String>)>);

impl LogColumns {
    pub(super) fn new(bound: Arc<BoundMapping>) -> Self {
        Self(bound)
    }

    /// Returns the column of a field of the API's `Event` or `Item`, from 1; none if the file has no column for it.
    pub fn of(&self, field: &str) -> Option<usize> {
        let fields = self.0.fields.as_ref()?;
        if field == "occurred_at" {
            return fields.time.as_ref()?.columns().first()?.first().map(|index| index + 1);
        }
        let known = Field::ALL.into_iter().filter(|known| known.api_name() == field);
        let columns = known.filter_map(|known| fields.get(known)?.columns()?.first().copied());
        columns.map(|index| index + 1).find(|column| *column <= self.0.width)
    }
}

impl BoundMapping {
    /// Finds the columns of a mapping in a header, and those that it does not have in the header of the joined table.
    ///
    /// # Errors
    /// All columns that are in neither.
    pub(super) fn bind(
        mapping: Arc<Mapping>,
        header: Vec<String>,
        joined_header: &[String],
    ) -> Result<Self, MissingColumns> {
        let mut binder = Binder {
            keys: header.iter().map(|name| letters(name)).collect(),
            joined_keys: joined_header.iter().map(|name| letters(name)).collect(),
            header: &header,
            joined_header,
            joined: Vec::new(),
            missing: Vec::new(),
        };
        let fields = mapping.fields.as_ref().map(|fields| {
            let bound =
                fields.try_map(|key, columns| Ok::<_, std::convert::Infallible>(binder.find(key, columns)));
            bound.unwrap_or_else(|never| match never {})
        });
        let distinguish =
            mapping.rows.distinguish.iter().map(|columns| binder.find("distinguish", columns)).collect();
        let only = mapping.rows.only.iter();
        let only = only.map(|(columns, values)| (binder.find("only", columns), values.clone())).collect();
        let Binder { joined, missing, .. } = binder;
        if !missing.is_empty() {
            return Err(MissingColumns(missing));
        }
        let width = header.len();
        let mut names = header;
        names.extend(joined.iter().map(|index| joined_header[*index].clone()));
        Ok(Self { mapping, fields, distinguish, only, names, width, has_types: false, joined })
    }

    /// Returns the columns that are read, ascending.
    pub(super) fn used(&self) -> Vec<usize> {
        let fields = self.fields.iter().flat_map(FieldTable::columns).map(|(_, columns)| columns);
        let others = self.distinguish.iter().chain(self.only.iter().map(|(columns, _)| columns));
        let mut used: Vec<usize> = fields.chain(others).flatten().copied().collect();
        used.sort_unstable();
        used.dedup();
        used
    }

    /// Returns the index of the column `name` of the file.
    pub(super) fn index_of(&self, name: &str) -> Option<usize> {
        let key = letters(name);
        let names = &self.names[..self.width];
        let exact = names.iter().position(|known| known == name);
        exact.or_else(|| names.iter().position(|known| letters(known) == key))
    }
}

struct Binder<'a> {
    header: &'a [String],
    keys: Vec<String>,
    joined_header: &'a [String],
    joined_keys: Vec<String>,
    joined: Vec<usize>,
    missing: Vec<(String, Vec<String>)>,
}

impl Binder<'_> {
    /// Returns the indexes of the columns that the file has; notes them as missing if it has none.
    fn find(&mut self, key: &str, columns: &ColumnNames) -> Vec<usize> {
        let found: Vec<usize> = columns.names.iter().filter_map(|name| self.index(name)).collect();
        if found.is_empty() && !columns.is_optional {
            self.missing.push((key.to_owned(), columns.names.clone()));
        }
        found
    }

    fn index(&mut self, name: &str) -> Option<usize> {
        if let Some(index) = position(self.header, &self.keys, name) {
            return Some(index);
        }
        let joined = position(self.joined_header, &self.joined_keys, name)?;
        let at = self.joined.iter().position(|known| *known == joined).unwrap_or_else(|| {
            self.joined.push(joined);
            self.joined.len() - 1
        });
        Some(self.header.len() + at)
    }
}

/// Returns the position of a name: in its spelling, else without case, spaces and underscores.
fn position(header: &[String], keys: &[String], name: &str) -> Option<usize> {
    let exact = header.iter().position(|known| known == name);
    exact.or_else(|| {
        let key = letters(name);
        keys.iter().position(|known| *known == key)
    })
}
