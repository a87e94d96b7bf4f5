//! Feature vectors of stored profiles at one time, by user id or as a stream. Reads only, so any process answers for any
//! partition.

use crate::context::FeatureContext;
use crate::error::Error;
use portrait_profile::{FeatureSchema, PartitionId, Profile, Timestamp, UserId};
use portrait_proto::request::Shard;
use portrait_proto::v1;
use portrait_store::{ProfileKey, ScanCursor};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use xxhash_rust::xxh64::xxh64;

/// Stream of pages of vectors.
pub(crate) type VectorPages = ReceiverStream<Result<v1::StreamFeaturesResponse, Status>>;

/// Pages buffered for a slow reader. Two keep the scan busy while a page is on the wire; more only take memory.
const PAGES_QUEUED_MAX: usize = 2;
/// Vectors per message of a stream.
const PAGE_VECTORS: usize = 512;
/// Vectors per message with history or snapshots: such a vector is much larger, and a message is bounded.
const PAGE_VECTORS_WITH_HISTORY: usize = 64;
/// Seed of the sampling hash. It differs from the hash that routes users to partitions; with the same one a sample would
/// be skewed by partition.
const SAMPLE_SEED: u64 = 0x5A4D_504C;

/// Optional parts of a streamed vector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct IncludedParts {
    pub(crate) recent_items: bool,
    /// Counts of transitions between actions.
    pub(crate) transitions: bool,
    /// Snapshots of earlier visits and orders with their labels.
    pub(crate) snapshots: bool,
}

/// Users and parts that a stream returns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Selection {
    pub(crate) as_of: Timestamp,
    /// Fraction of users in (0, 1].
    pub(crate) sample: f64,
    pub(crate) include: IncludedParts,
    /// Partitions of this reader, if several readers divide the stream.
    pub(crate) shard: Shard,
}

impl Selection {
    /// Returns the number of vectors per message.
    fn page(&self) -> usize {
        if self.include == IncludedParts::default() { PAGE_VECTORS } else { PAGE_VECTORS_WITH_HISTORY }
    }

    /// Returns true if the user is in the sample: the same users for the same fraction, in every call.
    fn has_user(&self, key: &ProfileKey) -> bool {
        self.sample >= 1.0 || (xxh64(&key.0, SAMPLE_SEED) as f64) < self.sample * (u64::MAX as f64)
    }
}

/// Returns the vectors of `user_ids` in their order, and the ids without a profile.
///
/// # Errors
/// Fails if the store cannot be read or a profile cannot be decoded.
pub(crate) async fn of_users(
    shared: &FeatureContext,
    user_ids: &[UserId],
    as_of: Timestamp,
) -> Result<(Vec<v1::FeatureVector>, Vec<String>), Error> {
    // One read per partition: all profiles of a partition are on one server of the store.
    let mut by_partition = BTreeMap::<PartitionId, Vec<ProfileKey>>::new();
    for user_id in user_ids {
        let partition = shared.store.layout().partitions.partition_of(user_id);
        by_partition.entry(partition).or_default().push(ProfileKey::of(user_id));
    }
    let mut vectors_by_key = HashMap::new();
    for (partition, keys) in by_partition {
        let values = shared.store.profiles(partition, &keys).await?;
        for (key, bytes) in keys.into_iter().zip(values) {
            if let Some(bytes) = bytes {
                let vector = vector(&key, &bytes, as_of, IncludedParts::default())?;
                vectors_by_key.insert(key, vector);
            }
        }
    }
    let mut missing = Vec::new();
    let mut vectors = Vec::new();
    for user_id in user_ids {
        match vectors_by_key.remove(&ProfileKey::of(user_id)) {
            Some(vector) => vectors.push(vector),
            None => missing.push(user_id.as_str().to_owned()),
        }
    }
    Ok((vectors, missing))
}

/// Streams the vectors of all users in `selection`, page by page, as fast as the reader takes them.
pub(crate) fn stream(shared: &Arc<FeatureContext>, selection: Selection) -> VectorPages {
    let (pages, receiver) = mpsc::channel(PAGES_QUEUED_MAX);
    let shared = Arc::clone(shared);
    #[expect(
        clippy::disallowed_methods,
        reason = "ends with its reader: a send fails once the stream is dropped"
    )]
    tokio::spawn(async move {
        if let Err(error) = send(&shared, selection, &pages).await {
            // A failed send means that the reader is gone, and with it the only one who needs the error.
            let _ = pages.send(Err(error.into())).await;
        }
    });
    ReceiverStream::new(receiver)
}

/// Scans the partitions of the reader and sends one message per page.
async fn send(
    shared: &FeatureContext,
    selection: Selection,
    pages: &mpsc::Sender<Result<v1::StreamFeaturesResponse, Status>>,
) -> Result<(), Error> {
    let partitions = shared.store.layout().partitions;
    for partition in selection.shard.partitions(partitions) {
        let mut cursor: Option<ScanCursor> = None;
        loop {
            let page = shared.store.scan(partition, cursor, selection.page()).await?;
            let vectors = page
                .profiles
                .iter()
                .filter(|(key, _)| selection.has_user(key))
                .map(|(key, bytes)| vector(key, bytes, selection.as_of, selection.include))
                .collect::<Result<Vec<_>, _>>()?;
            // A small sample leaves most pages empty; they are not sent.
            if !vectors.is_empty() && pages.send(Ok(response(selection.as_of, vectors))).await.is_err() {
                return Ok(());
            }
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
    }
    Ok(())
}

fn response(as_of: Timestamp, vectors: Vec<v1::FeatureVector>) -> v1::StreamFeaturesResponse {
    let as_of = Some(portrait_proto::time::to_wire(as_of));
    v1::StreamFeaturesResponse { schema_hash: FeatureSchema::current().hash(), as_of, vectors }
}

/// Computes the vector of a stored profile with its optional parts.
fn vector(
    key: &ProfileKey,
    bytes: &[u8],
    as_of: Timestamp,
    include: IncludedParts,
) -> Result<v1::FeatureVector, Error> {
    let profile = Profile::decode(bytes).map_err(|source| Error::cannot_read(key, source))?;
    let items = profile.recent_items().filter(|_| include.recent_items).cloned().map(v1::ItemTouch::from);
    let transitions = if include.transitions { profile.transitions_at(as_of) } else { Vec::new() };
    let snapshots = if include.snapshots { profile.training_examples(as_of) } else { Vec::new() };
    Ok(v1::FeatureVector {
        user_id: profile.user_id().as_str().to_owned(),
        values: profile.features_at(as_of),
        profile_version: profile.version().get(),
        segment_id: profile
            .segment()
            .map_or_else(String::new, |membership| membership.segment_id.to_string()),
        top_category: profile.top_category().unwrap_or_default().to_owned(),
        latest_category: profile.latest_category().unwrap_or_default().to_owned(),
        recent_items: items.collect(),
        transitions: transitions.into_iter().map(Into::into).collect(),
        snapshots: snapshots.into_iter().map(v1::FeatureSnapshot::from).collect(),
        bot: profile.is_machine_at(as_of),
    })
}
