//! Configuration of the model service. Input: the file, the environment and the flags. Output: a validated
//! configuration.

use portrait_learning::drift::PSI_ROWS_MIN;
use portrait_profile::TimeDelta;
use portrait_runtime::config::{ByteSize, DurationSetting, InvalidValue};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Section `[model]` as written.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Address of `FeatureService`, as `http://features:50051`; empty: in this process.
    pub features: String,
    /// Automatic training: the first model, on schedule, on volume, on drift. If false, models are trained on request
    /// only.
    pub automatic: bool,
    /// Time between scheduled trainings. Shorter: models follow the shop closer, and cost more.
    pub interval: DurationSetting,
    /// Number of newly applied records that triggers a training before its schedule; 0: never.
    pub retrain_after_records: u64,
    /// Trains again when the applied records have doubled since the last training: once no record has come for a second, as after
    /// an import, or ten minutes after the last training. False: only by the schedule, `retrain_after_records` and drift.
    pub retrain_on_growth: bool,
    /// Time between drift checks.
    pub drift_interval: DurationSetting,
    /// Number of consecutive drift checks that must find drift before it triggers a training.
    pub drift_consecutive_checks: u32,
    /// Number of users sampled by one drift check.
    pub drift_rows: usize,
    /// Minimum number of sampled users active within four weeks for a component to be reported as drifted. Fewer:
    /// smaller shops get drift reports, with more false alarms.
    pub drift_rows_min: usize,
    /// Minimum number of users for segments, and for the first model that is trained by itself. A training on request of fewer users
    /// gives a model without segments. Fewer: small shops get segments, which change more from training to training.
    pub rows_min: usize,
    /// Maximum number of vectors that a training holds; above, a sample of that size is taken. 1,000,000 take about
    /// 600 MB.
    pub rows_max: usize,
    /// Maximum number of user histories that the recommender learns from; 0 disables recommendations. More: rare
    /// items are recommended better, and a training takes longer and up to 15 KB more per history.
    pub histories_max: usize,
    /// Maximum number of examples that each scorer learns from; 0 disables scores. More: rare outcomes are predicted
    /// better, and a training takes longer.
    pub examples_max: usize,
    /// Maximum number of users in the sample for similar users; 0 disables it. More: closer users are found, each
    /// query takes longer and models are larger, by about 150 bytes per user.
    pub lookalikes_max: usize,
    /// Smallest number of segments that is tried; fewer are found if the users cannot be distinguished as finely.
    pub segments_min: usize,
    /// Largest number of segments that is tried; at most 256.
    pub segments_max: usize,
    /// Maximum increase of inertia over the served model on the same vectors, as a share (0.01 is 1%).
    pub inertia_increase_max: f64,
    /// Number of model versions kept for rollback.
    pub versions_kept: usize,
    /// Lifetime of the training lease without renewal.
    pub lease_ttl: DurationSetting,
    /// Time between heartbeats to a watching node.
    pub heartbeat: DurationSetting,
    /// Longest time that a training or an activation waits for the watching nodes to acknowledge the model. The response
    /// names nodes that have not; 0s: they are not waited for.
    pub acknowledge_timeout: DurationSetting,
    /// Maximum number of watching nodes.
    pub max_watchers: usize,
    /// Number of threads that a training computes on; 0: half of the machine's cores, at least one. More: trainings
    /// end sooner, and concurrent requests are slower.
    pub threads: usize,
    /// Random seed of a training: the same vectors and seed give the same model.
    pub seed: u64,
    /// Maximum size of a request.
    pub max_request: ByteSize,
    /// Maximum size of a response or of a message of a stream.
    pub max_response: ByteSize,
}

/// Validated configuration of the model service.
#[derive(Clone, Debug)]
pub struct ValidConfig {
    pub(crate) automatic: bool,
    pub(crate) interval: TimeDelta,
    pub(crate) retrain_after_records: u64,
    pub(crate) retrain_on_growth: bool,
    pub(crate) drift_interval: TimeDelta,
    pub(crate) drift_consecutive_checks: u32,
    pub(crate) drift_rows: usize,
    pub(crate) drift_rows_min: usize,
    pub(crate) rows_min: usize,
    pub(crate) rows_max: usize,
    pub(crate) histories_max: usize,
    pub(crate) examples_max: usize,
    pub(crate) lookalikes_max: usize,
    pub(crate) segments_min: usize,
    pub(crate) segments_max: usize,
    pub(crate) inertia_increase_max: f64,
    pub(crate) versions_kept: usize,
    pub(crate) lease_ttl: TimeDelta,
    pub(crate) heartbeat: Duration,
    pub(crate) acknowledge_timeout: Duration,
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
            interval: DurationSetting::from_hours(24),
            retrain_after_records: 5_000_000,
            retrain_on_growth: true,
            drift_interval: DurationSetting::from_secs(300),
            drift_consecutive_checks: 3,
            drift_rows: 20_000,
            drift_rows_min: PSI_ROWS_MIN,
            rows_min: 200,
            rows_max: 500_000,
            histories_max: 20_000,
            examples_max: 20_000,
            lookalikes_max: 20_000,
            segments_min: 4,
            segments_max: 12,
            inertia_increase_max: 0.01,
            versions_kept: 20,
            lease_ttl: DurationSetting::from_secs(10),
            heartbeat: DurationSetting::from_secs(5),
            acknowledge_timeout: DurationSetting::from_secs(30),
            max_watchers: 1024,
            threads: 0,
            seed: 7,
            max_request: ByteSize::mebibytes(1),
            max_response: ByteSize::mebibytes(64),
        }
    }
}

