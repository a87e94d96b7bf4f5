//! Environment of a measurement: a new store that is deleted afterwards, the configuration of a node on it, and the
//! store itself for loops without a node.

use super::redis::{BenchRedis, Persistence};
use anyhow::Result;
use portrait_ingest::Acknowledge;
use portrait_node::{Config, StoreConfig};
use portrait_profile::PartitionCount;
use portrait_store::{AckLevel, Store};
use portrait_store_embedded::{self as embedded, Embedded};
use portrait_store_redis::{self as redis, RedisStore, RedisTarget};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

/// Backend and location of the stores under measurement.
#[derive(Clone, Debug)]
pub(super) struct BenchEnv {
    /// Directory of the stores.
    scratch: PathBuf,
    kind: BenchBackend,
    /// Number of partitions; 0 for the default.
    partitions: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BenchBackend {
    Embedded,
    Redis(Persistence),
}

/// New, empty store. Dropping it ends its server, if it has one, and deletes its files.
pub(super) struct FreshStore {
    kind: BenchBackend,
    partitions: u16,
    // Declared before the folder, and so dropped before it: the server writes to it.
    server: Option<BenchRedis>,
    folder: TempDir,
}

impl BenchEnv {
    /// Embedded stores on the disk of `scratch`.
    pub(super) fn embedded(scratch: &Path) -> Self {
        Self { scratch: scratch.to_owned(), kind: BenchBackend::Embedded, partitions: 0 }
    }

    /// Redis servers of this persistence, with this number of partitions.
    pub(super) fn redis(scratch: &Path, persistence: Persistence, partitions: u16) -> Self {
        Self { scratch: scratch.to_owned(), kind: BenchBackend::Redis(persistence), partitions }
    }

    /// Description of backend and durability for the table.
    pub(super) fn describe(&self) -> String {
        let durability = match self.kind {
            BenchBackend::Embedded => return "disk".to_owned(),
            BenchBackend::Redis(Persistence::Memory) => "memory (appendonly no)",
            BenchBackend::Redis(Persistence::Disk) => "disk (appendfsync always)",
        };
        format!("Redis, {durability}, {} partitions, one process of all roles", self.partitions)
    }

    /// Creates a store.
    ///
    /// # Errors
    /// If the folder cannot be created or the server does not start.
    pub(super) async fn new_store(&self) -> Result<FreshStore> {
        let folder = tempfile::tempdir_in(&self.scratch)?;
        // The scratch directory is on the disk under measurement, and so are the server's files.
        let server = match self.kind {
            BenchBackend::Embedded => None,
            BenchBackend::Redis(persistence) => Some(BenchRedis::start(folder.path(), persistence).await?),
        };
        Ok(FreshStore { kind: self.kind, partitions: self.partitions, server, folder })
    }
}

impl BenchBackend {
    fn level(self) -> AckLevel {
        match self {
            Self::Redis(Persistence::Memory) => AckLevel::Memory,
            Self::Embedded | Self::Redis(Persistence::Disk) => AckLevel::Disk,
        }
    }
}

impl FreshStore {
    /// Configuration of a node on this store without automatic training, which would disturb the measurement.
    pub(super) fn config(&self) -> Config {
        let mut config = Config::on_free_ports(self.folder.path());
        // A training in the background would compete for the processors.
        config.model.automatic = false;
        if let Some(server) = &self.server {
            config.store =
                StoreConfig { url: server.url(), partitions: self.partitions, ..StoreConfig::default() };
            config.ingest.acknowledge = match self.kind.level() {
                AckLevel::Memory => Acknowledge::Memory,
                AckLevel::Disk | AckLevel::Replica => Acknowledge::Disk,
            };
        }
        config
    }

    /// Settings of a server process on this store, as `KEY=VALUE`.
    pub(super) fn settings(&self) -> Vec<String> {
        let Some(server) = &self.server else {
            return vec![format!("store.url=embedded:{}", self.folder.path().display())];
        };
        let level = match self.kind.level() {
            AckLevel::Memory => "memory",
            AckLevel::Disk | AckLevel::Replica => "disk",
        };
        vec![
            format!("store.url={}", server.url()),
            format!("store.partitions={}", self.partitions),
            format!("ingest.acknowledge={level}"),
        ]
    }

    /// Size of the files of the store, in bytes.
    pub(super) fn folder_bytes(&self) -> Result<u64> {
        let mut folders = vec![self.folder.path().to_owned()];
        let mut bytes = 0;
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder)? {
                let entry = entry?;
                // A running store removes files: one that is gone has no size.
                match entry.metadata() {
                    Ok(metadata) if metadata.is_dir() => folders.push(entry.path()),
                    Ok(metadata) => bytes += metadata.len(),
                    Err(_) => {}
                }
            }
        }
        Ok(bytes)
    }

    /// Durability level at which appends are acknowledged.
    pub(super) fn level(&self) -> AckLevel {
        self.kind.level()
    }

    /// Opens the store in the measuring process.
    pub(super) async fn open(&self) -> Result<Arc<dyn Store>> {
        let Some(server) = &self.server else {
            return Ok(Arc::new(Embedded::open(self.folder.path(), embedded::EmbeddedOptions::default())?));
        };
        let options = redis::RedisOptions {
            level: self.level(),
            partitions: PartitionCount::new(self.partitions),
            ..redis::RedisOptions::new(RedisTarget::parse(&server.url())?)
        };
        Ok(Arc::new(RedisStore::open(options).await?))
    }

    /// Redis server of the store; none for an embedded one.
    pub(super) fn server(&self) -> Option<&BenchRedis> {
        self.server.as_ref()
    }
}
