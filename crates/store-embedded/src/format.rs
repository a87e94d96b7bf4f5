//! Format file of a data directory: the format's number, and the settings fixed at creation. It is read before anything is
//! written, so that data of another version is refused untouched.

use portrait_profile::{PartitionCount, PseudonymKey, TimeDelta};
use portrait_store::{Error, Layout, Result, StoreId};
use std::fs::DirBuilder;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

/// Format of everything in the directory.
const FORMAT: i64 = 3;
/// Previous format, without a pseudonym key and tombstones; upgraded at open.
const PREVIOUS_FORMAT: i64 = 2;
/// Name of the format file.
const FILE: &str = "portrait-format";
/// Name of the format file while it is written.
const DRAFT: &str = "portrait-format.draft";
/// Folder at the root of a file system of its own.
const LOST_AND_FOUND: &str = "lost+found";
/// Name of the id of the store; a store of a release before ids gets one at open.
const ID: &str = "id";
/// Partitions of a new store without a setting.
const DEFAULT_PARTITIONS: u16 = 16;

/// Reads the layout of `directory`, or creates it there. The settings must agree with the stored ones.
pub(super) fn open(
    directory: &Path,
    partitions: Option<PartitionCount>,
    dedup_window: TimeDelta,
) -> Result<Layout> {
    let created = DirBuilder::new().recursive(true).mode(0o700).create(directory);
    created.map_err(|error| unusable(directory, &error))?;
    if let Some(problem) = readable_by_others(directory) {
        tracing::warn!("{problem}");
    }
    let file = directory.join(FILE);
    let text = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return create(directory, partitions, dedup_window);
        }
        Err(error) => return Err(unusable(&file, &error)),
    };
    let invalid = |problem| Error::Incompatible {
        detail: format!("{}: {problem}: name another directory, or restore the file", file.display()),
    };
    let format = number(&text, "format").map_err(invalid)?;
    // Written only after all checks, so that a refused open leaves the previous format to the previous release.
    let text = if format == PREVIOUS_FORMAT { upgraded(&text) } else { text };
    let had_id = value(&text, ID).is_ok();
    let text = if had_id { text } else { format!("{text}{ID} = {}\n", StoreId::random()) };
    let stored = parse(&text).map_err(invalid)?;
    if let Some(requested) = partitions.filter(|requested| *requested != stored.partitions) {
        return Err(Error::Incompatible {
            detail: format!(
                "{} has {} partitions and store.partitions is {}: they are fixed at creation: set it to 0 or name another directory",
                directory.display(),
                stored.partitions.get(),
                requested.get()
            ),
        });
    }
    if stored.dedup_window != dedup_window {
        return Err(Error::Incompatible {
            detail: format!(
                "{} was created with a de-duplication window of {} ms and {} ms are requested: it is fixed at creation",
                directory.display(),
                stored.dedup_window.millis(),
                dedup_window.millis()
            ),
        });
    }
    if format == PREVIOUS_FORMAT {
        tracing::info!(directory = %directory.display(), "store upgraded from format {PREVIOUS_FORMAT} to {FORMAT}");
        write_whole(directory, &text).map_err(|error| unusable(directory, &error))?;
    } else if !had_id && let Err(error) = write_whole(directory, &text) {
        // A full disk must not prevent reads; the next open tries again.
        tracing::warn!(directory = %directory.display(), %error, "the id of the store cannot be written");
    }
    Ok(stored)
}

/// Returns whether `directory` holds a store.
pub fn holds_store(directory: &Path) -> bool {
    directory.join(FILE).exists()
}

/// Returns the error for a directory or file of the store that the operating system or the database refuses.
pub(super) fn unusable(path: &Path, error: &dyn std::fmt::Display) -> Error {
    let path = path.display();
    let detail = format!(
        "store.url: {path} cannot be used: {error}: name a directory on a local disk that this user can write, with space on it"
    );
    Error::Incompatible { detail }
}

