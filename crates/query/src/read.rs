//! Profile reads. Input: user ids, a read time and a consistency token. Output: the profiles evaluated at that time.
//! Nothing is cached between reads, so a read is as fresh as the store.

mod after;

use crate::context::QueryContext;
use crate::error::Error;
use futures::future::try_join_all;
use portrait_profile::{PartitionId, Profile, ProfileView, Timestamp, UserId};
use portrait_proto::token::ConsistencyToken;
use portrait_proto::v1::ErrorReason;
use portrait_store::ProfileKey;
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;
use tokio::time::Instant;

/// Number of profiles decoded between two yields: a batch of 1000 must not block a runtime thread.
const PROFILES_BEFORE_YIELD: usize = 64;

/// Options of a read.
pub(crate) struct ReadOptions {
    /// Records that must be applied first.
    pub(crate) read_after: ConsistencyToken,
    /// Longest wait for them.
    pub(crate) wait: Duration,
    /// Read time; none means now.
    pub(crate) read_at: Option<Timestamp>,
}

/// Result of a batch read.
pub(crate) struct ReadBatch {
    /// Found profiles, in request order.
    pub(crate) found: Vec<ProfileView>,
    /// Users without a profile, in request order.
    pub(crate) missing: Vec<UserId>,
}

/// Reads the profile of one user.
pub(crate) async fn read_one(
    shared: &QueryContext,
    user_id: UserId,
    options: &ReadOptions,
) -> Result<ProfileView, Error> {
    let batch = read_some(shared, std::slice::from_ref(&user_id), options).await?;
    batch.found.into_iter().next().ok_or(Error::NotFound { user_id })
}

/// Reads the profiles of several users; duplicate ids are answered once.
pub(crate) async fn read_some(
    shared: &QueryContext,
    user_ids: &[UserId],
    options: &ReadOptions,
) -> Result<ReadBatch, Error> {
    let started_at = Instant::now();
    let mut seen = HashSet::with_capacity(user_ids.len());
    // A duplicate would be read and decoded twice.
    let user_ids: Vec<&UserId> = user_ids.iter().filter(|user_id| seen.insert(*user_id)).collect();
    let by_partition = by_partition(shared, &user_ids);
    let partitions: Vec<PartitionId> = by_partition.keys().copied().collect();
    after::wait(shared, &partitions, &options.read_after, options.wait).await?;
    let profiles = load(shared, &user_ids, by_partition).await?;
    let batch = at_read_time(shared, &user_ids, profiles, options.read_at).await?;
    shared.metrics.read(batch.found.len(), batch.missing.len(), started_at.elapsed());
    Ok(batch)
}

/// Returns stored profiles of distinct users in their order, without waiting for a token.
pub(crate) async fn stored_anywhere(
    shared: &QueryContext,
    user_ids: &[&UserId],
) -> Result<Vec<Option<Profile>>, Error> {
    load(shared, user_ids, by_partition(shared, user_ids)).await
}

/// Groups the indexes of users by partition.
fn by_partition(shared: &QueryContext, user_ids: &[&UserId]) -> BTreeMap<PartitionId, Vec<usize>> {
    let mut by_partition: BTreeMap<PartitionId, Vec<usize>> = BTreeMap::new();
    for (index, user_id) in user_ids.iter().enumerate() {
        let partition = shared.store.layout().partitions.partition_of(user_id);
        by_partition.entry(partition).or_default().push(index);
    }
    by_partition
}

async fn load(
    shared: &QueryContext,
    user_ids: &[&UserId],
    by_partition: BTreeMap<PartitionId, Vec<usize>>,
) -> Result<Vec<Option<Profile>>, Error> {
    // Partitions are read concurrently: the slowest one, not their sum, is the latency of a batch.
    let loads = by_partition.into_iter().map(async |(partition, indices)| {
        let wanted: Vec<&UserId> = indices.iter().map(|index| user_ids[*index]).collect();
        let profiles = stored(shared, partition, &wanted).await?;
        Ok::<_, Error>(indices.into_iter().zip(profiles))
    });
    let mut profiles: Vec<Option<Profile>> = user_ids.iter().map(|_| None).collect();
    for (index, profile) in try_join_all(loads).await?.into_iter().flatten() {
        profiles[index] = profile;
    }
    Ok(profiles)
}

