//! Opening of the configured store: the embedded backend on a local disk, or Redis shared by many processes.

mod report;
mod tls;

use anyhow::Result;
use opentelemetry::metrics::Meter;
use portrait_profile::{PartitionCount, TimeDelta};
use portrait_runtime::config::{ByteSize, DurationSetting, InvalidValue};
use portrait_runtime::health::Health;
use portrait_store::{AckLevel, Store, StoreId};
use portrait_store_embedded::{self as embedded, Embedded};
use portrait_store_redis::{self as redis, RedisStore, RedisTarget};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Interval at which the certificates towards Redis are read again. They are replaced days before they end.
const CERTIFICATES_RELOAD_INTERVAL: Duration = Duration::from_secs(10);

/// Prefix of the URL of an embedded store.
const EMBEDDED: &str = "embedded:";

/// Section `[store]`: address and options of the store.
#[derive(Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreConfig {
    /// `embedded:DIRECTORY`: a store in this process, on a local disk. `redis://[user:password@]host:port[/database]`: one Redis
    /// server, shared by many processes; `redis-cluster://host:port,host:port`: a Redis cluster. `rediss://` and
    /// `rediss-cluster://`: the same with TLS.
    pub url: String,
    /// File that holds only that address, to keep a password out of variables and configuration files; empty: `url` applies.
    pub url_file: PathBuf,
    /// Id of the store, as the log prints it when the store is created; empty: any store, and a missing one is created. With it no
    /// process starts on another or empty store, and nothing begins in place of a store that is lost while it runs.
    pub id: String,
    /// Number of partitions of a new store; 0: 16 for a new embedded store, 64 for a new one on Redis, and the existing number for
    /// an existing store. It cannot be changed later. Higher: work spreads over more workers; each partition costs memory and
    /// open files.
    pub partitions: u16,
    /// Time for which event ids are remembered. Longer: later retries are recognised, and the store is larger.
    pub dedup_window: DurationSetting,
    /// Free disk space at which an embedded store refuses events, so that accepted events can still be applied and old data
    /// removed.
    pub reserve: ByteSize,
    /// Memory of an embedded store for blocks of its files. More: fewer reads from disk for profiles that `feature.cache` does not
    /// hold. The store uses up to 0.3 GiB beside it for writes.
    pub cache: ByteSize,
    /// Prefix of all keys on Redis. Deployments that share a server need different prefixes.
    pub prefix: String,
    /// Number of replicas of each Redis server. Acknowledge level `replica` waits for all, because any of them may be promoted.
    pub replicas: usize,
    /// File with the CA certificates of the Redis servers, in PEM; empty: the system's trust store.
    pub certificate_authority: PathBuf,
    /// File with the client certificate for the Redis servers, in PEM; empty: none. Read again when it changes, like the other two.
    pub certificate: PathBuf,
    /// File with the private key of `certificate`, in PEM.
    pub key: PathBuf,
    /// Accepts servers that may evict data, or that guarantee less than `ingest.acknowledge` promises.
    pub accept_unsafe: bool,
}

/// Open store of a node.
pub(crate) enum OpenedStore {
    /// Store in this process.
    Embedded(Arc<Embedded>),
    /// Store on Redis servers.
    Redis(OpenedRedis),
}

/// Store on Redis servers, with the watcher of its certificates.
pub(crate) struct OpenedRedis {
    store: Arc<RedisStore>,
    /// Guard that ends the watcher when it is dropped.
    _watching: Option<DropGuard>,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            url: format!("{EMBEDDED}./portrait-data"),
            url_file: PathBuf::new(),
            id: String::new(),
            partitions: 0,
            dedup_window: DurationSetting::from_hours(24),
            reserve: ByteSize::mebibytes(256),
            cache: ByteSize::mebibytes(128),
            prefix: "portrait".to_owned(),
            replicas: 1,
            certificate_authority: PathBuf::new(),
            certificate: PathBuf::new(),
            key: PathBuf::new(),
            accept_unsafe: false,
        }
    }
}

impl std::fmt::Debug for StoreConfig {
    /// Omits the URL, which may contain a password.
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
    /// Returns the configuration of an embedded store in `directory`.
    pub fn embedded(directory: &Path) -> Self {
        Self { url: format!("{EMBEDDED}{}", directory.display()), ..Self::default() }
    }

    /// Returns the directory of an embedded store; `None` for Redis.
    pub fn directory(&self) -> Option<PathBuf> {
        self.url.strip_prefix(EMBEDDED).map(PathBuf::from)
    }

