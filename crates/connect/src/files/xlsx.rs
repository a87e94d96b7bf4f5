//! Workbooks of Excel: the cells of their sheets as lines of a temporary file, so that memory is bounded by the shared strings of the
//! workbook.

use super::error::ReadError;
use super::line::Text;
use calamine::{Cell, DataRef, ExcelDateTime, Reader, Xlsx, XlsxError};
use std::fs::File;
use std::io::{BufReader, BufWriter, Seek, Write};
use std::path::Path;

/// Largest workbook in bytes: its shared strings are kept in memory, and may be ten times as large.
const WORKBOOK_MAX_BYTES: u64 = 512 << 20;

/// Returns the rows of all sheets as comma-separated lines. A row of the first sheet is on the line of its number. Further sheets are
/// read if they have the same header, as a year each.
///
/// # Errors
/// [`ReadError::Open`] if the file cannot be opened, [`ReadError::Form`] if it is no workbook, [`ReadError::Sort`] if the temporary
/// file cannot be written.
pub(super) fn lines(path: &Path) -> Result<Text, ReadError> {
    let failed = |source| ReadError::Open { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.len() > WORKBOOK_MAX_BYTES {
        return Err(form_error("it has more than 512 MiB: export it as CSV"));
    }
    let mut workbook = Xlsx::new(BufReader::new(file)).map_err(form_error)?;
    let spooled = |source| ReadError::Sort { folder: std::env::temp_dir(), source };
    let mut writer = BufWriter::new(tempfile::tempfile().map_err(spooled)?);
    let mut header = None;
    for name in workbook.sheet_names() {
        let mut cells = match workbook.worksheet_cells_reader(&name) {
            Ok(cells) => cells,
            // A sheet may be a chart.
            Err(XlsxError::WorksheetNotFound(_) | XlsxError::NotAWorksheet(_)) => continue,
            Err(error) => return Err(form_error(error)),
        };
        let mut sheet =
            SheetWriter { header: &mut header, row: Vec::new(), number: 0, written: 0, is_read: true };
        while let Some(cell) = cells.next_cell().map_err(form_error)? {
            sheet.put(&cell, &mut writer).map_err(spooled)?;
            if !sheet.is_read {
                break;
            }
        }
        sheet.end_row(&mut writer).map_err(spooled)?;
    }
    let mut file = writer.into_inner().map_err(|error| spooled(error.into_error()))?;
    file.rewind().map_err(spooled)?;
    Ok(Box::new(BufReader::new(file)))
}

/// Writer of the rows of a sheet.
struct SheetWriter<'a> {
    /// Header of the first sheet.
    header: &'a mut Option<Vec<String>>,
    row: Vec<String>,
    /// Number of the row, from 0.
    number: u32,
    /// Number of lines that were written.
    written: u32,
    /// False for a sheet with another header.
    is_read: bool,
}

impl SheetWriter<'_> {
    fn put(&mut self, cell: &Cell<DataRef<'_>>, writer: &mut impl Write) -> std::io::Result<()> {
        let (row, column) = cell.get_position();
        if row != self.number {
            self.end_row(writer)?;
            self.number = row;
        }
        let column = column as usize;
        if self.row.len() <= column {
            self.row.resize(column + 1, String::new());
        }
        self.row[column] = text(cell.get_value());
        Ok(())
    }

    fn end_row(&mut self, writer: &mut impl Write) -> std::io::Result<()> {
        let mut row = std::mem::take(&mut self.row);
        if row.iter().all(String::is_empty) || !self.is_read {
            return Ok(());
        }
        match (&*self.header, self.written) {
            (None, _) => *self.header = Some(row.clone()),
            (Some(header), 0) => {
                self.is_read = *header == row;
                self.written = 1;
                return Ok(());
            }
            (Some(header), _) => {
                // Cells at the end of a row that are empty are not in the file.
                if row.len() < header.len() {
                    row.resize(header.len(), String::new());
                }
            }
        }
        // An empty line stands for an empty row, so that lines have the numbers of rows.
        while self.written < self.number {
            writer.write_all(b"\n")?;
            self.written += 1;
        }
        self.written += 1;
        let cells: Vec<String> = row.iter().map(|cell| quoted(cell)).collect();
        writeln!(writer, "{}", cells.join(","))
    }
}

/// Returns the text of a cell. Times are written as in ISO 8601, whatever the format of the cell.
fn text(value: &DataRef<'_>) -> String {
    match value {
        DataRef::Int(number) => number.to_string(),
        DataRef::Float(number) => number.to_string(),
        DataRef::String(text) | DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => text.clone(),
        DataRef::SharedString(text) => (*text).to_owned(),
        DataRef::Bool(flag) => flag.to_string(),
        DataRef::DateTime(at) => date_time(at),
        DataRef::Error(_) | DataRef::Empty => String::new(),
    }
}

fn date_time(at: &ExcelDateTime) -> String {
    if !at.is_datetime() {
        return at.as_f64().to_string();
    }
    let (year, month, day, hour, minute, second, milli) = at.to_ymd_hms_milli();
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{milli:03}")
}

fn quoted(cell: &str) -> String {
    // Line breaks would change the numbers of the rows behind.
    format!("\"{}\"", cell.replace('"', "\"\"").replace(['\n', '\r'], " "))
}

fn form_error(error: impl std::fmt::Display) -> ReadError {
    ReadError::Form { form: "xlsx", problem: error.to_string() }
}
