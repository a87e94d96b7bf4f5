//! Configuration section `[feature]` and its validation.

use crate::shadow::ShadowEvaluator;
use portrait_profile::{PartitionCount, TimeDelta};
use portrait_runtime::config::{ByteSize, DurationSetting, InvalidValue};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Upper limit of `tombstone_margin`.
const MARGIN_MAX_MS: u64 = 90 * 24 * 60 * 60 * 1000;
/// Lower limit of `log_bytes`: a smaller value was meant in another unit.
const LOG_BYTES_MIN: ByteSize = ByteSize::mebibytes(1);

/// Keys of the configuration section `[feature]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Duration of a lease without a renewal. Shorter: another worker takes over sooner after a crash, but a shorter pause of
    /// the process loses partitions.
    pub lease_ttl: DurationSetting,
    /// Interval of renewals; at most a third of `lease_ttl`, so that two renewals may fail.
    pub lease_renewal: DurationSetting,
    /// Most records per commit. More: fewer and larger writes, and a longer wait for the first record.
    pub batch_records: usize,
    /// Most bytes of records per commit.
    pub batch_bytes: ByteSize,
    /// Memory for hot profiles of all partitions of this process. Less: more reads from the store.
    pub cache: ByteSize,
    /// Largest step of the event clock per event. Smaller: a wrong date does less harm, and a real gap in the log takes more
    /// events to cross.
    pub clock_jump_max: DurationSetting,
    /// Retention of applied records. Longer: profiles can be rebuilt from further back, and the store is larger.
    pub log_retention: DurationSetting,
    /// Size of the logs of all partitions together, as encoded; each partition may have an equal share. Applied records above it
    /// are trimmed, oldest first, even if `log_retention` is not over; records that are not applied never are. A log exceeds its
    /// share by an eighth between two trims, and Redis takes 10% to 30% more than the encoded bytes. 0 removes the bound. More:
    /// profiles can be rebuilt from further back, and the store is larger.
    pub log_bytes: ByteSize,
    /// Retention of changes. Longer: subscribers may be away longer before they need a resync.
    pub feed_retention: DurationSetting,
    /// Interval of trims of log and feed.
    pub trim_interval: DurationSetting,
    /// Retention of tombstones beyond that of log and feed, under a pseudonym; more than 0 and at most 90 days. Longer: old
    /// records of erased users that arrive late are blocked for longer.
    pub tombstone_margin: DurationSetting,
    /// Shortest interval between rewrites of the store's files for erasures. Shorter: an erasure is complete sooner after the
    /// log is trimmed, and the disk has more work.
    pub rewrite_interval: DurationSetting,
    /// Rate of sweeps, in profiles per second over all partitions of this process. Higher: a new model reaches all profiles
    /// sooner, and events wait longer meanwhile.
    pub sweep_profiles_per_second: u32,
    /// Interval of sweeps with an unchanged model: profiles of inactive users change segment because time passes.
    pub sweep_interval: DurationSetting,
    /// Shadow evaluation of one in so many users: predictions from the live profile and from its day-start snapshot are
    /// compared. 0 turns it off. More users (a lower value): metrics converge sooner, and events take longer.
    pub shadow_one_in: u32,
    /// Most item predictions of the shadow evaluation per second, over all partitions of this process.
    pub shadow_items_per_second: u32,
    /// Largest request that is accepted.
    pub max_request: ByteSize,
    /// Largest response, or message of a stream.
    pub max_response: ByteSize,
}

