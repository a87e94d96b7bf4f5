//! Registry of the models, their parts and the training lease.

use crate::keys;
use crate::models::ModelState;
use crate::read::blocking;
use crate::store::Embedded;
use crate::write_batch::{ReplySender, WriteBatch};
use crate::write_job::WriteJob;
use async_trait::async_trait;
use bytes::Bytes;
use portrait_profile::{TimeDelta, Timestamp};
use portrait_store::backend::limits::within;
use portrait_store::{
    Acquisition, Error, LeaseClaim, LeaseToken, MEMBER_NAME_MAX, PartName, Registry, RegistryChange,
    RegistryNo, RegistryStore, Result,
};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

#[async_trait]
impl RegistryStore for Embedded {
    async fn registry(&self, after: Option<RegistryNo>, wait: Duration) -> Result<Registry> {
        let mut models = self.models.subscribe();
        let is_newer =
            models.wait_for(|models| after.is_none_or(|after| models.registry.registry_no > after));
        // A timeout is not an error: the caller gets the current registry.
        let _ = tokio::time::timeout(wait, is_newer).await;
        let registry = models.borrow().registry.clone();
        Ok(registry)
    }

    async fn change_registry(&self, change: RegistryChange) -> Result<RegistryNo> {
        let manifest = change.publish.as_ref().map_or(0, |model| model.manifest.len());
        within("a manifest's size in bytes", manifest, self.limits.part_bytes)?;
        self.edit_models(move |models, batch| {
            let changed = models.change(&change);
            // Parts go in the batch that changes the registry, so no registry ever names a part that is gone.
            if changed.is_ok() {
                batch.forget_parts(change.forget_parts);
            }
            changed
        })
        .await
    }

    async fn acquire_training(
        &self,
        claim: &LeaseClaim,
        ttl: TimeDelta,
        now: Timestamp,
    ) -> Result<Acquisition> {
        within("a member's name in bytes", claim.name.len(), MEMBER_NAME_MAX)?;
        let claim = claim.clone();
        self.edit_models(move |models, _| Ok(models.lease.acquire(&claim, ttl, now))).await
    }

    async fn renew_training(&self, token: LeaseToken, ttl: TimeDelta, now: Timestamp) -> Result<bool> {
        self.edit_models(move |models, _| Ok(models.lease.renew(token, ttl, now))).await
    }

    async fn release_training(&self, token: LeaseToken) -> Result<()> {
        self.edit_models(move |models, _| {
            models.lease.release(token);
            Ok(())
        })
        .await
    }

    async fn put_part(&self, part: Bytes) -> Result<PartName> {
        within("a part's size in bytes", part.len(), self.limits.part_bytes)?;
        let name = PartName::of(&part);
        self.submit(|reply| WriteJob::PutPart { name, part, reply }).await?;
        Ok(name)
    }

    async fn part(&self, name: PartName) -> Result<Option<Bytes>> {
        let keyspaces = Arc::clone(&self.keyspaces);
        blocking(move || {
            let part = keyspaces.parts.get(keys::part(name)).map_err(Error::unavailable)?;
            // Without a copy: a part of a large shop has hundreds of megabytes.
            Ok(part.map(Bytes::from_owner))
        })
        .await
    }

    async fn parts(&self) -> Result<Vec<PartName>> {
        let keyspaces = Arc::clone(&self.keyspaces);
        blocking(move || {
            let names = keyspaces.parts.iter().map(|entry| {
                let key = entry.key().map_err(Error::unavailable)?;
                keys::part_name(&key)
                    .ok_or_else(|| Error::Damaged { detail: format!("a part's key of {} bytes", key.len()) })
            });
            names.collect()
        })
        .await
    }
}

impl Embedded {
    /// Hands a change of the models to the writer, and waits for the result.
    async fn edit_models<T: Send + 'static>(
        &self,
        edit: impl FnOnce(&mut ModelState, &mut WriteBatch) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.submit(|reply| {
            // Exactly one of the two closures is called.
            let reply = Arc::new(Mutex::new(Some(reply)));
            let refused = Arc::clone(&reply);
            WriteJob::Models {
                edit: Box::new(move |models, batch| {
                    let result = edit(models, batch);
                    if let Some(reply) = taken(&reply) {
                        batch.reply(reply, result);
                    }
                }),
                refuse: Box::new(move |error| {
                    if let Some(reply) = taken(&refused) {
                        // The caller may have been cancelled.
                        let _ = reply.send(Err(error));
                    }
                }),
            }
        })
        .await
    }
}

fn taken<T>(reply: &Mutex<Option<ReplySender<T>>>) -> Option<ReplySender<T>> {
    reply.lock().unwrap_or_else(PoisonError::into_inner).take()
}
