//! How this room is set. In comes what the file, the environment and the flags say; out goes a checked configuration.

use portrait_learning::drift::PSI_ROWS_MIN;
use portrait_profile::Span;
use portrait_runtime::config::{ByteSize, Interval, Invalid};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// As it is written in `[model]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where `FeatureService` answers, as `http://features:50051`; empty: in this process.
    pub features: String,
    /// Whether models are trained of their own accord: the first one, on schedule, on volume, on drift. If not, only when asked.
    pub automatic: bool,
    /// How often a model is trained although nothing else asks for it. Shorter: models follow the shop closer, and cost more.
    pub interval: Interval,
    /// After how many applied records a model is trained before its time; 0: never.
    pub volume: u64,
    /// How often it is looked whether the shoppers have changed.
    pub drift_interval: Interval,
    /// How many looks in a row must find drift before a model is trained for it.
    pub drift_windows: u32,
    /// How many shoppers one look takes.
    pub drift_rows: usize,
    /// How many of those must have come within four weeks, before a component is said to have moved. Fewer: smaller shops are
    /// told of drift, and sooner of chance.
    pub drift_rows_min: usize,
    /// How many shoppers there must be before the first model, and for any.
    pub rows_min: usize,
    /// How many shoppers' vectors a training holds at most; above, a sample of that size is taken. 1,000,000 take about 600 MB.
    pub rows_max: usize,
    /// What so many shoppers had at most teaches what is known of items; 0 leaves items out. More: rare items are known better,
    /// and a training takes longer and up to 15 KB more for each.
    pub pasts_max: usize,
    /// So many earlier moments at most teach each score; 0 leaves scores out. More: rare outcomes are known better, and a training
    /// takes longer.
    pub cases_max: usize,
    /// So many shoppers can be found as similar to others; 0 leaves that out. More: closer ones are found, each question takes longer
    /// and models are larger, by about 150 bytes for each.
    pub lookalikes_max: usize,
    /// The least number of segments that is tried.
    pub segments_min: usize,
    /// The greatest number of segments that is tried.
    pub segments_max: usize,
    /// How much worse a candidate may be than the served model on the same vectors, as a share of its inertia.
    pub worse_max: f64,
    /// How many models are kept to go back to.
    pub keep: usize,
    /// How long the right to train lasts that is not renewed.
    pub lease_ttl: Interval,
    /// How often a node that watches hears that nothing happened.
    pub heartbeat: Interval,
    /// How many nodes may watch at once.
    pub max_watchers: usize,
    /// How many threads a training computes on; 0: half of the machine's, at least one. More: it is over sooner, and calls
    /// meanwhile wait longer.
    pub threads: usize,
    /// The seed of everything random in a training: the same vectors and seed give the same model.
    pub seed: u64,
    /// The largest request that is taken.
    pub max_request: ByteSize,
    /// The largest answer, or message of a stream, that is sent.
    pub max_response: ByteSize,
}

/// The checked configuration.
#[derive(Clone, Debug)]
pub struct ValidConfig {
    pub(crate) automatic: bool,
    pub(crate) interval: Span,
    pub(crate) volume: u64,
    pub(crate) drift_interval: Span,
    pub(crate) drift_windows: u32,
    pub(crate) drift_rows: usize,
    pub(crate) drift_rows_min: usize,
    pub(crate) rows_min: usize,
    pub(crate) rows_max: usize,
    pub(crate) pasts_max: usize,
    pub(crate) cases_max: usize,
    pub(crate) lookalikes_max: usize,
    pub(crate) segments_min: usize,
    pub(crate) segments_max: usize,
    pub(crate) worse_max: f64,
    pub(crate) keep: usize,
    pub(crate) lease_ttl: Span,
    pub(crate) heartbeat: Duration,
    pub(crate) max_watchers: usize,
    pub(crate) threads: usize,
    pub(crate) seed: u64,
    pub(crate) max_request: usize,
    pub(crate) max_response: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            features: String::new(),
            automatic: true,
            interval: Interval::from_hours(24),
            volume: 5_000_000,
            drift_interval: Interval::from_secs(300),
            drift_windows: 3,
            drift_rows: 20_000,
            drift_rows_min: PSI_ROWS_MIN,
            rows_min: 200,
            rows_max: 500_000,
            pasts_max: 20_000,
            cases_max: 20_000,
            lookalikes_max: 20_000,
            segments_min: 4,
            segments_max: 12,
            worse_max: 0.01,
            keep: 20,
            lease_ttl: Interval::from_secs(10),
            heartbeat: Interval::from_secs(5),
            max_watchers: 1024,
            threads: 0,
            seed: 7,
            max_request: ByteSize::mebibytes(1),
            max_response: ByteSize::mebibytes(64),
        }
    }
}

