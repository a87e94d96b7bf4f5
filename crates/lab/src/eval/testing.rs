//! Records for tests: the user, the action and the time, and nothing else.

use portrait_profile::{Action, Body, Event, Record, Timestamp, UserId};

/// Event with an action and no other field.
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
        order_line: 0,
        strength: None,
        context: None,
    }
}

/// Record of a user, without a record id.
pub(crate) fn record(user: u32, at: Timestamp, event: Event) -> Record {
    Record {
        user_id: UserId::parse(&format!("u{user}")).expect("an id"),
        record_id: None,
        occurred_at: at,
        accepted_at: at,
        body: Body::Event(event),
        trace: None,
        source: None,
    }
}
