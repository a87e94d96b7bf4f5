//! What a measurement stands on: a store that nobody has used, made for it and gone with it. In comes which kind of store; out
//! come the configuration of a node on it, and the store itself for loops without a node.

use super::redis::{Kept, Server};
use anyhow::Result;
use portrait_ingest::Acknowledge;
use portrait_node::{Config, StoreConfig};
use portrait_profile::PartitionCount;
use portrait_store::embedded::{self, Embedded};
use portrait_store::redis::{self, RedisStore, Target};
use portrait_store::{AckLevel, Store};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

/// Which kind of store is stood on.
#[derive(Clone, Debug)]
pub(super) struct Ground {
    /// Where the folders of the stores are made.
    scratch: PathBuf,
    kind: Kind,
    /// How many partitions; 0: as many as is usual.
    partitions: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Embedded,
    Redis(Kept),
}

/// A store that nobody has used. Dropping it ends its server, if it has one, and deletes what it kept.
pub(super) struct Fresh {
    kind: Kind,
    partitions: u16,
    // Before the folder, which it writes to.
    server: Option<Server>,
    folder: TempDir,
}

impl Ground {
    /// Stores in the measuring process, on the disk that has `scratch`.
    pub(super) fn embedded(scratch: &Path) -> Self {
        Self { scratch: scratch.to_owned(), kind: Kind::Embedded, partitions: 0 }
    }

    /// Servers of Redis that keep things so, in so many partitions.
    pub(super) fn redis(scratch: &Path, kept: Kept, partitions: u16) -> Self {
        Self { scratch: scratch.to_owned(), kind: Kind::Redis(kept), partitions }
    }

    /// What is acknowledged there, in words.
    pub(super) fn told(&self) -> String {
        let how = match self.kind {
            Kind::Embedded => return "disk".to_owned(),
            Kind::Redis(Kept::Memory) => "memory (appendonly no)",
            Kind::Redis(Kept::Disk) => "disk (appendfsync always)",
        };
        format!("Redis, {how}, {} partitions, one process of all roles", self.partitions)
    }

    /// One more store.
    pub(super) async fn fresh(&self) -> Result<Fresh> {
        let folder = tempfile::tempdir_in(&self.scratch)?;
        let server = match self.kind {
            Kind::Embedded => None,
            Kind::Redis(kept) => Some(Server::start(folder.path(), kept).await?),
        };
        Ok(Fresh { kind: self.kind, partitions: self.partitions, server, folder })
    }
}

impl Kind {
    fn level(self) -> AckLevel {
        match self {
            Self::Redis(Kept::Memory) => AckLevel::Memory,
            Self::Embedded | Self::Redis(Kept::Disk) => AckLevel::Disk,
        }
    }
}

impl Fresh {
    /// A node on it that trains when it is asked and at no other time: a training beside a measurement would be measured.
    pub(super) fn config(&self) -> Config {
        let mut config = Config::on_free_ports(self.folder.path());
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

    /// At which level appends to it are acknowledged.
    pub(super) fn level(&self) -> AckLevel {
        self.kind.level()
    }

    /// The store, opened by the measuring process.
    pub(super) async fn store(&self) -> Result<Arc<dyn Store>> {
        let Some(server) = &self.server else {
            return Ok(Arc::new(Embedded::open(self.folder.path(), embedded::Options::default())?));
        };
        let options = redis::Options {
            level: self.level(),
            partitions: PartitionCount::new(self.partitions),
            ..redis::Options::new(Target::parse(&server.url())?)
        };
        Ok(Arc::new(RedisStore::open(options).await?))
    }

    /// Its folder.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its server, if it has one.
    pub(super) fn server(&self) -> Option<&Server> {
        self.server.as_ref()
    }
}
