//! Configuration section `[ingest]` and its validation.

use crate::money::Money;
use crate::policy::TraitPolicy;
use crate::shop_time::ShopTime;
use crate::strength::Strengths;
use crate::trait_policies::TraitRules;
use portrait_profile::{CUSTOM_ACTIONS_MAX, CustomAction, TimeDelta};
use portrait_runtime::config::{ByteSize, DurationSetting, InvalidValue};
use portrait_store::AckLevel;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// Keys of the configuration section `[ingest]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Durability of an accepted event. `memory`: it survives the end of every process of Portrait. `disk`: also a power loss,
    /// at the price of waiting for the disk. `replica`: also the loss of a store server, at the price of waiting for its
    /// replicas. `auto`: `replica` on a cluster, `disk` elsewhere.
    pub acknowledge: Acknowledge,
    /// Time that records wait for others of their partition, at most 2ms. 0: only while an append is in flight anyway.
    pub linger: DurationSetting,
    /// Memory of records that wait for the store. More: longer bursts are accepted, and more memory is used.
    pub queue: ByteSize,
    /// Largest accepted request. 1000 events with all their fields take about 6 MiB, typical ones 300 KiB.
    pub max_request: ByteSize,
    /// Most unapplied records of a partition. Above it events are refused until the partition has caught up.
    pub lag_records_max: u64,
    /// Longest wait of a stream for memory or for a lagging partition before it ends.
    pub stream_wait_max: DurationSetting,
    /// Requests in flight per stream.
    pub stream_requests: usize,
    /// Tolerance for event times ahead of the server's clock, since clocks differ.
    pub future_skew_max: DurationSetting,
    /// Earliest accepted event time. Earlier ones mostly have a wrong unit.
    pub occurred_at_min: String,
    /// Time zone of the shop, an IANA name: hours and weekdays of profiles are in it.
    pub time_zone: String,
    /// Removal of spaces around ids. Without it such an id is refused: it is mostly a mistake, which trimming hides.
    pub trim_ids: bool,
    /// Base currency, an ISO 4217 code. A price without a currency is in it.
    pub currency: String,
    /// Value of one unit of another currency in `currency`. A price in a currency without a rate is refused.
    pub rates: BTreeMap<String, f64>,
    /// Names of the shop's own actions; profiles distinguish eight.
    pub custom_actions: Vec<String>,
    /// Strength of actions as evidence of interest, -10 to 10, where the shop's differ from the common ones. It holds for events from
    /// now on: each carries its strength.
    pub strength: BTreeMap<String, f32>,
    /// Policy of each trait, applied before it is written anywhere: `keep`, `drop`, `band:10` for the band of a number, `hash`,
    /// `encrypt`, `truncate` for the network of an IP address or half a postcode, `truncate:4` for four characters, `year` of a
    /// date, `mask`, `category:TABLE`. It precedes the recognition of personal data, and holds for properties of events too.
    pub traits: BTreeMap<String, TraitPolicy>,
    /// Policy of traits that are not in `traits` and not recognised as personal data, which are dropped.
    pub other_traits: TraitPolicy,
    /// Tables of the policy `category:TABLE`: the class of each value. Other values become `other`.
    pub trait_tables: BTreeMap<String, BTreeMap<String, String>>,
    /// File of the keys of `hash` and `encrypt`: a line for each version, its number and 64 hexadecimal digits. The highest
    /// version writes. A changed file is read within seconds.
    pub trait_keys_file: PathBuf,
    /// Most events per second of one user; 0 is without limit. Real users stay below 50, robots do not.
    pub user_events_per_second: u32,
    /// Events that a user may send at once before that limit applies.
    pub user_burst: u32,
    /// Items of the catalogue in the cache of this process.
    pub catalogue_cache_items: usize,
    /// Lifetime of a cached item: the time until other processes see an upsert.
    pub catalogue_cache_ttl: DurationSetting,
}

/// Durability of an accepted event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Acknowledge {
    /// Default of the store: `Replica` on a cluster, `Disk` elsewhere.
    #[default]
    Auto,
    /// Received by the store.
    Memory,
    /// Synced to the disk.
    Disk,
    /// Received by all replicas of the store's server.
    Replica,
}

impl Acknowledge {
    /// Returns the level of the store, where `default` is the store's own.
    pub fn level(self, default: AckLevel) -> AckLevel {
        match self {
            Self::Auto => default,
            Self::Memory => AckLevel::Memory,
            Self::Disk => AckLevel::Disk,
            Self::Replica => AckLevel::Replica,
        }
    }
}

