//! The real logs that tests read, and the Python that counts them independently. Whatever is absent is said loudly.

use portrait_connect::files::Format;
use std::path::{Path, PathBuf};

/// One log: its import format and its file.
#[derive(Clone, Copy, Debug)]
pub struct Log {
    /// Its format.
    pub format: Format,
    /// In the data folder, or in `tests/fixtures`.
    pub file: &'static str,
    /// Data rows of the file.
    pub read: u64,
    /// Rows that the format documents as unusable.
    pub rejected: u64,
}

/// The folder of the real logs: `PORTRAIT_DATA`, or `../shared/data` beside the repository.
pub fn data_folder() -> PathBuf {
    std::env::var_os("PORTRAIT_DATA").map_or_else(|| repository().join("../shared/data"), PathBuf::from)
}

/// The path of a log.
///
/// # Panics
/// If it is not there: with where it was looked for and how to name another folder.
pub fn log_file(log: &Log) -> PathBuf {
    let fixture = repository().join("tests/fixtures").join(log.file);
    if fixture.exists() {
        return fixture;
    }
    let path = data_folder().join(log.file);
    assert!(
        path.exists(),
        "the log {} is not there: this test needs the real logs; name their folder in PORTRAIT_DATA",
        path.display()
    );
    path
}

/// The Python that has the packages of `tests/clients/requirements.txt`: `PORTRAIT_PYTHON`, or the one in `.venv`.
///
/// # Panics
/// If it is not there: `make test` makes it.
pub fn python() -> PathBuf {
    let python = std::env::var_os("PORTRAIT_PYTHON")
        .map_or_else(|| repository().join(".venv/bin/python"), PathBuf::from);
    assert!(
        python.exists(),
        "{} is not there: run the tests by `make test`, which makes it",
        python.display()
    );
    python
}

/// The folder of the repository.
///
/// # Panics
/// Never: the tests lie in it.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests lie in the repository")
}
