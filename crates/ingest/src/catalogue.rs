//! Bounded cache of the catalogue in front of the store. It completes events with category, brand and price that the sender
//! left out, and passes upserts to the store.

use crate::error::Error;
use crate::validate::item::ValidItem;
use bytes::Bytes;
use portrait_profile::{Body, CatalogueItem, Event, ItemId, Record, TimeDelta, Timestamp};
use portrait_store::{AckLevel, IntakeStore};
use quick_cache::sync::Cache;
use std::sync::Arc;

/// Catalogue as this process sees it.
pub(crate) struct CatalogueCache {
    store: Arc<dyn IntakeStore>,
    level: AckLevel,
    ttl: TimeDelta,
    /// Cached items, and ids that the store does not know: without the latter every event of an unknown item would cost a read.
    /// Written by lookups and upserts of this process; upserts of others appear after `ttl`.
    cached: Cache<ItemId, CachedItem>,
}

#[derive(Clone)]
struct CachedItem {
    item: Option<Arc<CatalogueItem>>,
    read_at: Timestamp,
}

impl CatalogueCache {
    /// Creates a cache of `items_max` items, each read again after `ttl`.
    pub(crate) fn new(
        store: Arc<dyn IntakeStore>,
        level: AckLevel,
        items_max: usize,
        ttl: TimeDelta,
    ) -> Self {
        Self { store, level, ttl, cached: Cache::new(items_max) }
    }

    /// Completes events with fields that the sender left out and the catalogue has.
    ///
    /// # Errors
    /// Fails if the store cannot be read or an item cannot be decoded.
    pub(crate) async fn enrich(&self, records: &mut [Record], now: Timestamp) -> Result<(), Error> {
        // All missing items of a batch in one or few reads, instead of one read per event.
        self.load(records, now).await?;
        for event in records.iter_mut().filter_map(incomplete) {
            let cached = event.item_id.as_ref().and_then(|item_id| self.cached.get(item_id));
            if let Some(item) = cached.and_then(|cached| cached.item) {
                fill_missing(event, &item);
            }
        }
        Ok(())
    }

    /// Adds items to the catalogue or replaces them.
    pub(crate) async fn upsert(&self, items: Vec<ValidItem>, now: Timestamp) -> Result<(), Error> {
        for page in items.chunks(self.store.limits().page_items) {
            let entries = page.iter().map(|item| (key(&item.item_id), Bytes::from(item.item.encode())));
            self.store.put_items(entries.collect(), self.level).await?;
        }
        // After all writes: a failed one must not leave an item in the cache that no other process will ever see.
        for ValidItem { item_id, item } in items {
            self.cached.insert(item_id, CachedItem { item: Some(Arc::new(item)), read_at: now });
        }
        Ok(())
    }

    /// Loads the items that are not cached, or expired.
    async fn load(&self, records: &mut [Record], now: Timestamp) -> Result<(), Error> {
        let mut missing: Vec<ItemId> = Vec::new();
        for item_id in records.iter_mut().filter_map(incomplete).filter_map(|event| event.item_id.as_ref()) {
            let cached = self.cached.get(item_id);
            if cached.is_none_or(|cached| now.since(cached.read_at) >= self.ttl) {
                missing.push(item_id.clone());
            }
        }
        // One read per distinct item: a batch often has several events of the same item.
        missing.sort_unstable();
        missing.dedup();
        for page in missing.chunks(self.store.limits().page_items) {
            let keys: Vec<Bytes> = page.iter().map(key).collect();
            let stored = self.store.items(&keys).await?;
            for (item_id, bytes) in page.iter().zip(stored) {
                let item = bytes.map(|bytes| CatalogueItem::decode(&bytes)).transpose();
                let item = item.map_err(|source| {
                    let source = Arc::new(source);
                    Error::Item { item_id: item_id.clone(), source }
                })?;
                self.cached.insert(item_id.clone(), CachedItem { item: item.map(Arc::new), read_at: now });
            }
        }
        Ok(())
    }
}

fn key(item_id: &ItemId) -> Bytes {
    Bytes::copy_from_slice(item_id.as_str().as_bytes())
}

/// Returns the event of a record that names an item and leaves a field out.
fn incomplete(record: &mut Record) -> Option<&mut Event> {
    match &mut record.body {
        Body::Event(event) => {
            let is_partial = event.category.is_none() || event.brand.is_none() || event.price.is_none();
            (event.item_id.is_some() && is_partial).then_some(event)
        }
        Body::Traits(_) | Body::Relation(_) | Body::Outcome(_) | Body::Erase(_) | Body::Forget(_) => None,
    }
}

fn fill_missing(event: &mut Event, item: &CatalogueItem) {
    // An empty field of the catalogue is an unknown one; what the sender sent always wins.
    let non_empty = |text: &str| Some(Box::<str>::from(text)).filter(|text| !text.is_empty());
    event.category = event.category.take().or_else(|| non_empty(&item.category));
    event.brand = event.brand.take().or_else(|| non_empty(&item.brand));
    event.price = event.price.or(item.price);
}
