//! Size of a log next to a release that does not count it, as during a rollout, and the use of a server's memory.

use super::fixture::{NOW, append, commit, meta, open, own, partition};
use portrait_store::{AckLevel, LogSeq, OwnerStore, Trim};
use portrait_store_redis::RedisStore;
use portrait_store_redis::testing::Server;

/// Appends `count` records of one size, each as a block.
async fn append_blocks(store: &RedisStore, count: usize) {
    for _ in 0..count {
        append(store, 1, "a record of one size", AckLevel::Memory).await.expect("there is space");
    }
}

/// Bounds under which nothing is old, and the log has at most `bytes`.
fn at_most(bytes: u64) -> Trim {
    Trim { now: NOW, log_before: NOW, log_bytes_max: Some(bytes), feed_before: NOW }
}

#[tokio::test]
async fn records_of_a_release_that_does_not_count_have_the_mean_size_of_the_others() {
    let server = Server::start(&[]);
    let store = open(&server.url(), AckLevel::Memory).await;
    append_blocks(&store, 10).await;
    let block_bytes = meta(&store, 1).await.log_bytes / 10;
    // The earlier release leaves no such fields.
    server.command::<()>("HDEL {portrait:1}:meta log_bytes log_bytes_from log_bytes_end");
    assert_eq!(meta(&store, 1).await.log_bytes, 0, "nothing is known before the first append");
    append_blocks(&store, 2).await;
    assert_eq!(meta(&store, 1).await.log_bytes, 12 * block_bytes);
    // It appends one more block: the end of the log moves, and what is counted does not.
    server.command::<()>("HSET {portrait:1}:meta log_bytes_end 11");
    append_blocks(&store, 1).await;
    assert_eq!(meta(&store, 1).await.log_bytes, 13 * block_bytes);
    let token = own(&store, 1).await;
    let before = meta(&store, 1).await;
    store.commit(partition(&store, 1), commit(&before, token, before.log_end)).await.expect("it owns it");
    let trimmed = store.trim(partition(&store, 1), at_most(4 * block_bytes)).await.expect("there");
    assert_eq!((trimmed.log_records, trimmed.log_bytes, trimmed.more), (9, 4 * block_bytes, false));
    // Once nothing uncounted is left the size is exact.
    let trimmed = store.trim(partition(&store, 1), at_most(block_bytes)).await.expect("there");
    assert_eq!((trimmed.log_records, trimmed.log_bytes), (3, block_bytes));
    let trimmed = store.trim(partition(&store, 1), at_most(0)).await.expect("there");
    assert_eq!((trimmed.log_records, trimmed.log_bytes, trimmed.log_oldest_at), (1, 0, None));
}

#[tokio::test]
async fn a_trim_of_a_release_that_does_not_count_begins_the_count_anew() {
    let server = Server::start(&[]);
    let store = open(&server.url(), AckLevel::Memory).await;
    append_blocks(&store, 10).await;
    let block_bytes = meta(&store, 1).await.log_bytes / 10;
    server.command::<()>("XTRIM {portrait:1}:log MINID = 5-0");
    server.command::<()>("HSET {portrait:1}:meta log_trimmed 4");
    assert_eq!(meta(&store, 1).await.log_bytes, 6 * block_bytes);
    let token = own(&store, 1).await;
    let before = meta(&store, 1).await;
    store.commit(partition(&store, 1), commit(&before, token, LogSeq::new(10))).await.expect("it owns it");
    store.trim(partition(&store, 1), at_most(3 * block_bytes)).await.expect("there");
    append_blocks(&store, 1).await;
    let after = meta(&store, 1).await;
    assert_eq!((after.log_first, after.log_bytes), (LogSeq::new(8), 4 * block_bytes));
    let trimmed = store.trim(partition(&store, 1), at_most(2 * block_bytes)).await.expect("there");
    assert_eq!((trimmed.log_records, trimmed.log_bytes), (2, 2 * block_bytes));
}

#[tokio::test]
async fn the_space_of_a_server_is_its_memory_and_maxmemory() {
    let server = Server::start(&[("maxmemory", "64mb")]);
    let store = open(&server.url(), AckLevel::Memory).await;
    let space = store.space().await.expect("there");
    assert_eq!(space.capacity_bytes, Some(64 << 20));
    append(&store, 0, &"x".repeat(1 << 20), AckLevel::Memory).await.expect("there is space");
    let more = store.space().await.expect("there");
    assert!(more.used_bytes >= space.used_bytes + (1 << 20), "{space:?} {more:?}");
}
