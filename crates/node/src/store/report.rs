//! Report of the store's health: counters of connections, refusals and losses, and its problems in `/readyz`.

use opentelemetry::KeyValue;
use opentelemetry::metrics::Meter;
use portrait_runtime::health::Health;
use portrait_store_embedded::Embedded;
use portrait_store_redis::StoreHealth;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Component of the report in `/readyz`.
const COMPONENT: &str = "store";
/// Interval at which the free space of an embedded store is measured.
const SPACE_INTERVAL: Duration = Duration::from_secs(1);

/// Registers the counters of a store on Redis. They are read when the metrics are.
pub(super) fn register(meter: &Meter, store: &Arc<StoreHealth>) {
    let counted = Arc::clone(store);
    meter
        .u64_observable_counter("portrait_store_connections")
        .with_description(
            "connections to Redis that were opened or attempted; more than a few a second is a fault",
        )
        .with_unit("{connection}")
        .with_callback(move |observer| observer.observe(counted.connections(), &[]))
        .build();
    let counted = Arc::clone(store);
    meter
        .u64_observable_counter("portrait_store_refusals")
        .with_description(
            "commands that Redis refused, by class of command; the log and /readyz name the missing right",
        )
        .with_unit("{command}")
        .with_callback(move |observer| {
            for (class, count) in counted.refusals() {
                observer.observe(count, &[KeyValue::new("command", class.label())]);
            }
        })
        .build();
    let counted = Arc::clone(store);
    meter
        .u64_observable_counter("portrait_store_losses")
        .with_description("losses of the store, or of the data of a partition, that this process has noticed")
        .with_unit("{loss}")
        .with_callback(move |observer| observer.observe(counted.losses(), &[]))
        .build();
}

/// Reports an embedded store that refuses events or all writes because its disk is too full, until `end` is cancelled. It is ready
/// all the same: reads are answered.
pub(super) async fn follow_space(store: Arc<Embedded>, health: Health, end: CancellationToken) {
    let following = async {
        loop {
            match store.short_of_space() {
                Some(problem) => health.degraded(COMPONENT, problem),
                None => health.ready(COMPONENT),
            }
            tokio::time::sleep(SPACE_INTERVAL).await;
        }
    };
    end.run_until_cancelled(following).await;
}

/// Reports the problems of the store until `end` is cancelled.
pub(super) async fn follow(store: Arc<StoreHealth>, health: Health, end: CancellationToken) {
    let mut changes = store.changes();
    let following = async {
        loop {
            changes.mark_unchanged();
            let problems = store.problems();
            let text: Vec<&str> = problems.iter().map(|problem| problem.text.as_str()).collect();
            match &problems[..] {
                [] => health.ready(COMPONENT),
                problems if problems.iter().any(|problem| problem.blocks_calls) => {
                    health.not_ready(COMPONENT, text.join("; "));
                }
                // Ready: calls are answered, and no restart would help.
                _ => health.degraded(COMPONENT, text.join("; ")),
            }
            if changes.changed().await.is_err() {
                return;
            }
        }
    };
    end.run_until_cancelled(following).await;
}
