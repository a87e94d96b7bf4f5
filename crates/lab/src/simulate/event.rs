//! Events of a simulated shop: messages of the API with their time.

use portrait_profile::Timestamp;
use portrait_proto::v1;

/// Event of the simulated shop with its time.
#[derive(Clone, Debug, PartialEq)]
pub struct ShopEvent {
    /// Time of the event; events come in ascending order.
    pub at: Timestamp,
    /// Message that the shop sends.
    pub kind: ShopEventKind,
}

/// Message of the simulated shop, as the API takes it.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "nearly all values are events, and they are moved, not stored")]
pub enum ShopEventKind {
    /// New catalogue item, or a new price of one.
    Item(v1::Item),
    /// Traits of a user.
    Traits(v1::TraitsUpdate),
    /// Relation from one user to another.
    Relation(v1::Relation),
    /// Action of a user.
    Event(v1::Event),
}

impl ShopEvent {
    /// Returns the user action; none for items, traits and relations.
    pub fn into_event(self) -> Option<v1::Event> {
        match self.kind {
            ShopEventKind::Event(event) => Some(event),
            ShopEventKind::Item(_) | ShopEventKind::Traits(_) | ShopEventKind::Relation(_) => None,
        }
    }
}
