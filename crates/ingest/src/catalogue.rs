//! What is known of items: a bounded memory in front of the store. In come records, out go the same with category, brand and
//! price where the sender left them out; in come items, and the store has them.

use crate::check::item::CheckedItem;
use crate::error::Error;
use bytes::Bytes;
use portrait_profile::{Body, CatalogueItem, Event, ItemId, Record, Span, Timestamp};
use portrait_store::{AckLevel, IntakeStore};
use quick_cache::sync::Cache;
use std::sync::Arc;

/// The catalogue as this process sees it.
pub(crate) struct Catalogue {
    store: Arc<dyn IntakeStore>,
    level: AckLevel,
    age_max: Span,
    /// What the store said of an item, also that it knows none. Written by lookups and upserts here; dropping an entry costs
    /// a read of the store.
    known: Cache<ItemId, Known>,
}

#[derive(Clone)]
struct Known {
    item: Option<Arc<CatalogueItem>>,
    at: Timestamp,
}

impl Catalogue {
    /// A memory for `items_max` items, each asked for again after `age_max`.
    pub(crate) fn new(store: Arc<dyn IntakeStore>, level: AckLevel, items_max: usize, age_max: Span) -> Self {
        Self { store, level, age_max, known: Cache::new(items_max) }
    }

    /// Adds to each event what its sender left out and the catalogue knows.
    pub(crate) async fn complete(&self, records: &mut [Record], now: Timestamp) -> Result<(), Error> {
        self.learn(records, now).await?;
        for event in records.iter_mut().filter_map(incomplete) {
            let known = event.item_id.as_ref().and_then(|item_id| self.known.get(item_id));
            if let Some(item) = known.and_then(|known| known.item) {
                fill(event, &item);
            }
        }
        Ok(())
    }

    /// Adds items to the catalogue or replaces them.
    pub(crate) async fn upsert(&self, items: Vec<CheckedItem>, now: Timestamp) -> Result<(), Error> {
        for page in items.chunks(self.store.limits().page_items) {
            let entries = page.iter().map(|item| (key(&item.item_id), Bytes::from(item.item.encode())));
            self.store.put_items(entries.collect(), self.level).await?;
        }
        for CheckedItem { item_id, item } in items {
            self.known.insert(item_id, Known { item: Some(Arc::new(item)), at: now });
        }
        Ok(())
    }

    /// Asks the store for the items that are not known, or not any more.
    async fn learn(&self, records: &mut [Record], now: Timestamp) -> Result<(), Error> {
        let mut unknown: Vec<ItemId> = Vec::new();
        for event in records.iter_mut().filter_map(incomplete) {
            let fresh = |known: Known| now.since(known.at) < self.age_max;
            unknown
                .extend(event.item_id.clone().filter(|item_id| !self.known.get(item_id).is_some_and(fresh)));
        }
        unknown.sort_unstable();
        unknown.dedup();
        for page in unknown.chunks(self.store.limits().page_items) {
            let keys: Vec<Bytes> = page.iter().map(key).collect();
            let found = self.store.items(&keys).await?;
            for (item_id, bytes) in page.iter().zip(found) {
                let item = bytes.map(|bytes| CatalogueItem::decode(&bytes)).transpose();
                let item = item.map_err(|source| {
                    let source = Arc::new(source);
                    Error::Item { item_id: item_id.clone(), source }
                })?;
                self.known.insert(item_id.clone(), Known { item: item.map(Arc::new), at: now });
            }
        }
        Ok(())
    }
}

fn key(item_id: &ItemId) -> Bytes {
    Bytes::copy_from_slice(item_id.as_str().as_bytes())
}

/// The event of a record that names an item and leaves something out.
fn incomplete(record: &mut Record) -> Option<&mut Event> {
    match &mut record.body {
        Body::Event(event) => {
            let partial = event.category.is_none() || event.brand.is_none() || event.price.is_none();
            (event.item_id.is_some() && partial).then_some(event)
        }
        Body::Traits(_) | Body::Relation(_) | Body::Outcome(_) | Body::Erase(_) | Body::Forget(_) => None,
    }
}

fn fill(event: &mut Event, item: &CatalogueItem) {
    let known = |text: &str| Some(Box::<str>::from(text)).filter(|text| !text.is_empty());
    event.category = event.category.take().or_else(|| known(&item.category));
    event.brand = event.brand.take().or_else(|| known(&item.brand));
    event.price = event.price.or(item.price);
}
