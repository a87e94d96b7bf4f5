//! Identity of the store: its id is compared at every start, at an interval, and before a partition without data gets its first
//! generation. A server that restarts empty, or is replaced by another one, is noticed there and not when profiles are missing.
//!
//! With a required id a lost store answers no calls, so that nothing begins in its place. Without one it is created again.

use super::cluster::ClusterClient;
use super::failure::RedisFailure;
use super::health::{ProblemKind, StoreHealth};
use super::keys::RedisKeys;
use super::layout::{self, LayoutRequest, StoredLayout};
use portrait_profile::PartitionId;
use portrait_store::{Error, Layout, Result, StoreId};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Identity of an open store.
pub(super) struct StoreIdentity {
    cluster: Arc<ClusterClient>,
    keys: RedisKeys,
    health: Arc<StoreHealth>,
    /// Layout at open.
    layout: Layout,
    /// Id that the store must have, if one is configured.
    required: Option<StoreId>,
    /// Id that was read last; locked during a comparison, so that a loss counts once.
    current: tokio::sync::Mutex<StoreId>,
    /// State of each partition.
    partitions: Box<[KnownPartition]>,
    /// Number of partitions whose data is missing.
    lost_partitions: Mutex<usize>,
}

/// What the process knows of a partition.
#[derive(Default)]
struct KnownPartition {
    /// True once the partition was seen with data.
    has_data: AtomicBool,
    /// Locked while a caller reads the partition for the first time, so that concurrent callers begin it once.
    first_use: tokio::sync::Mutex<()>,
    /// True while its data is missing although it was seen before.
    is_lost: AtomicBool,
}

/// Opens the store of `keys`, or creates it if the request says so; none if there is none.
///
/// # Errors
/// `Incompatible` if the store has another id than the required one, is missing, or was created with other settings.
pub(super) async fn open_layout(
    cluster: &ClusterClient,
    keys: &RedisKeys,
    request: &LayoutRequest,
    required: Option<StoreId>,
) -> Result<Option<Layout>> {
    let opened = layout::open(cluster, keys, request).await?;
    match (opened, required) {
        (None, None) => Ok(None),
        (None, required) => Err(Error::Incompatible { detail: missing(keys, required) }),
        (Some(StoredLayout { layout, .. }), Some(required)) if layout.id != required => {
            Err(Error::Incompatible { detail: other_id(keys, layout.id, required) })
        }
        (Some(StoredLayout { layout, is_new: true }), _) => {
            tracing::info!(id = %layout.id, "store created: set store.id to its id, so that no process starts on another or empty store");
            Ok(Some(layout))
        }
        (Some(StoredLayout { layout, .. }), _) => Ok(Some(layout)),
    }
}

fn missing(keys: &RedisKeys, required: Option<StoreId>) -> String {
    let required = required.map_or_else(String::new, |id| id.to_string());
    format!(
        "store.id is {required} and redis has no store under {}: restore its data, correct store.url or store.prefix, or leave \
         store.id empty to create a new store",
        keys.prefix()
    )
}

fn other_id(keys: &RedisKeys, found: StoreId, required: StoreId) -> String {
    format!(
        "store.id is {required} and the store under {} in redis has the id {found}: correct store.url or store.prefix, restore \
         the data, or set store.id to {found} if this is the right store",
        keys.prefix()
    )
}

impl StoreIdentity {
    /// Returns the identity of a store that was opened with `layout`.
    pub(super) fn new(
        cluster: Arc<ClusterClient>,
        keys: RedisKeys,
        health: Arc<StoreHealth>,
        layout: Layout,
        required: Option<StoreId>,
    ) -> Self {
        let partitions = (0..layout.partitions.get()).map(|_| KnownPartition::default()).collect();
        let current = tokio::sync::Mutex::new(layout.id);
        Self { cluster, keys, health, layout, required, current, partitions, lost_partitions: Mutex::new(0) }
    }