impl Config {
    /// Checks what types cannot.
    ///
    /// # Errors
    /// The first key whose value makes no sense, and what to give instead.
    pub fn validate(&self) -> Result<ValidConfig, Invalid> {
        let rows = [
            ("model.interval", self.interval),
            ("model.drift_interval", self.drift_interval),
            ("model.lease_ttl", self.lease_ttl),
            ("model.heartbeat", self.heartbeat),
        ];
        for (key, value) in rows {
            if value.as_millis() < 100 {
                return Err(Invalid::new(key, format!("is {value}"), "give it at least 100ms"));
            }
        }
        let rows = [
            ("model.drift_windows", self.drift_windows as usize, 1),
            ("model.drift_rows", self.drift_rows, 100),
            ("model.drift_rows_min", self.drift_rows_min, 100),
            ("model.rows_min", self.rows_min, 10),
            ("model.rows_max", self.rows_max, self.rows_min),
            ("model.segments_min", self.segments_min, 2),
            ("model.segments_max", self.segments_max, self.segments_min),
            ("model.keep", self.keep, 2),
            ("model.max_watchers", self.max_watchers, 1),
        ];
        for (key, value, least) in rows {
            if value < least {
                return Err(Invalid::new(key, format!("is {value}"), format!("give it at least {least}")));
            }
        }
        if self.segments_max > 256 {
            return Err(Invalid::new("model.segments_max", "is above 256", "give it at most 256"));
        }
        if !(0.0..=1.0).contains(&self.worse_max) {
            let problem = format!("is {}", self.worse_max);
            return Err(Invalid::new("model.worse_max", problem, "give it a share from 0 to 1"));
        }
        self.check_sizes()?;
        Ok(ValidConfig {
            automatic: self.automatic,
            interval: span(self.interval),
            volume: self.volume,
            drift_interval: span(self.drift_interval),
            drift_windows: self.drift_windows,
            drift_rows: self.drift_rows,
            drift_rows_min: self.drift_rows_min,
            rows_min: self.rows_min,
            rows_max: self.rows_max,
            pasts_max: self.pasts_max,
            cases_max: self.cases_max,
            lookalikes_max: self.lookalikes_max,
            segments_min: self.segments_min,
            segments_max: self.segments_max,
            worse_max: self.worse_max,
            keep: self.keep,
            lease_ttl: span(self.lease_ttl),
            heartbeat: self.heartbeat.duration(),
            max_watchers: self.max_watchers,
            threads: if self.threads == 0 { half_of_the_machine() } else { self.threads },
            seed: self.seed,
            max_request: self.max_request.as_usize(),
            max_response: self.max_response.as_usize(),
        })
    }

    fn check_sizes(&self) -> Result<(), Invalid> {
        // A part of a model goes in pieces of 1 MiB.
        let rows = [
            ("model.max_request", self.max_request, ByteSize::kibibytes(64)),
            ("model.max_response", self.max_response, ByteSize::mebibytes(2)),
        ];
        for (key, value, least) in rows {
            if value < least {
                return Err(Invalid::new(key, format!("is {value}"), format!("give it at least {least}")));
            }
        }
        Ok(())
    }
}

fn half_of_the_machine() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).max(1))
}

fn span(interval: Interval) -> Span {
    Span::from_millis(i64::try_from(interval.as_millis()).unwrap_or(i64::MAX))
}
