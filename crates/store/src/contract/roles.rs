//! Combinations of roles: the whole store, and the roles that one kind of process needs. Each combination is a supertrait of
//! [`Store`], so that an `Arc<dyn Store>` converts to an `Arc` of the combination without a wrapper.

use super::catalogue::CatalogueStore;
use super::feed::FeedStore;
use super::log::LogStore;
use super::membership::MembershipStore;
use super::owner::OwnerStore;
use super::profiles::ProfileStore;
use super::registry::RegistryStore;
use super::tombstones::TombstoneStore;

/// Store with every role.
pub trait Store: IntakeStore + WorkerStore + ReadStore + TrainingStore {}

/// Roles of a process that accepts records and items, and reports the progress of erasures.
pub trait IntakeStore: LogStore + CatalogueStore + TombstoneStore {}

/// Roles of a worker: it owns partitions, applies their logs, and follows the models.
pub trait WorkerStore:
    LogStore + OwnerStore + ProfileStore + TombstoneStore + RegistryStore + MembershipStore
{
}

/// Roles of a process that serves reads and follows the feeds.
pub trait ReadStore: LogStore + ProfileStore + FeedStore + CatalogueStore {}

/// Roles of a process that trains and publishes models.
pub trait TrainingStore: LogStore + CatalogueStore + RegistryStore {}

// Blanket implementations: a backend implements the single roles and gets every combination.
impl<S: IntakeStore + WorkerStore + ReadStore + TrainingStore + ?Sized> Store for S {}
impl<S: LogStore + CatalogueStore + TombstoneStore + ?Sized> IntakeStore for S {}
impl<S> WorkerStore for S where
    S: LogStore + OwnerStore + ProfileStore + TombstoneStore + RegistryStore + MembershipStore + ?Sized
{
}
impl<S: LogStore + ProfileStore + FeedStore + CatalogueStore + ?Sized> ReadStore for S {}
impl<S: LogStore + CatalogueStore + RegistryStore + ?Sized> TrainingStore for S {}
