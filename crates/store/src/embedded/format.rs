//! What a data directory says of itself: its format, and what was fixed when it was created. Read before anything is
//! touched, so that another version's data is refused whole.

use crate::contract::Layout;
use crate::error::{Error, Result};
use portrait_profile::{PartitionCount, Span};
use std::io::Write;
use std::path::Path;

/// The format of everything under the directory.
const FORMAT: u32 = 2;
/// The file that says so.
const FILE: &str = "portrait-format";
/// The file before it is whole.
const DRAFT: &str = "portrait-format.draft";
/// How many partitions a new store gets if nobody says.
const DEFAULT_PARTITIONS: u16 = 16;

/// Reads the layout of `directory`, or creates it there. What is asked for must agree with what is stored.
pub(super) fn open(
    directory: &Path,
    partitions: Option<PartitionCount>,
    dedup_window: Span,
) -> Result<Layout> {
    std::fs::create_dir_all(directory).map_err(Error::unavailable)?;
    let file = directory.join(FILE);
    let text = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return create(directory, partitions, dedup_window);
        }
        Err(error) => return Err(Error::unavailable(error)),
    };
    let stored = parse(&text).map_err(|problem| Error::Incompatible {
        detail: format!("{}: {problem}: name another directory, or restore the file", file.display()),
    })?;
    if let Some(asked) = partitions.filter(|asked| *asked != stored.partitions) {
        return Err(Error::Incompatible {
            detail: format!(
                "{} has {} partitions and store.partitions is {}: they are fixed at creation, set it to 0 or name another directory",
                directory.display(),
                stored.partitions.get(),
                asked.get()
            ),
        });
    }
    if stored.dedup_window != dedup_window {
        return Err(Error::Incompatible {
            detail: format!(
                "{} was created with a de-duplication window of {} ms and {} ms are asked for: it is fixed at creation",
                directory.display(),
                stored.dedup_window.millis(),
                dedup_window.millis()
            ),
        });
    }
    Ok(stored)
}

fn create(directory: &Path, partitions: Option<PartitionCount>, dedup_window: Span) -> Result<Layout> {
    let mut entries =
        std::fs::read_dir(directory).map_err(Error::unavailable)?.filter_map(std::result::Result::ok);
    // What a creation that was cut off left behind is ours.
    let foreign = entries.any(|entry| entry.file_name() != DRAFT);
    if foreign {
        return Err(Error::Incompatible {
            detail: format!("{} is not empty and not a store: name an empty directory", directory.display()),
        });
    }
    if dedup_window.millis() < 1000 {
        return Err(Error::Incompatible {
            detail: "store.dedup_window is below 1s: give it at least 1s".to_owned(),
        });
    }
    let partitions =
        partitions.or_else(|| PartitionCount::new(DEFAULT_PARTITIONS)).ok_or(Error::Unavailable(None))?;
    let text = format!(
        "format = {FORMAT}\npartitions = {}\ndedup_window_ms = {}\n",
        partitions.get(),
        dedup_window.millis()
    );
    write_whole(directory, &text).map_err(Error::unavailable)?;
    Ok(Layout { partitions, dedup_window })
}

/// Writes the file so that it is there whole or not at all.
fn write_whole(directory: &Path, text: &str) -> std::io::Result<()> {
    let draft = directory.join(DRAFT);
    let mut file = std::fs::File::create(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&draft, directory.join(FILE))?;
    std::fs::File::open(directory)?.sync_all()
}

fn parse(text: &str) -> Result<Layout, String> {
    let number = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.trim_start().strip_prefix('='));
        let value = line.ok_or_else(|| format!("{key} is missing"))?.trim();
        value.parse::<i64>().map_err(|_| format!("{key} is {value:?}, not a number"))
    };
    let format = number("format")?;
    if format != i64::from(FORMAT) {
        return Err(format!(
            "the data has format {format} and this release reads format {FORMAT}: run the release that wrote it"
        ));
    }
    let partitions = u16::try_from(number("partitions")?).ok().and_then(PartitionCount::new);
    let partitions = partitions.ok_or("partitions is not between 1 and 65535")?;
    Ok(Layout { partitions, dedup_window: Span::from_millis(number("dedup_window_ms")?) })
}
