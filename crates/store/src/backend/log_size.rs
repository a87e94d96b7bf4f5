//! Size of a partition's log, counted with appends and trims. A release that does not count may append or trim in between, so the
//! count names the records that it covers, and the mean of those stands for the others.

use serde::{Deserialize, Serialize};

/// Bytes of the blocks of the records after `from` and up to `end`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogSize {
    /// Bytes of the counted blocks.
    pub bytes: u64,
    /// Position before the first counted record.
    pub from: u64,
    /// Position of the last counted record.
    pub end: u64,
}

impl LogSize {
    /// Counts a block of `count` records and `bytes` bytes, appended after position `log_end`.
    pub fn append(&mut self, log_end: u64, count: u64, bytes: u64) {
        // Records between were not counted. Counting begins anew, since a range with a hole could not be trimmed exactly.
        if self.end != log_end {
            *self = Self { bytes: 0, from: log_end, end: log_end };
        }
        self.bytes += bytes;
        self.end = log_end + count;
    }

    /// Begins anew at `log_end` if counted records up to `trimmed` are gone: a trim that does not count removed them.
    pub fn check(&mut self, trimmed: u64, log_end: u64) {
        if self.from < trimmed {
            *self = Self { bytes: 0, from: log_end, end: log_end };
        }
    }

    /// Counts the removal of the block of `bytes` bytes whose last record is at `last`.
    pub fn trim(&mut self, last: u64, bytes: u64) {
        // A block before the range was never counted, or two owners trimmed it.
        if last > self.from && last <= self.end {
            self.bytes = self.bytes.saturating_sub(bytes);
            self.from = last;
        }
    }

    /// Returns the size in bytes of the records after `trimmed` and up to `log_end`; 0 if no record is counted.
    pub fn of(&self, trimmed: u64, log_end: u64) -> u64 {
        let counted = self.end.saturating_sub(self.from);
        let retained = log_end.saturating_sub(trimmed);
        if counted == retained || counted == 0 {
            return if counted == 0 { 0 } else { self.bytes };
        }
        (self.bytes as f64 / counted as f64 * retained as f64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_was_always_counted_has_its_exact_size() {
        let mut size = LogSize::default();
        size.append(0, 10, 1_000);
        size.append(10, 5, 300);
        assert_eq!(size.of(0, 15), 1_300);
        size.trim(10, 1_000);
        assert_eq!(size.of(10, 15), 300);
        size.trim(15, 300);
        assert_eq!((size.of(15, 15), size.bytes), (0, 0));
    }

    #[test]
    fn records_that_were_not_counted_have_the_mean_size_until_they_are_trimmed() {
        let mut size = LogSize::default();
        assert_eq!(size.of(0, 90), 0, "nothing is known");
        // 90 records of a release that does not count.
        size.append(90, 10, 500);
        assert_eq!(size.of(0, 100), 5_000);
        size.trim(60, 9_999);
        assert_eq!(size.of(60, 100), 2_000, "a block that was not counted is not subtracted");
        size.trim(90, 9_999);
        assert_eq!(size.of(90, 100), 500, "exact again");
        size.append(120, 1, 70);
        assert_eq!(size, LogSize { bytes: 70, from: 120, end: 121 }, "counting began anew");
    }

    #[test]
    fn a_trim_that_was_not_counted_begins_anew_and_a_repeated_one_counts_once() {
        let mut size = LogSize::default();
        size.append(0, 10, 1_000);
        size.append(10, 10, 1_000);
        size.trim(10, 1_000);
        size.trim(10, 1_000);
        assert_eq!(size.of(10, 20), 1_000);
        size.check(10, 20);
        assert_eq!(size.of(10, 20), 1_000, "nothing was missed");
        size.check(15, 20);
        assert_eq!(size.of(15, 20), 0);
        size.append(20, 1, 80);
        assert_eq!(size.of(15, 21), 480);
    }
}
