//! Metrics of the path from log to profile.

use crate::fold::ErasureCounts;
use crate::logs::LogTotals;
use crate::shadow::{LiveVsStale, PredictionCounts};
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Gauge, Histogram, Meter};
use portrait_profile::Timestamp;
use portrait_runtime::SharedClock;
use portrait_store::{Counters, StoreSpace};
use std::time::Duration;

/// Instruments of the service.
pub(crate) struct Metrics {
    clock: SharedClock,
    records: Counter<u64>,
    commits: Counter<u64>,
    fenced: Counter<u64>,
    duplicate_names: Counter<u64>,
    partition_errors: Counter<u64>,
    late: Counter<u64>,
    corrected_lines: Counter<u64>,
    erasures: Counter<u64>,
    swept: Counter<u64>,
    segment_changes: Counter<u64>,
    commit_seconds: Histogram<f64>,
    commit_profiles: Histogram<u64>,
    freshness_seconds: Histogram<f64>,
    shadow_predictions: Counter<u64>,
    shadow_action_log_loss: Counter<f64>,
    storage: StorageGauges,
}

/// Gauges of logs and store.
struct StorageGauges {
    log: Gauge<u64>,
    log_excess: Gauge<u64>,
    log_age: Gauge<f64>,
    store_used: Gauge<f64>,
    erasure_age: Gauge<f64>,
}

/// Counts of one commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CommitCounts {
    /// Records of the commit by outcome.
    pub(crate) records: Counters,
    /// Number of written profiles.
    pub(crate) profiles: usize,
}

/// Statistics of a successful commit.
pub(crate) struct CommitStats {
    /// Records and profiles of the commit.
    pub(crate) counts: CommitCounts,
    /// Erasures of users of this partition and of others.
    pub(crate) erasures: ErasureCounts,
    /// Number of order lines that were sent again.
    pub(crate) corrected_lines: u64,
    /// Acceptance time of its newest record.
    pub(crate) newest_accepted_at: Option<Timestamp>,
    /// Duration since the page of the log was read.
    pub(crate) elapsed: Duration,
}

impl Metrics {
    /// Registers the instruments of the service.
    pub(crate) fn new(meter: &Meter, clock: SharedClock) -> Self {
        Self {
            clock,
            records: meter
                .u64_counter("portrait_feature_records")
                .with_description(
                    "log records by outcome: applied, duplicate, dead_letter, blocked by an erasure",
                )
                .with_unit("{record}")
                .build(),
            commits: meter
                .u64_counter("portrait_feature_commits")
                .with_description("commits that succeeded")
                .with_unit("{commit}")
                .build(),
            fenced: meter
                .u64_counter("portrait_feature_fenced_commits")
                .with_description("commits refused because the partition has another owner")
                .with_unit("{commit}")
                .build(),
            duplicate_names: duplicate_names(meter),
            partition_errors: partition_errors(meter),
            late: late_events(meter),
            corrected_lines: corrected_lines(meter),
            erasures: erasures(meter),
            swept: meter
                .u64_counter("portrait_feature_swept_profiles")
                .with_description(
                    "profiles scanned by sweeps, for a new model, an erasure, or because time has passed",
                )
                .with_unit("{profile}")
                .build(),
            segment_changes: meter
                .u64_counter("portrait_feature_segment_changes")
                .with_description("profiles that a sweep has written: another segment, or a removed edge")
                .with_unit("{profile}")
                .build(),
            commit_seconds: meter
                .f64_histogram("portrait_feature_commit_duration")
                .with_description("from a page of the log to its commit")
                .with_unit("s")
                .with_boundaries(vec![0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0])
                .build(),
            commit_profiles: meter
                .u64_histogram("portrait_feature_commit_profiles")
                .with_description("profiles changed by one commit")
                .with_unit("{profile}")
                .with_boundaries(vec![0.0, 1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0])
                .build(),
            freshness_seconds: freshness(meter),
            shadow_predictions: shadow_predictions(meter),
            shadow_action_log_loss: meter
                .f64_counter("portrait_feature_shadow_action_log_loss")
                .with_description("sum of the negative log-probabilities of the predicted actions")
                .with_unit("{nat}")
                .build(),
            storage: StorageGauges::new(meter),
        }
    }

