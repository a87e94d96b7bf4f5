//! Numbers of order lines: the how-manieth line of an item in its order a purchase is. Logs of orders name an item twice in an order,
//! and without a number the server would take the second line for a correction of the first.

use portrait_proto::v1::{Action, Event};
use std::collections::HashMap;
use xxhash_rust::xxh64::xxh64;

/// Lines that are remembered in each of two generations. Orders of logs have 2 to 20 lines, so that 100,000 of the newest orders are
/// in memory, in 25 MB at most.
const LINES_MAX: usize = 250_000;
/// Separator of the parts that are hashed (ASCII unit separator); no id contains it.
const SEPARATOR: u8 = 0x1f;

/// Numbers of the newest order lines of a file. Deterministic: each import of a file yields the same numbers.
#[derive(Debug)]
pub(super) struct OrderLines {
    newest: LineGeneration,
    /// Forgotten as a whole when the newest generation is full.
    former: LineGeneration,
    lines_max: usize,
    key: Vec<u8>,
}

#[derive(Debug, Default)]
struct LineGeneration {
    /// Number of lines by user, order and item.
    counts: HashMap<u64, u32>,
    /// Number of a line by user, order, item and event id.
    numbers: HashMap<u64, u32>,
}

impl Default for OrderLines {
    fn default() -> Self {
        Self::with_capacity(LINES_MAX)
    }
}

impl OrderLines {
    fn with_capacity(lines_max: usize) -> Self {
        Self {
            newest: LineGeneration::default(),
            former: LineGeneration::default(),
            lines_max,
            key: Vec::new(),
        }
    }

    /// Sets the number of a purchase with an order and an item: 0 for the first line, the next number for a line with another event
    /// id, and the number of the first for a duplicate.
    pub(super) fn number(&mut self, event: &mut Event) {
        if event.action() != Action::Purchase || event.order_id.is_empty() || event.item_id.is_empty() {
            return;
        }
        self.key.clear();
        for part in [&event.user_id, &event.order_id, &event.item_id] {
            self.key.extend_from_slice(part.as_bytes());
            self.key.push(SEPARATOR);
        }
        let of_item = xxh64(&self.key, 0);
        self.key.extend_from_slice(event.event_id.as_bytes());
        let of_line = xxh64(&self.key, 0);
        let known = [&self.newest, &self.former].into_iter().find_map(|lines| lines.numbers.get(&of_line));
        let known = known.copied();
        let count = [&self.newest, &self.former].into_iter().find_map(|lines| lines.counts.get(&of_item));
        let count = count.copied().unwrap_or(0);
        let number = known.unwrap_or(count);
        // What was used moves to the newest generation, so that a long order is not forgotten in its middle.
        self.newest.numbers.insert(of_line, number);
        self.newest.counts.insert(of_item, count.max(number.saturating_add(1)));
        if self.newest.numbers.len() >= self.lines_max {
            self.former = std::mem::take(&mut self.newest);
        }
        event.order_line = number;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn purchase(user: &str, order: &str, item: &str, id: &str) -> Event {
        Event {
            user_id: user.to_owned(),
            order_id: order.to_owned(),
            item_id: item.to_owned(),
            event_id: id.to_owned(),
            action: Action::Purchase.into(),
            ..Event::default()
        }
    }

    fn number(lines: &mut OrderLines, mut event: Event) -> u32 {
        lines.number(&mut event);
        event.order_line
    }

    #[test]
    fn lines_of_an_item_are_numbered_and_duplicates_share_their_number() {
        let mut lines = OrderLines::default();
        let rows = [
            ("u", "o", "i", "1", 0),
            ("u", "o", "i", "2", 1),
            ("u", "o", "i", "1", 0),
            ("u", "o", "j", "3", 0),
            ("u", "p", "i", "4", 0),
            ("v", "o", "i", "5", 0),
            ("u", "o", "i", "6", 2),
            ("u", "o", "i", "2", 1),
            ("u", "", "i", "7", 0),
            ("u", "", "i", "8", 0),
        ];
        for (user, order, item, id, expected) in rows {
            assert_eq!(number(&mut lines, purchase(user, order, item, id)), expected, "{order} {item} {id}");
        }
        let view = Event { action: Action::View.into(), ..purchase("u", "o", "i", "9") };
        assert_eq!(number(&mut lines, view), 0);
    }

    #[test]
    fn memory_is_bounded_and_the_newest_orders_are_kept() {
        let mut lines = OrderLines::with_capacity(10);
        number(&mut lines, purchase("u", "long", "i", "first"));
        for index in 0..100 {
            number(&mut lines, purchase("u", &format!("o{index}"), "i", "1"));
            // One order goes on all the time, and its numbers go on with it.
            assert_eq!(number(&mut lines, purchase("u", "long", "i", &index.to_string())), index + 1);
            assert!(lines.newest.numbers.len() < 10 && lines.former.numbers.len() <= 10);
        }
        assert_eq!(number(&mut lines, purchase("u", "o99", "i", "2")), 1, "a new order is known");
        assert_eq!(number(&mut lines, purchase("u", "o0", "i", "2")), 0, "an old order is forgotten");
    }
}
