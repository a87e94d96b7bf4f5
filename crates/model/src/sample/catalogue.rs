//! What the catalogue says of items that shoppers had, and of some that nobody had yet. In comes the store, out go items with category
//! and brand; memory is bounded whatever it has.

use super::bounded::Bounded;
use crate::error::Error;
use portrait_learning::prediction::recommend::Described;
use portrait_profile::{CatalogueItem, ItemId};
use portrait_store::Store;
use xxhash_rust::xxh64::xxh64;

/// Items that nobody had are taken at most.
const NEWCOMERS_MAX: usize = 100_000;
/// Who stays is drawn by a hash.
const SEED: u64 = 0x6E65_7700;

/// The items of the catalogue that are `had`, which is in order, and a bounded share of the others; nothing if nothing is had.
pub(crate) async fn described(store: &dyn Store, had: &[ItemId]) -> Result<Vec<Described>, Error> {
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
    // A scan may come by twice, and each store has an order of its own.
    found.sort_by(|one, other| one.id.cmp(&other.id));
    found.dedup_by(|one, other| one.id == other.id);
    Ok(found)
}

/// An item that says what it is; what cannot be read is left out, as whoever asks for it by name is told.
fn read(id: &[u8], bytes: &[u8]) -> Option<Described> {
    let id = ItemId::parse(std::str::from_utf8(id).ok()?).ok()?;
    let CatalogueItem { category, brand, .. } = CatalogueItem::decode(bytes).ok()?;
    (!category.is_empty()).then_some(Described { id, category, brand })
}
