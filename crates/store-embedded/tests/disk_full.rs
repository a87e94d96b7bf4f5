//! A full disk: what is refused before anything is written, a start with too little space, and a write that fails halfway.

#![allow(clippy::disallowed_methods, reason = "a test owns its tasks")]

use bytes::Bytes;
use portrait_profile::{PartitionCount, PartitionId, TimeDelta, Timestamp};
use portrait_store::{
    AckLevel, CatalogueStore, Commit, Counters, Error, LeaseClaim, LeaseToken, LogSeq, LogStore, Nonce,
    OwnerStore, ProfileKey, ProfileStore, RegistryStore, StoreInfo,
};
use portrait_store_embedded::{Embedded, EmbeddedOptions};
use rustix::process::{Resource, Rlimit, setrlimit};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);
const RESERVE: u64 = 64 << 20;
const PLENTY: u64 = 1 << 40;
/// Variable that makes the test a child with a limit of file sizes; its value is the folder of the store.
const LIMITED: &str = "PORTRAIT_TEST_LIMITED_STORE";

/// Disk whose free space a test sets.
#[derive(Clone)]
struct Disk(Arc<AtomicU64>);

impl Disk {
    fn with(free: u64) -> Self {
        Self(Arc::new(AtomicU64::new(free)))
    }

    fn set(&self, free: u64) {
        self.0.store(free, Ordering::SeqCst);
    }

    fn open(&self, folder: &Path) -> Embedded {
        let free = Arc::clone(&self.0);
        let options = EmbeddedOptions {
            partitions: PartitionCount::new(1),
            reserve_bytes: RESERVE,
            free_bytes: Some(Arc::new(move |_: &Path| Ok(free.load(Ordering::SeqCst)))),
            ..EmbeddedOptions::default()
        };
        Embedded::open(folder, options).expect("the store opens")
    }
}

fn partition(store: &Embedded) -> PartitionId {
    store.layout().partitions.all().next().expect("one")
}

async fn append(store: &Embedded) -> Result<(), Error> {
    let record = vec![Bytes::from_static(b"record")];
    store.append(partition(store), record, NOW, AckLevel::Disk).await.map(drop)
}

async fn lease(store: &Embedded, nonce: u128) -> LeaseToken {
    let claim = LeaseClaim::new(Nonce::new(nonce), "worker");
    let acquired = store.acquire(partition(store), &claim, TimeDelta::from_days(1), NOW).await;
    acquired.expect("leases need no disk").token().expect("free")
}

async fn commit(store: &Embedded, token: LeaseToken) -> Result<(), Error> {
    let meta = store.meta(partition(store)).await.expect("memory");
    let commit = Commit {
        token,
        expected: meta.commit_no,
        applied_through: meta.log_end,
        clock: NOW,
        at: NOW,
        profiles: vec![(ProfileKey(Bytes::from_static(b"u")), Some(Bytes::from_static(b"p")))],
        tombstones: Vec::new(),
        seen: Vec::new(),
        changes: vec![Bytes::from_static(b"c")],
        dead_letters: Vec::new(),
        counted: Counters::default(),
        note: None,
    };
    store.commit(partition(store), commit).await.map(drop)
}

/// Returns every write of the contract that needs the disk, each with its outcome.
async fn writes(store: &Embedded, token: LeaseToken) -> Vec<(&'static str, Result<(), Error>)> {
    let claim = LeaseClaim::new(Nonce::new(9), "trainer");
    vec![
        ("append", append(store).await),
        ("commit", commit(store, token).await),
        (
            "items",
            store.put_items(vec![(Bytes::from_static(b"i"), Bytes::from_static(b"i"))], AckLevel::Disk).await,
        ),
        ("part", store.put_part(Bytes::from_static(b"part")).await.map(drop)),
        ("training", store.acquire_training(&claim, TimeDelta::from_days(1), NOW).await.map(drop)),
        ("rewrite", store.rewrite_files().await),
    ]
}

fn assert_full(writes: &[(&'static str, Result<(), Error>)], part: &str) {
    for (name, outcome) in writes {
        let Err(error @ Error::Full { detail }) = outcome else { panic!("{name}: {outcome:?}") };
        assert!(detail.contains(part) && detail.contains("free some space"), "{name}: {detail}");
        assert!(error.is_retryable(), "{name}");
    }
}

async fn assert_readable(store: &Embedded) {
    let partition = partition(store);
    let page = store.read_log(partition, LogSeq::ZERO, 10, 1000, Duration::ZERO).await.expect("the log");
    assert_eq!(page.records[0].value, Bytes::from_static(b"record"));
    let profiles =
        store.profiles(partition, &[ProfileKey(Bytes::from_static(b"u"))]).await.expect("profiles");
    assert_eq!(profiles, [Some(Bytes::from_static(b"p"))]);
}

/// Returns every file of a folder with its content.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => drop(found.insert(path.clone(), std::fs::read(&path).expect("a file"))),
        }
    }
    found
}

#[tokio::test]
async fn below_the_floor_nothing_is_written_and_reads_and_leases_go_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let disk = Disk::with(PLENTY);
    let store = disk.open(folder.path());
    append(&store).await.expect("there is space");
    let token = lease(&store, 1).await;
    commit(&store, token).await.expect("there is space");
    disk.set(RESERVE / 8 - 1);
    // Free space is measured every 100 ms while there is plenty.
    let begun = std::time::Instant::now();
    while commit(&store, token).await.is_ok() {
        assert!(begun.elapsed() < Duration::from_secs(20), "commits go on");
    }
    let before = files(folder.path());
    assert_full(&writes(&store, token).await, "are needed to write");
    assert_readable(&store).await;
    assert!(
        store
            .renew(partition(&store), token, TimeDelta::from_days(2), NOW)
            .await
            .expect("leases need no disk")
    );
    store.release(partition(&store), token).await.expect("leases need no disk");
    let token = lease(&store, 2).await;
    assert_eq!(files(folder.path()), before, "something was written");
    disk.set(RESERVE / 8 + (1 << 20));
    commit(&store, token).await.expect("commits come before appends, since they make space");
    assert!(matches!(append(&store).await, Err(Error::Full { .. })));
    disk.set(PLENTY);
    append(&store).await.expect("there is space again");
}