/// Configuration with checked and parsed values.
#[derive(Debug)]
pub struct ValidConfig {
    pub(crate) level: AckLevel,
    pub(crate) linger: Duration,
    pub(crate) queue_bytes: usize,
    pub(crate) max_request_bytes: usize,
    pub(crate) lag_records_max: u64,
    pub(crate) stream_wait_max: Duration,
    pub(crate) stream_requests: usize,
    pub(crate) future_skew_max: TimeDelta,
    pub(crate) occurred_at_min: portrait_profile::Timestamp,
    pub(crate) shop_time: ShopTime,
    pub(crate) money: Money,
    pub(crate) custom_actions: Vec<CustomAction>,
    pub(crate) strengths: Strengths,
    pub(crate) trim_ids: bool,
    pub(crate) trait_rules: TraitRules,
    pub(crate) trait_keys_file: PathBuf,
    pub(crate) user_events_per_second: u32,
    pub(crate) user_burst: u32,
    pub(crate) catalogue_cache_items: usize,
    pub(crate) catalogue_cache_ttl: TimeDelta,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            acknowledge: Acknowledge::default(),
            linger: DurationSetting::from_millis(0),
            queue: ByteSize::mebibytes(64),
            // The largest batch: 1000 events with all their fields.
            max_request: ByteSize::mebibytes(8),
            lag_records_max: 1_000_000,
            stream_wait_max: DurationSetting::from_secs(30),
            stream_requests: 64,
            future_skew_max: DurationSetting::from_secs(300),
            occurred_at_min: "2000-01-01T00:00:00Z".to_owned(),
            time_zone: "UTC".to_owned(),
            trim_ids: false,
            currency: "EUR".to_owned(),
            rates: BTreeMap::new(),
            custom_actions: Vec::new(),
            strength: BTreeMap::new(),
            // A decade tells a model as much as a year, and identifies fewer people.
            traits: [("age".to_owned(), TraitPolicy::Band(10))].into(),
            other_traits: TraitPolicy::Keep,
            trait_tables: BTreeMap::new(),
            trait_keys_file: PathBuf::new(),
            // Off: a limit would reject the import of a log without `backfill`.
            user_events_per_second: 0,
            user_burst: 500,
            catalogue_cache_items: 100_000,
            catalogue_cache_ttl: DurationSetting::from_secs(10),
        }
    }
}

impl Config {
    /// Validates what types cannot express. `default` is the store's acknowledgement level for `auto`.
    ///
    /// # Errors
    /// Fails with the key, the problem and the remedy.
    pub fn validate(&self, default: AckLevel) -> Result<ValidConfig, InvalidValue> {
        // Each append waits for it, so it adds to every response time.
        if self.linger.as_millis() > 2 {
            return Err(InvalidValue::new("ingest.linger", "is above 2ms", "give it at most 2ms"));
        }
        // A smaller queue could not hold one large request.
        if self.queue < ByteSize::mebibytes(1) {
            return Err(InvalidValue::new("ingest.queue", "is below 1MiB", "give it at least 1MiB"));
        }
        if self.stream_requests == 0 {
            return Err(InvalidValue::new("ingest.stream_requests", "is 0", "give it at least 1"));
        }
        if self.user_events_per_second > 0 && self.user_burst == 0 {
            return Err(InvalidValue::new("ingest.user_burst", "is 0", "give it at least 1"));
        }
        let has_keys = !self.trait_keys_file.as_os_str().is_empty();
        let occurred_at_min = self.occurred_at_min.parse::<jiff::Timestamp>().map_err(|error| {
            InvalidValue::new(
                "ingest.occurred_at_min",
                format!("is no time: {error}"),
                "write it as 2000-01-01T00:00:00Z",
            )
        })?;
        Ok(ValidConfig {
            level: self.acknowledge.level(default),
            linger: self.linger.duration(),
            queue_bytes: self.queue.as_usize(),
            max_request_bytes: self.max_request.as_usize(),
            lag_records_max: self.lag_records_max,
            stream_wait_max: self.stream_wait_max.duration(),
            stream_requests: self.stream_requests,
            future_skew_max: time_delta(self.future_skew_max),
            occurred_at_min: portrait_profile::Timestamp::from_millis(occurred_at_min.as_millisecond()),
            shop_time: ShopTime::of_zone(&self.time_zone)?,
            money: Money::new(&self.currency, &self.rates)?,
            custom_actions: custom_actions(&self.custom_actions)?,
            strengths: Strengths::new(&self.strength)?,
            trim_ids: self.trim_ids,
            trait_rules: TraitRules::new(&self.traits, &self.other_traits, &self.trait_tables, has_keys)?,
            trait_keys_file: self.trait_keys_file.clone(),
            user_events_per_second: self.user_events_per_second,
            user_burst: self.user_burst,
            // The cache needs a capacity of 1; an operator may write 0 to switch it off.
            catalogue_cache_items: self.catalogue_cache_items.max(1),
            catalogue_cache_ttl: time_delta(self.catalogue_cache_ttl),
        })
    }
}

/// Parses the names of the shop's own actions.
fn custom_actions(names: &[String]) -> Result<Vec<CustomAction>, InvalidValue> {
    if names.len() > CUSTOM_ACTIONS_MAX {
        let problem = format!("names {} actions, profiles distinguish {CUSTOM_ACTIONS_MAX}", names.len());
        return Err(InvalidValue::new("ingest.custom_actions", problem, "name fewer"));
    }
    let actions = names.iter().map(|name| {
        CustomAction::parse(name).map_err(|error| {
            InvalidValue::new("ingest.custom_actions", format!("{name:?} {error}"), "choose another name")
        })
    });
    actions.collect()
}

fn time_delta(interval: DurationSetting) -> TimeDelta {
    TimeDelta::from_millis(i64::try_from(interval.as_millis()).unwrap_or(i64::MAX))
}