/// Configuration with checked and parsed values.
#[derive(Clone, Copy, Debug)]
pub struct ValidConfig {
    pub(crate) lease_ttl: TimeDelta,
    pub(crate) lease_renewal: TimeDelta,
    pub(crate) batch_records: usize,
    pub(crate) batch_bytes: usize,
    pub(crate) clock_jump_max: TimeDelta,
    pub(crate) log_retention: TimeDelta,
    log_bytes: u64,
    pub(crate) feed_retention: TimeDelta,
    pub(crate) trim_interval: TimeDelta,
    pub(crate) rewrite_interval: TimeDelta,
    tombstone_margin: TimeDelta,
    pub(crate) sweep_interval: TimeDelta,
    pub(crate) max_request: usize,
    pub(crate) max_response: usize,
    sweep_profiles_per_second: u32,
    shadow_one_in: u32,
    shadow_items_per_second: u32,
    cache_bytes: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            lease_ttl: DurationSetting::from_secs(10),
            lease_renewal: DurationSetting::from_secs(3),
            // Many records share the cost of a commit, and a page is committed long before `lease_renewal`.
            batch_records: 4096,
            batch_bytes: ByteSize::mebibytes(4),
            cache: ByteSize::mebibytes(256),
            clock_jump_max: DurationSetting::from_days(7),
            log_retention: DurationSetting::from_days(7),
            // Redis keeps the log in memory. 16 GiB hold 195 million events: a shop of up to 320 events a second on average never
            // reaches it within `log_retention`, and a larger one shall choose to buy the memory (`portrait sizing`).
            log_bytes: ByteSize::mebibytes(16 << 10),
            feed_retention: DurationSetting::from_days(1),
            trim_interval: DurationSetting::from_secs(30),
            tombstone_margin: DurationSetting::from_days(1),
            rewrite_interval: DurationSetting::from_hours(6),
            // A million profiles within a minute; the p99 of freshness rose from 18.8 to 24.7 ms (`docs/results/bench.md`).
            sweep_profiles_per_second: 20_000,
            sweep_interval: DurationSetting::from_hours(1),
            shadow_one_in: 16,
            shadow_items_per_second: 4,
            max_request: ByteSize::mebibytes(1),
            max_response: ByteSize::mebibytes(64),
        }
    }
}

impl Config {
    /// Validates what types cannot express.
    ///
    /// # Errors
    /// Fails with the key, the problem and the remedy.
    pub fn validate(&self) -> Result<ValidConfig, InvalidValue> {
        if self.lease_ttl.as_millis() < 500 {
            return Err(InvalidValue::new("feature.lease_ttl", "is below 500ms", "give it at least 500ms"));
        }
        if self.lease_renewal.as_millis() == 0
            || self.lease_renewal.as_millis() * 3 > self.lease_ttl.as_millis()
        {
            let remedy = "give it at most a third of feature.lease_ttl, and more than 0";
            return Err(InvalidValue::new(
                "feature.lease_renewal",
                "does not allow two failed renewals",
                remedy,
            ));
        }
        if self.batch_records == 0 {
            return Err(InvalidValue::new("feature.batch_records", "is 0", "give it at least 1"));
        }
        if self.batch_bytes.bytes() == 0 {
            return Err(InvalidValue::new("feature.batch_bytes", "is 0", "give it at least 1KiB"));
        }
        if self.clock_jump_max.as_millis() == 0 {
            return Err(InvalidValue::new("feature.clock_jump_max", "is 0", "give it at least 1s"));
        }
        if self.trim_interval.as_millis() == 0 {
            return Err(InvalidValue::new("feature.trim_interval", "is 0", "give it at least 1s"));
        }
        if self.tombstone_margin.as_millis() == 0 || self.tombstone_margin.as_millis() > MARGIN_MAX_MS {
            let remedy = "give it more than 0 and at most 90d";
            return Err(InvalidValue::new("feature.tombstone_margin", "is out of its range", remedy));
        }
        if self.rewrite_interval.as_millis() == 0 {
            return Err(InvalidValue::new("feature.rewrite_interval", "is 0", "give it at least 1s"));
        }
        if self.sweep_profiles_per_second == 0 {
            return Err(InvalidValue::new("feature.sweep_profiles_per_second", "is 0", "give it at least 1"));
        }
        if self.sweep_interval.as_millis() < 1000 {
            return Err(InvalidValue::new("feature.sweep_interval", "is below 1s", "give it at least 1s"));
        }
        self.check_sizes()?;
        Ok(ValidConfig {
            lease_ttl: time_delta(self.lease_ttl),
            lease_renewal: time_delta(self.lease_renewal),
            batch_records: self.batch_records,
            batch_bytes: usize::try_from(self.batch_bytes.bytes()).unwrap_or(usize::MAX),
            clock_jump_max: time_delta(self.clock_jump_max),
            log_retention: time_delta(self.log_retention),
            log_bytes: self.log_bytes.bytes(),
            feed_retention: time_delta(self.feed_retention),
            trim_interval: time_delta(self.trim_interval),
            tombstone_margin: time_delta(self.tombstone_margin),
            rewrite_interval: time_delta(self.rewrite_interval),
            sweep_interval: time_delta(self.sweep_interval),
            max_request: self.max_request.as_usize(),
            max_response: self.max_response.as_usize(),
            sweep_profiles_per_second: self.sweep_profiles_per_second,
            shadow_one_in: self.shadow_one_in,
            shadow_items_per_second: self.shadow_items_per_second,
            cache_bytes: self.cache.bytes(),
        })
    }

