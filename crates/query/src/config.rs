//! Configuration of the query service. Input: the file, the environment and the flags. Output: a validated
//! configuration.

use portrait_runtime::config::{ByteSize, DurationSetting, InvalidValue};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Section `[query]` as written.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Wait of a read with `read_after` if the caller sets no deadline. Longer: fewer reads time out while the
    /// workers lag, and more of them wait.
    pub read_after_wait: DurationSetting,
    /// Upper bound of that wait, regardless of the deadline of the caller.
    pub read_after_wait_max: DurationSetting,
    /// Maximum size of a request.
    pub max_request: ByteSize,
    /// Maximum size of a response. A batch of 1000 full profiles takes about 40 MiB.
    pub max_response: ByteSize,
    /// Maximum number of concurrent subscriptions. More: more readers, and `queue_bytes` of memory for each slow one.
    pub max_subscribers: usize,
    /// Number of newest changes per partition kept in memory for all subscribers. More: subscribers that lag further
    /// are served without reading the store.
    pub ring_changes: usize,
    /// Memory of those changes, per partition.
    pub ring_bytes: ByteSize,
    /// Delay between a wake-up and the send. Longer: more changes of one user are coalesced and each change costs
    /// less; shorter: lower latency.
    pub linger: DurationSetting,
    /// Number of changes of one partition that are coalesced and sent together. More: more coalescing, and more
    /// memory per subscriber.
    pub chunk_changes: usize,
    /// Number of profiles read together for a subscriber. More: fewer store reads, and more memory per subscriber.
    pub page_profiles: usize,
    /// Maximum number of responses queued for one subscriber.
    pub queue_responses: usize,
    /// Maximum memory of the responses queued for one subscriber.
    pub queue_bytes: ByteSize,
    /// Time without reading, while responses are queued, after which a subscriber is disconnected.
    pub stall_timeout: DurationSetting,
    /// Interval of progress messages; also the interval at which the store is polled in case a notification was lost.
    pub progress_interval: DurationSetting,
    /// Minimum number of users of a segment that may be exported (k-anonymity): smaller exports could identify single
    /// users.
    pub export_users_min: u64,
    /// Longest wait of one feed read; also the delay after a lost notification.
    pub tail_wait: DurationSetting,
}

/// Validated configuration of the query service.
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
    pub(crate) queue_responses: usize,
    pub(crate) queue_bytes: u32,
    pub(crate) stall_timeout: Duration,
    pub(crate) progress_interval: Duration,
    pub(crate) tail_wait: Duration,
    pub(crate) export_users_min: u64,
}

/// Upper limit of `queue_bytes`: the semaphore that counts it holds at most 2^29 permits on 32-bit targets.
const QUEUE_BYTES_MAX: u64 = 1 << 28;

impl Default for Config {
    fn default() -> Self {
        Self {
            read_after_wait: DurationSetting::from_secs(5),
            read_after_wait_max: DurationSetting::from_secs(30),
            max_request: ByteSize::mebibytes(1),
            max_response: ByteSize::mebibytes(64),
            max_subscribers: 256,
            ring_changes: 8192,
            ring_bytes: ByteSize::mebibytes(2),
            linger: DurationSetting::from_millis(1),
            chunk_changes: 1024,
            page_profiles: 128,
            queue_responses: 256,
            queue_bytes: ByteSize::mebibytes(1),
            stall_timeout: DurationSetting::from_secs(30),
            progress_interval: DurationSetting::from_secs(1),
            tail_wait: DurationSetting::from_secs(1),
            export_users_min: 20,
        }
    }
}

