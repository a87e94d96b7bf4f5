//! How this room is set. In comes what the file, the environment and the flags say; out goes a checked configuration.

use crate::money::Money;
use crate::policy::{TraitPolicy, Traits};
use crate::shop_time::ShopTime;
use portrait_profile::{CUSTOM_ACTIONS_MAX, CustomAction, Span};
use portrait_runtime::config::{ByteSize, Interval, Invalid};
use portrait_store::AckLevel;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// As it is written in `[ingest]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// When an event counts as accepted. `memory`: it survives the end of every process of Portrait. `disk`: also the loss of
    /// power, at the price of waiting for the disk. `replica`: also the loss of a server of the store, at the price of waiting for
    /// its replicas. `auto`: `replica` on a cluster, `disk` elsewhere.
    pub acknowledge: Acknowledge,
    /// How long records wait for others of their partition, at most 2ms. 0: only while the store is busy anyway.
    pub linger: Interval,
    /// How much may wait for the store. More: longer bursts are taken, and more memory.
    pub queue: ByteSize,
    /// The largest request that is taken. 1000 events with all their fields take about 6 MiB, usual ones 300 KiB.
    pub max_request: ByteSize,
    /// How many records a partition may have that are not applied. Above, events are refused until it has caught up.
    pub lag_max: u64,
    /// How long a stream may wait for room before it is ended.
    pub stream_patience: Interval,
    /// How many requests of one stream may be under way.
    pub stream_requests: usize,
    /// How far ahead an event's time may be: clocks differ.
    pub future_max: Interval,
    /// Events before this are refused, since most often their unit is wrong.
    pub oldest: String,
    /// The shop's time zone, as IANA names it: hours and weekdays of profiles are told in it.
    pub time_zone: String,
    /// The currency money is summed in, as ISO 4217 names it. A price without a currency is taken to be in it.
    pub currency: String,
    /// What one unit of another currency is worth in `currency`. A price in a currency that is not here is refused.
    pub rates: BTreeMap<String, f64>,
    /// The names of the shop's own actions; profiles tell eight apart.
    pub custom_actions: Vec<String>,
    /// What becomes of each trait before it is written anywhere: `keep`, `drop`, or `band:10` for the band of a number.
    pub traits: BTreeMap<String, TraitPolicy>,
    /// What becomes of traits that are not named there.
    pub other_traits: TraitPolicy,
    /// Events a second that one shopper may send; 0 is without limit. Real shoppers stay below 50, robots do not.
    pub user_events_per_second: u32,
    /// Events that a shopper may send at once before that limit holds.
    pub user_burst: u32,
    /// How many items are remembered of the catalogue.
    pub catalogue_items: usize,
    /// How long an item is remembered before the store is asked again: the time until other processes see an upsert.
    pub catalogue_age: Interval,
}

/// When an event counts as accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Acknowledge {
    /// What is usual for the store.
    #[default]
    Auto,
    /// The store has it.
    Memory,
    /// It is on disk.
    Disk,
    /// All replicas of the store's server have it too.
    Replica,
}

impl Acknowledge {
    /// The level, where `usual` is the usual one.
    pub fn level(self, usual: AckLevel) -> AckLevel {
        match self {
            Self::Auto => usual,
            Self::Memory => AckLevel::Memory,
            Self::Disk => AckLevel::Disk,
            Self::Replica => AckLevel::Replica,
        }
    }
}

