//! What is kept of models, once for the whole deployment: which versions there are, which one is active, the parts they are
//! made of, and who may train. A store knows numbers and bytes, not mathematics.

use super::info::StoreInfo;
use crate::error::{Error, Result};
use crate::position::{LeaseToken, Nonce, RegistryNo};
use async_trait::async_trait;
use bytes::Bytes;
use portrait_profile::{ModelVersion, Span, Timestamp};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use xxhash_rust::xxh3::xxh3_128;

/// Registry of the models, their parts, and the lease of the right to train.
#[async_trait]
pub trait RegistryStore: StoreInfo {
    /// The models of the deployment. Waits up to `wait` for one with a number above `after` and returns what there then is.
    async fn registry(&self, after: Option<RegistryNo>, wait: Duration) -> Result<Registry>;

    /// Does everything in `change`, or nothing, and returns the new number. MUST be on disk when it returns,
    /// or as safe as the level that the room was opened for, where the room has one.
    ///
    /// MUST fail with `RegistryMoved` if `expected` is not the registry's number, and with `TrainerFenced` if a model is
    /// published with a token that is not the trainer's, and change nothing. MUST refuse, as `NoSuchModel`, to activate a model
    /// that is not kept or to forget the active one, and, as `RegistryMoved`, to publish a version that is not above the newest.
    async fn change_registry(&self, change: RegistryChange) -> Result<RegistryNo>;

    /// Takes the right to train, which one owner in the whole deployment has, as [`super::owner::OwnerStore::acquire`] takes a partition.
    async fn acquire_training(&self, nonce: Nonce, ttl: Span, now: Timestamp) -> Result<Option<LeaseToken>>;

    /// As [`super::owner::OwnerStore::renew`], for the right to train.
    async fn renew_training(&self, token: LeaseToken, ttl: Span, now: Timestamp) -> Result<bool>;

    /// As [`super::owner::OwnerStore::release`], for the right to train.
    async fn release_training(&self, token: LeaseToken) -> Result<()>;

    /// Keeps a part of a model under the name of its bytes. MUST be as safe as a change of the registry when it
    /// returns.
    async fn put_part(&self, part: Bytes) -> Result<PartName>;

    /// The part of a name.
    async fn part(&self, name: PartName) -> Result<Option<Bytes>>;
}

/// The name of a part: the XXH3 hash (128 bits) of its bytes. Equal parts of two models are kept once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PartName(u128);

/// One published model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedModel {
    /// Its version.
    pub version: ModelVersion,
    /// When it was published.
    pub at: Timestamp,
    /// What it is made of and what is to be known of it without its parts; opaque to the store.
    pub manifest: Bytes,
}

/// The models of a deployment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registry {
    /// How often anything here but the lease changed; every change expects the number before it.
    pub registry_no: RegistryNo,
    /// The model that is served; none before the first.
    pub active: Option<ModelVersion>,
    /// Those that are kept, oldest first.
    pub models: Vec<PublishedModel>,
    /// The newest version that was ever published, kept or not: versions never restart.
    pub newest: Option<ModelVersion>,
}

/// A change of the registry. All of it happens or nothing.
#[derive(Clone, Debug)]
pub struct RegistryChange {
    /// The registry that the caller knows; compared.
    pub expected: RegistryNo,
    /// A new model, and the trainer's token, compared as a whole. Its parts are there already.
    pub publish: Option<(LeaseToken, PublishedModel)>,
    /// The model to serve from now on.
    pub activate: Option<ModelVersion>,
    /// Models to forget; never the active one.
    pub forget: Vec<ModelVersion>,
    /// Parts to forget, since no model needs them.
    pub forget_parts: Vec<PartName>,
}

impl PartName {
    /// The name of a part of those bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(xxh3_128(bytes))
    }

    /// From its number.
    pub const fn new(bits: u128) -> Self {
        Self(bits)
    }

    /// The number.
    pub const fn get(self) -> u128 {
        self.0
    }
}

impl Registry {
    /// What `change` makes of it, or why it may not be; `trains` says whether a token is the trainer's.
    ///
    /// # Errors
    /// As [`RegistryStore::change_registry`].
    pub fn changed(&self, change: &RegistryChange, trains: impl Fn(LeaseToken) -> bool) -> Result<Self> {
        let current = self.registry_no;
        let moved = || Error::RegistryMoved { expected: change.expected, current };
        if current != change.expected {
            return Err(moved());
        }
        let mut next = self.clone();
        if let Some((token, model)) = &change.publish {
            if !trains(*token) {
                return Err(Error::TrainerFenced);
            }
            if next.newest.is_some_and(|newest| model.version <= newest) {
                return Err(moved());
            }
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
        next.models.retain(|model| !change.forget.contains(&model.version));
        next.registry_no = current.next();
        Ok(next)
    }

    /// The model that is served.
    pub fn active_model(&self) -> Option<&PublishedModel> {
        self.active.and_then(|version| self.model(version))
    }

    /// A model that is kept.
    pub fn model(&self, version: ModelVersion) -> Option<&PublishedModel> {
        self.models.iter().find(|model| model.version == version)
    }
}