impl Config {
    /// Validates what the types cannot express.
    ///
    /// # Errors
    /// Returns the first key with an invalid value, and a valid range.
    pub fn validate(&self) -> Result<ValidConfig, InvalidValue> {
        self.check_minimums()?;
        // The search for k fits every number in the range, and segment labels are shown to people: 256 is more than
        // enough.
        if self.segments_max > 256 {
            return Err(InvalidValue::new("model.segments_max", "is above 256", "give it at most 256"));
        }
        if !(0.0..=1.0).contains(&self.inertia_increase_max) {
            let problem = format!("is {}", self.inertia_increase_max);
            return Err(InvalidValue::new(
                "model.inertia_increase_max",
                problem,
                "give it a share from 0 to 1",
            ));
        }
        self.check_sizes()?;
        Ok(ValidConfig {
            automatic: self.automatic,
            interval: time_delta(self.interval),
            retrain_after_records: self.retrain_after_records,
            retrain_on_growth: self.retrain_on_growth,
            drift_interval: time_delta(self.drift_interval),
            drift_consecutive_checks: self.drift_consecutive_checks,
            drift_rows: self.drift_rows,
            drift_rows_min: self.drift_rows_min,
            rows_min: self.rows_min,
            rows_max: self.rows_max,
            histories_max: self.histories_max,
            examples_max: self.examples_max,
            lookalikes_max: self.lookalikes_max,
            segments_min: self.segments_min,
            segments_max: self.segments_max,
            inertia_increase_max: self.inertia_increase_max,
            versions_kept: self.versions_kept,
            lease_ttl: time_delta(self.lease_ttl),
            heartbeat: self.heartbeat.duration(),
            acknowledge_timeout: self.acknowledge_timeout.duration(),
            max_watchers: self.max_watchers,
            // Half of the cores: gateways and workers in the same process keep answering while a training runs.
            threads: if self.threads == 0 { default_threads() } else { self.threads },
            seed: self.seed,
            max_request: self.max_request.as_usize(),
            max_response: self.max_response.as_usize(),
        })
    }

    fn check_minimums(&self) -> Result<(), InvalidValue> {
        let rows = [
            ("model.interval", self.interval),
            ("model.drift_interval", self.drift_interval),
            ("model.lease_ttl", self.lease_ttl),
            ("model.heartbeat", self.heartbeat),
        ];
        for (key, value) in rows {
            if value.as_millis() < 100 {
                return Err(InvalidValue::new(key, format!("is {value}"), "give it at least 100ms"));
            }
        }
        let rows = [
            ("model.drift_consecutive_checks", self.drift_consecutive_checks as usize, 1),
            ("model.drift_rows", self.drift_rows, 100),
            ("model.drift_rows_min", self.drift_rows_min, 100),
            ("model.rows_min", self.rows_min, 10),
            ("model.rows_max", self.rows_max, self.rows_min),
            ("model.segments_min", self.segments_min, 2),
            ("model.segments_max", self.segments_max, self.segments_min),
            ("model.versions_kept", self.versions_kept, 2),
            ("model.max_watchers", self.max_watchers, 1),
        ];
        for (key, value, least) in rows {
            if value < least {
                return Err(InvalidValue::new(
                    key,
                    format!("is {value}"),
                    format!("give it at least {least}"),
                ));
            }
        }
        Ok(())
    }

    fn check_sizes(&self) -> Result<(), InvalidValue> {
        // A manifest has a line per part and limit: 2 MiB are far above what any list of models needs.
        let rows = [
            ("model.max_request", self.max_request, ByteSize::kibibytes(64)),
            ("model.max_response", self.max_response, ByteSize::mebibytes(2)),
        ];
        for (key, value, least) in rows {
            if value < least {
                return Err(InvalidValue::new(
                    key,
                    format!("is {value}"),
                    format!("give it at least {least}"),
                ));
            }
        }
        Ok(())
    }
}

fn default_threads() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).max(1))
}

fn time_delta(interval: DurationSetting) -> TimeDelta {
    TimeDelta::from_millis(i64::try_from(interval.as_millis()).unwrap_or(i64::MAX))
}