/// The checked configuration.
#[derive(Debug)]
pub struct ValidConfig {
    pub(crate) level: AckLevel,
    pub(crate) linger: Duration,
    pub(crate) queue_bytes: usize,
    pub(crate) max_request_bytes: usize,
    pub(crate) lag_max: u64,
    pub(crate) stream_patience: Duration,
    pub(crate) stream_requests: usize,
    pub(crate) future_max: Span,
    pub(crate) oldest: portrait_profile::Timestamp,
    pub(crate) shop_time: ShopTime,
    pub(crate) money: Money,
    pub(crate) custom_actions: Vec<CustomAction>,
    pub(crate) traits: Traits,
    pub(crate) user_events_per_second: u32,
    pub(crate) user_burst: u32,
    pub(crate) catalogue_items: usize,
    pub(crate) catalogue_age: Span,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            acknowledge: Acknowledge::default(),
            linger: Interval::from_millis(0),
            queue: ByteSize::mebibytes(64),
            max_request: ByteSize::mebibytes(8),
            lag_max: 1_000_000,
            stream_patience: Interval::from_secs(30),
            stream_requests: 64,
            future_max: Interval::from_secs(300),
            oldest: "2000-01-01T00:00:00Z".to_owned(),
            time_zone: "UTC".to_owned(),
            currency: "EUR".to_owned(),
            rates: BTreeMap::new(),
            custom_actions: Vec::new(),
            traits: crate::policy::defaults(),
            other_traits: TraitPolicy::Keep,
            user_events_per_second: 0,
            user_burst: 500,
            catalogue_items: 100_000,
            catalogue_age: Interval::from_secs(10),
        }
    }
}

impl Config {
    /// Checks what types cannot. `usual` is the level that is usual for the store.
    pub fn validate(&self, usual: AckLevel) -> Result<ValidConfig, Invalid> {
        if self.linger.as_millis() > 2 {
            return Err(Invalid::new("ingest.linger", "is above 2ms", "give it at most 2ms"));
        }
        if self.queue < ByteSize::mebibytes(1) {
            return Err(Invalid::new("ingest.queue", "is below 1MiB", "give it at least 1MiB"));
        }
        if self.stream_requests == 0 {
            return Err(Invalid::new("ingest.stream_requests", "is 0", "give it at least 1"));
        }
        if self.user_events_per_second > 0 && self.user_burst == 0 {
            return Err(Invalid::new("ingest.user_burst", "is 0", "give it at least 1"));
        }
        let oldest = self.oldest.parse::<jiff::Timestamp>().map_err(|error| {
            Invalid::new("ingest.oldest", format!("is no time: {error}"), "write it as 2000-01-01T00:00:00Z")
        })?;
        Ok(ValidConfig {
            level: self.acknowledge.level(usual),
            linger: self.linger.duration(),
            queue_bytes: self.queue.as_usize(),
            max_request_bytes: self.max_request.as_usize(),
            lag_max: self.lag_max,
            stream_patience: self.stream_patience.duration(),
            stream_requests: self.stream_requests,
            future_max: span(self.future_max),
            oldest: portrait_profile::Timestamp::from_millis(oldest.as_millisecond()),
            shop_time: ShopTime::of_zone(&self.time_zone)?,
            money: Money::new(&self.currency, &self.rates)?,
            custom_actions: custom_actions(&self.custom_actions)?,
            traits: Traits::new(&self.traits, self.other_traits),
            user_events_per_second: self.user_events_per_second,
            user_burst: self.user_burst,
            catalogue_items: self.catalogue_items.max(1),
            catalogue_age: span(self.catalogue_age),
        })
    }
}

fn custom_actions(names: &[String]) -> Result<Vec<CustomAction>, Invalid> {
    if names.len() > CUSTOM_ACTIONS_MAX {
        let problem = format!("names {} actions, profiles tell {CUSTOM_ACTIONS_MAX} apart", names.len());
        return Err(Invalid::new("ingest.custom_actions", problem, "name fewer"));
    }
    let parse = |name: &String| {
        let bad =
            |fault| Invalid::new("ingest.custom_actions", format!("{name:?} {fault}"), "name it otherwise");
        CustomAction::parse(name).map_err(bad)
    };
    names.iter().map(parse).collect()
}

fn span(interval: Interval) -> Span {
    Span::from_millis(i64::try_from(interval.as_millis()).unwrap_or(i64::MAX))
}
