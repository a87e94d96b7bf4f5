//! Fixture of the tests: a store on a server, an owner, and records.

use bytes::Bytes;
use portrait_profile::{PartitionCount, PartitionId, TimeDelta, Timestamp};
use portrait_store::{
    AckLevel, Appended, Commit, Counters, Error, LeaseClaim, LeaseToken, LogSeq, LogStore, Nonce, OwnerStore,
    PartitionMeta, ProfileKey, Result, StoreInfo,
};
use portrait_store_redis::{RedisOptions, RedisStore, RedisTarget};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

pub(super) const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);
/// Longest wait of a test for an expected event.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// Settings of a server that writes to disk before it replies.
pub(super) const ON_DISK: [(&str, &str); 2] = [("appendonly", "yes"), ("appendfsync", "always")];

/// Settings of a server that writes everything to its file, and has it after a loss of its process.
pub(super) const WRITTEN: [(&str, &str); 1] = [("appendonly", "yes")];

pub(super) fn options(url: &str, level: AckLevel) -> RedisOptions {
    RedisOptions {
        partitions: PartitionCount::new(4),
        level,
        replication_timeout: Duration::from_millis(200),
        response_timeout: Duration::from_millis(500),
        ..RedisOptions::new(RedisTarget::parse(url).expect("a URL"))
    }
}

pub(super) async fn open(url: &str, level: AckLevel) -> RedisStore {
    RedisStore::open(options(url, level)).await.expect("a store")
}

pub(super) fn partition(store: &RedisStore, number: u32) -> PartitionId {
    store.layout().partitions.partition(number).expect("there are four")
}

pub(super) async fn append(store: &RedisStore, number: u32, text: &str, level: AckLevel) -> Result<Appended> {
    let record = Bytes::copy_from_slice(text.as_bytes());
    store.append(partition(store, number), vec![record], NOW, level).await
}

pub(super) async fn meta(store: &RedisStore, number: u32) -> PartitionMeta {
    store.meta(partition(store, number)).await.expect("the store is there")
}

/// Acquires a partition for a day.
pub(super) async fn own(store: &RedisStore, number: u32) -> LeaseToken {
    let claim = LeaseClaim::new(Nonce::random(), "worker");
    let lease = store.acquire(partition(store, number), &claim, TimeDelta::from_days(1), NOW).await;
    lease.expect("the store is there").token().expect("it is free")
}

/// Returns a commit of one profile and one change that follows `meta`.
pub(super) fn commit(meta: &PartitionMeta, token: LeaseToken, applied_through: LogSeq) -> Commit {
    Commit {
        token,
        expected: meta.commit_no,
        applied_through,
        clock: NOW,
        at: NOW,
        profiles: vec![(ProfileKey(Bytes::from_static(b"u")), Some(Bytes::from_static(b"p")))],
        tombstones: Vec::new(),
        seen: Vec::new(),
        changes: vec![Bytes::from_static(b"c")],
        dead_letters: Vec::new(),
        counted: Counters { applied: 1, ..Counters::default() },
        note: None,
    }
}

/// Returns every record of a partition's log, in order.
pub(super) async fn log(store: &RedisStore, number: u32) -> Vec<String> {
    let mut records = Vec::new();
    loop {
        let after = LogSeq::new(records.len() as u64);
        let page = store.read_log(partition(store, number), after, 1000, 1 << 20, Duration::ZERO).await;
        let page = page.expect("the log is whole");
        if page.records.is_empty() {
            return records;
        }
        records.extend(page.records.iter().map(|record| String::from_utf8_lossy(&record.value).into_owned()));
    }
}

/// Repeats `attempt` until it succeeds.
pub(super) async fn eventually<T>(what: &str, mut attempt: impl AsyncFnMut() -> Result<T>) -> T {
    let begun = Instant::now();
    loop {
        match attempt().await {
            Ok(value) => return value,
            Err(error) => assert!(begun.elapsed() < PATIENCE, "{what}: {error:?}"),
        }
    }
}

/// Returns the number of times a server is killed, from `PORTRAIT_FAULT_CYCLES`; default 20.
pub(super) fn cycles() -> usize {
    let configured = std::env::var("PORTRAIT_FAULT_CYCLES").ok();
    configured.map_or(20, |cycles| cycles.parse().expect("PORTRAIT_FAULT_CYCLES is a number"))
}

/// Records of concurrent writers, by outcome.
#[derive(Default)]
pub(super) struct WrittenData {
    pub(super) acknowledged: BTreeSet<String>,
    pub(super) unknown: BTreeSet<String>,
}

/// Appends records to each partition until `ended` is set; each record once.
pub(super) fn write(
    store: &Arc<RedisStore>,
    level: AckLevel,
    ended: &Arc<AtomicBool>,
) -> JoinSet<WrittenData> {
    let mut writers = JoinSet::new();
    for writer in 0..8 {
        let (store, ended) = (Arc::clone(store), Arc::clone(ended));
        writers.spawn(async move {
            let mut written = WrittenData::default();
            for number in 0.. {
                if ended.load(Ordering::SeqCst) {
                    break;
                }
                let text = format!("{writer}/{number}");
                match append(&store, writer % 4, &text, level).await {
                    Ok(_) => written.acknowledged.insert(text),
                    Err(error) => {
                        assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
                        written.unknown.insert(text)
                    }
                };
            }
            written
        });
    }
    writers
}

/// Checks that the logs hold every acknowledged record once, records of unknown outcome at most once, and nothing else.
pub(super) async fn check_written(store: &RedisStore, mut writers: JoinSet<WrittenData>) {
    let mut all = WrittenData::default();
    while let Some(written) = writers.join_next().await {
        let written = written.expect("no panic");
        all.acknowledged.extend(written.acknowledged);
        all.unknown.extend(written.unknown);
    }
    let mut found = BTreeSet::new();
    for number in 0..4 {
        for record in log(store, number).await {
            assert!(
                all.acknowledged.contains(&record) || all.unknown.contains(&record),
                "{record} was not written"
            );
            assert!(found.insert(record.clone()), "{record} is there twice");
        }
    }
    let lost: Vec<&String> = all.acknowledged.difference(&found).collect();
    assert!(lost.is_empty(), "{lost:?} of {} are lost", all.acknowledged.len());
}
