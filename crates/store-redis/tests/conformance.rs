//! The store on Redis passes the suite of the contract: on one server, on a cluster, and on a server of Valkey.

#![allow(clippy::disallowed_methods, reason = "a test owns its tasks")]

use portrait_profile::PartitionCount;
use portrait_store::conformance::{CHECKS, LIMITS, PARTITIONS, WINDOW};
use portrait_store::{AckLevel, Store};
use portrait_store_redis::{LeaseClock, RedisOptions, RedisStore, RedisTarget};
use std::sync::Arc;

/// Returns a new store on Redis, separated from others on the servers by its prefix.
async fn on_redis(url: &str, prefix: &str, level: AckLevel) -> Arc<dyn Store> {
    let options = RedisOptions {
        prefix: prefix.to_owned(),
        partitions: PartitionCount::new(PARTITIONS),
        dedup_window: WINDOW,
        level,
        lease_clock: LeaseClock::Caller,
        limits: LIMITS,
        ..RedisOptions::new(RedisTarget::parse(url).expect("a URL"))
    };
    Arc::new(RedisStore::open(options).await.expect("a new store"))
}

mod standalone_redis {
    use portrait_store::{AckLevel, Store};
    use portrait_store_redis::testing::Server;
    use std::sync::Arc;

    /// Returns a new store on a server of its own.
    async fn standalone() -> (Server, Arc<dyn Store>) {
        let server = Server::start(&[("appendonly", "yes"), ("appendfsync", "always")]);
        let store = super::on_redis(&server.url(), "portrait", AckLevel::Disk).await;
        (server, store)
    }

    portrait_store::conformance_checks!(conformance_tests, standalone);
}

/// Runs all checks on the servers at `url`, each with a prefix of its own; returns those that fail.
async fn failed_checks(url: &str, level: AckLevel) -> Vec<&'static str> {
    let mut checking = Vec::new();
    for check in CHECKS {
        let url = url.to_owned();
        let checked = tokio::spawn(async move {
            let store = on_redis(&url, check.name, level).await;
            check.run(store).await;
        });
        checking.push((check.name, checked));
    }
    let mut failed = Vec::new();
    for (name, check) in checking {
        if check.await.is_err() {
            failed.push(name);
        }
    }
    failed
}

mod standalone_valkey {
    use portrait_store::AckLevel;
    use portrait_store_redis::testing::Server;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn every_check() {
        let server = Server::start_valkey(&[("appendonly", "yes"), ("appendfsync", "always")]);
        assert_eq!(server.info("server_name").as_deref(), Some("valkey"));
        let failed = super::failed_checks(&server.url(), AckLevel::Disk).await;
        assert!(failed.is_empty(), "{failed:?}");
    }
}

/// A cluster takes a while to form: all checks share one.
mod cluster_redis {
    use portrait_store::AckLevel;
    use portrait_store_redis::testing::Cluster;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn every_check() {
        let cluster = Cluster::start(&[("appendonly", "yes"), ("appendfsync", "always")]);
        let failed = super::failed_checks(&cluster.url(), AckLevel::Replica).await;
        assert!(failed.is_empty(), "{failed:?}");
    }
}
