//! How this room is set. In comes what the file, the environment and the flags say; out goes a checked configuration.

use crate::gap::Gap;
use portrait_profile::{PartitionCount, Span};
use portrait_runtime::config::{ByteSize, Interval, Invalid};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The longest `tombstone_margin`.
const MARGIN_MAX_MS: u64 = 90 * 24 * 60 * 60 * 1000;

/// As it is written in `[feature]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How long a lease lasts that is not renewed. Shorter: another worker takes over sooner after a crash, but a pause of
    /// the process loses partitions sooner.
    pub lease_ttl: Interval,
    /// How often a lease is renewed; at most a third of `lease_ttl`, so that two renewals may fail.
    pub lease_renewal: Interval,
    /// How many records one commit takes at most. More: fewer, bigger writes and a longer wait for the first of them.
    pub batch_records: usize,
    /// How many bytes of records one commit takes at most.
    pub batch_bytes: ByteSize,
    /// How much memory hot profiles may take in this process, over all partitions. Less: more reads from the store.
    pub cache: ByteSize,
    /// How far one event may move the clock that follows the events. Less: a wrong date does less harm, and a real gap in
    /// the log takes more events to cross.
    pub clock_jump: Interval,
    /// How long applied records are kept. Longer: profiles can be rebuilt from further back, and the store is bigger.
    pub log_retention: Interval,
    /// How long changes are kept. Longer: subscribers can be away longer before they must take everything anew.
    pub feed_retention: Interval,
    /// How often what is older is forgotten.
    pub trim_interval: Interval,
    /// How much longer than log and changes it is remembered, under a pseudonym, that a shopper was erased; at most 90 days.
    /// Longer: old records that come late are kept out for longer.
    pub tombstone_margin: Interval,
    /// How often at most the store writes its files anew because somebody was erased. More often: an erasure is complete sooner
    /// after the log has forgotten it, and the disk has more to do.
    pub rewrite_interval: Interval,
    /// How many profiles a second are looked at for a new model, over all partitions of this process. More: everybody is in the
    /// new segments sooner, and events meanwhile wait longer.
    pub sweep_rate: u32,
    /// How often everybody is looked at although the model is the same: shoppers who went quiet move because time passes.
    pub sweep_interval: Interval,
    /// What one in so many shoppers does is foretold from the live profile and from that of last night, to measure what being live
    /// is worth; 0: nobody's. More of them: figures are certain sooner, and events take longer.
    pub gap_one_in: u32,
    /// How often a second items are foretold for that at most, over all partitions of this process.
    pub gap_items_rate: u32,
    /// The largest request that is taken.
    pub max_request: ByteSize,
    /// The largest answer, or message of a stream, that is sent.
    pub max_response: ByteSize,
}

/// The checked configuration.
#[derive(Clone, Copy, Debug)]
pub struct ValidConfig {
    pub(crate) lease_ttl: Span,
    pub(crate) lease_renewal: Span,
    pub(crate) batch_records: usize,
    pub(crate) batch_bytes: usize,
    pub(crate) clock_jump: Span,
    pub(crate) log_retention: Span,
    pub(crate) feed_retention: Span,
    pub(crate) trim_interval: Span,
    pub(crate) rewrite_interval: Span,
    tombstone_margin: Span,
    pub(crate) sweep_interval: Span,
    pub(crate) max_request: usize,
    pub(crate) max_response: usize,
    sweep_rate: u32,
    gap_one_in: u32,
    gap_items_rate: u32,
    cache_bytes: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            lease_ttl: Interval::from_secs(10),
            lease_renewal: Interval::from_secs(3),
            batch_records: 4096,
            batch_bytes: ByteSize::mebibytes(4),
            cache: ByteSize::mebibytes(256),
            clock_jump: Interval::from_days(7),
            log_retention: Interval::from_days(7),
            feed_retention: Interval::from_days(1),
            trim_interval: Interval::from_secs(30),
            tombstone_margin: Interval::from_days(1),
            rewrite_interval: Interval::from_hours(6),
            sweep_rate: 20_000,
            sweep_interval: Interval::from_hours(1),
            gap_one_in: 16,
            gap_items_rate: 4,
            max_request: ByteSize::mebibytes(1),
            max_response: ByteSize::mebibytes(64),
        }
    }
}

