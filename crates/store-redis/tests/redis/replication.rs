//! Writes that count only when the replicas have them.

use super::fixture::{NOW, WRITTEN, append, eventually, log, open, partition};
use bytes::Bytes;
use portrait_store::{AckLevel, CatalogueStore, Error, LogStore, PartName, RegistryStore};
use portrait_store_redis::testing::Pair;
use std::sync::Arc;

#[tokio::test]
async fn only_replicated_writes_are_acknowledged() {
    let mut pair = Pair::start(&WRITTEN);
    let store = open(&pair.primary.url(), AckLevel::Replica).await;
    append(&store, 0, "one", AckLevel::Replica).await.expect("the replica has it");
    pair.replica.hang();
    let unknown = append(&store, 0, "two", AckLevel::Replica).await;
    assert!(matches!(unknown, Err(Error::Unavailable(_))), "{unknown:?}");
    let items = vec![(Bytes::from_static(b"i"), Bytes::from_static(b"item"))];
    assert!(matches!(store.put_items(items, AckLevel::Replica).await, Err(Error::Unavailable(_))));
    assert!(matches!(store.put_part(Bytes::from_static(b"part")).await, Err(Error::Unavailable(_))));
    append(&store, 0, "three", AckLevel::Memory).await.expect("the primary has it");
    pair.replica.wake();
    eventually("the replica is back", async || append(&store, 0, "four", AckLevel::Replica).await).await;
    let records = log(&store, 0).await;
    assert_eq!(
        (&records[..3], records.last().map(String::as_str)),
        (&["one", "two", "three"].map(String::from)[..], Some("four"))
    );
    let name = store.put_part(Bytes::from_static(b"part")).await.expect("the replica has it");
    assert_eq!(name, PartName::of(b"part"));
    pair.replica.kill();
    let unknown = append(&store, 0, "five", AckLevel::Replica).await;
    assert!(matches!(unknown, Err(Error::Unavailable(_))), "{unknown:?}");
    pair.replica.restart();
    pair.wait_in_sync();
    eventually("the replica is back", async || append(&store, 0, "six", AckLevel::Replica).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_wait_serves_many_writes() {
    let pair = Pair::start(&WRITTEN);
    let store = Arc::new(open(&pair.primary.url(), AckLevel::Replica).await);
    let mut appending = tokio::task::JoinSet::new();
    for number in 0..400 {
        let store = Arc::clone(&store);
        appending.spawn(async move {
            let records = vec![Bytes::from(format!("record {number}"))];
            store.append(partition(&store, number % 4), records, NOW, AckLevel::Replica).await
        });
    }
    while let Some(appended) = appending.join_next().await {
        appended.expect("no panic").expect("the replica has it");
    }
    let waits = pair.primary.info("cmdstat_wait").expect("it waited");
    let calls = waits.strip_prefix("calls=").and_then(|rest| rest.split(',').next()?.parse::<u32>().ok());
    assert!(calls.is_some_and(|calls| calls <= 100), "{waits}");
    let mut records = 0;
    for number in 0..4 {
        records += log(&store, number).await.len();
    }
    assert_eq!(records, 400);
}
