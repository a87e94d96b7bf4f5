//! Trims: expired data is removed, everything else and the numbering stays.

use super::fixture::{NOW, SharedStore, TestOwner, WINDOW, append, partition, records, seen_at};
use crate::{Commit, DeadLetter, Error, FeedSeq, LogSeq, SeenQuery, Trim, Trimmed};
use bytes::Bytes;
use portrait_profile::{PartitionId, SourceDay, SourceId, TimeDelta, Timestamp};
use std::time::Duration;

/// Trims what is older than `before`, in as many calls as that takes.
async fn trim(store: &SharedStore, partition: PartitionId, now: Timestamp, before: Timestamp) {
    trim_all(store, partition, Trim { now, log_before: before, log_bytes_max: None, feed_before: before })
        .await;
}

/// Trims until nothing more is expired; returns the result of the last call.
async fn trim_all(store: &SharedStore, partition: PartitionId, what: Trim) -> Trimmed {
    loop {
        // One call may stop early: steps are bounded.
        let trimmed = store.trim(partition, what).await.expect("there");
        if !trimmed.more {
            return trimmed;
        }
    }
}

/// Bounds under which nothing is old, and the log has at most `bytes`.
fn at_most(bytes: u64) -> Trim {
    Trim { now: NOW, log_before: NOW, log_bytes_max: Some(bytes), feed_before: NOW }
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
    let what = Trim { now: far, log_before: NOW, log_bytes_max: None, feed_before: NOW };
    assert_eq!(store.trim(owner.partition, what).await.expect("there").seen_windows, 1);
    assert_eq!(store.trim(owner.partition, what).await.expect("there").seen_windows, 0);
}

/// Day of a source, which is no window of time.
fn day_of(name: &str, day: u32) -> Option<SourceDay> {
    Some(SourceDay { source: SourceId::parse(name).expect("a name"), day })
}

pub(super) async fn ids_of_a_source_are_found_on_their_day_for_ever(store: SharedStore) {
    let mut owner = TestOwner::of(&store, 1).await;
    let at = |number, later, source_day| SeenQuery { source_day, ..seen_at(number, later) };
    let orders = day_of("orders", 20_000);
    owner.commit(Commit { seen: vec![at(7, TimeDelta::ZERO, orders)], ..owner.draft() }).await;
    let first = [seen_at(7, TimeDelta::ZERO), at(7, TimeDelta::ZERO, day_of("clicks", 20_000))];
    assert_eq!(store.seen(owner.partition, &first).await.expect("there"), [true; 2], "within the window");
    let far = TimeDelta::from_days(3650);
    let what = Trim { now: NOW.plus(far), log_before: NOW, log_bytes_max: None, feed_before: NOW };
    trim_all(&store, owner.partition, what).await;
    let queries = [
        at(7, far, orders),
        at(8, far, orders),
        seen_at(7, far),
        at(7, far, day_of("clicks", 20_000)),
        at(7, far, day_of("orders", 20_001)),
    ];
    let found = store.seen(owner.partition, &queries).await.expect("there");
    assert_eq!(found, [true, false, false, false, false]);
    let other = partition(&store, 2);
    assert_eq!(store.seen(other, &[at(7, far, orders)]).await.expect("there"), [false], "another partition");
}

