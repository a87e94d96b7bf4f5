//! Clusters whose primaries fail and whose slots move.

use super::fixture::{
    NOW, WRITTEN, append, check_written, commit, cycles, eventually, log, meta, open, options, own,
    partition, write,
};
use portrait_profile::TimeDelta;
use portrait_store::{AckLevel, Error, LogSeq, OwnerStore, PositionFate};
use portrait_store_redis::RedisStore;
use portrait_store_redis::testing::{Cluster, Server, until};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_promoted_replica_has_every_acknowledged_record() {
    let mut cluster = Cluster::start(&WRITTEN);
    let store = open(&cluster.url(), AckLevel::Replica).await;
    let token = own(&store, 0).await;
    let mut old = None;
    for number in 0..50 {
        old = Some(append(&store, 0, &format!("{number}"), AckLevel::Replica).await.expect("copied").last);
    }
    let before = meta(&store, 0).await;
    store
        .commit(partition(&store, 0), commit(&before, token, LogSeq::new(10)))
        .await
        .expect("the owner commits");
    let primary = cluster.shard_of("{portrait:0}").0;
    cluster.servers[primary].kill();
    // The promoted server has no replica of its own, so only the level `Memory` is possible.
    let new =
        eventually("the replica takes over", async || append(&store, 0, "new", AckLevel::Memory).await).await;
    let records = log(&store, 0).await;
    assert_eq!(&records[..50], (0..50).map(|number| number.to_string()).collect::<Vec<_>>());
    assert_eq!(records.last().map(String::as_str), Some("new"));
    let after = meta(&store, 0).await;
    let old = old.expect("fifty");
    assert_ne!(new.last.generation, old.generation);
    assert_eq!(after.log_generations.fate(old, after.log_end), PositionFate::Valid);
    // The former holder may have read lost records, so it has to acquire the lease again.
    let renewed = store.renew(partition(&store, 0), token, TimeDelta::from_secs(1), NOW).await;
    assert!(!renewed.expect("it is there"));
    assert!(own(&store, 0).await.epoch > token.epoch);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_stays_usable_while_its_slot_moves() {
    let cluster = Cluster::start(&WRITTEN);
    let store =
        Arc::new(RedisStore::open(options(&cluster.url(), AckLevel::Replica)).await.expect("a store"));
    for number in 0..20 {
        append(&store, 0, &format!("before {number}"), AckLevel::Memory).await.expect("there is space");
    }
    let moved = Arc::new(AtomicBool::new(false));
    let (appending, ended) = (Arc::clone(&store), Arc::clone(&moved));
    let writer = tokio::spawn(async move {
        let mut count = 0;
        while !ended.load(Ordering::SeqCst) || count < 20 {
            append(&appending, 0, "meanwhile", AckLevel::Memory).await.expect("a move is not noticed");
            count += 1;
        }
        count
    });
    let (from, slot) = (
        cluster.shard_of("{portrait:0}").0,
        cluster.servers[0].command::<u32>("CLUSTER KEYSLOT {portrait:0}"),
    );
    let to = (from + 1) % 3;
    let (source, target) = (&cluster.servers[from], &cluster.servers[to]);
    let (source_id, target_id): (String, String) =
        (source.command("CLUSTER MYID"), target.command("CLUSTER MYID"));
    target.command::<()>(&format!("CLUSTER SETSLOT {slot} IMPORTING {source_id}"));
    source.command::<()>(&format!("CLUSTER SETSLOT {slot} MIGRATING {target_id}"));
    until("every key has moved", || {
        let keys: Vec<String> = source.command(&format!("CLUSTER GETKEYSINSLOT {slot} 100"));
        for key in &keys {
            source.command::<()>(&format!("MIGRATE 127.0.0.1 {} {key} 0 5000", target.port()));
        }
        keys.is_empty()
    });
    for server in [target, source] {
        server.command::<()>(&format!("CLUSTER SETSLOT {slot} NODE {target_id}"));
    }
    moved.store(true, Ordering::SeqCst);
    let count = writer.await.expect("no panic");
    assert_eq!(log(&store, 0).await.len(), 20 + count);
    assert!(target.command::<u32>(&format!("CLUSTER COUNTKEYSINSLOT {slot}")) > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_hangs_is_replaced_and_comes_back_as_a_replica() {
    let cluster = Cluster::start(&WRITTEN);
    let store = open(&cluster.url(), AckLevel::Replica).await;
    let old = own(&store, 0).await;
    append(&store, 0, "before", AckLevel::Replica).await.expect("copied");
    let state = meta(&store, 0).await;
    let hung = &cluster.servers[cluster.shard_of("{portrait:0}").0];
    hung.hang();
    // Requests to the hung server may be done when it resumes; then its own data is discarded.
    eventually("the replica takes over", async || append(&store, 0, "meanwhile", AckLevel::Memory).await)
        .await;
    let zombie = async || store.commit(partition(&store, 0), commit(&state, old, LogSeq::new(1))).await;
    let refused = zombie().await;
    assert!(matches!(refused, Err(Error::Fenced { .. })), "{refused:?}");
    let new = own(&store, 0).await;
    let step = commit(&meta(&store, 0).await, new, LogSeq::new(1));
    let first = store.commit(partition(&store, 0), step).await.expect("the owner commits");
    hung.wake();
    eventually("it copies", async || append(&store, 0, "after", AckLevel::Replica).await).await;
    let refused = zombie().await;
    assert!(
        matches!(refused, Err(Error::Fenced { current, .. }) if current == first.commit_no),
        "{refused:?}"
    );
    let records = log(&store, 0).await;
    assert_eq!((records[0].as_str(), records.last().map(String::as_str)), ("before", Some("after")));
    assert_eq!(meta(&store, 0).await.counters.applied, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_killed_under_load_neither_loses_nor_duplicates_replicated_records() {
    let mut cluster = Cluster::start(&WRITTEN);
    let store = Arc::new(open(&cluster.url(), AckLevel::Replica).await);
    let ended = Arc::new(AtomicBool::new(false));
    let writers = write(&store, AckLevel::Replica, &ended);
    let (mut serving, mut following) = cluster.shard_of("{portrait:0}");
    let end =
        |server: &Server| server.try_command::<u64>("HGET {portrait:0}:meta log_end").unwrap_or_default();
    // A fail-over takes as long as the node timeout of the cluster.
    for _ in 0..(cycles() / 10).max(1) {
        let before = end(&cluster.servers[serving]);
        until("records come in", || end(&cluster.servers[serving]) > before + 20);
        cluster.servers[serving].kill();
        until("the replica takes over", || {
            cluster.servers[following].info("role").as_deref() == Some("master")
        });
        cluster.servers[serving].restart();
        (serving, following) = (following, serving);
        let (new, old) = (&cluster.servers[serving], &cluster.servers[following]);
        until("the old primary follows", || new.is_followed_by(old));
    }
    ended.store(true, Ordering::SeqCst);
    check_written(&store, writers).await;
}
