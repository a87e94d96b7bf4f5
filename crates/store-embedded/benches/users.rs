//! Cost of an event by number of users: the loops of all partitions on one store, with encoded profiles of a fixed size and
//! without the services around it. New users come first, then events of known users in random order.
//!
//! ```text
//! cargo bench -p portrait-store-embedded --bench users -- 1000000 [known events, default 500000] [partitions, default 16]
//! ```
//!
//! Each line is a slice of the run. Processor time is that of the whole process, with flushes and compactions, so it can be
//! compared on a busy machine; elapsed time cannot.

#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark may panic")]
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a benchmark measures real time and prints it"
)]

use bytes::Bytes;
use portrait_profile::{PartitionCount, PartitionId, SeenId, TimeDelta, Timestamp, UserId};
use portrait_store::{
    AckLevel, Commit, CommitNo, Counters, LeaseClaim, LeaseToken, LogSeq, LogStore, Nonce, OwnerStore,
    ProfileKey, ProfileStore, SeenQuery, StoreInfo,
};
use portrait_store_embedded::{Embedded, EmbeddedOptions};
use std::sync::Arc;
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Records of an append and of a commit.
const BATCH: usize = 1000;
/// Bytes of a profile, a record and a change.
const PROFILE_BYTES: usize = 600;
const RECORD_BYTES: usize = 100;
const CHANGE_BYTES: usize = 60;
/// Lines per phase.
const SLICES: u64 = 5;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let numbers: Vec<u64> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let users = numbers.first().copied().unwrap_or(20_000);
    let known = numbers.get(1).copied().unwrap_or(500_000.min(users));
    let folder =
        tempfile::tempdir_in(std::env::var("SCRATCH").unwrap_or_else(|_| "/tmp".to_owned())).unwrap();
    let partitions = PartitionCount::new(numbers.get(2).map_or(16, |count| *count as u16));
    let options = EmbeddedOptions { partitions, ..EmbeddedOptions::default() };
    let store = Arc::new(Embedded::open(folder.path(), options).unwrap());
    let mut workers = Vec::new();
    for partition in store.layout().partitions.all() {
        let day = TimeDelta::from_days(1);
        let claim = LeaseClaim::new(Nonce::random(), "bench");
        let token = store.acquire(partition, &claim, day, Timestamp::EPOCH).await.unwrap().token().unwrap();
        let commit_no = CommitNo::ZERO;
        workers.push(Worker {
            store: Arc::clone(&store),
            partition,
            token,
            commit_no,
            applied: LogSeq::ZERO,
        });
    }
    println!("phase     users    events/s   us cpu/event  us/read  us/seen  us/commit  MB resident");
    let mut event_id = 0;
    for slice in 0..SLICES {
        let ids = users * slice / SLICES..users * (slice + 1) / SLICES;
        workers = run("new", ids.collect(), &mut event_id, workers).await;
    }
    for slice in 0..SLICES {
        // An LCG: the same users in each run, in no order.
        let mut state = slice + 1;
        let ids = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % users
        });
        workers = run("known", ids.take((known / SLICES) as usize).collect(), &mut event_id, workers).await;
    }
    drop(workers);
    let store = Arc::into_inner(store).unwrap();
    // As after a kill: nothing is flushed before.
    drop(store);
    let (started, cpu) = (Instant::now(), cpu_seconds());
    let store = Embedded::open(folder.path(), EmbeddedOptions::default()).unwrap();
    let (elapsed, cpu) = (started.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    println!("open      {elapsed:.2} s, {cpu:.2} s cpu, {} MB resident", resident_mb());
    drop(store);
}

