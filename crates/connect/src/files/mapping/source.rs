//! Table `[source]` of a mapping: form of the file and spelling of its cells.

use super::error::MappingError;
use super::keys::{KeyValue, Keys};
use encoding_rs::{Encoding, UTF_8};

/// Form of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// Lines of fields with a delimiter.
    Csv,
    /// Objects of JSON, one a line or in an array.
    Jsonl,
    /// Parquet.
    Parquet,
    /// Workbook of Excel.
    Xlsx,
}

/// Form of a file and spelling of its cells.
#[derive(Clone, Debug)]
pub(in crate::files) struct SourceForm {
    /// None if it is found by the first bytes.
    pub(in crate::files) kind: Option<FileKind>,
    /// Delimiter of fields; none if it is guessed from the first line.
    pub(in crate::files) delimiter: Option<u8>,
    /// Encoding of the text of cells.
    pub(in crate::files) encoding: &'static Encoding,
    /// Names of the columns of a file without a header.
    pub(in crate::files) columns: Option<Vec<String>>,
    /// Words for a missing value, beside those that tools write.
    pub(in crate::files) missing: Vec<String>,
    /// Sign before the fraction of a number.
    pub(in crate::files) decimal: u8,
    /// Field of an object with the rows in a list.
    pub(in crate::files) each: Option<String>,
}

impl FileKind {
    /// All forms.
    const ALL: [Self; 4] = [Self::Csv, Self::Jsonl, Self::Parquet, Self::Xlsx];

    /// Returns the name in a mapping.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Jsonl => "jsonl",
            Self::Parquet => "parquet",
            Self::Xlsx => "xlsx",
        }
    }
}

impl Default for SourceForm {
    fn default() -> Self {
        Self {
            kind: None,
            delimiter: None,
            encoding: UTF_8,
            columns: None,
            missing: Vec::new(),
            decimal: b'.',
            each: None,
        }
    }
}

impl SourceForm {
    /// Takes the keys of the form; those of times are left.
    pub(super) fn take(keys: &mut Keys<'_>) -> Result<Self, MappingError> {
        let mut form = Self::default();
        if let Some(value) = keys.take("format") {
            form.kind = Some(kind(&value)?);
        }
        if let Some(value) = keys.take("delimiter") {
            form.delimiter = Some(delimiter(&value)?);
        }
        if let Some(value) = keys.take("encoding") {
            form.encoding = encoding(&value)?;
        }
        if let Some(value) = keys.take("missing") {
            form.missing = value.texts()?;
        }
        if let Some(value) = keys.take("decimal") {
            form.decimal = match value.text()? {
                "." => b'.',
                "," => b',',
                _ => return Err(value.error("is no sign before a fraction", "write \".\" or \",\"")),
            };
        }
        if let Some(value) = keys.take("each") {
            form.each = Some(value.text()?.to_owned());
            if form.kind != Some(FileKind::Jsonl) {
                return Err(value.error("needs objects", "set source.format = \"jsonl\", or leave it out"));
            }
        }
        form.columns = columns(keys, form.kind)?;
        Ok(form)
    }
}

fn kind(value: &KeyValue<'_>) -> Result<FileKind, MappingError> {
    let name = value.text()?;
    FileKind::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
        value.error(format!("{name:?} is no form of a file"), "write csv, jsonl, parquet or xlsx")
    })
}

fn delimiter(value: &KeyValue<'_>) -> Result<u8, MappingError> {
    match value.text()?.as_bytes() {
        [byte]
            if byte.is_ascii() && !matches!(byte, b'"' | b'\n' | b'\r') && !byte.is_ascii_alphanumeric() =>
        {
            Ok(*byte)
        }
        _ => Err(value.error("is no delimiter", "write one sign, as \",\", \";\", \"|\" or \"\\t\"")),
    }
}

fn encoding(value: &KeyValue<'_>) -> Result<&'static Encoding, MappingError> {
    let label = value.text()?;
    let found = Encoding::for_label(label.as_bytes()).ok_or_else(|| {
        value.error(
            format!("{label:?} is no encoding"),
            "write utf-8, windows-1252, iso-8859-1, gbk, shift_jis",
        )
    })?;
    // Fields are split before they are decoded, which needs the bytes of ASCII to stand for themselves.
    if found.is_ascii_compatible() {
        Ok(found)
    } else {
        let remedy = format!("convert the file: iconv -f {label} -t utf-8");
        Err(value.error(format!("{label:?} cannot be split into fields"), remedy))
    }
}

fn columns(keys: &mut Keys<'_>, kind: Option<FileKind>) -> Result<Option<Vec<String>>, MappingError> {
    let header = keys.take("header");
    let has_header = header.as_ref().map_or(Ok(true), KeyValue::flag)?;
    let columns = keys.take("columns");
    match (has_header, columns) {
        (true, None) => Ok(None),
        (true, Some(value)) => {
            Err(value
                .error("are for a file without a header", "set source.header = false, or leave them out"))
        }
        (false, _) if matches!(kind, Some(FileKind::Jsonl | FileKind::Parquet)) => {
            let remedy = "leave out header and columns";
            Err(keys.error("header", "is for csv and xlsx, other forms have names", remedy))
        }
        (false, Some(value)) => value.texts().map(Some),
        (false, None) => {
            Err(keys.missing("columns", "name them all: columns = [\"user\", \"item\", \"time\"]"))
        }
    }
}
