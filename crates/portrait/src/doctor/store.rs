//! Check of the store. A store on Redis is opened with all the checks of `serve`. An embedded store is locked by its server, so only
//! its directory is checked.

use super::finding::Finding;
use portrait_client::text::words;
use portrait_node::{self as node, Config, readable_by_others};
use portrait_profile::Timestamp;

/// Multiple of `store.reserve` below which free space is a warning.
const RESERVES: u64 = 2;

/// Checks the store of a configuration.
pub(super) async fn examine(config: &Config) -> Finding {
    match config.store.directory() {
        Some(directory) => embedded(config, &directory),
        None => redis(config).await,
    }
}

fn embedded(config: &Config, directory: &std::path::Path) -> Finding {
    let name = directory.display();
    // The directory may not exist yet; its nearest existing ancestor has the same file system.
    let existing = directory.ancestors().find(|folder| folder.exists());
    let Some(free) = existing.and_then(|folder| rustix::fs::statvfs(folder).ok()) else {
        let detail = format!("{name} is not accessible");
        return Finding::failed("store", detail, "name a readable and writable directory in store.url");
    };
    let free_bytes = free.f_bavail * free.f_frsize;
    let reserve_bytes = config.store.reserve.bytes();
    let detail = format!("embedded in {name}, {} MiB free", free_bytes >> 20);
    match free_bytes {
        free if free < reserve_bytes => {
            Finding::failed("store", detail, "free disk space: events are refused below store.reserve")
        }
        free if free < RESERVES * reserve_bytes => Finding::warning("store", detail, "free disk space soon"),
        _ if readable_by_others(directory).is_some() => Finding::warning(
            "store",
            detail,
            "chmod 700 the directory: other users of the machine can read it",
        ),
        _ => Finding::ok("store", detail),
    }
}

async fn redis(config: &Config) -> Finding {
    match node::look_at_redis(config).await {
        Ok(None) => Finding::warning(
            "store",
            format!("on Redis, no store under the prefix {} yet", config.store.prefix),
            "start `portrait serve`, which creates it, or correct store.url or store.prefix",
        ),
        Ok(Some(store)) => {
            let layout = store.layout();
            let workers = store.members(Timestamp::EPOCH).await.map_or(0, |workers| workers.len());
            let detail = format!(
                "on Redis, {} partitions, {}, id {}",
                layout.partitions.get(),
                words::counted(workers as u64, "feature worker"),
                layout.id
            );
            // Problems that did not prevent the store from opening, such as channels that are refused.
            match store.warnings() {
                warnings if warnings.is_empty() => Finding::ok("store", detail),
                warnings => Finding::warning(
                    "store",
                    format!("{detail}; {}", warnings.join("; ")),
                    "follow the message; docs/operate/redis.md lists the rights and settings",
                ),
            }
        }
        Err(error) => Finding::failed(
            "store",
            format!("{error:#}"),
            "follow the message; docs/operate/redis.md explains each setting",
        ),
    }
}
