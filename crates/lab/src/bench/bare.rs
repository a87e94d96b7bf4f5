//! Bound of the throughput: the store alone. One loop for each partition reads, folds and commits the same records,
//! already checked and encoded. The difference to the whole server is the cost of the services around the store.

use super::env::BenchEnv;
use crate::replay;
use anyhow::Result;
use bytes::Bytes;
use portrait_profile::{PartitionId, Profile, Record, SeenId, TimeDelta, Timestamp};
use portrait_proto::v1::Event;
use portrait_store::{
    AckLevel, Commit, CommitNo, Counters, LeaseClaim, LeaseToken, Limits, LogSeq, Nonce, ProfileKey,
    SeenQuery, Store,
};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Records of one append, and of one page of the log.
const BATCH: usize = 1000;
/// Upper bound in a commit of key, change, record id and growth of a profile.
const ENTRY_OVERHEAD_BYTES: usize = 512;
/// Cached profiles of all partitions: about those of a worker's cache of 256 MiB. Without a bound the loop measured its own map,
/// which grew to gigabytes with millions of users.
const HOT_PROFILES: usize = 100_000;

/// Time of the appends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AppendTiming {
    /// During the loops, inside the measured time.
    During,
    /// Before the loops, outside the measured time: the bound of the worker alone.
    Before,
}

/// Measures events per second of the bare loops.
pub(super) async fn measure(events: &[Event], env: &BenchEnv, appends: AppendTiming) -> Result<f64> {
    let new_store = env.new_store().await?;
    let store = new_store.open().await?;
    let by_partition = by_partition(events, store.as_ref())?;
    let mut appending = JoinSet::new();
    let mut ends = HashMap::new();
    for (partition, records) in &by_partition {
        ends.insert(*partition, LogSeq::new(records.len() as u64));
    }
    // The clock starts before the appends, unless they are outside the measured time.
    let mut started = Instant::now();
    for (partition, records) in by_partition {
        appending.spawn(append(Arc::clone(&store), partition, records, new_store.level()));
    }
    if appends == AppendTiming::Before {
        finish(&mut appending).await?;
        started = Instant::now();
    }
    let mut loops = JoinSet::new();
    for (partition, end) in ends {
        loops.spawn(run_partition(Arc::clone(&store), partition, end));
    }
    finish(&mut appending).await?;
    finish(&mut loops).await?;
    Ok(events.len() as f64 / started.elapsed().as_secs_f64())
}

async fn finish(tasks: &mut JoinSet<Result<()>>) -> Result<()> {
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(())
}

fn by_partition(events: &[Event], store: &dyn Store) -> Result<HashMap<PartitionId, Vec<Bytes>>> {
    let partitions = store.layout().partitions;
    let mut by_partition = HashMap::<PartitionId, Vec<Bytes>>::new();
    for event in events {
        let record = replay::record(event)?;
        let partition = partitions.partition_of(&record.user_id);
        by_partition.entry(partition).or_default().push(record.encode().into());
    }
    Ok(by_partition)
}

async fn append(
    store: Arc<dyn Store>,
    partition: PartitionId,
    records: Vec<Bytes>,
    level: AckLevel,
) -> Result<()> {
    for batch in records.chunks(BATCH) {
        store.append(partition, batch.to_vec(), Timestamp::EPOCH, level).await?;
    }
    Ok(())
}

async fn run_partition(store: Arc<dyn Store>, partition: PartitionId, end: LogSeq) -> Result<()> {
    // A lease of a day outlasts every measurement: the loop never renews it.
    let claim = LeaseClaim::new(Nonce::random(), "bench");
    let lease = store.acquire(partition, &claim, TimeDelta::from_days(1), Timestamp::EPOCH).await?;
    let token =
        lease.token().ok_or_else(|| anyhow::anyhow!("another process owns a partition of a new store"))?;
    let commit_no = store.meta(partition).await?.commit_no;
    let mut worker =
        BareWorker { store, partition, token, commit_no, applied: LogSeq::ZERO, hot: HashMap::new() };
    while worker.applied < end {
        worker.page().await?;
    }
    Ok(())
}

/// Record with its position and its de-duplication query.
type HotEntry = (LogSeq, Record, Option<SeenQuery>);

/// The store operations of a feature worker, without anything else of it.
struct BareWorker {
    store: Arc<dyn Store>,
    partition: PartitionId,
    token: LeaseToken,
    commit_no: CommitNo,
    applied: LogSeq,
    /// Cached profiles, as a worker keeps them, with their stored size in bytes.
    hot: HashMap<ProfileKey, (Profile, usize)>,
}