pub(super) async fn many_ids_of_a_source_are_each_found_once_committed(store: SharedStore) {
    /// Ids of a commit: pieces, and lists of a backend, begin and end within commits.
    const STEP: u64 = 700;
    let mut owner = TestOwner::of(&store, 1).await;
    let far = TimeDelta::from_days(3650);
    // Spread as hashes are; several days in one commit, the earliest alone with few.
    let query = |number: u64, later| SeenQuery {
        source_day: day_of("orders", (number % 97 / 40) as u32),
        ..seen_at(number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 1, later)
    };
    let mut committed = 0;
    while committed < 70 * STEP {
        let seen = (committed..committed + STEP).map(|number| query(number, TimeDelta::ZERO)).collect();
        owner.commit(Commit { seen, ..owner.draft() }).await;
        committed += STEP;
        // Some from every part of the lists, and as many that come later.
        let numbers: Vec<u64> = (0..100).map(|index| index * 2 * committed / 100).collect();
        let queries: Vec<SeenQuery> = numbers.iter().map(|number| query(*number, far)).collect();
        let found = store.seen(owner.partition, &queries).await.expect("there");
        let expected: Vec<bool> = numbers.iter().map(|number| *number < committed).collect();
        assert_eq!(found, expected, "after {committed}");
    }
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

pub(super) async fn a_log_above_its_bytes_is_trimmed_to_them_by_whole_blocks(store: SharedStore) {
    let mut owner = TestOwner::of(&store, 1).await;
    for batch in 0..10 {
        append(&store, owner.partition, records(batch * 10 + 10, 10)).await;
    }
    append(&store, owner.partition, records(200, 50)).await;
    owner.commit(Commit { applied_through: LogSeq::new(150), ..owner.draft() }).await;
    let whole = store.meta(owner.partition).await.expect("there").log_bytes;
    let kept = trim_all(&store, owner.partition, at_most(whole)).await;
    assert_eq!((kept.log_records, kept.log_bytes, kept.log_oldest_at), (0, whole, Some(NOW)));
    // One byte above the bound costs one block; its bytes are no longer counted.
    let trimmed = trim_all(&store, owner.partition, at_most(whole - 1)).await;
    let meta = store.meta(owner.partition).await.expect("there");
    assert_eq!((trimmed.log_records, meta.log_first), (10, LogSeq::new(11)));
    assert_eq!(trimmed.log_bytes, meta.log_bytes);
    let block_bytes = whole - meta.log_bytes;
    assert!(block_bytes > 90, "10 records of 9 bytes, and not {block_bytes}");
    trim_all(&store, owner.partition, at_most(whole - 6 * block_bytes)).await;
    let meta = store.meta(owner.partition).await.expect("there");
    assert_eq!((meta.log_first, meta.log_bytes), (LogSeq::new(61), whole - 6 * block_bytes));
    trim_all(&store, owner.partition, at_most(0)).await;
    let meta = store.meta(owner.partition).await.expect("there");
    assert_eq!((meta.log_first, meta.log_end, meta.log_bytes), (LogSeq::new(151), LogSeq::new(150), 0));
    assert_eq!(append(&store, owner.partition, records(1, 1)).await.first, LogSeq::new(151));
}

pub(super) async fn records_that_are_not_applied_stay_above_the_bytes_of_a_log(store: SharedStore) {
    let mut owner = TestOwner::of(&store, 1).await;
    for batch in 0..10 {
        append(&store, owner.partition, records(batch * 10 + 1, 10)).await;
    }
    let other = append(&store, partition(&store, 2), records(1, 10)).await;
    owner.commit(Commit { applied_through: LogSeq::new(45), ..owner.draft() }).await;
    let trimmed = trim_all(&store, owner.partition, at_most(0)).await;
    let meta = store.meta(owner.partition).await.expect("there");
    assert_eq!(meta.log_first, LogSeq::new(41), "the block of record 45 is not wholly applied");
    assert!(trimmed.log_bytes > 0 && trimmed.log_oldest_at == Some(NOW), "{trimmed:?}");
    let page = store.read_log(owner.partition, LogSeq::new(45), 100, usize::MAX, Duration::ZERO).await;
    assert_eq!(page.expect("records that are not applied are retained").records[0].value, "record 46");
    let second = store.meta(partition(&store, 2)).await.expect("there");
    assert_eq!(
        (second.log_first, second.log_end),
        (other.first, other.last.seq),
        "each log has its own bound"
    );
    assert!(second.log_bytes > 0);
}

pub(super) async fn more_than_one_call_trims_is_announced(store: SharedStore) {
    let mut owner = TestOwner::of(&store, 1).await;
    // Above the blocks of one step of any backend.
    for number in 0..700 {
        append(&store, owner.partition, records(number, 1)).await;
    }
    owner.commit(Commit { applied_through: LogSeq::new(700), ..owner.draft() }).await;
    let trimmed = trim_all(&store, owner.partition, at_most(0)).await;
    assert_eq!((trimmed.log_bytes, trimmed.log_oldest_at), (0, None));
    assert_eq!(store.meta(owner.partition).await.expect("there").log_first, LogSeq::new(701));
}

pub(super) async fn the_space_of_a_store_is_in_use_up_to_its_capacity(store: SharedStore) {
    let space = store.space().await.expect("the store is there");
    assert!(space.capacity_bytes.is_none_or(|capacity| capacity >= space.used_bytes), "{space:?}");
}