    /// Replaces `url` by the content of `url_file`, if that is set.
    ///
    /// # Errors
    /// If the file cannot be read or is empty, or `url` is set as well.
    pub fn with_url_read(self) -> Result<Self, InvalidValue> {
        const KEY: &str = "store.url_file";
        if self.url_file.as_os_str().is_empty() {
            return Ok(self);
        }
        // A default cannot be told from an explicit equal value; only a different URL is a conflict.
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

    /// Masks the password in the URL, for dumps.
    pub fn without_password(&self) -> Self {
        let hidden = self.url.split_once("://").and_then(|(scheme, rest)| {
            // The last `@` separates them: a password may contain one.
            let (credentials, servers) = rest.rsplit_once('@')?;
            let user = credentials.split_once(':').map_or(credentials, |(user, _)| user);
            Some(format!("{scheme}://{user}:***@{servers}"))
        });
        Self { url: hidden.unwrap_or_else(|| self.url.clone()), ..self.clone() }
    }

    /// Returns the default acknowledge level: `replica` on a Redis cluster, `disk` otherwise.
    pub fn default_level(&self) -> AckLevel {
        // An invalid URL is reported when the store is opened.
        match RedisTarget::parse(&self.url) {
            Ok(target) if target.is_cluster() => AckLevel::Replica,
            _ => AckLevel::Disk,
        }
    }

    /// Opens the store for acknowledgements at `level`.
    ///
    /// # Errors
    /// If the configuration is invalid or the store cannot be opened, with a remedy.
    pub(crate) async fn open(&self, level: AckLevel) -> Result<OpenedStore> {
        let dedup_window = self.dedup_window();
        let partitions = PartitionCount::new(self.partitions);
        let Some(directory) = self.directory() else {
            let (options, watching) = self.redis_options(level, partitions, dedup_window)?;
            let store = Arc::new(RedisStore::open(options).await?);
            return Ok(OpenedStore::Redis(OpenedRedis { store, _watching: watching }));
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
        // Below it the blocks of a few lookups at once would not fit.
        if self.cache < ByteSize::mebibytes(1) {
            let problem = format!("is {}", self.cache);
            return Err(InvalidValue::new("store.cache", problem, "give it at least 1MiB").into());
        }
        let required = self.required_id()?;
        if let Some(id) = required
            && !embedded::holds_store(&directory)
        {
            let problem = format!("is {id}, and {} holds no store", directory.display());
            let remedy = "restore its data, correct store.url, or leave store.id empty to create a new store";
            return Err(InvalidValue::new("store.id", problem, remedy).into());
        }
        let reserve_bytes = self.reserve.bytes();
        let options = embedded::EmbeddedOptions {
            partitions,
            dedup_window,
            reserve_bytes,
            cache_bytes: self.cache.bytes(),
            ..embedded::EmbeddedOptions::default()
        };
        // Opening replays the journal from disk; it must not block an async thread.
        let opened = tokio::task::spawn_blocking(move || Embedded::open(&directory, options)).await??;
        let opened = OpenedStore::Embedded(Arc::new(opened));
        let found = opened.store().layout().id;
        if let Some(id) = required.filter(|id| *id != found) {
            opened.close().await?;
            let problem = format!("is {id}, and the store has the id {found}");
            let remedy = format!(
                "correct store.url, restore the data, or set it to {found} if this is the right store"
            );
            return Err(InvalidValue::new("store.id", problem, remedy).into());
        }
        Ok(opened)
    }

    /// Opens a store on Redis for a look at it; none if there is none yet.
    ///
    /// # Errors
    /// If the servers or their settings are unsuitable, or the store is another one.
    pub(crate) async fn look_at_redis(&self, level: AckLevel) -> Result<Option<Arc<dyn Store>>> {
        let (options, _watching) =
            self.redis_options(level, PartitionCount::new(self.partitions), self.dedup_window())?;
        let store = RedisStore::open_existing(options).await?;
        Ok(store.map(|store| Arc::new(store) as Arc<dyn Store>))
    }

    fn dedup_window(&self) -> TimeDelta {
        TimeDelta::from_millis(i64::try_from(self.dedup_window.as_millis()).unwrap_or(i64::MAX))
    }

    /// Returns the options of a store on Redis, and what watches its certificates.
    fn redis_options(
        &self,
        level: AckLevel,
        partitions: Option<PartitionCount>,
        dedup_window: TimeDelta,
    ) -> Result<(redis::RedisOptions, Option<DropGuard>)> {
        let target = RedisTarget::parse(&self.url)?;
        let defaults = redis::RedisOptions::new(target);
        let (watcher, tls) = self.watch_certificates()?.unzip();
        let options = redis::RedisOptions {
            tls: tls.unwrap_or_else(|| defaults.tls.clone()),
            id: self.required_id()?,
            prefix: self.prefix.clone(),
            partitions,
            dedup_window,
            level,
            replicas: self.replicas,
            accept_unsafe: self.accept_unsafe,
            ..defaults
        };
        let watching = watcher.map(|watcher| {
            let ended = CancellationToken::new();
            tokio::spawn(watcher.run(CERTIFICATES_RELOAD_INTERVAL, ended.clone()));
            ended.drop_guard()
        });
        Ok((options, watching))
    }

    /// Returns the id that the store must have, if one is configured.
    fn required_id(&self) -> Result<Option<StoreId>, InvalidValue> {
        if self.id.is_empty() {
            return Ok(None);
        }
        let remedy = "write the id that the log printed when the store was created";
        self.id.parse().map(Some).map_err(|problem: &str| InvalidValue::new("store.id", problem, remedy))
    }
}

impl OpenedStore {
    /// Returns the store as the services use it.
    pub(crate) fn store(&self) -> Arc<dyn Store> {
        match self {
            Self::Embedded(store) => Arc::clone(store) as Arc<dyn Store>,
            Self::Redis(opened) => Arc::clone(&opened.store) as Arc<dyn Store>,
        }
    }

    /// Registers the counters of a store on Redis, and reports the problems of any store in `health` until `end` is cancelled.
    pub(crate) fn report(&self, meter: &Meter, health: &Health, end: &CancellationToken) {
        match self {
            Self::Redis(opened) => {
                let store = opened.store.health();
                report::register(meter, &store);
                tokio::spawn(report::follow(store, health.clone(), end.clone()));
            }
            Self::Embedded(store) => {
                tokio::spawn(report::follow_space(Arc::clone(store), health.clone(), end.clone()));
            }
        }
    }

    /// Waits until an embedded store has failed for good; returns the problem and the remedy. Never returns for Redis, which
    /// recovers without a restart.
    pub(crate) async fn broken(&self) -> String {
        match self {
            Self::Embedded(store) => store.broken().await,
            // Redis connections recover by themselves.
            Self::Redis(_) => std::future::pending().await,
        }
    }

    /// Waits until a read-only store can be opened for writes. Never returns for any other.
    pub(crate) async fn has_room(&self) {
        match self {
            Self::Embedded(store) if store.read_only().is_some() => store.has_room().await,
            Self::Embedded(_) | Self::Redis(_) => std::future::pending().await,
        }
    }

    /// Closes an embedded store.
    pub(crate) async fn close(&self) -> Result<()> {
        match self {
            Self::Embedded(store) => Ok(store.close().await?),
            Self::Redis(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_from_its_file_and_errors_name_the_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("url");
        let read = |config: StoreConfig| {
            config.with_url_read().map(|config| config.url).map_err(|error| error.to_string())
        };
        let with_file = || StoreConfig { url_file: file.clone(), ..StoreConfig::default() };
        assert_eq!(read(StoreConfig::default()), Ok("embedded:./portrait-data".to_owned()));
        for (text, part) in [(None, "cannot be read"), (Some(" \n"), "is empty")] {
            if let Some(text) = text {
                std::fs::write(&file, text).expect("written");
            }
            let message = read(with_file()).expect_err("no address");
            for part in [part, "store.url_file", &file.display().to_string()] {
                assert!(message.contains(part), "{message}");
            }
        }
        std::fs::write(&file, "rediss://:secret@redis:6379\n").expect("written");
        assert_eq!(read(with_file()), Ok("rediss://:secret@redis:6379".to_owned()));
        let both = read(StoreConfig { url: "redis://redis:6379".to_owned(), ..with_file() });
        assert!(both.is_err_and(|message| message.contains("beside store.url")));
    }

    #[tokio::test]
    async fn another_or_an_empty_store_is_refused_if_an_id_is_required() {
        let folder = tempfile::tempdir().expect("a folder");
        let open = async |config: StoreConfig| {
            let opened = config.open(AckLevel::Disk).await.map_err(|error| format!("{error:#}"))?;
            let id = opened.store().layout().id;
            opened.close().await.expect("it is closed");
            Ok::<StoreId, String>(id)
        };
        let named = |name: &str| StoreConfig::embedded(&folder.path().join(name));
        let id = open(named("store")).await.expect("a new store");
        let required = |name: &str, id: String| StoreConfig { id, ..named(name) };
        assert_eq!(open(required("store", id.to_string())).await, Ok(id));
        // A store of a release before ids has none, and gets one.
        let format = folder.path().join("store/portrait-format");
        let text = std::fs::read_to_string(&format).expect("it is there");
        let retained = text.lines().filter(|line| !line.starts_with("id"));
        std::fs::write(&format, retained.map(|line| format!("{line}\n")).collect::<String>())
            .expect("written");
        let given = open(named("store")).await.expect("it is opened");
        assert_ne!(given, id);
        assert_eq!(open(named("store")).await, Ok(given));
        let rows = [
            (required("store", id.to_string()), vec!["store.id", "has the id", "set it to"]),
            (required("empty", id.to_string()), vec!["store.id", "holds no store", "restore"]),
            (required("store", "7".to_owned()), vec!["store.id", "32 hexadecimal digits"]),
            (required("store", "+".repeat(32)), vec!["store.id", "32 hexadecimal digits"]),
        ];
        for (config, parts) in rows {
            let message = open(config).await.expect_err("it is refused");
            assert!(parts.iter().all(|part| message.contains(part)), "{message}");
        }
        assert!(!folder.path().join("empty").exists(), "nothing was created");
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