    fn check_sizes(&self) -> Result<(), InvalidValue> {
        if self.log_bytes.bytes() > 0 && self.log_bytes < LOG_BYTES_MIN {
            let remedy = format!("give it at least {LOG_BYTES_MIN}, or 0 for no bound");
            return Err(InvalidValue::new("feature.log_bytes", format!("is {}", self.log_bytes), remedy));
        }
        let rows = [
            ("feature.max_request", self.max_request, ByteSize::kibibytes(64)),
            ("feature.max_response", self.max_response, ByteSize::kibibytes(64)),
        ];
        for (key, value, min) in rows {
            // Below it not even a message with one vector would pass.
            if value < min {
                return Err(InvalidValue::new(key, format!("is {value}"), format!("give it at least {min}")));
            }
        }
        Ok(())
    }
}

impl ValidConfig {
    /// Returns the share of one partition of the memory for hot profiles.
    pub(crate) fn cache_bytes_of_partition(&self, partitions: PartitionCount) -> u64 {
        self.cache_bytes / u64::from(partitions.get())
    }

    /// Returns the bound of one partition's log in bytes; none without a bound.
    pub(crate) fn log_bytes_of_partition(&self, partitions: PartitionCount) -> Option<u64> {
        (self.log_bytes > 0).then(|| self.log_bytes / u64::from(partitions.get()))
    }

    /// Returns the interval of the measurements of log and store.
    pub(crate) fn measure_interval(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.trim_interval.millis()).unwrap_or_default())
    }

    /// Returns the lifetime of a tombstone: longer than that of any record or change of its user.
    pub(crate) fn tombstone_ttl(&self) -> TimeDelta {
        let retention = self.log_retention.max(self.feed_retention);
        TimeDelta::from_millis(retention.millis().saturating_add(self.tombstone_margin.millis()))
    }

    /// Creates the shadow evaluator of one partition with its share of the item predictions.
    pub(crate) fn shadow_evaluator(&self, partitions: PartitionCount) -> ShadowEvaluator {
        ShadowEvaluator::new(
            self.shadow_one_in,
            f64::from(self.shadow_items_per_second) / f64::from(partitions.get()),
        )
    }

    /// Returns the pause of a partition's sweep after `profiles`, such that all partitions together keep the rate.
    pub(crate) fn sweep_pause(&self, profiles: usize, partitions: PartitionCount) -> Duration {
        let rate = f64::from(self.sweep_profiles_per_second) / f64::from(partitions.get());
        Duration::from_secs_f64(profiles as f64 / rate)
    }
}

fn time_delta(interval: DurationSetting) -> TimeDelta {
    TimeDelta::from_millis(i64::try_from(interval.as_millis()).unwrap_or(i64::MAX))
}
