//! Follows the feed of one partition into its ring. In come pages of the store, out go changes for all subscribers and a
//! pulse that wakes them. It waits for no subscriber; what it cannot read, subscribers are sent to the store for.

use super::ring::Change;
use crate::context::Shared;
use crate::error::Error;
use portrait_profile::{PartitionId, ProfileChange};
use portrait_store::{FeedPage, FeedSeq};
use std::sync::Arc;
use std::time::Duration;

/// Changes that a tail reads in one go.
const PAGE_CHANGES: usize = 1024;
/// How long a tail waits before it tries again a feed that could not be read.
const RETRY: Duration = Duration::from_millis(500);

/// Follows a feed until the room closes.
pub(crate) async fn follow(shared: Arc<Shared>, partition: PartitionId) {
    let closing = shared.closing.clone();
    // Dropping a read of the feed half-way loses nothing: the place moves only when the ring has the page.
    closing.run_until_cancelled(read_on(&shared, partition)).await;
}

async fn read_on(shared: &Shared, partition: PartitionId) {
    let mut place = None;
    let mut failed = false;
    loop {
        match step(shared, partition, place).await {
            Ok(next) => {
                if failed {
                    tracing::info!(%partition, "the feed is read again");
                }
                (place, failed) = (Some(next), false);
            }
            Err(error) => {
                shared.metrics.tail_failed();
                if !failed {
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::warn!(%partition, %error, cause, "the feed cannot be read; trying again");
                }
                failed = true;
                shared.ring(partition).lose();
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

/// Reads one page into the ring, and says where it ends.
async fn step(shared: &Shared, partition: PartitionId, place: Option<FeedSeq>) -> Result<FeedSeq, Error> {
    let (after, wait) = match place {
        Some(place) => (place, shared.config.tail_wait),
        // Without waiting, so that readers learn at once that the ring can be relied on.
        None => (shared.store.meta(partition).await?.feed_end, Duration::ZERO),
    };
    let page = shared.store.read_feed(partition, after, PAGE_CHANGES, wait).await?;
    let mut end = page.end;
    let changes = match follows(after, &page) {
        true => decoded(partition, &page)?,
        // Trimmed or lost: subscribers find out what that means for each of them.
        false => Vec::new(),
    };
    if let Some(last) = changes.last() {
        end.seq = last.seq;
    } else if follows(after, &page) {
        end.seq = after.min(end.seq);
    }
    shared.ring(partition).extend(end, changes);
    shared.pulse.send_replace(());
    Ok(end.seq)
}

/// Whether a page holds what follows `after` without a gap.
pub(super) fn follows(after: FeedSeq, page: &FeedPage) -> bool {
    let kept = page.first <= after.next() && after <= page.end.seq;
    kept && page.changes.first().is_none_or(|(first, _)| *first == after.next())
}

/// The changes of a page.
pub(super) fn decoded(partition: PartitionId, page: &FeedPage) -> Result<Vec<Change>, Error> {
    let change = |(seq, value): &(FeedSeq, bytes::Bytes)| match ProfileChange::decode(value) {
        Ok(change) => Ok(Change { seq: *seq, change: Arc::new(change), bytes: value.len() }),
        Err(source) => Err(Error::Change { partition, seq: *seq, source }),
    };
    page.changes.iter().map(change).collect()
}
