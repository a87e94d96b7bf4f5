//! The catalogue.

use super::room::Room;
use bytes::Bytes;
use portrait_store::AckLevel;

pub(super) async fn items_are_found_in_the_order_asked_for_and_replaced(store: Room) {
    let id = |number: u32| Bytes::from(format!("item {number}"));
    let value = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    let items = (0..100).map(|number| (id(number), value(&format!("value {number}")))).collect();
    store.put_items(items, AckLevel::Disk).await.expect("there is room");
    // Of two in one call the later one stays.
    let twice = vec![(id(5), value("first")), (id(5), value("second"))];
    store.put_items(twice, AckLevel::Memory).await.expect("there is room");
    let found = store.items(&[id(7), id(1000), id(5)]).await.expect("there");
    assert_eq!(found, [Some(value("value 7")), None, Some(value("second"))]);
}
