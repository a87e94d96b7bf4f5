//! Tail of one partition's feed, which fills its ring. Input: pages of the store. Output: changes for all subscribers
//! and a wake-up signal. It waits for no subscriber; what it cannot read, subscribers read from the store.

use super::ring::BufferedChange;
use crate::context::QueryContext;
use crate::error::Error;
use portrait_profile::{PartitionId, ProfileChange};
use portrait_store::{FeedPage, FeedSeq};
use std::sync::Arc;
use std::time::Duration;

/// Number of changes that a tail reads together.
const PAGE_CHANGES: usize = 1024;
/// Delay before retrying a failed feed read.
const RETRY: Duration = Duration::from_millis(500);

/// Tails a feed until the service drains.
pub(crate) async fn run_tail(shared: Arc<QueryContext>, partition: PartitionId) {
    let closing = shared.closing.clone();
    // Cancelling a feed read loses nothing: the position advances only when the ring has the page.
    closing.run_until_cancelled(run_loop(&shared, partition)).await;
}

async fn run_loop(shared: &QueryContext, partition: PartitionId) {
    let mut position = None;
    let mut failed = false;
    loop {
        match step(shared, partition, position).await {
            Ok(next) => {
                // Logged on the transitions only: a store that is down for hours would fill the log.
                if failed {
                    tracing::info!(%partition, "feed tail recovered");
                }
                position = Some(next);
                failed = false;
            }
            Err(error) => {
                shared.metrics.tail_failed();
                if !failed {
                    let source = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::warn!(%partition, %error, source, "feed cannot be read; retrying");
                }
                failed = true;
                // Readers must not mistake the last known end for the newest change.
                shared.ring(partition).invalidate();
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

/// Reads one page into the ring and returns its end.
async fn step(
    shared: &QueryContext,
    partition: PartitionId,
    position: Option<FeedSeq>,
) -> Result<FeedSeq, Error> {
    let (after, wait) = match position {
        Some(position) => (position, shared.config.tail_wait),
        // Without waiting, so that readers can use the ring at once.
        None => (shared.store.meta(partition).await?.feed_end, Duration::ZERO),
    };
    let page = shared.store.read_feed(partition, after, PAGE_CHANGES, wait).await?;
    let mut end = page.end;
    let changes = match is_contiguous(after, &page) {
        true => decoded(partition, &page)?,
        // Trimmed or lost: every subscriber resolves its own position.
        false => Vec::new(),
    };
    if let Some(last) = changes.last() {
        end.seq = last.seq;
    } else if is_contiguous(after, &page) {
        end.seq = after.min(end.seq);
    }
    shared.ring(partition).extend(end, changes);
    // One signal for all partitions: a subscriber then checks its rings, at the cost of a lock each.
    shared.feed_changed.send_replace(());
    Ok(end.seq)
}

/// Returns true if the page continues after `after` without a gap.
pub(super) fn is_contiguous(after: FeedSeq, page: &FeedPage) -> bool {
    let in_range = page.first <= after.next() && after <= page.end.seq;
    in_range && page.changes.first().is_none_or(|(first, _)| *first == after.next())
}

/// Decodes the changes of a page.
pub(super) fn decoded(partition: PartitionId, page: &FeedPage) -> Result<Vec<BufferedChange>, Error> {
    let mut changes = Vec::with_capacity(page.changes.len());
    for (seq, value) in &page.changes {
        let seq = *seq;
        let change =
            ProfileChange::decode(value).map_err(|source| Error::Change { partition, seq, source })?;
        changes.push(BufferedChange { seq, change: Arc::new(change), bytes: value.len() });
    }
    Ok(changes)
}