/// Returns the problem and its remedy if other users of the machine can read the directory of a store.
pub fn readable_by_others(directory: &Path) -> Option<String> {
    let mode = std::fs::metadata(directory).ok()?.permissions().mode() & 0o777;
    // With a private directory the modes of the files in it do not matter.
    (mode & 0o077 != 0).then(|| {
        let directory = directory.display();
        format!(
            "{directory} has mode {mode:o}, so that others can read the data of users: chmod 700 {directory}"
        )
    })
}

/// Returns the text of a file of the previous format in the current one.
fn upgraded(text: &str) -> String {
    let retained = text.lines().filter(|line| !line.starts_with("format")).map(|line| format!("{line}\n"));
    // The previous format has no tombstones, so any key is right; it must be random, or pseudonyms could be guessed.
    let key = rand::random::<u128>();
    format!("format = {FORMAT}\n{}pseudonym_key = {key:032x}\n", retained.collect::<String>())
}

fn create(directory: &Path, partitions: Option<PartitionCount>, dedup_window: TimeDelta) -> Result<Layout> {
    let entries = std::fs::read_dir(directory).map_err(|error| unusable(directory, &error))?;
    // A draft is left by a creation that was interrupted, and `lost+found` by the file system; any other file is not ours to touch.
    let foreign =
        entries.flatten().any(|entry| entry.file_name() != DRAFT && entry.file_name() != LOST_AND_FOUND);
    if foreign {
        return Err(Error::Incompatible {
            detail: format!("{} is not empty and not a store: name an empty directory", directory.display()),
        });
    }
    // Window numbers have 32 bits: a window below a second would overflow them.
    if dedup_window.millis() < 1000 {
        return Err(Error::Incompatible {
            detail: "store.dedup_window is below 1s: give it at least 1s".to_owned(),
        });
    }
    let partitions =
        partitions.or_else(|| PartitionCount::new(DEFAULT_PARTITIONS)).ok_or(Error::Unavailable(None))?;
    let pseudonym_key = PseudonymKey::new(rand::random());
    let id = StoreId::random();
    let text = format!(
        "format = {FORMAT}\npartitions = {}\ndedup_window_ms = {}\npseudonym_key = {:032x}\n{ID} = {id}\n",
        partitions.get(),
        dedup_window.millis(),
        pseudonym_key.get()
    );
    write_whole(directory, &text).map_err(|error| unusable(directory, &error))?;
    tracing::info!(%id, "store created: set store.id to its id, so that no process starts on another or empty store");
    Ok(Layout { partitions, dedup_window, pseudonym_key, id })
}

/// Writes the file so that it exists whole or not at all.
fn write_whole(directory: &Path, text: &str) -> std::io::Result<()> {
    let draft = directory.join(DRAFT);
    let mut file = std::fs::File::create(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    // A rename is atomic, and the directory is synced so that it survives a loss of power.
    std::fs::rename(&draft, directory.join(FILE))?;
    std::fs::File::open(directory)?.sync_all()
}

fn parse(text: &str) -> Result<Layout, String> {
    let format = number(text, "format")?;
    if format != FORMAT {
        return Err(format!(
            "the data has format {format} and this release reads formats {PREVIOUS_FORMAT} and {FORMAT}: run the release that \
             wrote it"
        ));
    }
    let partitions = u16::try_from(number(text, "partitions")?).ok().and_then(PartitionCount::new);
    let partitions = partitions.ok_or("partitions is not between 1 and 65535")?;
    let dedup_window = TimeDelta::from_millis(number(text, "dedup_window_ms")?);
    let key = value(text, "pseudonym_key")?;
    let key = u128::from_str_radix(key, 16).map_err(|_| "pseudonym_key is not 32 hexadecimal digits")?;
    let id = value(text, ID)?.parse().map_err(|problem| format!("{ID} {problem}"))?;
    Ok(Layout { partitions, dedup_window, pseudonym_key: PseudonymKey::new(key), id })
}

fn value<'t>(text: &'t str, key: &str) -> Result<&'t str, String> {
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.trim_start().strip_prefix('='));
    line.map(str::trim).ok_or_else(|| format!("{key} is missing"))
}

fn number(text: &str, key: &str) -> Result<i64, String> {
    let value = value(text, key)?;
    value.parse().map_err(|_| format!("{key} is {value:?}, not a number"))
}
