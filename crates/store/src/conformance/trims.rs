//! Trims: expired data is removed, everything else and the numbering stays.

use super::fixture::{NOW, SharedStore, TestOwner, WINDOW, append, records, seen_at};
use crate::{Commit, DeadLetter, Error, FeedSeq, LogSeq, Trim};
use bytes::Bytes;
use portrait_profile::{PartitionId, TimeDelta, Timestamp};
use std::time::Duration;

/// Trims until a call removes nothing more.
async fn trim(store: &SharedStore, partition: PartitionId, now: Timestamp, before: Timestamp) {
    let what = Trim { now, log_before: before, feed_before: before };
    loop {
        // One call may stop early: steps are bounded.
        let trimmed = store.trim(partition, what).await.expect("there");
        if trimmed.log_records == 0 && trimmed.changes == 0 && trimmed.seen_windows == 0 {
            return;
        }
    }
}

pub(super) async fn records_that_are_not_applied_are_not_trimmed(store: SharedStore) {
    let mut owner = TestOwner::of(&store, 1).await;
    for batch in 0..10 {
        append(&store, owner.partition, records(batch * 10 + 1, 10)).await;
    }
    owner.commit(Commit { applied_through: LogSeq::new(45), ..owner.draft() }).await;
    trim(&store, owner.partition, NOW, NOW).await;
    assert_eq!(
        store.meta(owner.partition).await.expect("there").log_first,
        LogSeq::new(1),
        "nothing is old yet"
    );
    let later = NOW.plus(TimeDelta::from_days(1));
    trim(&store, owner.partition, later, later).await;
    let meta = store.meta(owner.partition).await.expect("there");
    // Blocks are trimmed whole, so how many of the applied records remain is up to the backend.
    assert!(meta.log_first > LogSeq::new(1) && meta.log_first <= LogSeq::new(46), "{}", meta.log_first);
    let page = store.read_log(owner.partition, LogSeq::new(45), 100, usize::MAX, Duration::ZERO).await;
    let page = page.expect("records that are not applied are retained");
    assert_eq!(page.records[0].value, "record 46");
    // A trimmed position is an error, so that a reader never takes a loss for the end of the log.
    let gone = store.read_log(owner.partition, LogSeq::ZERO, 1, 1, Duration::ZERO).await;
    assert!(matches!(gone, Err(Error::Trimmed { .. })), "{gone:?}");
}

pub(super) async fn numbering_goes_on_after_everything_is_trimmed(store: SharedStore) {
    let mut owner = TestOwner::of(&store, 1).await;
    append(&store, owner.partition, records(1, 10)).await;
    owner.commit(Commit { applied_through: LogSeq::new(10), ..owner.draft() }).await;
    owner.change(1, 4).await;
    let later = NOW.plus(TimeDelta::from_days(30));
    trim(&store, owner.partition, later, later).await;
    let meta = store.meta(owner.partition).await.expect("there");
    assert_eq!((meta.log_first, meta.log_end), (LogSeq::new(11), LogSeq::new(10)));
    assert_eq!((meta.feed_first, meta.feed_end), (FeedSeq::new(5), FeedSeq::new(4)));
    let page =
        store.read_feed(owner.partition, FeedSeq::new(1), 10, Duration::ZERO).await.expect("not an error");
    // A feed reader gets an empty page instead: it starts again from the profiles.
    assert!(page.changes.is_empty() && page.first == FeedSeq::new(5));
    assert_eq!(append(&store, owner.partition, records(11, 1)).await.first, LogSeq::new(11));
    assert_eq!(owner.change(5, 1).await.feed_end, FeedSeq::new(5));
}

pub(super) async fn expired_windows_are_dropped(store: SharedStore) {
    let mut owner = TestOwner::of(&store, 1).await;
    owner.commit(Commit { seen: vec![seen_at(7, TimeDelta::ZERO)], ..owner.draft() }).await;
    trim(&store, owner.partition, NOW.plus(WINDOW), NOW).await;
    assert_eq!(store.seen(owner.partition, &[seen_at(7, WINDOW)]).await.expect("there"), [true]);
    // Three windows later no query can reach the first one, however a backend divides time.
    let far = NOW.plus(TimeDelta::from_millis(WINDOW.millis() * 3));
    let what = Trim { now: far, log_before: NOW, feed_before: NOW };
    assert_eq!(store.trim(owner.partition, what).await.expect("there").seen_windows, 1);
    assert_eq!(store.trim(owner.partition, what).await.expect("there").seen_windows, 0);
}

pub(super) async fn a_dead_letter_is_trimmed_with_its_record(store: SharedStore) {
    let mut owner = TestOwner::of(&store, 1).await;
    append(&store, owner.partition, records(1, 10)).await;
    append(&store, owner.partition, records(11, 10)).await;
    let letter = |seq: u64| DeadLetter {
        seq: LogSeq::new(seq),
        reason: "a reason".to_owned(),
        record: Bytes::from_static(b"record"),
    };
    let dead_letters = vec![letter(3), letter(10), letter(11)];
    owner.commit(Commit { dead_letters, applied_through: LogSeq::new(15), ..owner.draft() }).await;
    trim(&store, owner.partition, NOW, NOW).await;
    let kept = store.dead_letters(owner.partition, LogSeq::ZERO, 10).await.expect("there");
    assert_eq!(kept.len(), 3, "nothing is old yet");
    let later = NOW.plus(TimeDelta::from_days(1));
    trim(&store, owner.partition, later, later).await;
    let kept = store.dead_letters(owner.partition, LogSeq::ZERO, 10).await.expect("there");
    assert_eq!(kept, [letter(11)], "the block of its record is not wholly applied, so it is retained");
}
