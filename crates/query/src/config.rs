//! How this room is set. In comes what the file, the environment and the flags say; out goes a checked configuration.

use portrait_runtime::config::{ByteSize, Interval, Invalid};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// As it is written in `[query]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How long a read with `read_after` waits if the caller sets no deadline. Longer: fewer reads time out while the
    /// workers lag, and more of them wait.
    pub read_after_wait: Interval,
    /// How long it waits at most, whatever deadline the caller sets.
    pub read_after_wait_max: Interval,
    /// The largest request that is taken.
    pub max_request: ByteSize,
    /// The largest answer that is given. A batch of 1000 full profiles takes about 40 MiB.
    pub max_response: ByteSize,
    /// Subscriptions at once. More: more readers, and `queue_bytes` of memory for each that is slow.
    pub max_subscribers: usize,
    /// The newest changes of each partition that are kept in memory for all subscribers. More: readers that are further
    /// behind are served without the store.
    pub ring_changes: usize,
    /// The memory they may take, for each partition.
    pub ring_bytes: ByteSize,
    /// How long a subscriber that was woken waits for more before it sends. Longer: more changes of one user become one and
    /// less work for each change; shorter: sooner delivery.
    pub linger: Interval,
    /// Changes of one partition that are merged and sent in one go. More: more changes of one user become one, and more
    /// memory for each subscriber.
    pub chunk_changes: usize,
    /// Profiles that are read in one go for a subscriber. More: fewer reads, and more memory for each subscriber.
    pub page_profiles: usize,
    /// Answers that may wait for one subscriber to take them.
    pub queue_answers: usize,
    /// The memory that answers may take which wait for one subscriber.
    pub queue_bytes: ByteSize,
    /// How long a subscriber may take nothing while answers wait for it, before it is cut.
    pub stuck_after: Interval,
    /// How often a subscriber hears that there is nothing new, and the store is asked although nothing was announced.
    pub progress_interval: Interval,
    /// How many shoppers a segment must have to be exported: of fewer, single ones could be told apart (k-anonymity).
    pub export_least: u64,
    /// How long the store is asked to wait for a change. A wake-up that got lost is made good after this long.
    pub tail_wait: Interval,
}

/// The checked configuration.
#[derive(Clone, Copy, Debug)]
pub struct ValidConfig {
    pub(crate) read_after_wait: Duration,
    pub(crate) read_after_wait_max: Duration,
    pub(crate) max_request: usize,
    pub(crate) max_response: usize,
    pub(crate) max_subscribers: usize,
    pub(crate) ring_changes: usize,
    pub(crate) ring_bytes: usize,
    pub(crate) linger: Duration,
    pub(crate) chunk_changes: usize,
    pub(crate) page_profiles: usize,
    pub(crate) queue_answers: usize,
    pub(crate) queue_bytes: u32,
    pub(crate) stuck_after: Duration,
    pub(crate) progress_interval: Duration,
    pub(crate) tail_wait: Duration,
    pub(crate) export_least: u64,
}

/// The most that a queue's memory is counted to.
const QUEUE_BYTES_MAX: u64 = 1 << 28;

impl Default for Config {
    fn default() -> Self {
        Self {
            read_after_wait: Interval::from_secs(5),
            read_after_wait_max: Interval::from_secs(30),
            max_request: ByteSize::mebibytes(1),
            max_response: ByteSize::mebibytes(64),
            max_subscribers: 256,
            ring_changes: 8192,
            ring_bytes: ByteSize::mebibytes(2),
            linger: Interval::from_millis(1),
            chunk_changes: 1024,
            page_profiles: 128,
            queue_answers: 256,
            queue_bytes: ByteSize::mebibytes(1),
            stuck_after: Interval::from_secs(30),
            progress_interval: Interval::from_secs(1),
            tail_wait: Interval::from_secs(1),
            export_least: 20,
        }
    }
}