/// Returns the stored profile of one user and the read time.
pub(crate) async fn stored_at(
    shared: &QueryContext,
    user_id: &UserId,
    options: &ReadOptions,
) -> Result<(Profile, Timestamp), Error> {
    let partition = shared.store.layout().partitions.partition_of(user_id);
    after::wait(shared, &[partition], &options.read_after, options.wait).await?;
    let found = stored(shared, partition, &[user_id]).await?.into_iter().next().flatten();
    let profile = found.ok_or_else(|| Error::NotFound { user_id: user_id.clone() })?;
    check_read_time(&profile, options.read_at)?;
    Ok((profile, read_time(shared, options.read_at).await?))
}

/// Returns stored profiles of users of one partition, in their order.
pub(crate) async fn stored(
    shared: &QueryContext,
    partition: PartitionId,
    user_ids: &[&UserId],
) -> Result<Vec<Option<Profile>>, Error> {
    let mut profiles = Vec::with_capacity(user_ids.len());
    // The store limits the number of keys in one request.
    for page in user_ids.chunks(shared.store.limits().page_items.max(1)) {
        let keys: Vec<ProfileKey> = page.iter().map(|user_id| ProfileKey::of(user_id)).collect();
        let values = shared.store.profiles(partition, &keys).await?;
        for (index, (user_id, value)) in page.iter().zip(values).enumerate() {
            let profile = value.map(|value| decoded(user_id.as_str(), &value)).transpose()?;
            profiles.push(profile);
            if index % PROFILES_BEFORE_YIELD == PROFILES_BEFORE_YIELD - 1 {
                tokio::task::yield_now().await;
            }
        }
    }
    Ok(profiles)
}

/// Decodes a stored profile.
pub(crate) fn decoded(user_id: &str, bytes: &[u8]) -> Result<Profile, Error> {
    Profile::decode(bytes).map_err(|source| Error::Profile { user_id: user_id.to_owned(), source })
}

async fn at_read_time(
    shared: &QueryContext,
    user_ids: &[&UserId],
    profiles: Vec<Option<Profile>>,
    read_at: Option<Timestamp>,
) -> Result<ReadBatch, Error> {
    let read_time = read_time(shared, read_at).await?;
    // One read time for the whole batch, so that its profiles are comparable.
    let mut batch = ReadBatch { found: Vec::with_capacity(profiles.len()), missing: Vec::new() };
    for (index, (user_id, profile)) in user_ids.iter().zip(profiles).enumerate() {
        match profile {
            Some(profile) => {
                check_read_time(&profile, read_at)?;
                batch.found.push(profile.view_at(read_time));
            }
            None => batch.missing.push((*user_id).clone()),
        }
        if index % PROFILES_BEFORE_YIELD == PROFILES_BEFORE_YIELD - 1 {
            tokio::task::yield_now().await;
        }
    }
    Ok(batch)
}

/// Returns the requested read time, or now.
async fn read_time(shared: &QueryContext, read_at: Option<Timestamp>) -> Result<Timestamp, Error> {
    match read_at {
        Some(read_time) => Ok(read_time),
        None => Ok(shared.profile_now().await?),
    }
}

/// Refuses a read time before the newest event of the profile: events cannot be taken out of an aggregate again.
fn check_read_time(profile: &Profile, read_at: Option<Timestamp>) -> Result<(), Error> {
    match (read_at, profile.newest_event_at()) {
        (Some(requested), Some(newest)) if requested < newest => {
            let message = format!(
                "is {} ms before the newest event of user {}: send a later time, or none for now",
                newest.since(requested).millis(),
                profile.user_id()
            );
            Err(Error::invalid(ErrorReason::ReadBeforeNewest, "read_at", message))
        }
        _ => Ok(()),
    }
}
