//! Parquet files: their columns as texts, batch by batch. Only the columns that a mapping uses are read, and memory is bounded by a batch
//! and the pages of its columns.

use super::error::ReadError;
use super::record::CsvRecord;
use arrow_array::{Array, ArrayRef, make_array};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::{ArrowError, DataType};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use std::fmt::Write;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

/// Rows of a batch.
const BATCH_ROWS: usize = 4096;

/// Opened file whose columns are known.
pub(super) struct ParquetFile {
    builder: ParquetRecordBatchReaderBuilder<File>,
    names: Vec<String>,
}

/// Rows of a file.
pub(super) struct ParquetRows {
    reader: ParquetRecordBatchReader,
    /// Columns of the file that are read, ascending.
    used: Vec<usize>,
    /// Number of columns of the file.
    width: usize,
    /// Texts of the batch, a record for each column that is read.
    batch: Vec<CsvRecord>,
    batch_rows: usize,
    next: usize,
    rows: u64,
    rows_total: u64,
    text: String,
}

impl ParquetFile {
    /// Opens a file.
    ///
    /// # Errors
    /// [`ReadError::Open`] if it cannot be opened, [`ReadError::Form`] if it is no Parquet.
    pub(super) fn open(path: &Path) -> Result<Self, ReadError> {
        let file = File::open(path).map_err(|source| ReadError::Open { path: path.to_owned(), source })?;
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(form_error)?;
        let names = builder.schema().fields().iter().map(|field| field.name().clone()).collect();
        Ok(Self { builder, names })
    }

    /// Returns the names of the columns.
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// Begins to read the columns `used`, ascending; all others are empty.
    ///
    /// # Errors
    /// [`ReadError::Form`] if the file is damaged.
    pub(super) fn rows(self, used: Vec<usize>) -> Result<ParquetRows, ReadError> {
        let mask = ProjectionMask::roots(self.builder.parquet_schema(), used.iter().copied());
        let rows_total = u64::try_from(self.builder.metadata().file_metadata().num_rows()).unwrap_or(0);
        let builder = self.builder.with_projection(mask).with_batch_size(BATCH_ROWS);
        let reader = builder.build().map_err(form_error)?;
        let batch = used.iter().map(|_| CsvRecord::default()).collect();
        Ok(ParquetRows {
            reader,
            used,
            width: self.names.len(),
            batch,
            batch_rows: 0,
            next: 0,
            rows: 0,
            rows_total,
            text: String::new(),
        })
    }
}

impl ParquetRows {
    /// Reads the next row into `record`; returns false at the end of the file.
    ///
    /// # Errors
    /// [`ReadError::Form`] if the file is damaged, or compressed in a way that is not compiled in.
    pub(super) fn read(&mut self, record: &mut CsvRecord) -> Result<bool, ReadError> {
        while self.next >= self.batch_rows {
            if !self.read_batch()? {
                return Ok(false);
            }
        }
        record.clear();
        let mut used = self.used.iter().zip(&self.batch).peekable();
        for column in 0..self.width {
            let text = used.next_if(|(index, _)| **index == column).map(|(_, texts)| texts.get(self.next));
            record.push(text.unwrap_or_default());
        }
        self.next += 1;
        self.rows += 1;
        Ok(true)
    }

    /// Returns the number of rows that were read, and that of all rows.
    pub(super) fn progress(&self) -> (u64, u64) {
        (self.rows, self.rows_total)
    }

    fn read_batch(&mut self) -> Result<bool, ReadError> {
        let Some(batch) = self.reader.next() else { return Ok(false) };
        let batch = batch.map_err(form_error)?;
        // Without a mask of columns a batch has none, but still rows.
        self.batch_rows = batch.num_rows();
        self.next = 0;
        let options = FormatOptions::new().with_display_error(false);
        for (texts, array) in self.batch.iter_mut().zip(batch.columns()) {
            texts.clear();
            let array = in_utc(array).map_err(form_error)?;
            let formatter = ArrayFormatter::try_new(array.as_ref(), &options).map_err(form_error)?;
            for row in 0..self.batch_rows {
                self.text.clear();
                write!(self.text, "{}", formatter.value(row)).map_err(form_error)?;
                texts.push(self.text.as_bytes());
            }
        }
        Ok(true)
    }
}

/// Returns times with a named zone as times in UTC. Their values are, and the zone, of which the formatter knows no names, does not
/// change the moment.
fn in_utc(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let DataType::Timestamp(unit, Some(_)) = array.data_type() else { return Ok(Arc::clone(array)) };
    let utc = DataType::Timestamp(*unit, Some("+00:00".into()));
    Ok(make_array(array.to_data().into_builder().data_type(utc).build()?))
}

fn form_error(error: impl std::fmt::Display) -> ReadError {
    ReadError::Form { form: "parquet", problem: error.to_string() }
}
