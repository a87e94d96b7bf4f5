//! Which store a process uses. In comes a URL and what else is set of stores, out goes one that is open: in this process on a disk,
//! or on servers that many processes share.

use crate::Config;
use anyhow::{Context, Result};
use portrait_profile::{PartitionCount, TimeDelta};
use portrait_runtime::config::{ByteSize, DurationSetting, InvalidValue};
use portrait_store::{AckLevel, Store};
use portrait_store_embedded::{self as embedded, Embedded};
use portrait_store_redis::{self as redis, RedisStore, RedisTarget};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How the address of a store in this process begins.
const EMBEDDED: &str = "embedded:";

/// Where everything is remembered.
#[derive(Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreConfig {
    /// `embedded:DIRECTORY`: a store in this process, on a disk of this machine. `redis://[user:password@]host:port[/database]`: one
    /// server of Redis, that many processes share; `redis-cluster://host:port,host:port`: a cluster of them. `rediss://` and
    /// `rediss-cluster://`: the same with TLS.
    pub url: String,
    /// A file with nothing but that address in it, so that a password is in no variable and in no configuration file; empty:
    /// `url` says it.
    pub url_file: PathBuf,
    /// How many partitions a new store gets; 0 takes 16 for a new embedded store, 64 for a new one on Redis, and what is there for
    /// an old one. It can never be changed: more partitions spread over more workers, and cost memory and open files each.
    pub partitions: u16,
    /// For how long a record's id is remembered. Longer: later retries are recognised, and the store is bigger.
    pub dedup_window: DurationSetting,
    /// How much of the disk is left free. Events are refused before the disk is full, so that what was accepted can still be
    /// applied and old data forgotten. For an embedded store.
    pub reserve: ByteSize,
    /// How every key begins on Redis. Two deployments on one server have two.
    pub prefix: String,
    /// How many replicas each server of Redis has: `replica` waits for all, since any of them may take over.
    pub replicas: usize,
    /// A file with the certificates, in PEM, of those who sign the servers'; empty: those whom the system trusts.
    pub certificate_authority: PathBuf,
    /// Goes on with servers that may throw data away, or that keep less than `ingest.acknowledge` promises.
    pub accept_unsafe: bool,
}

/// An open store.
pub(crate) enum OpenedStore {
    /// In this process.
    Embedded(Arc<Embedded>),
    /// On servers.
    Redis(Arc<RedisStore>),
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            url: format!("{EMBEDDED}./portrait-data"),
            url_file: PathBuf::new(),
            partitions: 0,
            dedup_window: DurationSetting::from_hours(24),
            reserve: ByteSize::mebibytes(256),
            prefix: "portrait".to_owned(),
            replicas: 1,
            certificate_authority: PathBuf::new(),
            accept_unsafe: false,
        }
    }
}

impl std::fmt::Debug for StoreConfig {
    /// Without the URL, which may have a password in it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreConfig")
            .field("embedded", &self.directory())
            .field("partitions", &self.partitions)
            .field("prefix", &self.prefix)
            .field("replicas", &self.replicas)
            .field("accept_unsafe", &self.accept_unsafe)
            .finish_non_exhaustive()
    }
}

impl StoreConfig {
    /// A store in this process, in `directory`.
    pub fn embedded(directory: &Path) -> Self {
        Self { url: format!("{EMBEDDED}{}", directory.display()), ..Self::default() }
    }

    /// Where it is on a disk of this machine; none if it is elsewhere.
    pub fn directory(&self) -> Option<PathBuf> {
        self.url.strip_prefix(EMBEDDED).map(PathBuf::from)
    }

    /// The same with the address that `url_file` has, if it names a file.
    ///
    /// # Errors
    /// If the file cannot be read, or `url` is set as well.
    pub fn with_url_read(self) -> Result<Self, InvalidValue> {
        const KEY: &str = "store.url_file";
        if self.url_file.as_os_str().is_empty() {
            return Ok(self);
        }
        if self.url != Self::default().url {
            return Err(InvalidValue::new(KEY, "is set beside store.url", "write one of the two"));
        }
        let text = std::fs::read_to_string(&self.url_file).map_err(|error| {
            let problem = format!("names {}, which cannot be read: {error}", self.url_file.display());
            InvalidValue::new(KEY, problem, "name a file with the address of the store in it")
        })?;
        match text.trim() {
            "" => {
                let problem = format!("names {}, which is empty", self.url_file.display());
                Err(InvalidValue::new(
                    KEY,
                    problem,
                    "write the address of the store into it, as redis://host:port",
                ))
            }
            url => Ok(Self { url: url.to_owned(), ..self }),
        }
    }

    /// The same with what nobody should read in place of a password.
    pub fn without_password(&self) -> Self {
        let hidden = self.url.split_once("://").and_then(|(scheme, rest)| {
            let (credentials, servers) = rest.rsplit_once('@')?;
            let user = credentials.split_once(':').map_or(credentials, |(user, _)| user);
            Some(format!("{scheme}://{user}:***@{servers}"))
        });
        Self { url: hidden.unwrap_or_else(|| self.url.clone()), ..self.clone() }
    }

