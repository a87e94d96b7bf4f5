//! Catalogue: lookups and scans.

use super::fixture::SharedStore;
use crate::{AckLevel, Error};
use bytes::Bytes;
use std::collections::BTreeMap;

fn id(number: u32) -> Bytes {
    Bytes::from(format!("item {number}"))
}

fn value(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

/// Returns an id and a value that hold their number.
fn item(number: u32) -> (Bytes, Bytes) {
    (id(number), value(&format!("value {number}")))
}

pub(super) async fn items_are_found_in_the_requested_order_and_replaced(store: SharedStore) {
    let items = (0..100).map(item).collect();
    store.put_items(items, AckLevel::Disk).await.expect("there is space");
    // Of two items with one id in one call the later one is stored.
    let twice = vec![(id(5), value("first")), (id(5), value("second"))];
    store.put_items(twice, AckLevel::Memory).await.expect("there is space");
    let found = store.items(&[id(7), id(1000), id(5)]).await.expect("there");
    assert_eq!(found, [Some(value("value 7")), None, Some(value("second"))]);
}

pub(super) async fn a_scan_of_the_catalogue_finds_every_item(store: SharedStore) {
    for begin in (0..2000).step_by(100) {
        let items = (begin..begin + 100).map(item).collect();
        store.put_items(items, AckLevel::Memory).await.expect("there is space");
    }
    let mut found = BTreeMap::new();
    let mut cursor = None;
    loop {
        let page = store.scan_items(cursor, 50).await.expect("a page");
        found.extend(page.items);
        match page.next {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    assert_eq!(found, (0..2000).map(item).collect());
    assert!(matches!(store.scan_items(None, 101).await, Err(Error::TooBig { .. })));
}
