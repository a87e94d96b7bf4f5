//! Logs: appends, reads, limits.

use super::fixture::{NOW, SharedStore, TEST_TIMEOUT, append, partition, records};
use crate::{AckLevel, Error, LogSeq};
use bytes::Bytes;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

pub(super) async fn appended_records_have_contiguous_positions(store: SharedStore) {
    let partition = partition(&store, 1);
    for (first, count) in [(1, 3), (4, 1), (5, 700)] {
        let appended = append(&store, partition, records(first, count)).await;
        assert_eq!((appended.first.get(), appended.last.seq.get()), (first, first + count - 1));
        let meta = store.meta(partition).await.expect("the store is there");
        assert_eq!((meta.log_end, meta.log_first), (appended.last.seq, LogSeq::new(1)));
        // The position of an append names the generation that a later check of validity uses.
        assert_eq!(appended.last.generation, meta.log_generations.newest());
    }
    let mut after = LogSeq::ZERO;
    while after.get() < 704 {
        let page = store.read_log(partition, after, 100, usize::MAX, Duration::ZERO).await.expect("records");
        for record in page.records {
            after = after.next();
            assert_eq!((record.seq, record.value), (after, Bytes::from(format!("record {after}"))));
        }
    }
}

pub(super) async fn appends_of_many_callers_neither_overlap_nor_leave_gaps(store: SharedStore) {
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..200_u64 {
        let store = Arc::clone(&store);
        callers.spawn(async move {
            let count = 1 + caller % 7;
            let records = (0..count).map(|number| Bytes::from(format!("{caller}/{number}"))).collect();
            // Both levels mixed, as a deployment with several senders does.
            let level = if caller % 2 == 0 { AckLevel::Disk } else { AckLevel::Memory };
            let appended =
                store.append(partition(&store, 2), records, NOW, level).await.expect("there is space");
            (caller, count, appended)
        });
    }
    let mut positions = BTreeSet::new();
    let mut appends = Vec::new();
    while let Some(joined) = callers.join_next().await {
        let (caller, count, appended) = joined.expect("no panic");
        assert_eq!(appended.last.seq.get() - appended.first.get() + 1, count);
        for seq in appended.first.get()..=appended.last.seq.get() {
            assert!(positions.insert(seq), "{seq} was assigned twice");
        }
        appends.push((appended.first, caller));
    }
    assert!(positions.iter().copied().eq(1..=positions.len() as u64), "there is a gap");
    // Each append is one contiguous range: its first record is where the response says.
    for (first, caller) in appends {
        let after = LogSeq::new(first.get() - 1);
        let page = store.read_log(partition(&store, 2), after, 1, usize::MAX, Duration::ZERO).await;
        assert_eq!(page.expect("a record").records[0].value, format!("{caller}/0"));
    }
}

pub(super) async fn a_page_is_bounded_and_has_at_least_one_record(store: SharedStore) {
    let partition = partition(&store, 0);
    append(&store, partition, vec![Bytes::from(vec![7; 1000]); 20]).await;
    for (records, bytes, expected) in [(5, usize::MAX, 5), (100, 3000, 3), (100, 1, 1), (100, usize::MAX, 20)]
    {
        let page = store.read_log(partition, LogSeq::ZERO, records, bytes, Duration::ZERO).await;
        assert_eq!(page.expect("records").records.len(), expected, "{records} records, {bytes} bytes");
    }
    let page = store.read_log(partition, LogSeq::new(20), 5, 5, Duration::ZERO).await.expect("the end");
    assert!(page.records.is_empty());
}

pub(super) async fn a_reader_waits_for_the_next_record(store: SharedStore) {
    let partition = partition(&store, 3);
    let reader = Arc::clone(&store);
    let reading =
        tokio::spawn(
            async move { reader.read_log(partition, LogSeq::ZERO, 10, usize::MAX, TEST_TIMEOUT).await },
        );
    // The reader gets a chance to wait before the append, so that waking is tested, not finding.
    tokio::task::yield_now().await;
    append(&store, partition, records(1, 1)).await;
    let page = reading.await.expect("no panic").expect("a record");
    assert_eq!(page.records[0].value, "record 1");
}

pub(super) async fn more_than_the_limits_is_refused_whole(store: SharedStore) {
    let partition = partition(&store, 0);
    let limits = store.limits();
    let too_many = records(1, limits.append_records as u64 + 1);
    // One byte more than allowed, in two records: the limit is on the sum.
    let too_large = vec![Bytes::from(vec![1; limits.append_bytes]), Bytes::from_static(b"x")];
    for records in [too_many, too_large] {
        let refused = store.append(partition, records, NOW, AckLevel::Memory).await;
        assert!(matches!(refused, Err(Error::TooBig { .. })), "{refused:?}");
    }
    assert_eq!(store.meta(partition).await.expect("the store is there").log_end, LogSeq::ZERO);
    let ids = vec![Bytes::from_static(b"i"); limits.page_items + 1];
    assert!(matches!(store.items(&ids).await, Err(Error::TooBig { .. })));
    append(&store, partition, records(1, limits.append_records as u64)).await;
}
