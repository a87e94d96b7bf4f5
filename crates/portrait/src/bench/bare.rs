//! The store alone: the same records, already checked and encoded, appended, read, folded and committed by one loop a
//! partition, with nothing in front. What the rooms around it cost is the difference.

use crate::replay;
use anyhow::Result;
use bytes::Bytes;
use portrait_profile::{PartitionId, Profile, Record, SeenId, Timestamp};
use portrait_proto::v1::Event;
use portrait_store::embedded::{Embedded, Options};
use portrait_store::{AckLevel, Commit, Counters, LogSeq, Nonce, ProfileKey, SeenQuery, Store};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Records of one append and of one commit.
const BATCH: usize = 1000;

/// Events a second of the bare loop.
pub(super) async fn measure(events: &[Event], scratch: &Path) -> Result<f64> {
    let folder = tempfile::tempdir_in(scratch)?;
    let store = Arc::new(Embedded::open(folder.path(), Options::default())?);
    let partitions = store.layout().partitions;
    let mut by_partition = HashMap::<PartitionId, Vec<Bytes>>::new();
    for event in events {
        let record = replay::record(event)?;
        by_partition
            .entry(partitions.partition_of(&record.user_id))
            .or_default()
            .push(record.encode().into());
    }
    let begun = Instant::now();
    let mut loops = JoinSet::new();
    for (partition, records) in by_partition {
        loops.spawn(one_partition(Arc::clone(&store), partition, records));
    }
    while let Some(done) = loops.join_next().await {
        done??;
    }
    Ok(events.len() as f64 / begun.elapsed().as_secs_f64())
}

async fn one_partition(store: Arc<Embedded>, partition: PartitionId, records: Vec<Bytes>) -> Result<()> {
    let now = Timestamp::from_millis(0);
    let span = portrait_profile::Span::from_days(1);
    let token = store.acquire(partition, Nonce::random(), span, now).await?;
    let token = token.ok_or_else(|| anyhow::anyhow!("a new store is owned by somebody"))?;
    let appender = Arc::clone(&store);
    let appending = tokio::spawn(async move {
        for batch in records.chunks(BATCH) {
            appender.append(partition, batch.to_vec(), now, AckLevel::Disk).await?;
        }
        Ok::<_, portrait_store::Error>(records.len() as u64)
    });
    let mut commit_no = store.meta(partition).await?.commit_no;
    let mut applied = LogSeq::ZERO;
    let mut end = None;
    let mut appending = Some(appending);
    let mut profiles = HashMap::new();
    while end.is_none_or(|end| applied < end) {
        if let Some(handle) = appending.take_if(|handle| handle.is_finished()) {
            end = Some(LogSeq::new(handle.await??));
            continue;
        }
        let page = store.read_log(partition, applied, BATCH, 1 << 20, Duration::from_millis(5)).await?;
        let Some(last) = page.records.last() else { continue };
        applied = last.seq;
        let records =
            page.records.iter().map(|record| Record::decode(&record.value)).collect::<Result<Vec<_>, _>>()?;
        let (writes, seen) = fold(store.as_ref(), partition, &records, &mut profiles).await?;
        let commit = Commit {
            token,
            expected: commit_no,
            applied_through: applied,
            clock: now,
            at: now,
            changes: writes.iter().map(|(key, _)| key.0.clone()).collect(),
            profiles: writes,
            seen,
            dead_letters: Vec::new(),
            counted: Counters::default(),
            note: None,
        };
        commit_no = store.commit(partition, commit).await?.commit_no;
    }
    Ok(())
}

type Writes = Vec<(ProfileKey, Option<Bytes>)>;

/// Folds `records` into the profiles of `hot`, which stay in memory as a worker's do.
async fn fold(
    store: &Embedded,
    partition: PartitionId,
    records: &[Record],
    hot: &mut HashMap<ProfileKey, Profile>,
) -> Result<(Writes, Vec<SeenQuery>)> {
    let seen: Vec<SeenQuery> = records
        .iter()
        .filter_map(|record| Some((record, record.record_id.as_ref()?)))
        .map(|(record, id)| SeenQuery { id: SeenId::of(&record.user_id, id), arrived_at: record.accepted_at })
        .collect();
    store.seen(partition, &seen).await?;
    let mut changed = std::collections::HashSet::new();
    for record in records {
        let key = ProfileKey::of(&record.user_id);
        if !hot.contains_key(&key) {
            let stored = store.profiles(partition, std::slice::from_ref(&key)).await?.pop().flatten();
            let profile = stored.map(|bytes| Profile::decode(&bytes)).transpose()?;
            hot.insert(key.clone(), profile.unwrap_or_else(|| Profile::new(record.user_id.clone())));
        }
        if let Some(profile) = hot.get_mut(&key) {
            profile.apply(record);
        }
        changed.insert(key);
    }
    let writes = changed.into_iter().map(|key| {
        let bytes = hot.get(&key).map(|profile| profile.encode().into());
        (key, bytes)
    });
    Ok((writes.collect(), seen))
}
