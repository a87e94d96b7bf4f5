//! Catalogue entries of the items in the sampled histories, and of a bounded sample of items without interactions.
//! Input: the store. Output: items with category and brand, in id order.

use super::bottom_k::BottomKSample;
use super::limits::LimitCount;
use crate::error::Error;
use portrait_learning::prediction::recommend::ItemDescription;
use portrait_profile::{CatalogueItem, ItemId};
use portrait_store::CatalogueStore;
use xxhash_rust::xxh64::xxh64;

/// Maximum number of items without interactions; bounds memory and model size for large catalogues.
const COLD_START_ITEMS_MAX: usize = 100_000;
/// Seed of the sampling hash.
const SEED: u64 = 0x6E65_7700;

/// Catalogue entries for a training.
#[derive(Debug, Default)]
pub(crate) struct Catalogue {
    /// Entries in id order.
    pub(crate) items: Vec<ItemDescription>,
    /// Entries of items without interactions in the sample, and in the catalogue.
    pub(crate) cold_start: LimitCount,
}

/// Reads the catalogue entries of the items in `had`, which is sorted, and a bounded sample of the others; empty if
/// `had` is empty.
pub(crate) async fn described(store: &dyn CatalogueStore, had: &[ItemId]) -> Result<Catalogue, Error> {
    let mut found = Vec::new();
    // Items without interactions can only be recommended by category and brand.
    let mut cold_start = BottomKSample::new(COLD_START_ITEMS_MAX);
    let mut cold_start_found = 0;
    let mut cursor = None;
    while !had.is_empty() {
        let page = store.scan_items(cursor, store.limits().page_items).await?;
        for (id, bytes) in page.items {
            let hash = xxh64(&id, SEED);
            let Some(item) = read(&id, &bytes) else { continue };
            if had.binary_search(&item.id).is_ok() {
                found.push(item);
            } else {
                cold_start_found += 1;
                cold_start.insert(hash, item);
            }
        }
        match page.next {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    let cold_start = cold_start.finish();
    let cold_start_count = LimitCount { used: cold_start.len() as u64, found: cold_start_found };
    found.extend(cold_start.into_iter().map(|(_, item)| item));
    // A scan may return an item twice, and each backend has its own order.
    found.sort_by(|one, other| one.id.cmp(&other.id));
    found.dedup_by(|one, other| one.id == other.id);
    Ok(Catalogue { items: found, cold_start: cold_start_count })
}

/// Parses a catalogue item with a category; unreadable items are skipped here, since a direct read reports them.
fn read(id: &[u8], bytes: &[u8]) -> Option<ItemDescription> {
    let id = ItemId::parse(std::str::from_utf8(id).ok()?).ok()?;
    let CatalogueItem { category, brand, .. } = CatalogueItem::decode(bytes).ok()?;
    (!category.is_empty()).then_some(ItemDescription { id, category, brand })
}

#[cfg(test)]
mod tests {
    use super::*;
    use portrait_profile::PartitionCount;
    use portrait_store::{AckLevel, Limits};
    use portrait_store_embedded::{Embedded, EmbeddedOptions};

    fn item_id(text: &str) -> ItemId {
        ItemId::parse(text).expect("an id")
    }

    #[tokio::test]
    async fn the_whole_catalogue_is_read_page_by_page_in_the_order_of_ids() {
        let folder = tempfile::tempdir().expect("a folder");
        let limits = Limits { page_items: 3, ..EmbeddedOptions::default().limits };
        let partitions = PartitionCount::new(1);
        let options = EmbeddedOptions { limits, partitions, reserve_bytes: 0, ..EmbeddedOptions::default() };
        let store = Embedded::open(folder.path(), options).expect("a new store");
        for (id, category) in
            [("d", "tea"), ("b", "shoes"), ("a", ""), ("e", "tea"), ("c", "shoes"), ("f", "tea")]
        {
            let item = CatalogueItem { category: category.into(), brand: "b".into(), ..Default::default() };
            let entry = (id.to_owned().into(), item.encode().into());
            store.put_items(vec![entry], AckLevel::Memory).await.expect("the catalogue takes it");
        }
        let entry = ("bad".to_owned().into(), "no item".to_owned().into());
        store.put_items(vec![entry], AckLevel::Memory).await.expect("the catalogue takes anything");
        let found = described(&store, &[item_id("a"), item_id("c"), item_id("z")])
            .await
            .expect("the store is there")
            .items;
        let ids: Vec<&str> = found.iter().map(|item| item.id.as_str()).collect();
        assert_eq!(ids, ["b", "c", "d", "e", "f"], "without a category nothing is known of an item");
        assert_eq!((&*found[1].category, &*found[1].brand), ("shoes", "b"));
        let nothing = described(&store, &[]).await.expect("the store is there").items;
        assert!(nothing.is_empty(), "no user had anything");
    }
}
