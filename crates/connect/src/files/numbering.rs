//! Numbers that depend on rows before: the how-manieth repeat of an equal row an event is, and the how-manieth line of an item in its
//! order a purchase is. Logs of orders name an item twice in an order, and without a number the server would take the second line for
//! a correction of the first.

use super::mapping::{Mapping, RepeatRule};
use portrait_proto::v1::{Action, Event};
use std::collections::HashMap;
use xxhash_rust::xxh64::xxh64;

/// Keys that are remembered in each of two generations. Orders of logs have 2 to 20 lines, so that 100,000 of the newest orders are
/// in memory, in 25 MB at most.
const KEYS_MAX: usize = 250_000;
/// Separator of the parts that are hashed (ASCII unit separator); no id contains it.
const SEPARATOR: u8 = 0x1f;

/// Numbers of the rows of a file. They depend on the content of rows and their order alone, never on the number of a line.
#[derive(Debug)]
pub(super) struct Numbering {
    repeats: RepeatRule,
    /// True unless rows are objects of the API, which have their own line numbers.
    numbers_lines: bool,
    /// Equal rows so far, by event id.
    equal: RecentCounts,
    /// Lines so far, by user, order and item.
    lines: RecentCounts,
    /// Number of a line by user, order, item and event id.
    numbers: RecentCounts,
    key: Vec<u8>,
}

/// Counts of the newest keys.
#[derive(Debug)]
struct RecentCounts {
    newest: HashMap<u64, u32>,
    /// Forgotten as a whole when the newest generation is full.
    former: HashMap<u64, u32>,
    keys_max: usize,
}

impl RecentCounts {
    fn new(keys_max: usize) -> Self {
        Self { newest: HashMap::new(), former: HashMap::new(), keys_max }
    }

    fn get(&self, key: u64) -> Option<u32> {
        self.newest.get(&key).or_else(|| self.former.get(&key)).copied()
    }

    /// Sets a count. Keys that are used move to the newest generation, so that a long order is not forgotten in its middle.
    fn set(&mut self, key: u64, count: u32) {
        self.newest.insert(key, count);
        if self.newest.len() >= self.keys_max {
            self.former = std::mem::take(&mut self.newest);
        }
    }
}

impl Numbering {
    pub(super) fn of(mapping: &Mapping) -> Self {
        Self { numbers_lines: mapping.fields.is_some(), ..Self::with_capacity(mapping.repeats(), KEYS_MAX) }
    }

    fn with_capacity(repeats: RepeatRule, keys_max: usize) -> Self {
        let counts = || RecentCounts::new(keys_max);
        let numbers_lines = true;
        Self { repeats, numbers_lines, equal: counts(), lines: counts(), numbers: counts(), key: Vec::new() }
    }

    /// Numbers an event. If its id is one of the file, `has_own_id`, equal ones are one event in any case.
    pub(super) fn number(&mut self, event: &mut Event, has_own_id: bool) {
        if self.repeats == RepeatRule::Count && !has_own_id {
            self.number_repeat(event);
        }
        if self.numbers_lines {
            self.number_line(event);
        }
    }

    /// Appends `-1` to the id of the second of equal rows, `-2` to that of the third.
    fn number_repeat(&mut self, event: &mut Event) {
        let key = xxh64(event.event_id.as_bytes(), 0);
        let before = self.equal.get(key).unwrap_or(0);
        self.equal.set(key, before.saturating_add(1));
        if before > 0 {
            event.event_id.push_str(&format!("-{before}"));
        }
    }

    /// Sets the number of a purchase with an order and an item: 0 for the first line, the next number for a line with another event
    /// id, and the number of the first for a duplicate.
    fn number_line(&mut self, event: &mut Event) {
        let is_line = event.action() == Action::Purchase && event.order_line == 0;
        if !is_line || event.order_id.is_empty() || event.item_id.is_empty() {
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
        let count = self.lines.get(of_item).unwrap_or(0);
        let number = self.numbers.get(of_line).unwrap_or(count);
        self.numbers.set(of_line, number);
        self.lines.set(of_item, count.max(number.saturating_add(1)));
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

    fn number(lines: &mut Numbering, mut event: Event) -> u32 {
        lines.number(&mut event, false);
        event.order_line
    }

    #[test]
    fn equal_rows_are_numbered_if_they_are_repeats() {
        let mut ids = Vec::new();
        let mut numbering = Numbering::with_capacity(RepeatRule::Count, 100);
        for (id, has_own_id) in [("a", false), ("b", false), ("a", false), ("a", true), ("a", false)] {
            let mut event = purchase("u", "o", "i", id);
            numbering.number(&mut event, has_own_id);
            ids.push((event.event_id, event.order_line));
        }
        let expected = [("a", 0), ("b", 1), ("a-1", 2), ("a", 0), ("a-2", 3)];
        assert_eq!(ids, expected.map(|(id, line)| (id.to_owned(), line)));
    }

    #[test]
    fn lines_of_an_item_are_numbered_and_duplicates_share_their_number() {
        let mut lines = Numbering::with_capacity(RepeatRule::Drop, 100);
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
        let mut lines = Numbering::with_capacity(RepeatRule::Drop, 10);
        number(&mut lines, purchase("u", "long", "i", "first"));
        for index in 0..100 {
            number(&mut lines, purchase("u", &format!("o{index}"), "i", "1"));
            // One order goes on all the time, and its numbers go on with it.
            assert_eq!(number(&mut lines, purchase("u", "long", "i", &index.to_string())), index + 1);
            assert!(lines.numbers.newest.len() < 10 && lines.numbers.former.len() <= 10);
        }
        assert_eq!(number(&mut lines, purchase("u", "o99", "i", "2")), 1, "a new order is known");
        assert_eq!(number(&mut lines, purchase("u", "o0", "i", "2")), 0, "an old order is forgotten");
    }
}
