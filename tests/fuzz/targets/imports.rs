//! Files of every import format: each row is read or rejected, and the reader terminates. The first byte selects the format.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portrait_connect::files::{Format, LogOptions, LogReader};
use std::io::Cursor;
use std::path::Path;

fuzz_target!(|bytes: &[u8]| {
    let Some((&first, file)) = bytes.split_first() else { return };
    let formats = Format::all();
    let format = formats[usize::from(first) % formats.len()];
    let (length, file) = (file.len() as u64, Cursor::new(file.to_vec()));
    let mapping = format.mapping();
    let reader = LogReader::from_reader(file, length, Path::new("fuzzed"), &mapping, LogOptions::default());
    let Ok(reader) = reader else { return };
    let rows = reader.take(bytes.len() + 2).count();
    assert!(rows <= bytes.len(), "{rows} rows of {} bytes", bytes.len());
});
