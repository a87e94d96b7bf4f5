//! Behaviour of the embedded backend alone: a directory that belongs to one process and one format, a full disk, and a restart
//! after which all data exists in new generations.

#![allow(clippy::disallowed_methods, reason = "a test owns its tasks")]

use bytes::Bytes;
use portrait_profile::{PartitionCount, TimeDelta, Timestamp};
use portrait_store::{
    AckLevel, CatalogueStore, Commit, Counters, Error, LeaseClaim, LogSeq, LogStore, Nonce, OwnerStore,
    Position, PositionFate, ProfileKey, ProfileStore, SeenQuery, StoreInfo,
};
use portrait_store_embedded::{Embedded, EmbeddedOptions};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);

fn claim(nonce: u128) -> LeaseClaim {
    LeaseClaim::new(Nonce::new(nonce), "worker")
}

fn options() -> EmbeddedOptions {
    EmbeddedOptions { partitions: PartitionCount::new(2), reserve_bytes: 0, ..EmbeddedOptions::default() }
}

fn open(path: &Path) -> Embedded {
    Embedded::open(path, options()).expect("the store opens")
}

#[tokio::test]
async fn data_survives_a_reopen_and_generations_are_new() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path());
    let partition = store.layout().partitions.all().next().expect("one");
    let appended = store
        .append(partition, vec![Bytes::from_static(b"one"); 3], NOW, AckLevel::Disk)
        .await
        .expect("there is space");
    let token = store
        .acquire(partition, &claim(1), TimeDelta::from_days(1), NOW)
        .await
        .expect("there")
        .token()
        .expect("free");
    let key = ProfileKey(Bytes::from_static(b"u"));
    let seen = SeenQuery { id: portrait_profile::SeenId::from_bits(3), arrived_at: NOW, source_day: None };
    let before = store.meta(partition).await.expect("there");
    let commit = Commit {
        token,
        expected: before.commit_no,
        applied_through: LogSeq::new(2),
        clock: NOW,
        at: NOW,
        profiles: vec![(key.clone(), Some(Bytes::from_static(b"p")))],
        tombstones: Vec::new(),
        seen: vec![seen],
        changes: vec![Bytes::from_static(b"c")],
        dead_letters: Vec::new(),
        counted: Counters { applied: 2, ..Counters::default() },
        note: None,
    };
    store.commit(partition, commit).await.expect("the owner commits");
    let before = store.meta(partition).await.expect("there");
    store.close().await.expect("it closes");
    drop(store);

    let store = open(folder.path());
    let after = store.meta(partition).await.expect("there");
    assert_eq!(
        (after.log_end, after.applied_through, after.feed_end, after.commit_no, after.counters, after.clock),
        (
            before.log_end,
            before.applied_through,
            before.feed_end,
            before.commit_no,
            before.counters,
            before.clock
        )
    );
    assert_eq!(store.profiles(partition, &[key]).await.expect("there"), [Some(Bytes::from_static(b"p"))]);
    assert_eq!(store.seen(partition, &[seen]).await.expect("there"), [true]);
    let page = store.read_log(partition, LogSeq::new(2), 10, 1000, Duration::ZERO).await.expect("there");
    assert_eq!(page.records.len(), 1);
    assert_ne!(after.log_generations.newest(), before.log_generations.newest());
    let fate = |seq: u64| {
        let position = Position { generation: appended.last.generation, seq: LogSeq::new(seq) };
        after.log_generations.fate(position, after.log_end)
    };
    assert_eq!((fate(3), fate(4)), (PositionFate::Valid, PositionFate::BeyondEnd));
    let next = store.acquire(partition, &claim(2), TimeDelta::from_days(1), NOW).await.expect("there");
    assert!(next.token().is_some_and(|next| next.epoch > token.epoch), "leases end with the process");
}

#[test]
fn a_directory_belongs_to_one_process() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path());
    let second = Embedded::open(folder.path(), options()).err();
    assert!(matches!(second, Some(Error::InUse { .. })), "{second:?}");
    drop(store);
    open(folder.path());
}

#[test]
fn settings_fixed_at_creation_cannot_be_changed() {
    let folder = tempfile::tempdir().expect("a folder");
    drop(open(folder.path()));
    let others = [
        (EmbeddedOptions { partitions: PartitionCount::new(3), ..options() }, "2 partitions"),
        (EmbeddedOptions { dedup_window: TimeDelta::from_hours(1), ..options() }, "de-duplication window"),
    ];
    for (options, expected) in others {
        let refused = Embedded::open(folder.path(), options).err().expect("it is refused").to_string();
        assert!(refused.contains(expected), "{refused}");
    }
    drop(
        Embedded::open(folder.path(), EmbeddedOptions { partitions: None, ..options() })
            .expect("the existing number is accepted"),
    );
}