impl Config {
    /// Validates what the types cannot express.
    ///
    /// # Errors
    /// Returns the first key with an invalid value, and a valid range.
    pub fn validate(&self) -> Result<ValidConfig, InvalidValue> {
        self.check_counts()?;
        self.check_intervals()?;
        let queue_bytes = self.queue_bytes.bytes();
        let Some(queue_bytes) = u32::try_from(queue_bytes)
            .ok()
            .filter(|bytes| (1 << 16..=QUEUE_BYTES_MAX).contains(&u64::from(*bytes)))
        else {
            let remedy = "give it at least 64KiB and at most 256MiB";
            return Err(InvalidValue::new("query.queue_bytes", format!("is {}", self.queue_bytes), remedy));
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
            queue_responses: self.queue_responses,
            queue_bytes,
            stall_timeout: self.stall_timeout.duration(),
            progress_interval: self.progress_interval.duration(),
            tail_wait: self.tail_wait.duration(),
            export_users_min: self.export_users_min,
        })
    }

    fn check_counts(&self) -> Result<(), InvalidValue> {
        let rows = [
            ("query.max_subscribers", self.max_subscribers, 100_000),
            ("query.ring_changes", self.ring_changes, 1 << 24),
            ("query.chunk_changes", self.chunk_changes, 1 << 16),
            ("query.page_profiles", self.page_profiles, 4096),
            ("query.queue_responses", self.queue_responses, 1 << 16),
        ];
        for (key, value, most) in rows {
            if !(1..=most).contains(&value) {
                let remedy = format!("give it at least 1 and at most {most}");
                return Err(InvalidValue::new(key, format!("is {value}"), remedy));
            }
        }
        let rows = [
            ("query.max_request", self.max_request),
            ("query.max_response", self.max_response),
            ("query.ring_bytes", self.ring_bytes),
        ];
        for (key, value) in rows {
            if value < ByteSize::kibibytes(64) {
                return Err(InvalidValue::new(key, format!("is {value}"), "give it at least 64KiB"));
            }
        }
        Ok(())
    }

    fn check_intervals(&self) -> Result<(), InvalidValue> {
        let rows = [
            ("query.read_after_wait", self.read_after_wait),
            ("query.stall_timeout", self.stall_timeout),
            ("query.progress_interval", self.progress_interval),
            ("query.tail_wait", self.tail_wait),
        ];
        for (key, value) in rows {
            if value.as_millis() == 0 || value > DurationSetting::from_hours(1) {
                return Err(InvalidValue::new(
                    key,
                    format!("is {value}"),
                    "give it more than 0 and at most 1h",
                ));
            }
        }
        if self.linger > DurationSetting::from_secs(1) {
            return Err(InvalidValue::new(
                "query.linger",
                format!("is {}", self.linger),
                "give it at most 1s",
            ));
        }
        if self.read_after_wait_max < self.read_after_wait
            || self.read_after_wait_max > DurationSetting::from_hours(1)
        {
            let problem = format!("is {}", self.read_after_wait_max);
            let remedy = "give it at least query.read_after_wait and at most 1h";
            return Err(InvalidValue::new("query.read_after_wait_max", problem, remedy));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_value_is_refused_with_its_key() {
        type Change = fn(&mut Config);
        let rows: [(&str, Change); 10] = [
            ("query.linger", |config| config.linger = DurationSetting::from_secs(2)),
            ("query.max_subscribers", |config| config.max_subscribers = 0),
            ("query.chunk_changes", |config| config.chunk_changes = 1 << 17),
            ("query.page_profiles", |config| config.page_profiles = 0),
            ("query.ring_bytes", |config| config.ring_bytes = ByteSize::kibibytes(1)),
            ("query.queue_bytes", |config| config.queue_bytes = ByteSize::kibibytes(63)),
            ("query.queue_bytes", |config| config.queue_bytes = ByteSize::mebibytes(5000)),
            ("query.stall_timeout", |config| config.stall_timeout = DurationSetting::from_millis(0)),
            ("query.tail_wait", |config| config.tail_wait = DurationSetting::from_hours(2)),
            ("query.read_after_wait_max", |config| {
                config.read_after_wait_max = DurationSetting::from_millis(1);
            }),
        ];
        for (key, change) in rows {
            let mut config = Config::default();
            change(&mut config);
            assert_eq!(config.validate().map_err(|invalid| invalid.key).err(), Some(key));
        }
        assert!(Config::default().validate().is_ok());
    }
}
