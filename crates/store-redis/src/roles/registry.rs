//! Registry of the models, their parts and the training lease.

use crate::partition::{LeaseAction, was_held};
use crate::store::RedisStore;
use async_trait::async_trait;
use bytes::Bytes;
use portrait_profile::{TimeDelta, Timestamp};
use portrait_store::backend::limits::within;
use portrait_store::{
    Acquisition, LeaseClaim, LeaseToken, MEMBER_NAME_MAX, PartName, Registry, RegistryChange, RegistryNo,
    RegistryStore, Result,
};
use std::time::Duration;

#[async_trait]
impl RegistryStore for RedisStore {
    async fn registry(&self, after: Option<RegistryNo>, wait: Duration) -> Result<Registry> {
        self.wait_for_registry(after, wait).await
    }

    async fn change_registry(&self, change: RegistryChange) -> Result<RegistryNo> {
        let manifest = change.publish.as_ref().map_or(0, |model| model.manifest.len());
        within("a manifest's size in bytes", manifest, self.limits.part_bytes)?;
        self.do_change_registry(change).await
    }

    async fn acquire_training(
        &self,
        claim: &LeaseClaim,
        ttl: TimeDelta,
        now: Timestamp,
    ) -> Result<Acquisition> {
        within("a member's name in bytes", claim.name.len(), MEMBER_NAME_MAX)?;
        self.training(LeaseAction::Acquire(claim), ttl, now).await
    }

    async fn renew_training(&self, token: LeaseToken, ttl: TimeDelta, now: Timestamp) -> Result<bool> {
        self.training(LeaseAction::Renew(token), ttl, now).await.map(was_held)
    }

    async fn release_training(&self, token: LeaseToken) -> Result<()> {
        // A release needs neither a duration nor a time.
        self.training(LeaseAction::Release(token), TimeDelta::ZERO, Timestamp::EPOCH).await.map(|_| ())
    }

    async fn put_part(&self, part: Bytes) -> Result<PartName> {
        within("a part's size in bytes", part.len(), self.limits.part_bytes)?;
        self.write_part(&part).await
    }

    async fn part(&self, name: PartName) -> Result<Option<Bytes>> {
        self.read_part(name).await
    }

    async fn parts(&self) -> Result<Vec<PartName>> {
        self.read_part_names().await
    }
}
