//! What may be forgotten, and what may not.

use super::fixture::{NOW, Owner, Room, WINDOW, append, records};
use crate::{Commit, DeadLetter, Error, FeedSeq, LogSeq, SeenQuery, Trim};
use bytes::Bytes;
use portrait_profile::{PartitionId, SeenId, Span, Timestamp};
use std::time::Duration;

/// Trims until nothing more goes.
async fn trim(store: &Room, partition: PartitionId, now: Timestamp, before: Timestamp) {
    let what = Trim { now, log_before: before, feed_before: before };
    loop {
        let trimmed = store.trim(partition, what).await.expect("there");
        if trimmed.log_records == 0 && trimmed.changes == 0 && trimmed.seen_windows == 0 {
            return;
        }
    }
}

pub(super) async fn nothing_that_is_not_applied_is_trimmed(store: Room) {
    let mut owner = Owner::of(&store, 1).await;
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
    let later = NOW.plus(Span::from_days(1));
    trim(&store, owner.partition, later, later).await;
    let meta = store.meta(owner.partition).await.expect("there");
    assert!(meta.log_first > LogSeq::new(1) && meta.log_first <= LogSeq::new(46), "{}", meta.log_first);
    let page = store.read_log(owner.partition, LogSeq::new(45), 100, usize::MAX, Duration::ZERO).await;
    let page = page.expect("what is not applied is there");
    assert_eq!(page.records[0].value, "record 46");
    let gone = store.read_log(owner.partition, LogSeq::ZERO, 1, 1, Duration::ZERO).await;
    assert!(matches!(gone, Err(Error::Trimmed { .. })), "{gone:?}");
}

pub(super) async fn numbering_goes_on_after_everything_is_trimmed(store: Room) {
    let mut owner = Owner::of(&store, 1).await;
    append(&store, owner.partition, records(1, 10)).await;
    owner.commit(Commit { applied_through: LogSeq::new(10), ..owner.draft() }).await;
    owner.change(1, 4).await;
    let later = NOW.plus(Span::from_days(30));
    trim(&store, owner.partition, later, later).await;
    let meta = store.meta(owner.partition).await.expect("there");
    assert_eq!((meta.log_first, meta.log_end), (LogSeq::new(11), LogSeq::new(10)));
    assert_eq!((meta.feed_first, meta.feed_end), (FeedSeq::new(5), FeedSeq::new(4)));
    let page =
        store.read_feed(owner.partition, FeedSeq::new(1), 10, Duration::ZERO).await.expect("not an error");
    assert!(page.changes.is_empty() && page.first == FeedSeq::new(5));
    assert_eq!(append(&store, owner.partition, records(11, 1)).await.first, LogSeq::new(11));
    assert_eq!(owner.change(5, 1).await.feed_end, FeedSeq::new(5));
}

pub(super) async fn windows_are_dropped_when_nobody_can_ask_for_them(store: Room) {
    let mut owner = Owner::of(&store, 1).await;
    let at = |later: Span| SeenQuery { id: SeenId::from_bits(7), arrived_at: NOW.plus(later) };
    owner.commit(Commit { seen: vec![at(Span::ZERO)], ..owner.draft() }).await;
    trim(&store, owner.partition, NOW.plus(WINDOW), NOW).await;
    assert_eq!(store.seen(owner.partition, &[at(WINDOW)]).await.expect("there"), [true]);
    let far = NOW.plus(Span::from_millis(WINDOW.millis() * 3));
    let what = Trim { now: far, log_before: NOW, feed_before: NOW };
    assert_eq!(store.trim(owner.partition, what).await.expect("there").seen_windows, 1);
    assert_eq!(store.trim(owner.partition, what).await.expect("there").seen_windows, 0);
}

pub(super) async fn a_dead_letter_goes_with_the_record_that_it_was(store: Room) {
    let mut owner = Owner::of(&store, 1).await;
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
    let later = NOW.plus(Span::from_days(1));
    trim(&store, owner.partition, later, later).await;
    let kept = store.dead_letters(owner.partition, LogSeq::ZERO, 10).await.expect("there");
    assert_eq!(kept, [letter(11)], "its record is not wholly applied, and so is there");
}