    /// Records a successful commit.
    pub(crate) fn committed(&self, stats: &CommitStats) {
        let records = stats.counts.records;
        self.commits.add(1, &[]);
        self.count("applied", records.applied);
        self.count("duplicate", records.duplicates);
        self.count("dead_letter", records.dead_letters);
        self.count("blocked", records.blocked);
        self.erasures("applied", stats.erasures.here);
        self.erasures("edges_removed", stats.erasures.elsewhere);
        self.late.add(records.late, &[]);
        self.corrected_lines.add(stats.corrected_lines, &[]);
        self.commit_seconds.record(stats.elapsed.as_secs_f64(), &[]);
        self.commit_profiles.record(stats.counts.profiles as u64, &[]);
        // A clock of another node may be ahead: a negative age counts as none.
        if let Some(accepted_at) = stats.newest_accepted_at {
            let age_ms = self.clock.now_ms().saturating_sub(accepted_at.millis()).max(0);
            self.freshness_seconds.record(age_ms as f64 / 1000.0, &[]);
        }
    }

    /// Counts an error that stalled a partition.
    pub(crate) fn partition_error(&self) {
        self.partition_errors.add(1, &[]);
    }

    /// Counts swept profiles, and those that changed segment.
    pub(crate) fn swept(&self, profiles: usize, moved: usize) {
        self.swept.add(profiles as u64, &[]);
        self.segment_changes.add(moved as u64, &[]);
    }

    /// Counts erasures that reached a state.
    pub(crate) fn erasures(&self, state: &'static str, count: u64) {
        if count > 0 {
            self.erasures.add(count, &[KeyValue::new("state", state)]);
        }
    }

    /// Adds the counts of the shadow evaluation.
    pub(crate) fn shadow_predictions(&self, counts: LiveVsStale) {
        self.shadow_counts("live", &counts.live);
        self.shadow_counts("day_start", &counts.day_start);
    }

    /// Records the logs of the owned partitions.
    pub(crate) fn logs(&self, totals: LogTotals) {
        self.storage.log.record(totals.bytes, &[]);
        self.storage.log_excess.record(totals.excess_bytes, &[]);
        self.storage.log_age.record(totals.age_seconds, &[]);
    }

    /// Records the age of the oldest erasure that is not complete.
    pub(crate) fn oldest_erasure(&self, seconds: f64) {
        self.storage.erasure_age.record(seconds, &[]);
    }

    /// Records the use of the store's space, if its capacity is known.
    pub(crate) fn space(&self, space: StoreSpace) {
        if let Some(capacity_bytes) = space.capacity_bytes {
            // A store that is beyond its limit reports more than 1.
            let share = space.used_bytes as f64 / capacity_bytes.max(1) as f64;
            self.storage.store_used.record(share, &[]);
        }
    }

    /// Counts a fenced commit.
    pub(crate) fn fenced(&self) {
        self.fenced.add(1, &[]);
    }

    /// Counts a claim refused because another process of this name holds the lease.
    pub(crate) fn duplicate_name(&self) {
        self.duplicate_names.add(1, &[]);
    }

    fn shadow_counts(&self, profile: &'static str, counts: &PredictionCounts) {
        let rows = [
            ("action", "true", counts.actions_hit),
            ("action", "false", counts.actions - counts.actions_hit),
            ("item", "true", counts.items_hit),
            ("item", "false", counts.items - counts.items_hit),
            ("category", "true", counts.categories_hit),
            ("category", "false", counts.categories - counts.categories_hit),
        ];
        let label = KeyValue::new("profile", profile);
        for (target, hit, count) in rows.into_iter().filter(|(.., count)| *count > 0) {
            let labels = [label.clone(), KeyValue::new("target", target), KeyValue::new("hit", hit)];
            self.shadow_predictions.add(count, &labels);
        }
        if counts.actions > 0 {
            self.shadow_action_log_loss.add(counts.action_log_loss, &[label]);
        }
    }

