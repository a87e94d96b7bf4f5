//! The store, as far as it can be looked at from outside the servers: one on Redis is opened with all the checks that `serve`
//! makes, one on a disk belongs to the server that has it, and only its folder is looked at.

use super::Finding;
use portrait_client::text::words;
use portrait_node::{self as node, Config};
use portrait_profile::Timestamp;

/// Less free space than twice what is held back is worth a word.
const RESERVES: u64 = 2;

/// Looks at the store of a configuration.
pub(super) async fn examine(config: &Config) -> Finding {
    match config.store.directory() {
        Some(directory) => embedded(config, &directory),
        None => redis(config).await,
    }
}

fn embedded(config: &Config, directory: &std::path::Path) -> Finding {
    let name = directory.display();
    let there = directory.ancestors().find(|folder| folder.exists());
    let Some(free) = there.and_then(|folder| rustix::fs::statvfs(folder).ok()) else {
        let told = format!("{name} cannot be looked at");
        return Finding::failed("store", told, "name a folder that can be read and written in store.url");
    };
    let (free, reserve) = (free.f_bavail * free.f_frsize, config.store.reserve.bytes());
    let told = format!("embedded in {name}, {} MiB free", free >> 20);
    match free {
        none if none < reserve => {
            Finding::failed("store", told, "make room: events are refused below store.reserve")
        }
        little if little < RESERVES * reserve => Finding::warning("store", told, "make room soon"),
        _ => Finding::ok("store", told),
    }
}

async fn redis(config: &Config) -> Finding {
    match node::open_store(config).await {
        Ok(store) => {
            let layout = store.layout();
            let workers = store.members(Timestamp::EPOCH).await.map_or(0, |workers| workers.len());
            let told = format!(
                "on Redis, {} partitions, {}",
                layout.partitions.get(),
                words::counted(workers as u64, "feature worker")
            );
            Finding::ok("store", told)
        }
        Err(error) => Finding::failed(
            "store",
            format!("{error:#}"),
            "do what it says; docs/operate/redis.md has what each setting is for",
        ),
    }
}