/// Runs one slice on all partitions and prints its line.
async fn run(phase: &str, ids: Vec<u64>, event_id: &mut u64, workers: Vec<Worker>) -> Vec<Worker> {
    let partitions = workers[0].store.layout().partitions;
    let mut by_partition = vec![Vec::new(); workers.len()];
    let last = ids.iter().max().copied().unwrap_or_default() + 1;
    let events = ids.len() as f64;
    for id in ids {
        let user = UserId::parse(&format!("user-{id:09}")).unwrap();
        *event_id += 1;
        by_partition[partitions.partition_of(&user).index()].push((ProfileKey::of(&user), *event_id));
    }
    let (started, cpu) = (Instant::now(), cpu_seconds());
    let tasks: Vec<_> =
        workers.into_iter().zip(by_partition).map(|(w, events)| tokio::spawn(w.run(events))).collect();
    let mut back = Vec::new();
    let mut spent = [Duration::ZERO; 3];
    for task in tasks {
        let (worker, times) = task.await.unwrap();
        back.push(worker);
        for (sum, time) in spent.iter_mut().zip(times) {
            *sum += time;
        }
    }
    let [read, seen, commit] = spent.map(|time| time.as_secs_f64() * 1e6 / events);
    println!(
        "{phase:6} {last:9} {:10.0} {:12.2} {read:10.2} {seen:8.2} {commit:9.2} {:8}",
        events / started.elapsed().as_secs_f64(),
        (cpu_seconds() - cpu) * 1e6 / events,
        resident_mb(),
    );
    back
}

/// Owner of one partition.
struct Worker {
    store: Arc<Embedded>,
    partition: PartitionId,
    token: LeaseToken,
    commit_no: CommitNo,
    applied: LogSeq,
}

impl Worker {
    /// Appends, reads and commits the events; returns the time of lookups of profiles, of ids, and of commits.
    async fn run(mut self, events: Vec<(ProfileKey, u64)>) -> (Self, [Duration; 3]) {
        let mut spent = [Duration::ZERO; 3];
        for batch in events.chunks(BATCH) {
            let records = vec![Bytes::from(vec![7; RECORD_BYTES]); batch.len()];
            self.store.append(self.partition, records, Timestamp::EPOCH, AckLevel::Disk).await.unwrap();
            let page =
                self.store.read_log(self.partition, self.applied, BATCH, 1 << 20, Duration::ZERO).await;
            self.applied = page.unwrap().records.last().unwrap().seq;
            let mut keys: Vec<ProfileKey> = batch.iter().map(|(key, _)| key.clone()).collect();
            keys.sort_unstable();
            keys.dedup();
            let at = Instant::now();
            self.store.profiles(self.partition, &keys).await.unwrap();
            spent[0] += at.elapsed();
            let seen: Vec<SeenQuery> = batch.iter().map(|(_, id)| seen_query(*id)).collect();
            let at = Instant::now();
            self.store.seen(self.partition, &seen).await.unwrap();
            spent[1] += at.elapsed();
            let commit = Commit {
                token: self.token,
                expected: self.commit_no,
                applied_through: self.applied,
                clock: Timestamp::EPOCH,
                at: Timestamp::EPOCH,
                changes: keys.iter().map(|_| Bytes::from(vec![9; CHANGE_BYTES])).collect(),
                profiles: keys.into_iter().map(|key| (key, Some(profile()))).collect(),
                tombstones: Vec::new(),
                seen,
                dead_letters: Vec::new(),
                counted: Counters::default(),
                note: None,
            };
            let at = Instant::now();
            self.commit_no = self.store.commit(self.partition, commit).await.unwrap().commit_no;
            spent[2] += at.elapsed();
        }
        (self, spent)
    }
}

/// Query of an id: spread as hashes are, and all in one window.
fn seen_query(id: u64) -> SeenQuery {
    SeenQuery {
        id: SeenId::from_bits(id.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 1),
        arrived_at: Timestamp::from_millis(1_767_225_600_000),
        source_day: None,
    }
}

/// Encoded profile of bytes that do not compress.
fn profile() -> Bytes {
    let words = std::iter::repeat_with(rand::random::<u64>).take(PROFILE_BYTES / 8);
    words.flat_map(u64::to_le_bytes).collect::<Vec<u8>>().into()
}

/// Processor time of this process so far.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    // Fields 14 and 15, in hundredths of a second; the name in field 2 may contain spaces.
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

fn resident_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}
