//! Arguments of `portrait import`.

use anyhow::{Context, Result};
use clap::Args;
use portrait_client::ServerArgs;
use portrait_connect::files::{Mapping, MappingArgs, RejectsFile, RepeatRule};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Arguments of `portrait import`.
#[derive(Clone, Debug, Args)]
pub struct ImportArgs {
    /// File with events or items; objects of a bucket as s3://BUCKET/PREFIX or s3://BUCKET/BEGIN*END; or a database as
    /// postgres://USER@HOST/DATABASE or mysql://USER@HOST/DATABASE.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Import new and changed objects or rows of a table as they come, until Ctrl-C.
    #[arg(long, conflicts_with_all = ["guess", "check", "dry_run"])]
    pub follow: bool,
    /// Mapping of the file.
    #[command(flatten)]
    pub mapping: MappingArgs,
    /// Table of a database.
    #[command(flatten)]
    pub table: TableArgs,
    /// Name of the source: a row of a source counts once, however often and late it is imported [default: name of the mapping].
    #[arg(long, value_name = "NAME")]
    pub source: Option<String>,
    /// Meaning of equal rows: one event (drop) or repeated actions (count) [default: as in the mapping].
    #[arg(long, value_enum)]
    pub repeats: Option<RepeatRule>,
    /// Print a mapping for the file, guessed from its header and first rows, and how these rows would be read; send nothing.
    #[arg(long, conflicts_with_all = ["format", "map", "check", "dry_run"])]
    pub guess: bool,
    /// Print which column becomes which field and how the first rows are read; send nothing.
    #[arg(long, conflicts_with = "dry_run")]
    pub check: bool,
    /// Read the whole file and count its rows; send nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// File for all rejected rows, as CSV: line, column, reason, raw.
    #[arg(long, value_name = "FILE")]
    pub rejects: Option<PathBuf>,
    /// Rejected rows above which the import ends with an error [default: no limit].
    #[arg(long, value_name = "ROWS")]
    pub max_rejects: Option<u64>,
    /// Server address and credentials.
    #[command(flatten)]
    pub server: ServerArgs,
}

impl ImportArgs {
    /// Creates the arguments of an import that takes equal rows as the mapping does, and any number of rejected rows.
    pub fn new(file: impl Into<PathBuf>, mapping: impl Into<MappingArgs>, server: ServerArgs) -> Self {
        Self {
            file: file.into(),
            mapping: mapping.into(),
            server,
            follow: false,
            table: TableArgs::default(),
            source: None,
            repeats: None,
            guess: false,
            check: false,
            dry_run: false,
            rejects: None,
            max_rejects: None,
        }
    }

    /// Returns the mapping of the file, and prints its name if it was found by the rows.
    ///
    /// # Errors
    /// If there is none.
    pub(super) fn chosen(&self) -> Result<Arc<Mapping>> {
        let (mapping, is_found) = self.mapping.mapping(&self.file)?;
        if is_found {
            eprintln!("{} is of format {}: {}", self.file.display(), mapping.name(), mapping.about());
        }
        Ok(match self.repeats {
            Some(repeats) => Arc::new(Mapping::clone(&mapping).with_repeats(repeats)),
            None => mapping,
        })
    }

    /// Creates the file of rejected rows, if there shall be one; it must not be `file`, which is read.
    pub(super) fn rejects_file(&self, file: Option<&Path>) -> Result<Option<RejectsFile>> {
        let create = |path: &PathBuf| {
            RejectsFile::create(path, file)
                .with_context(|| format!("cannot write the rejected rows to {}", path.display()))
        };
        self.rejects.as_ref().map(create).transpose()
    }
}

/// Arguments of a table.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Database")]
pub struct TableArgs {
    /// Table, as NAME or SCHEMA.NAME.
    #[arg(long, value_name = "TABLE")]
    pub table: Option<String>,
    /// Unique column of the table.
    #[arg(long, value_name = "COLUMN", default_value = "id")]
    pub key_column: String,
    /// Column that says when a row last changed; each of its versions counts once. Without it a row counts once.
    #[arg(long, value_name = "COLUMN")]
    pub updated_at: Option<String>,
    /// Time that each look at a table that is followed goes back, in seconds: at least that of the longest transaction.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub overlap: u64,
    /// Time zone of columns with times without an offset, an IANA name.
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    pub time_zone: String,
    /// File with the password of the database in its first line.
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// File with the CA certificates of the database, in PEM [default: those of the operating system].
    #[arg(long, value_name = "FILE")]
    pub database_ca: Option<PathBuf>,
    /// Hosts that may be connected to, as names or networks [default: any].
    #[arg(long, value_name = "HOST", value_delimiter = ',')]
    pub allow: Vec<String>,
}

impl Default for TableArgs {
    fn default() -> Self {
        Self {
            table: None,
            key_column: "id".to_owned(),
            updated_at: None,
            overlap: 60,
            time_zone: "UTC".to_owned(),
            password_file: None,
            database_ca: None,
            allow: Vec::new(),
        }
    }
}