impl BareWorker {
    async fn page(&mut self) -> Result<()> {
        // A page of at most a megabyte; the wait only matters while appends go on.
        let wait = Duration::from_millis(5);
        let page = self.store.read_log(self.partition, self.applied, BATCH, 1 << 20, wait).await?;
        let mut entries = Vec::with_capacity(page.records.len());
        for logged in page.records {
            let record = Record::decode(&logged.value)?;
            let id = record.record_id.as_ref().map(|id| SeenId::of(&record.user_id, id));
            let seen = id.map(|id| SeenQuery { id, arrived_at: record.accepted_at, source_day: None });
            entries.push((logged.seq, record, seen));
        }
        self.load(&entries).await?;
        let limits = self.store.limits();
        let mut rest = entries.as_slice();
        while !rest.is_empty() {
            let (now, later) = rest.split_at(self.batch_len(rest, &limits));
            self.commit(now).await?;
            rest = later;
        }
        Ok(())
    }

    async fn load(&mut self, entries: &[HotEntry]) -> Result<()> {
        if self.hot.len() > HOT_PROFILES / usize::from(self.store.layout().partitions.get()) {
            // All at once: the cost of choosing would count as the store's. Nothing is lost, since every change is committed.
            self.hot.clear();
        }
        let mut users = HashMap::new();
        for (_, record, _) in entries {
            let key = ProfileKey::of(&record.user_id);
            if !self.hot.contains_key(&key) {
                users.insert(key, record.user_id.clone());
            }
        }
        let keys: Vec<ProfileKey> = users.keys().cloned().collect();
        for keys in keys.chunks(self.store.limits().page_items) {
            let stored = self.store.profiles(self.partition, keys).await?;
            for (key, bytes) in keys.iter().zip(stored) {
                // A new user has no stored profile yet.
                let entry = match bytes {
                    Some(bytes) => (Profile::decode(&bytes)?, bytes.len()),
                    None => (Profile::new(users[key].clone()), 0),
                };
                self.hot.insert(key.clone(), entry);
            }
        }
        Ok(())
    }

    /// Number of `entries` that fit into one commit; at least one.
    fn batch_len(&self, entries: &[HotEntry], limits: &Limits) -> usize {
        let mut users = HashSet::new();
        let mut bytes = 0;
        for (index, (_, record, _)) in entries.iter().enumerate() {
            let key = ProfileKey::of(&record.user_id);
            bytes += ENTRY_OVERHEAD_BYTES;
            if users.insert(key.clone()) {
                bytes += self.hot.get(&key).map_or(0, |(_, bytes)| *bytes);
            }
            // The limits of the store, as the worker keeps them; one entry always goes through.
            if index > 0 && (users.len() > limits.commit_profiles || bytes > limits.commit_bytes) {
                return index;
            }
        }
        entries.len()
    }

    async fn commit(&mut self, entries: &[HotEntry]) -> Result<()> {
        let seen: Vec<SeenQuery> = entries.iter().filter_map(|(_, _, seen)| *seen).collect();
        for queries in seen.chunks(self.store.limits().page_items) {
            // The answer is not needed, but the product pays for the query.
            self.store.seen(self.partition, queries).await?;
        }
        let mut changed = HashSet::new();
        for (seq, record, _) in entries {
            let key = ProfileKey::of(&record.user_id);
            if let Some((profile, _)) = self.hot.get_mut(&key) {
                profile.apply(record);
            }
            changed.insert(key);
            self.applied = *seq;
        }
        let mut profiles = Vec::with_capacity(changed.len());
        for key in changed {
            if let Some((profile, bytes)) = self.hot.get_mut(&key) {
                let encoded = Bytes::from(profile.encode());
                // The size of the last encoding estimates the next commit's, as in the worker.
                *bytes = encoded.len();
                profiles.push((key, Some(encoded)));
            }
        }
        let commit = Commit {
            token: self.token,
            expected: self.commit_no,
            applied_through: self.applied,
            clock: Timestamp::EPOCH,
            at: Timestamp::EPOCH,
            changes: profiles.iter().map(|(key, _)| key.0.clone()).collect(),
            profiles,
            tombstones: Vec::new(),
            seen,
            dead_letters: Vec::new(),
            counted: Counters::default(),
            note: None,
        };
        self.commit_no = self.store.commit(self.partition, commit).await?.commit_no;
        Ok(())
    }
}
