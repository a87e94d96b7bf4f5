//! Model registry, shared by the whole deployment: the versions, the active one, their parts, and the training lease. A store
//! holds numbers and bytes and does not interpret models.

use super::info::StoreInfo;
use super::lease::{Acquisition, LeaseClaim};
use crate::error::{Error, Result};
use crate::position::{LeaseToken, RegistryNo};
use async_trait::async_trait;
use bytes::Bytes;
use portrait_profile::{ModelVersion, TimeDelta, Timestamp};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use xxhash_rust::xxh3::xxh3_128;

/// Registry of the models, their parts, and the training lease.
#[async_trait]
pub trait RegistryStore: StoreInfo {
    /// Returns the registry. Waits up to `wait` for a number above `after`, and returns the current one in any case.
    async fn registry(&self, after: Option<RegistryNo>, wait: Duration) -> Result<Registry>;

    /// Applies everything in `change`, or nothing, and returns the new number. MUST be on disk when it returns, or as durable as
    /// the level that the backend was opened with, if it has one.
    ///
    /// MUST fail with `RegistryMoved` if `expected` is not the registry's number, and with `TrainerFenced` if `trainer` does not
    /// hold the training lease, or a model is published without it. MUST fail with `NoSuchModel` if an unknown model is activated or the
    /// active one is removed, and with `RegistryMoved` if a published version is not above the newest.
    async fn change_registry(&self, change: RegistryChange) -> Result<RegistryNo>;

    /// Acquires the training lease, which one process in the deployment holds, with the rules of
    /// [`super::owner::OwnerStore::acquire`].
    async fn acquire_training(
        &self,
        claim: &LeaseClaim,
        ttl: TimeDelta,
        now: Timestamp,
    ) -> Result<Acquisition>;

    /// Extends the training lease, with the rules of [`super::owner::OwnerStore::renew`].
    async fn renew_training(&self, token: LeaseToken, ttl: TimeDelta, now: Timestamp) -> Result<bool>;

    /// Ends the training lease early, with the rules of [`super::owner::OwnerStore::release`].
    async fn release_training(&self, token: LeaseToken) -> Result<()>;

    /// Stores a part of a model under the hash of its bytes. MUST be as durable as a change of the registry when it returns.
    async fn put_part(&self, part: Bytes) -> Result<PartName>;

    /// Returns the part named `name`, if it exists.
    async fn part(&self, name: PartName) -> Result<Option<Bytes>>;

    /// Returns the names of all stored parts, in any order. MUST include parts whose [`Self::put_part`] has begun and was
    /// interrupted: a trainer that died leaves such parts, and the next one removes what no model names.
    async fn parts(&self) -> Result<Vec<PartName>>;
}

/// Name of a part: the XXH3 hash (128 bits) of its bytes. Equal parts of two models are stored once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PartName(u128);

/// Model in the registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedModel {
    /// Version of the model.
    pub version: ModelVersion,
    /// Time of publication, by the trainer's clock.
    pub at: Timestamp,
    /// Manifest: names of the parts, and metadata that is readable without them; opaque to the store.
    pub manifest: Bytes,
}

/// Models of a deployment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registry {
    /// Number of changes, leases excepted; every change expects the number before it.
    pub registry_no: RegistryNo,
    /// Version that is served; none before the first.
    pub active: Option<ModelVersion>,
    /// Retained models, oldest first.
    pub models: Vec<PublishedModel>,
    /// Newest version that was ever published, retained or not: versions never restart.
    pub newest: Option<ModelVersion>,
}

/// Atomic change of the registry: all of it is applied, or nothing.
#[derive(Clone, Debug)]
pub struct RegistryChange {
    /// Number of the registry known to the caller; compared.
    pub expected: RegistryNo,
    /// Token of the training lease, compared as a whole; needed to publish. A change that removes parts has it too: without it a
    /// trainer that lost its lease could remove the parts of the next one.
    pub trainer: Option<LeaseToken>,
    /// New model, whose parts are stored already.
    pub publish: Option<PublishedModel>,
    /// Version to serve from now on.
    pub activate: Option<ModelVersion>,
    /// Versions to remove; never the active one.
    pub forget: Vec<ModelVersion>,
    /// Parts to remove because no model uses them.
    pub forget_parts: Vec<PartName>,
}

impl PartName {
    /// Returns the name of a part with the given bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(xxh3_128(bytes))
    }

    /// Wraps the 128 bits of a hash.
    pub const fn new(bits: u128) -> Self {
        Self(bits)
    }

    /// Returns the 128 bits of the hash.
    pub const fn get(self) -> u128 {
        self.0
    }
}

impl RegistryChange {
    /// Change that does nothing to the registry numbered `expected`; its fields are set one by one.
    pub fn of(expected: RegistryNo) -> Self {
        Self {
            expected,
            trainer: None,
            publish: None,
            activate: None,
            forget: Vec::new(),
            forget_parts: Vec::new(),
        }
    }
}

impl Registry {
    /// Returns the registry after `change`; `trains` returns whether a token holds the training lease.
    ///
    /// # Errors
    /// As [`RegistryStore::change_registry`].
    pub fn changed(&self, change: &RegistryChange, trains: impl Fn(LeaseToken) -> bool) -> Result<Self> {
        let current = self.registry_no;
        // Checked first: with an outdated view every other check would compare the wrong models.
        if current != change.expected {
            return Err(Error::RegistryMoved { expected: change.expected, current });
        }
        let mut next = self.clone();
        if !change.trainer.is_none_or(trains) || change.publish.is_some() && change.trainer.is_none() {
            return Err(Error::TrainerFenced);
        }
        if let Some(model) = &change.publish {
            // A version is never used twice, so nodes may cache models and predictions by version.
            if next.newest.is_some_and(|newest| model.version <= newest) {
                return Err(Error::RegistryMoved { expected: change.expected, current });
            }
            // Kept apart from the list, since the newest model may be removed and its number must not be used again.
            next.newest = Some(model.version);
            next.models.push(model.clone());
        }
        if let Some(version) = change.activate {
            next.model(version).ok_or(Error::NoSuchModel { version })?;
            next.active = Some(version);
        }
        if let Some(version) = change.forget.iter().copied().find(|version| next.active == Some(*version)) {
            return Err(Error::NoSuchModel { version });
        }
        // Removed last, so that one change may publish, activate and drop the model before it.
        next.models.retain(|model| !change.forget.contains(&model.version));
        next.registry_no = current.next();
        Ok(next)
    }

    /// Returns the model that is served.
    pub fn active_model(&self) -> Option<&PublishedModel> {
        self.active.and_then(|version| self.model(version))
    }

    /// Returns a retained model by its version.
    pub fn model(&self, version: ModelVersion) -> Option<&PublishedModel> {
        self.models.iter().find(|model| model.version == version)
    }
}
