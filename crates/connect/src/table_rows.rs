//! Rows of a database table as rows of a file: the same mapping reads both. The id of an event is the key of its row and the version
//! that was read, so that a row counts once in each of its versions, whatever reads it again.

use crate::databases::{TableName, TableRow};
use crate::files::{LogColumns, LogOptions, LogReader, LogRow, Mapping, ReadError, RowBody};
use csv::Writer;
use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;
use xxhash_rust::xxh64::xxh64;

/// Longest id that is kept as it is; longer ones are hashed.
const ID_MAX_BYTES: usize = 128;

/// Reader of the rows of a table by a mapping.
#[derive(Debug)]
pub struct TableRows {
    mapping: Arc<Mapping>,
    table: String,
    options: LogOptions,
    /// Number of rows read.
    rows: u64,
}

impl TableRows {
    /// Returns a reader of the rows of `table`. What the mapping says of the form of a file does not count: columns come by their
    /// names.
    pub fn new(mapping: &Mapping, table: &TableName, options: LogOptions) -> Self {
        Self { mapping: Arc::new(mapping.of_table()), table: table.to_string(), options, rows: 0 }
    }

    /// Reads a page of rows. The line of a row is its number among all rows that were read, from 1.
    ///
    /// # Errors
    /// [`ReadError::Columns`] if the table lacks a column of the mapping.
    pub fn read(&mut self, page: &[TableRow]) -> Result<(Vec<LogRow>, LogColumns), ReadError> {
        let text = as_table(page);
        let bytes = text.len() as u64;
        let mut reader = LogReader::from_reader(
            Cursor::new(text),
            bytes,
            Path::new(&self.table),
            &self.mapping,
            self.options,
        )?;
        let mut rows = Vec::with_capacity(page.len());
        for (read, row) in reader.by_ref().zip(page) {
            let mut read = read?;
            self.rows += 1;
            read.line = self.rows;
            if let RowBody::Event(event) = &mut read.body {
                event.event_id = self.id(row);
                read.has_own_id = true;
            }
            rows.push(read);
        }
        Ok((rows, reader.columns()))
    }

    /// Returns the id of a row: `TABLE:KEY:VERSION`, or the XXH64 with seeds 0 and 1 of that in 32 hexadecimal digits if it is no id.
    fn id(&self, row: &TableRow) -> String {
        let id = format!("{}:{}:{}", self.table, row.key, row.version);
        if id.len() <= ID_MAX_BYTES && id.bytes().all(|byte| byte.is_ascii_graphic()) {
            return id;
        }
        format!("{:016x}{:016x}", xxh64(id.as_bytes(), 0), xxh64(id.as_bytes(), 1))
    }
}

/// Writes rows as a table with a header; NULL is an empty cell.
fn as_table(page: &[TableRow]) -> Vec<u8> {
    let mut table = Writer::from_writer(Vec::new());
    if let Some(first) = page.first() {
        // Writing to memory cannot fail, and all rows have the columns of the first.
        let _ = table.write_record(first.columns.iter().map(|name| name.as_bytes()));
    }
    for row in page {
        let _ = table.write_record(row.values.iter().map(|value| value.as_deref().unwrap_or_default()));
    }
    table.into_inner().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAPPING: &str = r#"
name = "orders"
[source]
format = "csv"
delimiter = ";"
decimal = ","
[fields]
user = "customer"
item = "sku"
price = "price"
time = "placed_at"
action = { value = "purchase" }
"#;

    fn row(key: &str, version: &str, values: [Option<&str>; 4]) -> TableRow {
        let columns: Vec<Box<str>> = ["customer", "sku", "price", "placed_at"].map(Box::from).into();
        TableRow {
            columns: columns.into(),
            values: values.map(|value| value.map(Box::from)).into(),
            key: key.into(),
            version: version.into(),
        }
    }

    #[test]
    fn rows_are_read_by_the_mapping_of_a_file_and_have_the_id_of_their_version() {
        let mapping = Mapping::parse(MAPPING).expect("a mapping");
        let mut rows =
            TableRows::new(&mapping, &TableName::new(Some("shop"), "orders"), LogOptions::default());
        let page = [
            row(
                "7",
                "2026-01-01T00:00:00Z",
                [Some("lena"), Some("a \"b\", c"), Some("9.50"), Some("2026-01-01T00:00:00Z")],
            ),
            row("8", &"9".repeat(200), [None, Some("x"), None, Some("2026-01-01T00:00:00Z")]),
            row("9", &"9".repeat(200), [Some("mia"), Some("x"), None, Some("2026-01-01T00:00:00Z")]),
        ];
        let (read, _) = rows.read(&page).expect("its columns");
        assert_eq!(read.iter().map(|row| row.line).collect::<Vec<_>>(), [1, 2, 3]);
        let RowBody::Event(first) = &read[0].body else { panic!("{:?}", read[0]) };
        assert_eq!((&*first.item_id, first.price), ("a \"b\", c", Some(9.5)));
        assert_eq!(first.event_id, "shop.orders:7:2026-01-01T00:00:00Z");
        assert!(matches!(read[1].body, RowBody::Rejected(_)), "a user is missing");
        let RowBody::Event(third) = &read[2].body else { panic!("{:?}", read[2]) };
        assert_eq!(third.event_id.len(), 32);
        assert_eq!(rows.read(&page[..1]).expect("its columns").0[0].line, 4);
    }

    #[test]
    fn a_table_without_a_column_of_the_mapping_is_refused() {
        let mapping = Mapping::parse(&MAPPING.replace("sku", "article")).expect("a mapping");
        let mut rows = TableRows::new(&mapping, &TableName::new(None, "orders"), LogOptions::default());
        let page = [row("7", "", [Some("lena"), Some("a"), None, Some("2026-01-01T00:00:00Z")])];
        let error = rows.read(&page).expect_err("no article");
        assert!(error.to_string().contains("article"), "{error}");
    }
}
