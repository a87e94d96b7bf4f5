//! Workbooks and Parquet give the same events as a table with their content. The files in `testdata` are synthetic; pandas 3.1, pyarrow
//! 26.0 and openpyxl 3.1 wrote them.

use super::super::reader::LogReader;
use super::super::row::{LogOptions, RowBody};
use super::super::shipped::Format;
use super::super::{detect, guess};
use portrait_proto::v1::Event;
use std::io::Write;
use std::path::{Path, PathBuf};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/files/forms/testdata").join(name)
}

/// Reads a file by the format that it fits: lines, and events or the reasons of defects.
fn read(path: &Path, expected: &str) -> Vec<(u64, Result<Event, String>)> {
    let format = detect(path).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(format.name(), expected);
    let reader = LogReader::open(path, &format.mapping(), LogOptions::default()).expect("opened");
    let rows = reader.map(|row| {
        let row = row.expect("readable");
        match row.body {
            RowBody::Event(event) => (row.line, Ok(event)),
            body => (row.line, Err(format!("{body:?}"))),
        }
    });
    rows.collect()
}

fn table(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(text.as_bytes()).expect("written");
    file
}

#[test]
fn a_workbook_is_read_with_all_its_sheets_and_the_numbers_of_its_rows() {
    let rows = read(&file("online-retail-ii.xlsx"), "online-retail-ii");
    let csv = table(
        "Invoice,StockCode,Quantity,InvoiceDate,Price,Customer ID\n\
         489434,85048,12,2009-12-01 07:45:00,6.95,13085.0\n\
         C489434,79323P,-12,12/1/2009 7:46,6.75,13085.0\n\
         489435,22041,48,2009-12-01 07:47:00,2.10,\n\
         536365,85123A,6,2010-12-01 08:26:00,2.55,17850.0\n",
    );
    let expected = read(csv.path(), "online-retail-ii");
    let lines: Vec<u64> = rows.iter().map(|(line, _)| *line).collect();
    assert_eq!(lines, [2, 3, 5, 6], "{rows:?}");
    for ((_, row), (_, expected)) in rows.into_iter().zip(expected) {
        assert_eq!(row.ok(), expected.ok());
    }
}

#[cfg(feature = "parquet")]
#[test]
fn parquet_of_pandas_and_pyarrow_gives_the_events_of_the_table() {
    let csv = table(
        "event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session\n\
         2019-10-01 00:00:00 UTC,view,44600062,2103807459595387724,,shiseido,35.79,541312140,s1\n\
         2019-10-01 00:00:00.250 UTC,cart,3900821,2053013552326770905,appliances.water_heater,,33.20,554748717,s2\n\
         2019-10-01 00:00:04 UTC,purchase,1004237,2053013555631882655,electronics.smartphone,apple,,535871217,\n",
    );
    let expected: Vec<_> = read(csv.path(), "rees46").into_iter().map(|(_, row)| row).collect();
    assert!(expected.iter().all(Result::is_ok));
    for name in ["pandas.parquet", "pyarrow.parquet"] {
        let rows: Vec<_> = read(&file(name), "rees46").into_iter().map(|(_, row)| row).collect();
        assert_eq!(rows, expected, "{name}");
    }
}

#[cfg(feature = "parquet")]
#[test]
fn a_damaged_file_is_an_error_with_its_form() {
    let whole = std::fs::read(file("pandas.parquet")).expect("the file");
    let rees46 = Format::named("rees46").expect("it ships").mapping();
    for length in [4, 100, whole.len() / 2, whole.len() - 1] {
        let mut cut = tempfile::NamedTempFile::new().expect("a file");
        cut.write_all(&whole[..length]).expect("written");
        let error = LogReader::open(cut.path(), &rees46, LogOptions::default()).err().expect("damaged");
        assert!(error.to_string().starts_with("the file is no parquet that can be read"), "{error}");
    }
    let mut cut = tempfile::NamedTempFile::new().expect("a file");
    cut.write_all(b"PK\x03\x04 and no more").expect("written");
    let error = LogReader::open(cut.path(), &rees46, LogOptions::default()).err().expect("damaged");
    assert!(error.to_string().starts_with("the file is no xlsx that can be read"), "{error}");
}

#[test]
fn a_guess_reads_workbooks_and_parquet_too() {
    let guess = guess(&file("online-retail-ii.xlsx")).expect("readable");
    assert_eq!(guess.format.map(Format::name), Some("online-retail-ii"));
}
