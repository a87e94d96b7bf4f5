//! Catalogue entries of the items in the sampled histories, and of a bounded sample of items without interactions.
//! Input: the store. Output: items with category and brand, in id order.

use super::bounded::Bounded;
use crate::error::Error;
use portrait_learning::prediction::recommend::ItemDescription;
use portrait_profile::{CatalogueItem, ItemId};
use portrait_store::CatalogueStore;
use xxhash_rust::xxh64::xxh64;

/// Maximum number of items without interactions; bounds memory and model size for large catalogues.
const NEWCOMERS_MAX: usize = 100_000;
/// Seed of the sampling hash.
const SEED: u64 = 0x6E65_7700;

/// Reads the catalogue entries of the items in `had`, which is sorted, and a bounded sample of the others; empty if
/// `had` is empty.
pub(crate) async fn described(store: &dyn CatalogueStore, had: &[ItemId]) -> Result<Vec<ItemDescription>, Error> {
    let (mut found, mut newcomers) = (Vec::new(), Bounded::new(NEWCOMERS_MAX));
    let mut cursor = None;
    while !had.is_empty() {
        let page = store.scan_items(cursor, store.limits().page_items).await?;
        for (id, bytes) in page.items {
            let hash = xxh64(&id, SEED);
            let Some(item) = read(&id, &bytes) else { continue };
            if had.binary_search(&item.id).is_ok() {
                found.push(item);
            } else {
                newcomers.take(hash, item);
            }
        }
        match page.next {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    found.extend(newcomers.finish().into_iter().map(|(_, item)| item));
    // A scan may return an item twice, and each backend has its own order.
    found.sort_by(|one, other| one.id.cmp(&other.id));
    found.dedup_by(|one, other| one.id == other.id);
    Ok(found)
}

/// Parses a catalogue item with a category; unreadable items are skipped here, since a direct read reports them.
fn read(id: &[u8], bytes: &[u8]) -> Option<ItemDescription> {
    let id = ItemId::parse(std::str::from_utf8(id).ok()?).ok()?;
    let CatalogueItem { category, brand, .. } = CatalogueItem::decode(bytes).ok()?;
    (!category.is_empty()).then_some(ItemDescription { id, category, brand })
}
