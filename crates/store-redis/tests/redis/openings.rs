//! Servers and settings that are refused at open, and the errors.

use super::fixture::{ON_DISK, WRITTEN, options};
use portrait_profile::{PartitionCount, TimeDelta};
use portrait_store::{AckLevel, Error, StoreInfo};
use portrait_store_redis::testing::{Cluster, Pair, Server};
use portrait_store_redis::{RedisOptions, RedisStore, RedisTarget};
use std::time::Duration;

/// Returns the error of a refused open; none if the store opens.
pub(super) async fn refused(options: RedisOptions) -> Option<String> {
    match RedisStore::open(RedisOptions { start_timeout: Duration::from_millis(100), ..options }).await {
        Ok(_) => None,
        Err(error) => {
            assert!(matches!(error, Error::Incompatible { .. }), "{error:?}");
            Some(error.to_string())
        }
    }
}

#[tokio::test]
async fn a_server_below_the_promised_durability_is_refused_unless_accepted() {
    type Row<'r> = (&'r [(&'r str, &'r str)], AckLevel, &'r str, &'r str);
    let rows: [Row<'_>; 5] = [
        (&[("maxmemory-policy", "allkeys-lru")], AckLevel::Memory, "maxmemory-policy", "noeviction"),
        (&[], AckLevel::Disk, "appendonly no", "appendonly to yes"),
        (&[("appendonly", "yes"), ("appendfsync", "no")], AckLevel::Disk, "appendfsync no", "always"),
        (&ON_DISK, AckLevel::Replica, "0 replicas", "store.replicas"),
        (
            &[("appendonly", "yes"), ("rename-command", "CONFIG NOTHING")],
            AckLevel::Disk,
            "does not report settings",
            "CONFIG GET",
        ),
    ];
    for (settings, level, problem, remedy) in rows {
        let server = Server::start(settings);
        let options = options(&server.url(), level);
        let said = refused(options.clone()).await;
        // A release with `WAITAOF` need not write to disk before it replies.
        if said.is_none()
            && problem == "appendfsync no"
            && server.info("redis_version") > Some("7.2".to_owned())
        {
            continue;
        }
        let said = said.expect(problem);
        assert!(said.contains(problem) && said.contains(remedy), "{said}");
        assert!(said.contains("store.accept_unsafe"), "{said}");
        assert_eq!(refused(RedisOptions { accept_unsafe: true, ..options }).await, None, "{problem}");
    }
}

#[tokio::test]
async fn a_server_of_the_promised_durability_is_accepted() {
    let (on_disk, pair) = (Server::start(&ON_DISK), Pair::start(&WRITTEN));
    assert_eq!(refused(options(&on_disk.url(), AckLevel::Disk)).await, None);
    assert_eq!(refused(options(&pair.primary.url(), AckLevel::Replica)).await, None);
    let without_persistence = Pair::start(&[]);
    let said = refused(options(&without_persistence.primary.url(), AckLevel::Replica))
        .await
        .expect("no persistence");
    assert!(said.contains("appendonly no") && said.contains("replica"), "{said}");
    let said = refused(RedisOptions { replicas: 2, ..options(&pair.primary.url(), AckLevel::Replica) }).await;
    assert!(said.is_some_and(|said| said.contains("1 replicas")));
    let said = refused(options(&pair.replica.url(), AckLevel::Memory)).await.expect("it takes no writes");
    assert!(said.contains("is a replica") && !said.contains("accept_unsafe"), "{said}");
}

#[tokio::test]
async fn a_url_of_the_wrong_kind_is_refused() {
    let server = Server::start(&[]);
    let as_cluster = server.url().replace("redis://", "redis-cluster://");
    let said = refused(options(&as_cluster, AckLevel::Memory)).await.expect("it is none of a cluster");
    assert!(said.contains("use redis://"), "{said}");
    let one_of_a_cluster = Server::start(&[("cluster-enabled", "yes")]);
    let said =
        refused(options(&one_of_a_cluster.url(), AckLevel::Memory)).await.expect("it is one of a cluster");
    assert!(said.contains("redis-cluster://"), "{said}");
}

#[tokio::test]
async fn a_password_is_used_and_never_displayed() {
    let server = Server::start(&[("requirepass", "hunter2@")]);
    let url = |password: &str| server.url().replace("redis://", &format!("redis://:{password}@"));
    assert_eq!(refused(options(&url("hunter2%40"), AckLevel::Memory)).await, None);
    for wrong in [url("hunter3"), server.url()] {
        let options = options(&wrong, AckLevel::Memory);
        assert!(!format!("{options:?}").contains("hunter"));
        let said = refused(options).await.expect("it is wrong");
        assert!(said.contains("store.url") && !said.contains("hunter"), "{said}");
    }
}

#[tokio::test]
async fn an_unreachable_server_is_not_a_wrong_setting() {
    let mut server = Server::start(&[]);
    server.kill();
    let options = RedisOptions { start_timeout: Duration::ZERO, ..options(&server.url(), AckLevel::Memory) };
    let refused = RedisStore::open(options).await.err();
    assert!(matches!(refused, Some(Error::Unavailable(_))), "{refused:?}");
}

#[tokio::test]
async fn settings_fixed_at_creation_cannot_be_changed() {
    let server = Server::start(&[]);
    let fixed = options(&server.url(), AckLevel::Memory);
    assert_eq!(refused(fixed.clone()).await, None);
    let others = [
        (RedisOptions { partitions: PartitionCount::new(3), ..fixed.clone() }, "4 partitions"),
        (RedisOptions { dedup_window: TimeDelta::from_hours(1), ..fixed.clone() }, "de-duplication window"),
        (RedisOptions { dedup_window: TimeDelta::from_millis(999), ..fixed.clone() }, "at least 1s"),
        (RedisOptions { prefix: "a{b".to_owned(), ..fixed.clone() }, "store.prefix"),
    ];
    for (options, problem) in others {
        let said = refused(options).await.expect(problem);
        assert!(said.contains(problem), "{said}");
    }
    let any_count =
        RedisStore::open(RedisOptions { partitions: None, ..fixed.clone() }).await.expect("it is taken");
    assert_eq!(any_count.layout().partitions.get(), 4);
    let apart = RedisOptions { prefix: "another".to_owned(), partitions: None, ..fixed.clone() };
    assert_eq!(RedisStore::open(apart).await.expect("another store").layout().partitions.get(), 64);
    server.command::<()>("HSET {portrait:layout} format 9");
    let said = refused(fixed).await.expect("it is of another release");
    assert!(said.contains("format 9"), "{said}");
}

#[tokio::test]
async fn a_cluster_is_found_through_any_of_its_servers() {
    let cluster = Cluster::start(&WRITTEN);
    let replica = cluster.servers[4].url().replace("redis://", "redis-cluster://");
    assert_eq!(refused(options(&replica, AckLevel::Replica)).await, None);
    assert!(RedisTarget::parse(&replica).is_ok_and(|target| target.is_cluster()));
}