impl Config {
    /// Checks what types cannot.
    ///
    /// # Errors
    /// The first key whose value makes no sense, and what to give instead.
    pub fn validate(&self) -> Result<ValidConfig, Invalid> {
        self.check_counts()?;
        self.check_intervals()?;
        let queue_bytes = self.queue_bytes.bytes();
        let Some(queue_bytes) = u32::try_from(queue_bytes)
            .ok()
            .filter(|bytes| (1 << 16..=QUEUE_BYTES_MAX).contains(&u64::from(*bytes)))
        else {
            let remedy = "give it at least 64KiB and at most 256MiB";
            return Err(Invalid::new("query.queue_bytes", format!("is {}", self.queue_bytes), remedy));
        };
        Ok(ValidConfig {
            read_after_wait: self.read_after_wait.duration(),
            read_after_wait_max: self.read_after_wait_max.duration(),
            max_request: self.max_request.as_usize(),
            max_response: self.max_response.as_usize(),
            max_subscribers: self.max_subscribers,
            ring_changes: self.ring_changes,
            ring_bytes: self.ring_bytes.as_usize(),
            linger: self.linger.duration(),
            chunk_changes: self.chunk_changes,
            page_profiles: self.page_profiles,
            queue_answers: self.queue_answers,
            queue_bytes,
            stuck_after: self.stuck_after.duration(),
            progress_interval: self.progress_interval.duration(),
            tail_wait: self.tail_wait.duration(),
            export_least: self.export_least,
        })
    }

    fn check_counts(&self) -> Result<(), Invalid> {
        let rows = [
            ("query.max_subscribers", self.max_subscribers, 100_000),
            ("query.ring_changes", self.ring_changes, 1 << 24),
            ("query.chunk_changes", self.chunk_changes, 1 << 16),
            ("query.page_profiles", self.page_profiles, 4096),
            ("query.queue_answers", self.queue_answers, 1 << 16),
        ];
        for (key, value, most) in rows {
            if !(1..=most).contains(&value) {
                let remedy = format!("give it at least 1 and at most {most}");
                return Err(Invalid::new(key, format!("is {value}"), remedy));
            }
        }
        let rows = [
            ("query.max_request", self.max_request),
            ("query.max_response", self.max_response),
            ("query.ring_bytes", self.ring_bytes),
        ];
        for (key, value) in rows {
            if value < ByteSize::kibibytes(64) {
                return Err(Invalid::new(key, format!("is {value}"), "give it at least 64KiB"));
            }
        }
        Ok(())
    }

    fn check_intervals(&self) -> Result<(), Invalid> {
        let rows = [
            ("query.read_after_wait", self.read_after_wait),
            ("query.stuck_after", self.stuck_after),
            ("query.progress_interval", self.progress_interval),
            ("query.tail_wait", self.tail_wait),
        ];
        for (key, value) in rows {
            if value.as_millis() == 0 || value > Interval::from_hours(1) {
                return Err(Invalid::new(key, format!("is {value}"), "give it more than 0 and at most 1h"));
            }
        }
        if self.linger > Interval::from_secs(1) {
            return Err(Invalid::new("query.linger", format!("is {}", self.linger), "give it at most 1s"));
        }
        if self.read_after_wait_max < self.read_after_wait
            || self.read_after_wait_max > Interval::from_hours(1)
        {
            let problem = format!("is {}", self.read_after_wait_max);
            let remedy = "give it at least query.read_after_wait and at most 1h";
            return Err(Invalid::new("query.read_after_wait_max", problem, remedy));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_no_sense_is_refused_by_its_key() {
        type Change = fn(&mut Config);
        let rows: [(&str, Change); 10] = [
            ("query.linger", |config| config.linger = Interval::from_secs(2)),
            ("query.max_subscribers", |config| config.max_subscribers = 0),
            ("query.chunk_changes", |config| config.chunk_changes = 1 << 17),
            ("query.page_profiles", |config| config.page_profiles = 0),
            ("query.ring_bytes", |config| config.ring_bytes = ByteSize::kibibytes(1)),
            ("query.queue_bytes", |config| config.queue_bytes = ByteSize::kibibytes(63)),
            ("query.queue_bytes", |config| config.queue_bytes = ByteSize::mebibytes(5000)),
            ("query.stuck_after", |config| config.stuck_after = Interval::from_millis(0)),
            ("query.tail_wait", |config| config.tail_wait = Interval::from_hours(2)),
            ("query.read_after_wait_max", |config| config.read_after_wait_max = Interval::from_millis(1)),
        ];
        for (key, change) in rows {
            let mut config = Config::default();
            change(&mut config);
            assert_eq!(config.validate().map_err(|invalid| invalid.key).err(), Some(key));
        }
        assert!(Config::default().validate().is_ok());
    }
}
