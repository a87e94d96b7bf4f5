//! Settings that an acknowledgement level rests on: checked at open, and again on every new connection.

use super::fixture::{ON_DISK, WRITTEN, append, eventually, meta, open, options};
use super::openings::refused;
use portrait_store::{AckLevel, Error, StoreInfo};
use portrait_store_redis::testing::{Pair, Server};
use portrait_store_redis::{RedisOptions, RedisStore};

/// Opens a store, breaks a setting, and returns the error of an append after the connection was made anew.
async fn refused_after_a_change(
    store: &RedisStore,
    server: &Server,
    setting: &str,
    level: AckLevel,
) -> String {
    append(store, 0, "before", level).await.expect("the promise is kept");
    server.command::<()>(&format!("CONFIG SET {setting}"));
    server.command::<()>("CLIENT KILL TYPE normal");
    // The first request may still meet the connection that was closed.
    let mut error = None;
    eventually("the change is noticed", async || match append(store, 0, "after", level).await {
        Err(Error::Incompatible { detail }) => {
            error = Some(detail);
            Ok(())
        }
        Err(other) => Err(other),
        Ok(_) => Err(Error::Unavailable(None)),
    })
    .await;
    error.expect("it was refused")
}

#[tokio::test]
async fn a_server_that_stops_syncing_during_a_rewrite_is_refused_unless_accepted() {
    let server = Server::start(&[&ON_DISK[..], &[("no-appendfsync-on-rewrite", "yes")]].concat());
    let disk = options(&server.url(), AckLevel::Disk);
    let said = refused(disk.clone()).await.expect("it acknowledges too early");
    for part in
        ["no-appendfsync-on-rewrite yes", "set no-appendfsync-on-rewrite to no", "store.accept_unsafe"]
    {
        assert!(said.contains(part), "{said}");
    }
    assert_eq!(refused(options(&server.url(), AckLevel::Memory)).await, None);
    let accepted = RedisStore::open(RedisOptions { accept_unsafe: true, ..disk }).await.expect("accepted");
    append(&accepted, 0, "record", AckLevel::Disk).await.expect("accepted");
    let warnings = accepted.warnings();
    assert!(warnings.iter().any(|warning| warning.contains("no-appendfsync-on-rewrite")), "{warnings:?}");
}

#[tokio::test]
async fn a_setting_that_changes_is_noticed_on_the_next_connection() {
    let rows: [(&str, AckLevel); 5] = [
        ("no-appendfsync-on-rewrite yes", AckLevel::Disk),
        ("appendonly no", AckLevel::Disk),
        ("appendfsync everysec", AckLevel::Disk),
        ("maxmemory-policy allkeys-lfu", AckLevel::Disk),
        ("maxmemory-policy volatile-lru", AckLevel::Memory),
    ];
    for (setting, level) in rows {
        let server = Server::start(&ON_DISK);
        // A release with `WAITAOF` need not write to disk before it replies.
        if setting.starts_with("appendfsync") && server.info("redis_version") > Some("7.2".to_owned()) {
            continue;
        }
        let store = open(&server.url(), level).await;
        let said = refused_after_a_change(&store, &server, setting, level).await;
        assert!(said.contains(setting) && said.contains("set "), "{said}");
        assert!(store.health().problems().iter().any(|problem| problem.text.contains(setting)));
        // What was accepted can still be read and applied.
        assert_ne!(meta(&store, 0).await.log_end.get(), 0);
        let accepting = RedisOptions { accept_unsafe: true, ..options(&server.url(), level) };
        let accepting = RedisStore::open(accepting).await.expect("accepted");
        append(&accepting, 0, "record", level).await.expect("accepted");
    }
}

#[tokio::test]
async fn a_primary_that_loses_its_persistence_does_not_promise_replicas() {
    let pair = Pair::start(&WRITTEN);
    let store = open(&pair.primary.url(), AckLevel::Replica).await;
    let said = refused_after_a_change(&store, &pair.primary, "appendonly no", AckLevel::Replica).await;
    assert!(said.contains("appendonly no") && said.contains("replica"), "{said}");
}

#[tokio::test]
async fn without_config_the_policy_comes_from_info_and_the_rest_is_named() {
    let hidden = ("rename-command", "CONFIG NOTHING");
    let server = Server::start(&[&ON_DISK[..], &[hidden]].concat());
    assert_eq!(refused(options(&server.url(), AckLevel::Memory)).await, None, "INFO has the policy");
    let said = refused(options(&server.url(), AckLevel::Disk)).await.expect("nothing reports the fsyncs");
    for part in
        ["appendfsync is always", "no-appendfsync-on-rewrite is no", "CONFIG GET", "store.accept_unsafe"]
    {
        assert!(said.contains(part), "{said}");
    }
    let evicting = Server::start(&[("maxmemory-policy", "allkeys-random"), hidden]);
    let said = refused(options(&evicting.url(), AckLevel::Memory)).await.expect("it evicts");
    assert!(said.contains("maxmemory-policy allkeys-random"), "{said}");
}