impl Config {
    /// Checks what types cannot.
    pub fn validate(&self) -> Result<ValidConfig, Invalid> {
        if self.lease_ttl.as_millis() < 500 {
            return Err(Invalid::new("feature.lease_ttl", "is below 500ms", "give it at least 500ms"));
        }
        if self.lease_renewal.as_millis() == 0
            || self.lease_renewal.as_millis() * 3 > self.lease_ttl.as_millis()
        {
            let remedy = "give it at most a third of feature.lease_ttl, and more than 0";
            return Err(Invalid::new(
                "feature.lease_renewal",
                "does not leave room for two failed renewals",
                remedy,
            ));
        }
        if self.batch_records == 0 {
            return Err(Invalid::new("feature.batch_records", "is 0", "give it at least 1"));
        }
        if self.batch_bytes.bytes() == 0 {
            return Err(Invalid::new("feature.batch_bytes", "is 0", "give it at least 1KiB"));
        }
        if self.clock_jump.as_millis() == 0 {
            return Err(Invalid::new("feature.clock_jump", "is 0", "give it at least 1s"));
        }
        if self.trim_interval.as_millis() == 0 {
            return Err(Invalid::new("feature.trim_interval", "is 0", "give it at least 1s"));
        }
        if self.tombstone_margin.as_millis() == 0 || self.tombstone_margin.as_millis() > MARGIN_MAX_MS {
            let remedy = "give it more than 0 and at most 90d";
            return Err(Invalid::new("feature.tombstone_margin", "is out of its range", remedy));
        }
        if self.rewrite_interval.as_millis() == 0 {
            return Err(Invalid::new("feature.rewrite_interval", "is 0", "give it at least 1s"));
        }
        if self.sweep_rate == 0 {
            return Err(Invalid::new("feature.sweep_rate", "is 0", "give it at least 1"));
        }
        if self.sweep_interval.as_millis() < 1000 {
            return Err(Invalid::new("feature.sweep_interval", "is below 1s", "give it at least 1s"));
        }
        self.check_sizes()?;
        Ok(ValidConfig {
            lease_ttl: span(self.lease_ttl),
            lease_renewal: span(self.lease_renewal),
            batch_records: self.batch_records,
            batch_bytes: usize::try_from(self.batch_bytes.bytes()).unwrap_or(usize::MAX),
            clock_jump: span(self.clock_jump),
            log_retention: span(self.log_retention),
            feed_retention: span(self.feed_retention),
            trim_interval: span(self.trim_interval),
            tombstone_margin: span(self.tombstone_margin),
            rewrite_interval: span(self.rewrite_interval),
            sweep_interval: span(self.sweep_interval),
            max_request: self.max_request.as_usize(),
            max_response: self.max_response.as_usize(),
            sweep_rate: self.sweep_rate,
            gap_one_in: self.gap_one_in,
            gap_items_rate: self.gap_items_rate,
            cache_bytes: self.cache.bytes(),
        })
    }

    fn check_sizes(&self) -> Result<(), Invalid> {
        let rows = [
            ("feature.max_request", self.max_request, ByteSize::kibibytes(64)),
            ("feature.max_response", self.max_response, ByteSize::kibibytes(64)),
        ];
        for (key, value, least) in rows {
            if value < least {
                return Err(Invalid::new(key, format!("is {value}"), format!("give it at least {least}")));
            }
        }
        Ok(())
    }
}

impl ValidConfig {
    /// What one partition may hold of the memory for hot profiles.
    pub(crate) fn cache_bytes_of_partition(&self, partitions: PartitionCount) -> u64 {
        self.cache_bytes / u64::from(partitions.get())
    }

    /// How long it is remembered that somebody was erased: longer than anything that names the shopper.
    pub(crate) fn tombstone_life(&self) -> Span {
        let longest = self.log_retention.max(self.feed_retention);
        Span::from_millis(longest.millis().saturating_add(self.tombstone_margin.millis()))
    }

    /// How much of what one partition is told is foretold.
    pub(crate) fn gap_of_partition(&self, partitions: PartitionCount) -> Gap {
        Gap::new(self.gap_one_in, f64::from(self.gap_items_rate) / f64::from(partitions.get()))
    }

    /// How long a partition's sweep pauses after `profiles`, so that all partitions together keep the rate.
    pub(crate) fn sweep_pause(&self, profiles: usize, partitions: PartitionCount) -> Duration {
        let each = f64::from(self.sweep_rate) / f64::from(partitions.get());
        Duration::from_secs_f64(profiles as f64 / each)
    }
}

fn span(interval: Interval) -> Span {
    Span::from_millis(i64::try_from(interval.as_millis()).unwrap_or(i64::MAX))
}