    /// The level that is usual for such a store.
    pub fn default_level(&self) -> AckLevel {
        // What is wrong with a URL is told when it is opened.
        match RedisTarget::parse(&self.url) {
            Ok(target) if target.is_cluster() => AckLevel::Replica,
            _ => AckLevel::Disk,
        }
    }

    /// Opens it, for a deployment that acknowledges at `level`.
    ///
    /// # Errors
    /// Whatever is wrong with it, and what to do.
    pub(crate) async fn open(&self, level: AckLevel) -> Result<OpenedStore> {
        let dedup_window =
            TimeDelta::from_millis(i64::try_from(self.dedup_window.as_millis()).unwrap_or(i64::MAX));
        let partitions = PartitionCount::new(self.partitions);
        let Some(directory) = self.directory() else {
            return self.open_redis(level, partitions, dedup_window).await;
        };
        if level == AckLevel::Replica {
            let remedy = "write disk, or name a Redis with replicas in store.url";
            return Err(InvalidValue::new(
                "ingest.acknowledge",
                "is replica, and an embedded store has none",
                remedy,
            )
            .into());
        }
        let reserve_bytes = self.reserve.bytes();
        let options =
            embedded::EmbeddedOptions { partitions, dedup_window, reserve_bytes, ..embedded::EmbeddedOptions::default() };
        // Opening reads the disk and may take a while.
        let opened = tokio::task::spawn_blocking(move || Embedded::open(&directory, options)).await??;
        Ok(OpenedStore::Embedded(Arc::new(opened)))
    }

    async fn open_redis(
        &self,
        level: AckLevel,
        partitions: Option<PartitionCount>,
        dedup_window: TimeDelta,
    ) -> Result<OpenedStore> {
        let target = RedisTarget::parse(&self.url)?;
        let certificate_authority = match self.certificate_authority.as_path() {
            none if none.as_os_str().is_empty() => None,
            file => Some(std::fs::read(file).with_context(|| {
                format!("store.certificate_authority: {} cannot be read", file.display())
            })?),
        };
        let options = redis::RedisOptions {
            certificate_authority,
            prefix: self.prefix.clone(),
            partitions,
            dedup_window,
            level,
            replicas: self.replicas,
            accept_unsafe: self.accept_unsafe,
            ..redis::RedisOptions::new(target)
        };
        Ok(OpenedStore::Redis(Arc::new(RedisStore::open(options).await?)))
    }
}

impl OpenedStore {
    /// As rooms see it.
    pub(crate) fn store(&self) -> Arc<dyn Store> {
        match self {
            Self::Embedded(store) => Arc::clone(store) as Arc<dyn Store>,
            Self::Redis(store) => Arc::clone(store) as Arc<dyn Store>,
        }
    }

    /// Returns when the store takes no writes any more and nothing but a new start helps. Servers come back by themselves.
    pub(crate) async fn broken(&self) {
        match self {
            Self::Embedded(store) => store.broken().await,
            Self::Redis(_) => std::future::pending().await,
        }
    }

    /// Closes what is open in this process.
    pub(crate) async fn close(&self) -> Result<()> {
        match self {
            Self::Embedded(store) => Ok(store.close().await?),
            Self::Redis(_) => Ok(()),
        }
    }
}

/// The store of a configuration, opened as a node would.
///
/// # Errors
/// If it makes no sense or cannot be opened, with what to do.
pub async fn open_store(config: &Config) -> Result<Arc<dyn Store>> {
    let level = config.ingest.acknowledge.level(config.store.default_level());
    Ok(config.store.open(level).await?.store())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_from_its_file_or_the_file_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("url");
        let read = |config: StoreConfig| {
            config.with_url_read().map(|config| config.url).map_err(|error| error.to_string())
        };
        let named = || StoreConfig { url_file: file.clone(), ..StoreConfig::default() };
        assert_eq!(read(StoreConfig::default()), Ok("embedded:./portrait-data".to_owned()));
        for (text, part) in [(None, "cannot be read"), (Some(" \n"), "is empty")] {
            if let Some(text) = text {
                std::fs::write(&file, text).expect("written");
            }
            let told = read(named()).expect_err("no address");
            for part in [part, "store.url_file", &file.display().to_string()] {
                assert!(told.contains(part), "{told}");
            }
        }
        std::fs::write(&file, "rediss://:secret@redis:6379\n").expect("written");
        assert_eq!(read(named()), Ok("rediss://:secret@redis:6379".to_owned()));
        let both = read(StoreConfig { url: "redis://redis:6379".to_owned(), ..named() });
        assert!(both.is_err_and(|told| told.contains("beside store.url")));
    }

    #[test]
    fn a_password_is_neither_dumped_nor_shown() {
        for (url, shown) in [
            ("embedded:/data", "embedded:/data"),
            ("redis://redis:6379", "redis://redis:6379"),
            ("redis://:secret@redis:6379/1", "redis://:***@redis:6379/1"),
            ("rediss-cluster://ann:s%40cret@a:1,b:2", "rediss-cluster://ann:***@a:1,b:2"),
        ] {
            let config = StoreConfig { url: url.to_owned(), ..StoreConfig::default() };
            assert_eq!(config.without_password().url, shown);
            assert!(!format!("{config:?}").contains("cret"), "{config:?}");
        }
    }
}
