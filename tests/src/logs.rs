//! The logs that tests import, and the Python that counts them independently. A missing log fails its test with the command that
//! provides it.

pub mod prepared;
pub mod real;

use portrait_connect::files::Format;
use std::path::{Path, PathBuf};

/// One log: its import format, its file, and the numbers that its import ends with.
#[derive(Clone, Copy, Debug)]
pub struct Log {
    /// Import format.
    pub format: Format,
    /// Folder that the file is in.
    pub origin: Origin,
    /// Name of the file.
    pub file: &'static str,
    /// Data rows of the file.
    pub read: u64,
    /// Accepted rows that repeat another.
    pub duplicates: u64,
    /// Rows that the format documents as unusable.
    pub rejected: u64,
    /// Users with at least one accepted row; zero for a catalogue.
    pub users: u64,
}

/// Folder of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// `tests/fixtures`.
    Fixture,
    /// `.test-data`, written by `scripts/make_logs`.
    Prepared,
    /// The folder that `PORTRAIT_DATA` names.
    Real,
}

/// Format that ships, for constants.
///
/// # Panics
/// If no format has this name.
pub const fn shipped(name: &str) -> Format {
    Format::named(name).expect("a format that ships")
}

impl Log {
    /// Path of the file.
    ///
    /// # Panics
    /// If the file is missing. The message says where it was looked for and which command provides it.
    pub fn path(&self) -> PathBuf {
        let (folder, remedy) = match self.origin {
            Origin::Fixture => (repository().join("tests/fixtures"), "it is part of the repository"),
            Origin::Prepared => {
                (repository().join(".test-data"), "run the tests by `make test`, which writes it")
            }
            Origin::Real => (
                real_folder(),
                "this test needs the real logs: run it by `PORTRAIT_DATA=FOLDER make test-logs`",
            ),
        };
        let path = folder.join(self.file);
        assert!(path.exists(), "the log {} is missing; {remedy}", path.display());
        path
    }
}

fn real_folder() -> PathBuf {
    let folder = std::env::var_os("PORTRAIT_DATA");
    folder.map(PathBuf::from).expect(
        "PORTRAIT_DATA is not set; this test needs the real logs: run it by `PORTRAIT_DATA=FOLDER make test-logs`",
    )
}

/// Python interpreter with the packages of `tests/clients/requirements.txt`: `PORTRAIT_PYTHON`, or the one in `.venv`.
///
/// # Panics
/// If it is missing; `make test` installs it.
pub fn python() -> PathBuf {
    let python = std::env::var_os("PORTRAIT_PYTHON")
        .map_or_else(|| repository().join(".venv/bin/python"), PathBuf::from);
    assert!(
        python.exists(),
        "{} is missing: run the tests by `make test`, which installs it",
        python.display()
    );
    python
}

/// Root folder of the repository.
///
/// # Panics
/// Never: the tests are part of it.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests are part of the repository")
}
