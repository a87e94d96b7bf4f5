//! The store alone: the same records, already checked and encoded, read, folded and committed by one loop a partition, with
//! nothing in front. What the rooms around it cost is the difference.

use super::ground::Ground;
use crate::replay;
use anyhow::Result;
use bytes::Bytes;
use portrait_profile::{PartitionId, Profile, Record, SeenId, Span, Timestamp};
use portrait_proto::v1::Event;
use portrait_store::{
    AckLevel, Commit, CommitNo, Counters, LeaseToken, Limits, LogSeq, Nonce, ProfileKey, SeenQuery, Store,
};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Records of one append and of one page.
const BATCH: usize = 1000;
/// What key, change, remembered id and growth of a profile take in a commit at most.
const ENTRY_OVERHEAD_BYTES: usize = 512;

/// When the records are appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Appends {
    /// While the loops run, and the time counts.
    Meanwhile,
    /// Before the loops begin, and the time does not count: what bounds a worker is the worker alone.
    Before,
}

/// Events a second of the bare loops.
pub(super) async fn measure(events: &[Event], ground: &Ground, appends: Appends) -> Result<f64> {
    let fresh = ground.fresh().await?;
    let store = fresh.store().await?;
    let by_partition = by_partition(events, store.as_ref())?;
    let mut appending = JoinSet::new();
    let mut ends = HashMap::new();
    for (partition, records) in &by_partition {
        ends.insert(*partition, LogSeq::new(records.len() as u64));
    }
    let mut begun = Instant::now();
    for (partition, records) in by_partition {
        appending.spawn(append(Arc::clone(&store), partition, records, fresh.level()));
    }
    if appends == Appends::Before {
        finish(&mut appending).await?;
        begun = Instant::now();
    }
    let mut loops = JoinSet::new();
    for (partition, end) in ends {
        loops.spawn(one_partition(Arc::clone(&store), partition, end));
    }
    finish(&mut appending).await?;
    finish(&mut loops).await?;
    Ok(events.len() as f64 / begun.elapsed().as_secs_f64())
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

async fn one_partition(store: Arc<dyn Store>, partition: PartitionId, end: LogSeq) -> Result<()> {
    let token = store.acquire(partition, Nonce::random(), Span::from_days(1), Timestamp::EPOCH).await?;
    let token = token.ok_or_else(|| anyhow::anyhow!("a new store is owned by somebody"))?;
    let commit_no = store.meta(partition).await?.commit_no;
    let mut worker =
        Worker { store, partition, token, commit_no, applied: LogSeq::ZERO, hot: HashMap::new() };
    while worker.applied < end {
        worker.page().await?;
    }
    Ok(())
}

/// A record with its place and what de-duplication asks about it.
type Entry = (LogSeq, Record, Option<SeenQuery>);

/// What the product's worker does, and nothing else of it.
struct Worker {
    store: Arc<dyn Store>,
    partition: PartitionId,
    token: LeaseToken,
    commit_no: CommitNo,
    applied: LogSeq,
    /// Profiles stay in memory as a worker's do, with the size that they have in the store.
    hot: HashMap<ProfileKey, (Profile, usize)>,
}

impl Worker {
    async fn page(&mut self) -> Result<()> {
        let wait = Duration::from_millis(5);
        let page = self.store.read_log(self.partition, self.applied, BATCH, 1 << 20, wait).await?;
        let mut entries = Vec::with_capacity(page.records.len());
        for logged in page.records {
            let record = Record::decode(&logged.value)?;
            let id = record.record_id.as_ref().map(|id| SeenId::of(&record.user_id, id));
            let seen = id.map(|id| SeenQuery { id, arrived_at: record.accepted_at });
            entries.push((logged.seq, record, seen));
        }
        self.load(&entries).await?;
        let limits = self.store.limits();
        let mut rest = entries.as_slice();
        while !rest.is_empty() {
            let (now, later) = rest.split_at(self.fitting(rest, &limits));
            self.commit(now).await?;
            rest = later;
        }
        Ok(())
    }

    async fn load(&mut self, entries: &[Entry]) -> Result<()> {
        let mut users = HashMap::new();
        for (_, record, _) in entries {
            let key = ProfileKey::of(&record.user_id);
            if !self.hot.contains_key(&key) {
                users.insert(key, record.user_id.clone());
            }
        }
        let keys: Vec<ProfileKey> = users.keys().cloned().collect();
        for keys in keys.chunks(self.store.limits().page_items) {
            let found = self.store.profiles(self.partition, keys).await?;
            for (key, bytes) in keys.iter().zip(found) {
                let held = match bytes {
                    Some(bytes) => (Profile::decode(&bytes)?, bytes.len()),
                    None => (Profile::new(users[key].clone()), 0),
                };
                self.hot.insert(key.clone(), held);
            }
        }
        Ok(())
    }

    /// How many of `entries` fit into one commit; at least one.
    fn fitting(&self, entries: &[Entry], limits: &Limits) -> usize {
        let (mut users, mut bytes) = (HashSet::new(), 0);
        for (index, (_, record, _)) in entries.iter().enumerate() {
            let key = ProfileKey::of(&record.user_id);
            bytes += ENTRY_OVERHEAD_BYTES;
            if users.insert(key.clone()) {
                bytes += self.hot.get(&key).map_or(0, |(_, bytes)| *bytes);
            }
            if index > 0 && (users.len() > limits.commit_profiles || bytes > limits.commit_bytes) {
                return index;
            }
        }
        entries.len()
    }

    async fn commit(&mut self, entries: &[Entry]) -> Result<()> {
        let seen: Vec<SeenQuery> = entries.iter().filter_map(|(_, _, seen)| *seen).collect();
        for queries in seen.chunks(self.store.limits().page_items) {
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