#[test]
fn data_of_another_format_and_foreign_directories_are_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    drop(open(folder.path()));
    let file = folder.path().join("portrait-format");
    let whole = std::fs::read_to_string(&file).expect("a text");
    for (text, expected) in [
        (whole.replace("format = 3", "format = 4"), "format 4"),
        (whole.replace("format = 3", "format = 1"), "format 1"),
        ("nonsense".to_owned(), "format is missing"),
        (whole.replace("partitions = 2", "partitions = 0"), "partitions is not between"),
    ] {
        std::fs::write(&file, text).expect("written");
        let refused = Embedded::open(folder.path(), options()).err().expect("it is refused");
        assert!(
            matches!(refused, Error::Incompatible { .. }) && refused.to_string().contains(expected),
            "{refused}"
        );
    }
    let foreign = tempfile::tempdir().expect("a folder");
    std::fs::write(foreign.path().join("letter.txt"), "dear").expect("written");
    assert!(matches!(Embedded::open(foreign.path(), options()).err(), Some(Error::Incompatible { .. })));
    assert_eq!(std::fs::read_dir(foreign.path()).expect("a folder").count(), 1);
}

#[tokio::test]
async fn the_replica_level_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path());
    let partition = store.layout().partitions.all().next().expect("one");
    let appended =
        store.append(partition, vec![Bytes::from_static(b"r")], NOW, AckLevel::Replica).await.map(|_| ());
    let put = store.put_items(Vec::new(), AckLevel::Replica).await;
    for refused in [appended, put] {
        assert!(matches!(refused, Err(Error::Incompatible { .. })), "{refused:?}");
    }
    assert_eq!(store.meta(partition).await.expect("there").log_end, LogSeq::ZERO);
}

#[tokio::test]
async fn a_full_disk_accepts_commits_and_refuses_appends() {
    let folder = tempfile::tempdir().expect("a folder");
    let free = Arc::new(AtomicU64::new(1 << 30));
    let reported = Arc::clone(&free);
    let free_bytes = Arc::new(move |_: &Path| Ok(reported.load(Ordering::SeqCst)));
    let options = EmbeddedOptions { reserve_bytes: 1 << 20, free_bytes: Some(free_bytes), ..options() };
    let store = Embedded::open(folder.path(), options).expect("a new store");
    let partition = store.layout().partitions.all().next().expect("one");
    let append =
        async || store.append(partition, vec![Bytes::from_static(b"r")], NOW, AckLevel::Memory).await;
    append().await.expect("there is space");
    free.store(1 << 19, Ordering::SeqCst);
    // Free space is not measured for every append, so the refusal may come late.
    let full = async || matches!(append().await, Err(Error::Full { .. }));
    let begun = std::time::Instant::now();
    while !full().await {
        assert!(begun.elapsed() < Duration::from_secs(20), "appends go on on a full disk");
    }
    let token = store
        .acquire(partition, &claim(1), TimeDelta::from_days(1), NOW)
        .await
        .expect("there")
        .token()
        .expect("free");
    let expected = store.meta(partition).await.expect("there").commit_no;
    let commit = Commit {
        token,
        expected,
        applied_through: LogSeq::new(1),
        clock: NOW,
        at: NOW,
        profiles: vec![(ProfileKey(Bytes::from_static(b"u")), Some(Bytes::from_static(b"p")))],
        tombstones: Vec::new(),
        seen: Vec::new(),
        changes: Vec::new(),
        dead_letters: Vec::new(),
        counted: Counters::default(),
        note: None,
    };
    store.commit(partition, commit).await.expect("what was accepted can still be applied");
    free.store(1 << 30, Ordering::SeqCst);
    while full().await {
        assert!(begun.elapsed() < Duration::from_secs(40), "appends stay refused although there is space");
    }
}

#[tokio::test]
async fn a_store_of_the_previous_format_is_upgraded_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let created = open(folder.path()).layout();
    let file = folder.path().join("portrait-format");
    let whole = std::fs::read_to_string(&file).expect("a text");
    let (previous, _) = whole.split_once("pseudonym_key").expect("it has a key");
    std::fs::write(&file, previous.replace("format = 3", "format = 2")).expect("written");
    let renewed = open(folder.path()).layout();
    assert_eq!((renewed.partitions, renewed.dedup_window), (created.partitions, created.dedup_window));
    assert_ne!(renewed.pseudonym_key, created.pseudonym_key);
    assert_eq!(open(folder.path()).layout(), renewed, "the key is drawn once");
}

