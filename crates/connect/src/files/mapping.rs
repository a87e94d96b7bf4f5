//! Mappings: descriptions of how the columns of a file become events or items of the API, in TOML. The formats that ship are mappings
//! too.

mod column;
mod error;
mod fields;
mod keys;
mod rules;
mod source;
mod time;

pub(super) use column::{ColumnNames, FieldSource};
pub use error::MappingError;
pub(super) use fields::{Field, FieldTable};
pub(super) use rules::{JoinRule, MappedAction, RefundSigns, RowRules};
pub use rules::{RepeatRule, RowKind};
pub use source::FileKind;
pub(super) use source::SourceForm;
pub(super) use time::{DatePart, TimeBase, TimeFormat, TimeReading, TimeSource};

use keys::Keys;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Longest mapping in bytes. The longest one that ships has 2 KiB.
const MAPPING_MAX_BYTES: u64 = 256 << 10;

/// Description of a file: its form, and which column becomes which field.
///
/// ```
/// use portrait_connect::files::Mapping;
///
/// let text = r#"
/// name = "shop"
/// [fields]
/// user = "customer"
/// item = "sku"
/// time = "when"
/// action = { value = "purchase" }
/// "#;
/// assert_eq!(Mapping::parse(text)?.name(), "shop");
/// let error = Mapping::parse(&text.replace("sku", "")).unwrap_err();
/// assert!(error.to_string().starts_with("line 5 of the mapping, fields.item"));
/// # Ok::<(), portrait_connect::files::MappingError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Mapping {
    name: String,
    about: String,
    pub(super) source: SourceForm,
    /// None if objects have the field names of the API.
    pub(super) fields: Option<FieldTable<ColumnNames>>,
    pub(super) actions: Vec<(String, MappedAction)>,
    pub(super) refunds: RefundSigns,
    pub(super) rows: RowRules,
    pub(super) join: Option<JoinRule>,
}

impl Mapping {
    /// Parses the text of a mapping.
    ///
    /// # Errors
    /// [`MappingError::Syntax`] if it is not TOML, [`MappingError::Key`] for an unknown key, or a value that it cannot have.
    pub fn parse(text: &str) -> Result<Self, MappingError> {
        let mut keys = Keys::parse(text)?;
        let name = keys.take("name");
        let name =
            name.ok_or_else(|| keys.missing("name", "name the source of the data: name = \"shop\""))?;
        let name = source_name(&name)?;
        let about = keys.take("about").map(|value| value.text().map(str::to_owned)).transpose()?;
        let (source, reading) = match keys.take("source") {
            Some(value) => source_table(value.table()?)?,
            None => (SourceForm::default(), TimeReading::take(&mut Keys::parse("")?)?),
        };
        let fields = keys.take("fields").map(|value| FieldTable::of(value.table()?, reading)).transpose()?;
        let actions = keys.take("actions").map(|value| rules::actions(value.table()?)).transpose()?;
        let refunds = keys.take("refunds").map(|value| RefundSigns::of(value.table()?)).transpose()?;
        let rows = keys.take("rows").map(|value| RowRules::of(value.table()?)).transpose()?;
        let join = keys.take("join").map(|value| JoinRule::of(value.table()?)).transpose()?;
        let mapping = Self {
            name,
            about: about.unwrap_or_default(),
            source,
            fields,
            actions: actions.unwrap_or_default(),
            refunds: refunds.unwrap_or_default(),
            rows: rows.unwrap_or_default(),
            join,
        };
        mapping.check(&keys)?;
        keys.finish()?;
        Ok(mapping)
    }

    /// Reads a mapping from a file.
    ///
    /// # Errors
    /// [`MappingError::Open`] if it cannot be read, [`MappingError::TooLarge`] above 256 KiB, and those of [`Self::parse`].
    pub fn load(path: &Path) -> Result<Self, MappingError> {
        let mut text = String::new();
        let read =
            File::open(path).and_then(|file| file.take(MAPPING_MAX_BYTES + 1).read_to_string(&mut text));
        read.map_err(|source| MappingError::Open { path: path.to_owned(), source })?;
        if text.len() as u64 > MAPPING_MAX_BYTES {
            return Err(MappingError::TooLarge { max_bytes: MAPPING_MAX_BYTES });
        }
        Self::parse(&text)
    }

    /// Returns the mapping for the rows of a database table, which come as text in one spelling: what it says of the form of a file
    /// does not count.
    pub(crate) fn of_table(&self) -> Self {
        let missing = self.source.missing.clone();
        let source =
            SourceForm { kind: Some(FileKind::Csv), delimiter: Some(b','), missing, ..SourceForm::default() };
        Self { source, ..self.clone() }
    }

    /// Returns the name, which is also that of the source of the data.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the description in one line; may be empty.
    pub fn about(&self) -> &str {
        &self.about
    }

    /// Returns the form of the file; none if it is found by the first bytes.
    pub fn kind(&self) -> Option<FileKind> {
        self.source.kind
    }

    /// Returns the kind of record that a row becomes.
    pub fn rows_as(&self) -> RowKind {
        self.rows.kind
    }

    /// Returns the meaning of equal rows.
    pub fn repeats(&self) -> RepeatRule {
        self.rows.repeats
    }

    /// Sets the meaning of equal rows.
    #[must_use]
    pub fn with_repeats(mut self, repeats: RepeatRule) -> Self {
        self.rows.repeats = repeats;
        self
    }

    /// Checks that the fields make a record.
    fn check(&self, keys: &Keys<'_>) -> Result<(), MappingError> {
        let Some(fields) = &self.fields else {
            // Objects alone have names that can be those of the API.
            return match self.source.kind {
                Some(FileKind::Jsonl) => Ok(()),
                Some(FileKind::Csv | FileKind::Parquet | FileKind::Xlsx) | None => {
                    Err(keys
                        .missing("fields", "name the columns: [fields] user = \"...\", item, time, action"))
                }
            };
        };
        let has = |field| fields.get(field).is_some();
        let missing = |field: &str, remedy: &str| Err(keys.missing(&format!("fields.{field}"), remedy));
        if self.rows.kind == RowKind::Items {
            return if has(Field::Item) {
                Ok(())
            } else {
                missing("item", "name the column of the item's id")
            };
        }
        if !has(Field::User) {
            return missing("user", "name the column of the user's id, or of the session");
        }
        if fields.time.is_none() {
            return missing("time", "name the column of the time");
        }
        if has(Field::Price) && has(Field::Amount) {
            let remedy = "leave out price, of one unit, or amount, of the line";
            return Err(keys.error("fields.price", "stands beside an amount", remedy));
        }
        match fields.get(Field::Action) {
            None => missing("action", "name its column, or write action = { value = \"purchase\" }"),
            Some(FieldSource::Constant(name)) if MappedAction::named(name).is_none() => {
                missing("action", &format!("{name:?} is no action: write {}", MappedAction::known()))
            }
            Some(_) => Ok(()),
        }
    }
}

fn source_name(value: &keys::KeyValue<'_>) -> Result<String, MappingError> {
    let name = value.text()?;
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
    if name.len() <= 64 && name.chars().all(is_plain) {
        Ok(name.to_owned())
    } else {
        Err(value.error("is no name of a source", "write up to 64 letters, digits, -, _ and ."))
    }
}

fn source_table(mut keys: Keys<'_>) -> Result<(SourceForm, TimeReading), MappingError> {
    let form = SourceForm::take(&mut keys)?;
    let reading = TimeReading::take(&mut keys)?;
    keys.finish()?;
    Ok((form, reading))
}

#[cfg(test)]
mod tests;
