//! Roles put together: everything a store does, and the sets of roles that one kind of process needs. A set is a supertrait of
//! [`Store`], so that an `Arc<dyn Store>` becomes an `Arc` of the set without a wrapper.

use super::catalogue::CatalogueStore;
use super::feed::FeedStore;
use super::log::LogStore;
use super::membership::MembershipStore;
use super::owner::OwnerStore;
use super::profiles::ProfileStore;
use super::registry::RegistryStore;

/// Every role of a store.
pub trait Store: IntakeStore + WorkerStore + ReadStore + TrainingStore {}

/// Roles of a process that takes records and items in.
pub trait IntakeStore: LogStore + CatalogueStore {}

/// Roles of a worker: it owns partitions, applies their logs, and follows the models.
pub trait WorkerStore: LogStore + OwnerStore + ProfileStore + RegistryStore + MembershipStore {}

/// Roles of a process that answers reads and follows the feeds.
pub trait ReadStore: LogStore + ProfileStore + FeedStore + CatalogueStore {}

/// Roles of a process that trains and publishes models.
pub trait TrainingStore: LogStore + CatalogueStore + RegistryStore {}

impl<S: IntakeStore + WorkerStore + ReadStore + TrainingStore + ?Sized> Store for S {}
impl<S: LogStore + CatalogueStore + ?Sized> IntakeStore for S {}
impl<S: LogStore + OwnerStore + ProfileStore + RegistryStore + MembershipStore + ?Sized> WorkerStore for S {}
impl<S: LogStore + ProfileStore + FeedStore + CatalogueStore + ?Sized> ReadStore for S {}
impl<S: LogStore + CatalogueStore + RegistryStore + ?Sized> TrainingStore for S {}
