//! Change feeds: positions, waiting reads, independence of partitions.

use super::fixture::{SharedStore, TEST_TIMEOUT, TestOwner};
use crate::FeedSeq;
use std::sync::Arc;
use std::time::Duration;

pub(super) async fn changes_have_contiguous_positions_across_commits(store: SharedStore) {
    let mut owner = TestOwner::of(&store, 1).await;
    let mut first = 1;
    // A commit without changes leaves no gap.
    for count in [1, 3, 0, 90] {
        let committed = owner.change(first, count).await;
        first += count;
        assert_eq!(committed.feed_end, FeedSeq::new(first - 1));
    }
    let meta = store.meta(owner.partition).await.expect("there");
    let mut after = FeedSeq::ZERO;
    while after.get() < 94 {
        let page = store.read_feed(owner.partition, after, 7, Duration::ZERO).await.expect("there");
        assert!(!page.changes.is_empty() && page.changes.len() <= 7);
        assert_eq!((page.end.seq, page.first), (FeedSeq::new(94), FeedSeq::new(1)));
        assert_eq!(page.end.generation, meta.feed_generations.newest());
        for (seq, change) in page.changes {
            after = after.next();
            assert_eq!((seq, change), (after, format!("change {after}").into()));
        }
    }
    let page = store.read_feed(owner.partition, after, 7, Duration::ZERO).await.expect("there");
    assert!(page.changes.is_empty());
}

pub(super) async fn a_reader_waits_for_the_next_change(store: SharedStore) {
    let mut owner = TestOwner::of(&store, 0).await;
    let reader = Arc::clone(&store);
    let partition = owner.partition;
    let reading =
        tokio::spawn(async move { reader.read_feed(partition, FeedSeq::ZERO, 7, TEST_TIMEOUT).await });
    tokio::task::yield_now().await;
    owner.change(1, 1).await;
    assert_eq!(reading.await.expect("no panic").expect("there").changes.len(), 1);
}

pub(super) async fn every_partition_has_a_feed_of_its_own(store: SharedStore) {
    let mut one = TestOwner::of(&store, 0).await;
    let mut other = TestOwner::of(&store, 1).await;
    one.change(1, 5).await;
    other.change(1, 2).await;
    assert_eq!(store.meta(one.partition).await.expect("there").feed_end, FeedSeq::new(5));
    assert_eq!(store.meta(other.partition).await.expect("there").feed_end, FeedSeq::new(2));
}
