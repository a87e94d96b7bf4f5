//! Connections that the network forgot while they were idle: the next request meets a new one.

use super::fixture::{WRITTEN, append, log, options, partition};
use portrait_store::{AckLevel, LogSeq, LogStore, OwnerStore};
use portrait_store_redis::testing::{Pair, Proxy, Server, until};
use portrait_store_redis::{RedisOptions, RedisStore};
use std::time::{Duration, Instant};

/// Longest wait for the first request after the connections were forgotten. A request on a forgotten connection waits for the
/// response timeout, which is longer here.
const PROMPT: Duration = Duration::from_secs(1);

async fn open_through(proxy: &Proxy, level: AckLevel) -> RedisStore {
    let options = RedisOptions {
        ping_interval: Duration::from_millis(200),
        response_timeout: Duration::from_secs(2),
        ..options(&proxy.url(), level)
    };
    RedisStore::open(options).await.expect("a store")
}

/// Waits until the store has replaced `connections` of its connections.
async fn replaced(store: &RedisStore, before: u64, connections: u64) {
    let begun = Instant::now();
    while store.health().connections() < before + connections {
        assert!(begun.elapsed() < Duration::from_secs(30), "no connection is replaced");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn the_first_event_after_a_forgotten_connection_succeeds_at_once() {
    let server = Server::start(&[]);
    let proxy = Proxy::to(server.port()).await;
    let store = open_through(&proxy, AckLevel::Memory).await;
    append(&store, 0, "evening", AckLevel::Memory).await.expect("there is space");
    for morning in 1..=3 {
        let before = store.health().connections();
        proxy.forget_connections();
        // The upkeep finds out, and connects anew to compare the id of the store.
        replaced(&store, before, 1).await;
        let begun = Instant::now();
        append(&store, 0, &format!("morning {morning}"), AckLevel::Memory).await.expect("a new connection");
        assert!(begun.elapsed() < PROMPT, "{:?}", begun.elapsed());
    }
    assert_eq!(log(&store, 0).await, ["evening", "morning 1", "morning 2", "morning 3"]);
}

#[tokio::test]
async fn a_forgotten_connection_that_waits_for_replicas_is_replaced() {
    let pair = Pair::start(&WRITTEN);
    let proxy = Proxy::to(pair.primary.port()).await;
    let store = open_through(&proxy, AckLevel::Replica).await;
    append(&store, 0, "evening", AckLevel::Replica).await.expect("the replica has it");
    let before = store.health().connections();
    proxy.forget_connections();
    replaced(&store, before, 1).await;
    let begun = Instant::now();
    // The waiting connection is dropped by a ping and made anew by the next write.
    while append(&store, 0, "morning", AckLevel::Replica).await.is_err() {
        assert!(begun.elapsed() < Duration::from_secs(10), "no write is confirmed");
    }
    assert_eq!(log(&store, 0).await.first().map(String::as_str), Some("evening"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_with_a_forgotten_subscription_still_sees_the_next_record() {
    let server = Server::start(&[]);
    let proxy = Proxy::to(server.port()).await;
    let store = std::sync::Arc::new(open_through(&proxy, AckLevel::Memory).await);
    append(&store, 0, "evening", AckLevel::Memory).await.expect("there is space");
    let read = |store: std::sync::Arc<RedisStore>| {
        tokio::spawn(async move {
            let wait = Duration::from_secs(20);
            loop {
                // A read on the forgotten connection fails, and a reader repeats it.
                let page = store.read_log(partition(&store, 0), LogSeq::new(1), 10, 1000, wait).await;
                if let Ok(page) = page {
                    return page.records.len();
                }
            }
        })
    };
    let reading = read(std::sync::Arc::clone(&store));
    until("the reader has subscribed", || !server.command::<Vec<String>>("PUBSUB SHARDCHANNELS").is_empty());
    let before = store.health().connections();
    proxy.forget_connections();
    replaced(&store, before, 1).await;
    let begun = Instant::now();
    append(&store, 0, "morning", AckLevel::Memory).await.expect("a new connection");
    assert_eq!(reading.await.expect("no panic"), 1);
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    assert!(store.space().await.is_ok() && store.meta(partition(&store, 0)).await.is_ok());
}