    /// Compares the stored id with the known one, and reports a loss once. A lost store is created again unless an id is required.
    ///
    /// # Errors
    /// `Unavailable` if the store is lost and may not be created again, `Incompatible` if another deployment has created it.
    pub(super) async fn verify(&self) -> Result<()> {
        let mut current = self.current.lock().await;
        let request = LayoutRequest {
            partitions: Some(self.layout.partitions),
            dedup_window: self.layout.dedup_window,
            pseudonym_key: Some(self.layout.pseudonym_key),
            creates: self.required.is_none(),
        };
        let stored = match layout::open(&self.cluster, &self.keys, &request).await {
            Ok(stored) => stored.map(|stored| stored.layout),
            Err(error @ Error::Incompatible { .. }) => {
                let text = format!("another store is in the place of the known one: {error}");
                self.report_lost(&text, true);
                return Err(error);
            }
            Err(error) => return Err(error),
        };
        let problem = match (&stored, self.required) {
            (None, required) => missing(&self.keys, required),
            (Some(stored), Some(required)) if stored.id != required => {
                other_id(&self.keys, stored.id, required)
            }
            (Some(stored), None) if stored.pseudonym_key != self.layout.pseudonym_key => format!(
                "the store in redis was lost and created again with the id {}: restart this process to use it, or restore the data",
                stored.id
            ),
            (Some(stored), _) => {
                if stored.id == *current {
                    if self.health.is_lost() {
                        self.health.resolved(ProblemKind::Lost);
                    }
                } else {
                    *current = stored.id;
                    self.begin_anew(stored.id);
                }
                return Ok(());
            }
        };
        self.report_lost(&problem, true);
        Err(RedisFailure::Lost { problem }.into())
    }

    /// Checks a partition without data before its first generation begins.
    ///
    /// # Errors
    /// As for [`Self::verify`], and `Unavailable` if the partition had data before and an id is required.
    pub(super) async fn verify_empty(&self, partition: PartitionId) -> Result<()> {
        self.verify().await?;
        let Some(known) = self.partitions.get(partition.index()) else { return Ok(()) };
        if !known.has_data.load(Ordering::SeqCst) {
            return Ok(());
        }
        let is_required = self.required.is_some();
        let problem = format!(
            "partitions of the store have no data any more, as after the loss of one server of a cluster: {}",
            if is_required {
                "restore the data, or restart the processes to begin these partitions anew"
            } else {
                "they begin anew; set store.id to prevent that"
            }
        );
        if !known.is_lost.swap(true, Ordering::SeqCst) {
            *self.lost_count() += 1;
            self.health.lost(ProblemKind::PartitionsLost, &problem, false);
        }
        if is_required { Err(RedisFailure::Lost { problem }.into()) } else { Ok(()) }
    }

    /// Returns whether the partition was seen with data.
    pub(super) fn is_known(&self, partition: PartitionId) -> bool {
        self.partitions.get(partition.index()).is_some_and(|known| known.has_data.load(Ordering::Relaxed))
    }

    /// Waits until no other caller prepares the first use of the partition.
    pub(super) async fn first_use(&self, partition: PartitionId) -> Option<tokio::sync::MutexGuard<'_, ()>> {
        Some(self.partitions.get(partition.index())?.first_use.lock().await)
    }

    /// Notes that a partition has data.
    pub(super) fn has_data(&self, partition: PartitionId) {
        let Some(known) = self.partitions.get(partition.index()) else { return };
        // Read first: this runs with every append and read.
        if !known.has_data.load(Ordering::Relaxed) {
            known.has_data.store(true, Ordering::SeqCst);
        }
        if known.is_lost.load(Ordering::Relaxed) && known.is_lost.swap(false, Ordering::SeqCst) {
            let mut lost = self.lost_count();
            *lost = lost.saturating_sub(1);
            // A partition that began anew is still a loss; only restored data is none.
            if *lost == 0 && self.required.is_some() {
                self.health.resolved(ProblemKind::PartitionsLost);
            }
        }
    }

    /// Goes on with a store that was created again under running processes.
    fn begin_anew(&self, id: StoreId) {
        let problem = format!(
            "the store in redis was lost and created again with the id {id}: profiles, logs and models of before are gone; restore \
             them from a backup, and set store.id so that a lost store is not created again"
        );
        self.report_lost(&problem, false);
        // All partitions begin anew, which is this one loss.
        self.partitions.iter().for_each(|known| known.has_data.store(false, Ordering::SeqCst));
    }

    /// Reports a loss of the store; one that is known already counts no further.
    fn report_lost(&self, problem: &str, blocks_calls: bool) {
        if blocks_calls && self.health.is_lost() {
            self.health.report(ProblemKind::Lost, problem, true);
        } else {
            self.health.lost(ProblemKind::Lost, problem, blocks_calls);
        }
    }

    fn lost_count(&self) -> std::sync::MutexGuard<'_, usize> {
        self.lost_partitions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