/// Returns whether any file under `folder` contains `words`.
fn is_on_disk(folder: &Path, words: &[u8]) -> bool {
    std::fs::read_dir(folder).expect("a folder").any(|entry| {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            return is_on_disk(&path, words);
        }
        let bytes = std::fs::read(&path).unwrap_or_default();
        bytes.windows(words.len()).any(|window| window == words)
    })
}

#[tokio::test]
async fn rewritten_files_hold_no_deleted_data() {
    const WORDS: &str = "user-Jq8vZ2mXw5KcR1yT";
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path());
    let partition = store.layout().partitions.all().next().expect("one");
    let record = Bytes::from_static(WORDS.as_bytes());
    store.append(partition, vec![record.clone()], NOW, AckLevel::Disk).await.expect("there is space");
    let token = store
        .acquire(partition, &claim(1), TimeDelta::from_days(1), NOW)
        .await
        .expect("there")
        .token()
        .expect("free");
    let key = ProfileKey(record.clone());
    let mut commit = Commit {
        token,
        expected: store.meta(partition).await.expect("there").commit_no,
        applied_through: LogSeq::new(1),
        clock: NOW,
        at: NOW,
        profiles: vec![(key.clone(), Some(record.clone()))],
        tombstones: Vec::new(),
        seen: Vec::new(),
        changes: vec![record],
        dead_letters: Vec::new(),
        counted: Counters::default(),
        note: None,
    };
    let committed = store.commit(partition, commit.clone()).await.expect("the owner commits");
    commit =
        Commit { expected: committed.commit_no, profiles: vec![(key, None)], changes: Vec::new(), ..commit };
    store.commit(partition, commit).await.expect("the owner commits");
    let later = NOW.plus(TimeDelta::from_days(1));
    let what =
        portrait_store::Trim { now: later, log_before: later, log_bytes_max: None, feed_before: later };
    store.trim(partition, what).await.expect("it is trimmed");
    assert!(is_on_disk(folder.path(), WORDS.as_bytes()), "a deletion alone leaves the data on disk");
    store.rewrite_files().await.expect("the files are rewritten");
    assert!(!is_on_disk(folder.path(), WORDS.as_bytes()));
}

#[tokio::test]
async fn ids_are_remembered_in_windows_too_large_to_cache_and_after_a_reopen() {
    let folder = tempfile::tempdir().expect("a folder");
    // The exact caches hold 800,000 ids of all partitions: with 400 of them a window of 4000 ids is beyond its share.
    let options = EmbeddedOptions { partitions: PartitionCount::new(400), ..options() };
    let query = |number: u64, at| SeenQuery {
        id: portrait_profile::SeenId::from_bits(number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 1),
        arrived_at: at,
        source_day: None,
    };
    let known: Vec<SeenQuery> = (0..4000).map(|number| query(number, NOW)).collect();
    let next_window: Vec<SeenQuery> =
        (0..4000).map(|number| query(number, NOW.plus(TimeDelta::from_days(1)))).collect();
    let new: Vec<SeenQuery> = (4000..8000).map(|number| query(number, NOW)).collect();
    let mut store = Embedded::open(folder.path(), options.clone()).expect("the store opens");
    let partition = store.layout().partitions.all().next().expect("one");
    let ttl = TimeDelta::from_days(1);
    let token = store.acquire(partition, &claim(1), ttl, NOW).await.expect("there").token().expect("free");
    // Queried before as well, so that the window is cached and grows from exact to a filter.
    assert_eq!(store.seen(partition, &known).await.expect("there"), vec![false; 4000]);
    let mut expected = store.meta(partition).await.expect("there").commit_no;
    for part in known.chunks(1000) {
        let commit = Commit {
            token,
            expected,
            applied_through: LogSeq::ZERO,
            clock: NOW,
            at: NOW,
            profiles: Vec::new(),
            tombstones: Vec::new(),
            seen: part.to_vec(),
            changes: Vec::new(),
            dead_letters: Vec::new(),
            counted: Counters::default(),
            note: None,
        };
        expected = store.commit(partition, commit).await.expect("the owner commits").commit_no;
    }
    for _ in 0..2 {
        assert_eq!(store.seen(partition, &known).await.expect("there"), vec![true; 4000]);
        // Queries of two windows in turn need three windows in memory; with fewer each would read one from disk.
        assert_eq!(store.seen(partition, &next_window).await.expect("there"), vec![true; 4000]);
        assert_eq!(store.seen(partition, &new).await.expect("there"), vec![false; 4000]);
        store.close().await.expect("it closes");
        drop(store);
        // The second turn reads the window from disk.
        store = Embedded::open(folder.path(), options.clone()).expect("the store opens");
    }
}