#[tokio::test]
async fn a_start_on_a_full_disk_serves_reads_until_there_is_room() {
    let folder = tempfile::tempdir().expect("a folder");
    let disk = Disk::with(PLENTY);
    let store = disk.open(folder.path());
    assert_eq!(store.read_only(), None);
    append(&store).await.expect("there is space");
    let token = lease(&store, 1).await;
    commit(&store, token).await.expect("there is space");
    let end = store.meta(partition(&store)).await.expect("memory").log_end;
    store.close().await.expect("it closes");
    drop(store);

    disk.set(0);
    let store = disk.open(folder.path());
    let before = files(folder.path());
    let problem = store.read_only().expect("there is no room");
    assert!(
        problem.contains(&folder.path().display().to_string()) && problem.contains("free some space"),
        "{problem}"
    );
    assert_readable(&store).await;
    let token = lease(&store, 2).await;
    assert_full(&writes(&store, token).await, "reads only");
    assert_eq!(files(folder.path()), before, "something was written");
    let waited = tokio::time::timeout(Duration::ZERO, store.has_room()).await;
    assert!(waited.is_err(), "there is no room yet");
    disk.set(PLENTY);
    store.has_room().await;
    // It stays read-only until it is opened again: the database has no background threads.
    assert_full(&[("append", append(&store).await)], "reads only");
    store.close().await.expect("it closes");
    drop(store);

    let store = disk.open(folder.path());
    assert_eq!(store.read_only(), None);
    assert_readable(&store).await;
    append(&store).await.expect("there is room");
    assert_eq!(store.meta(partition(&store)).await.expect("memory").log_end, end.next());
}

#[tokio::test]
async fn a_write_that_fails_halfway_ends_the_writes_with_a_reason_and_loses_nothing() {
    if let Some(folder) = std::env::var_os(LIMITED) {
        return limited(Path::new(&folder)).await;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let store = Disk::with(PLENTY).open(folder.path());
    append(&store).await.expect("there is space");
    let token = lease(&store, 1).await;
    commit(&store, token).await.expect("there is space");
    store.close().await.expect("it closes");
    drop(store);
    // A child, since the limit holds for a process. The shell ignores the signal that would kill it.
    let test = std::env::current_exe().expect("this test");
    let name = "a_write_that_fails_halfway_ends_the_writes_with_a_reason_and_loses_nothing";
    let child = Command::new("sh")
        .args(["-c", "trap '' XFSZ; exec \"$0\" --exact \"$1\" --nocapture"])
        .arg(test)
        .arg(name)
        .env(LIMITED, folder.path())
        .output()
        .expect("a shell");
    let said =
        format!("{}{}", String::from_utf8_lossy(&child.stdout), String::from_utf8_lossy(&child.stderr));
    assert!(child.status.success() && said.contains("1 passed"), "{said}");
    let store = Disk::with(PLENTY).open(folder.path());
    assert_readable(&store).await;
    append(&store).await.expect("the disk is repaired");
}

/// Fills the store until the operating system refuses a write.
async fn limited(folder: &Path) {
    let disk = Disk::with(PLENTY);
    let store = disk.open(folder);
    let length = files(folder).values().map(Vec::len).max().unwrap_or_default() as u64;
    let limit = Some(length + (64 << 10));
    setrlimit(Resource::Fsize, Rlimit { current: limit, maximum: limit }).expect("a lower limit");
    let large = Bytes::from(
        (0..32 << 10).map(|byte: u32| (byte.wrapping_mul(2_654_435_761) >> 24) as u8).collect::<Vec<_>>(),
    );
    let mut acknowledged = store.meta(partition(&store)).await.expect("memory").log_end;
    let failed = loop {
        match store.append(partition(&store), vec![large.clone()], NOW, AckLevel::Disk).await {
            Ok(appended) => acknowledged = appended.last.seq,
            Err(error) => break error,
        }
    };
    assert!(matches!(failed, Error::Unavailable(_)), "{failed}");
    let problem =
        tokio::time::timeout(Duration::from_secs(10), store.broken()).await.expect("it is reported");
    for part in [&*folder.display().to_string(), "failed", "restart"] {
        assert!(problem.contains(part), "{problem}");
    }
    disk.set(0);
    assert_readable(&store).await;
    assert_eq!(store.meta(partition(&store)).await.expect("memory").log_end, acknowledged);
}

#[test]
fn the_folder_of_a_file_system_of_its_own_is_accepted_and_others_are_named_with_the_key() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("lost+found")).expect("made");
    drop(Disk::with(PLENTY).open(folder.path()));
    drop(Disk::with(PLENTY).open(folder.path()));
    let file = folder.path().join("file");
    std::fs::write(&file, "x").expect("written");
    for wrong in [file.clone(), file.join("below"), PathBuf::from("/proc/portrait-store")] {
        let refused =
            Embedded::open(&wrong, EmbeddedOptions::default()).err().expect("no directory").to_string();
        for part in ["store.url", &wrong.display().to_string(), "name a directory"] {
            assert!(refused.contains(part), "{refused}");
        }
    }
}
