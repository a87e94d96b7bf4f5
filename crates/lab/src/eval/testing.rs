//! Records for tests of what is made of a log: who did what and when, and nothing else.

use portrait_profile::{Action, Body, Event, Record, Timestamp, UserId};

/// An event of which nothing is known but what was done.
pub(crate) fn event(action: Action) -> Event {
    Event {
        action,
        utc_offset_minutes: 0,
        item_id: None,
        category: None,
        brand: None,
        price: None,
        quantity: 1.0,
        order_id: None,
        context: None,
    }
}

/// A record of a shopper without an id.
pub(crate) fn did(shopper: u32, at: Timestamp, event: Event) -> Record {
    Record {
        user_id: UserId::parse(&format!("u{shopper}")).expect("an id"),
        record_id: None,
        occurred_at: at,
        accepted_at: at,
        body: Body::Event(event),
        trace: None,
    }
}