    fn count(&self, outcome: &'static str, count: u64) {
        if count > 0 {
            self.records.add(count, &[KeyValue::new("outcome", outcome)]);
        }
    }
}

impl StorageGauges {
    fn new(meter: &Meter) -> Self {
        Self {
            log: meter
                .u64_gauge("portrait_feature_log")
                .with_description("size of the logs of the partitions that the process owns, as encoded")
                .with_unit("By")
                .build(),
            log_excess: meter
                .u64_gauge("portrait_feature_log_excess")
                .with_description(
                    "size of those logs above their share of feature.log_bytes: records that are not applied are not trimmed",
                )
                .with_unit("By")
                .build(),
            log_age: meter
                .f64_gauge("portrait_feature_log_age")
                .with_description("age of the oldest record of those logs")
                .with_unit("s")
                .build(),
            erasure_age: meter
                .f64_gauge("portrait_feature_erasure_age")
                .with_description("age of the oldest erasure of the partitions that the process owns which is not complete, or 0")
                .with_unit("s")
                .build(),
            store_used: meter
                .f64_gauge("portrait_feature_store_used")
                .with_description(
                    "share of the store's space in use, of the fullest server: at 1 events are refused",
                )
                .with_unit("1")
                .build(),
        }
    }
}

/// Creates the histogram of profile freshness.
fn freshness(meter: &Meter) -> Histogram<f64> {
    let histogram = meter.f64_histogram("portrait_feature_freshness").with_unit("s");
    let description = "from the acceptance of a commit's newest record to the moment it can be queried";
    let boundaries = vec![0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];
    histogram.with_description(description).with_boundaries(boundaries).build()
}

/// Creates the counter of claims that another process of the same name prevented.
fn duplicate_names(meter: &Meter) -> Counter<u64> {
    let counter = meter.u64_counter("portrait_feature_duplicate_names").with_unit("{claim}");
    let description =
        "claims of a partition that another process of the same name holds; give each process its own name";
    counter.with_description(description).build()
}

/// Creates the counter of errors that stalled a partition.
fn partition_errors(meter: &Meter) -> Counter<u64> {
    let counter = meter.u64_counter("portrait_feature_partition_errors").with_unit("{error}");
    counter.with_description("errors that stalled a partition; the log has the error").build()
}

/// Creates the counter of shadow predictions.
fn shadow_predictions(meter: &Meter) -> Counter<u64> {
    let counter = meter.u64_counter("portrait_feature_shadow_predictions").with_unit("{event}");
    let description = "predictions of the next event, from the live profile and from its day-start snapshot; hit: the likeliest \
                       action, among 20 items, among 3 categories";
    counter.with_description(description).build()
}

/// Creates the counter of events that were too late for visits.
fn late_events(meter: &Meter) -> Counter<u64> {
    let counter = meter.u64_counter("portrait_feature_late_events").with_unit("{event}");
    counter.with_description("events too late for sessions and transitions").build()
}

/// Creates the counter of order lines that were sent again.
fn corrected_lines(meter: &Meter) -> Counter<u64> {
    let counter = meter.u64_counter("portrait_feature_corrected_lines").with_unit("{line}");
    counter.with_description("order lines that were sent again and replaced themselves").build()
}

/// Creates the counter of erasures by state.
fn erasures(meter: &Meter) -> Counter<u64> {
    let counter = meter.u64_counter("portrait_feature_erasures").with_unit("{erasure}");
    let description = "erasures by state: applied (of a user of the partition), edges_removed (of another partition), swept and \
                       cleared (partitions that are done)";
    counter.with_description(description).build()
}
