//! Ids of events of files that have none: a hash of what the row means. Another spelling of numbers and times, another order of columns,
//! and other quotes make no other id, so that a file that is exported again counts once.

use portrait_proto::action::kind_from_wire;
use portrait_proto::v1::Event;
use std::fmt::Write;
use xxhash_rust::xxh64::xxh64;

/// Separator of values in the text that is hashed (ASCII unit separator); no id contains it.
const SEPARATOR: char = '\u{1f}';

/// Derivation of ids.
#[derive(Debug, Default)]
pub(super) struct EventIdentity {
    text: String,
}

impl EventIdentity {
    /// Returns the id of an event: XXH64 with seeds 0 and 1, in 32 hexadecimal digits, of its values joined by U+001F: user, anonymous
    /// id, action, milliseconds since 1970, item, category, brand, price, currency in capitals, quantity, order, order line, session,
    /// query, properties by name as `name=value`, and then `more`. Numbers are in the shortest decimal form.
    pub(super) fn derive<'a>(&mut self, event: &Event, more: impl Iterator<Item = &'a str>) -> String {
        self.text.clear();
        self.put(&event.user_id);
        self.put(&event.anonymous_id);
        let action = kind_from_wire(event.action).map_or("", |kind| kind.name());
        self.put(if event.custom_action.is_empty() { action } else { &event.custom_action });
        let at = event.occurred_at.as_ref();
        self.put_value(at.map(|at| at.seconds.saturating_mul(1000) + i64::from(at.nanos / 1_000_000)));
        self.put(&event.item_id);
        self.put(&event.category);
        self.put(&event.brand);
        self.put_value(event.price);
        self.put(&event.currency.to_ascii_uppercase());
        self.put_value(event.quantity);
        self.put(&event.order_id);
        self.put_value(Some(event.order_line));
        self.put(&event.session_id);
        self.put(&event.query);
        let mut properties: Vec<_> = event.properties.iter().collect();
        properties.sort_unstable();
        for (name, value) in properties {
            self.put(&format!("{name}={value}"));
        }
        for value in more {
            self.put(value);
        }
        // The last value has no separator behind it.
        let text = self.text.strip_suffix(SEPARATOR).unwrap_or_default().as_bytes();
        format!("{:016x}{:016x}", xxh64(text, 0), xxh64(text, 1))
    }

    fn put(&mut self, value: &str) {
        self.text.push_str(value);
        self.text.push(SEPARATOR);
    }

    fn put_value(&mut self, value: Option<impl std::fmt::Display>) {
        if let Some(value) = value {
            // Writing to a string cannot fail.
            let _ = write!(self.text, "{value}");
        }
        self.text.push(SEPARATOR);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portrait_proto::v1::Action;
    use prost_types::Timestamp;

    fn purchase() -> Event {
        Event {
            user_id: "u".to_owned(),
            action: Action::Purchase.into(),
            occurred_at: Some(Timestamp { seconds: 1_600_000_000, nanos: 250_000_000 }),
            item_id: "i".to_owned(),
            price: Some(2.50),
            quantity: Some(3.0),
            order_id: "o".to_owned(),
            ..Event::default()
        }
    }

    #[test]
    fn an_id_is_the_hash_of_the_documented_text() {
        let text = ["u", "", "purchase", "1600000000250", "i", "", "", "2.5", "", "3", "o", "0", "", ""];
        let text = text.join("\u{1f}");
        let expected = format!("{:016x}{:016x}", xxh64(text.as_bytes(), 0), xxh64(text.as_bytes(), 1));
        assert_eq!(EventIdentity::default().derive(&purchase(), [].into_iter()), expected);
    }

    #[test]
    fn every_value_makes_another_id() {
        let mut identity = EventIdentity::default();
        let changes: [fn(&mut Event); 8] = [
            |event| event.user_id = "v".to_owned(),
            |event| event.action = Action::Refund.into(),
            |event| event.occurred_at = Some(Timestamp { seconds: 1_600_000_001, nanos: 0 }),
            |event| event.item_id = "j".to_owned(),
            |event| event.price = None,
            |event| event.quantity = Some(2.0),
            |event| event.order_id = String::new(),
            |event| event.brand = "b".to_owned(),
        ];
        let mut ids = vec![
            identity.derive(&purchase(), [].into_iter()),
            identity.derive(&purchase(), ["x"].into_iter()),
        ];
        for change in changes {
            let mut event = purchase();
            change(&mut event);
            ids.push(identity.derive(&event, [].into_iter()));
        }
        let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
        assert_eq!(distinct.len(), ids.len());
    }
}
