//! Metrics of the path into the log.

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram, Meter};
use portrait_proto::status::reason_name;
use portrait_proto::v1::{ErasureState, ErrorReason};
use std::time::Duration;

/// Instruments of the service.
pub(crate) struct Metrics {
    accepted: Counter<u64>,
    rejected: Counter<u64>,
    dropped: Counter<u64>,
    truncated: Counter<u64>,
    erasure_status_reads: Counter<u64>,
    append_seconds: Histogram<f64>,
    append_records: Histogram<u64>,
}

impl Metrics {
    /// Registers the instruments of the service.
    pub(crate) fn new(meter: &Meter) -> Self {
        Self {
            accepted: meter
                .u64_counter("portrait_ingest_accepted")
                .with_description("items that are in the log or the catalogue, by kind")
                .with_unit("{item}")
                .build(),
            rejected: meter
                .u64_counter("portrait_ingest_rejected")
                .with_description("rejected items, by kind and reason")
                .with_unit("{item}")
                .build(),
            dropped: meter
                .u64_counter("portrait_ingest_dropped")
                .with_description(
                    "traits and properties that were not written, by kind of personal data; policy: by a drop of the shop",
                )
                .with_unit("{value}")
                .build(),
            truncated: meter
                .u64_counter("portrait_ingest_truncated")
                .with_description("fields of accepted events that were cut or left out, by field")
                .with_unit("{field}")
                .build(),
            erasure_status_reads: meter
                .u64_counter("portrait_ingest_erasure_status_reads")
                .with_description("responses of GetErasure, by state")
                .with_unit("{response}")
                .build(),
            append_seconds: meter
                .f64_histogram("portrait_ingest_append_duration")
                .with_description("duration of an append to the log, until it is acknowledged")
                .with_unit("s")
                .with_boundaries(vec![0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0])
                .build(),
            append_records: meter
                .u64_histogram("portrait_ingest_append_records")
                .with_description("records of one append")
                .with_unit("{record}")
                .with_boundaries(vec![1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0])
                .build(),
        }
    }

    /// Counts accepted items of a kind.
    pub(crate) fn accepted(&self, kind: &'static str, count: u64) {
        if count > 0 {
            self.accepted.add(count, &[KeyValue::new("kind", kind)]);
        }
    }

    /// Counts a rejected item of a kind.
    pub(crate) fn rejected(&self, kind: &'static str, reason: ErrorReason) {
        let attributes = [KeyValue::new("kind", kind), KeyValue::new("reason", reason_name(reason))];
        self.rejected.add(1, &attributes);
    }

    /// Counts traits and properties that were not written.
    pub(crate) fn dropped(&self, kind: &'static str, count: u64) {
        self.dropped.add(count, &[KeyValue::new("kind", kind)]);
    }

    /// Counts fields that were cut or left out.
    pub(crate) fn truncated(&self, field: &'static str, count: u64) {
        self.truncated.add(count, &[KeyValue::new("field", field)]);
    }

    /// Counts a read of the state of an erasure.
    pub(crate) fn erasure_status_read(&self, state: ErasureState) {
        let name = state.as_str_name();
        let name = name.strip_prefix("ERASURE_STATE_").unwrap_or(name);
        self.erasure_status_reads.add(1, &[KeyValue::new("state", name)]);
    }

    /// Records an acknowledged append.
    pub(crate) fn appended(&self, records: usize, elapsed: Duration) {
        self.append_seconds.record(elapsed.as_secs_f64(), &[]);
        self.append_records.record(records as u64, &[]);
    }
}
