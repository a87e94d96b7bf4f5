//! Import of objects of a bucket: each is copied to a private folder and imported as a file, in the order of their keys.

use super::args::ImportArgs;
use super::file::import_file;
use super::report::ImportReport;
use super::session::{stopped, stopped_by_signal};
use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use portrait_client::text::printable;
use portrait_connect::objects::{FoundObject, ObjectAddress, Objects};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// Interval at which a followed prefix is listed.
const FOLLOW_INTERVAL: Duration = Duration::from_secs(10);

/// Returns the address of the objects that the arguments name; none for a file.
///
/// # Errors
/// If the address is invalid, or a flag does not go with what is named.
pub(super) fn address(args: &ImportArgs) -> Result<Option<ObjectAddress>> {
    let address = args.file.to_str().filter(|text| text.starts_with("s3://"));
    let address: Option<ObjectAddress> = address.map(str::parse).transpose()?;
    if address.is_some() && (args.dry_run || args.check || args.guess) {
        bail!("--guess, --check and --dry-run read a file: copy one object, and name it");
    }
    Ok(address)
}

/// Imports the objects, and new ones as they come if they are followed. `report` has the sums of all objects.
///
/// # Errors
/// If the bucket or an object cannot be read, or as the import of a file.
pub(super) async fn import(
    args: &ImportArgs,
    address: ObjectAddress,
    report: &mut ImportReport,
) -> Result<()> {
    let mut objects = Objects::open(address, std::env::vars())?;
    // Private, since rows have ids.
    let folder = tempfile::Builder::new().prefix("portrait-import-").tempdir()?;
    let mut rejects = args.rejects_file(None)?;
    let stop = stopped_by_signal();
    loop {
        for object in objects.new_objects().await? {
            let copy = copied(&objects, &object, folder.path()).await?;
            let of_object = ImportArgs { file: copy.clone(), ..args.clone() };
            let imported = import_file(&of_object, rejects.as_mut(), &stop, report).await;
            // Errors name the copy; the object is what a person knows.
            imported.with_context(|| printable(&object.key))?;
            std::fs::remove_file(&copy)?;
        }
        if !args.follow || is_stopped(&stop).await {
            return Ok(());
        }
    }
}

/// Copies an object to the folder, with a progress bar; the name keeps its ends, by which the form of a file is told.
async fn copied(objects: &Objects, object: &FoundObject, folder: &Path) -> Result<PathBuf> {
    let name = object.key.rsplit('/').next().unwrap_or_default();
    let path = folder.join(if name.is_empty() { "object" } else { name });
    let style = ProgressStyle::with_template("copying {msg} {bar:30} {bytes} of {total_bytes} · {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(object.bytes).with_style(style);
    bar.set_message(printable(&object.key));
    let copied = objects.copy_to(object, &path, |bytes| bar.set_position(bytes)).await;
    bar.finish_and_clear();
    copied?;
    Ok(path)
}

/// Waits until the next listing is due; true if Ctrl-C came before.
async fn is_stopped(stop: &AtomicBool) -> bool {
    tokio::time::timeout(FOLLOW_INTERVAL, stopped(stop)).await.is_ok()
}
