//! Metrics of reads and subscriptions.

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram, Meter, UpDownCounter};
use portrait_proto::v1::ResyncReason;
use std::time::Duration;

/// Instruments of the query service.
pub(crate) struct Metrics {
    reads: Counter<u64>,
    read_seconds: Histogram<f64>,
    read_after_seconds: Histogram<f64>,
    subscribers: UpDownCounter<i64>,
    delivered: Counter<u64>,
    coalesced: Counter<u64>,
    resyncs: Counter<u64>,
    delivery_seconds: Histogram<f64>,
    stalled: Counter<u64>,
    tail_failures: Counter<u64>,
}

impl Metrics {
    /// Creates the instruments with `meter`, and exports the maximum number of subscriptions.
    pub(crate) fn new(meter: &Meter, subscribers_max: usize) -> Self {
        meter
            .u64_gauge("portrait_query_subscribers_limit")
            .with_description("maximum number of open subscriptions (query.max_subscribers)")
            .with_unit("{subscription}")
            .build()
            .record(subscribers_max as u64, &[]);
        let count = |name: &'static str, description: &'static str, unit: &'static str| {
            meter.u64_counter(name).with_description(description).with_unit(unit).build()
        };
        let seconds = |name: &'static str, description: &'static str| {
            let boundaries =
                vec![0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0];
            let histogram = meter.f64_histogram(name).with_description(description).with_unit("s");
            histogram.with_boundaries(boundaries).build()
        };
        Self {
            reads: count("portrait_query_reads", "requested profiles, by found: true, false", "{profile}"),
            read_seconds: seconds("portrait_query_read_duration", "duration of a read, waits included"),
            read_after_seconds: seconds(
                "portrait_query_read_after_duration",
                "wait of reads for read_after, by outcome: applied, timeout, expired, failed",
            ),
            subscribers: meter
                .i64_up_down_counter("portrait_query_subscribers")
                .with_description("open subscriptions")
                .with_unit("{subscription}")
                .build(),
            delivered: count(
                "portrait_query_changes_delivered",
                "changes delivered to subscribers",
                "{change}",
            ),
            coalesced: count(
                "portrait_query_changes_coalesced",
                "changes replaced by a newer change of the same user before delivery",
                "{change}",
            ),
            resyncs: count("portrait_query_resyncs", "partition resyncs, by reason", "{partition}"),
            delivery_seconds: meter
                .f64_histogram("portrait_query_delivery_latency")
                .with_description("time from the acceptance of a change's newest record to its delivery")
                .with_unit("s")
                .with_boundaries(vec![0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0, 10.0])
                .build(),
            stalled: count(
                "portrait_query_stalled_subscriptions",
                "subscriptions ended because the subscriber stalled",
                "{subscription}",
            ),
            tail_failures: count("portrait_query_tail_failures", "failed feed reads", "{read}"),
        }
    }

    /// Records a read and its duration.
    pub(crate) fn read(&self, found: usize, missing: usize, took: Duration) {
        self.read_seconds.record(took.as_secs_f64(), &[]);
        for (found, count) in [(true, found), (false, missing)] {
            if count > 0 {
                self.reads.add(count as u64, &[KeyValue::new("found", found)]);
            }
        }
    }

    /// Records a wait for `read_after`.
    pub(crate) fn waited(&self, outcome: &'static str, took: Duration) {
        self.read_after_seconds.record(took.as_secs_f64(), &[KeyValue::new("outcome", outcome)]);
    }

    /// Counts a subscription that began (1) or ended (-1).
    pub(crate) fn subscribers(&self, by: i64) {
        self.subscribers.add(by, &[]);
    }

    /// Records a delivered change and its latency since its newest record was accepted.
    pub(crate) fn delivered(&self, latency_ms: i64) {
        self.delivered.add(1, &[]);
        self.delivery_seconds.record(latency_ms.max(0) as f64 / 1000.0, &[]);
    }

    /// Counts changes that were coalesced.
    pub(crate) fn coalesced(&self, count: usize) {
        if count > 0 {
            self.coalesced.add(count as u64, &[]);
        }
    }

    /// Counts a resync of a partition.
    pub(crate) fn resync(&self, reason: ResyncReason) {
        let name = reason.as_str_name();
        let name = name.strip_prefix("RESYNC_REASON_").unwrap_or(name).to_ascii_lowercase();
        self.resyncs.add(1, &[KeyValue::new("reason", name)]);
    }

    /// Counts a subscription ended by `query.stall_timeout`.
    pub(crate) fn stalled(&self) {
        self.stalled.add(1, &[]);
    }

    /// Counts a failed feed read.
    pub(crate) fn tail_failed(&self) {
        self.tail_failures.add(1, &[]);
    }
}
