//! Metrics by caller: what each holds, and how often it was refused more. There are as many labels as names in the tokens file.

use crate::share::Holding;
use crate::telemetry::Telemetry;
use crate::tokens::Tokens;
use opentelemetry::KeyValue;
use std::sync::Arc;
use tokio::sync::watch;

/// Exports what each caller holds, and how often it was refused more.
pub(super) fn observe(telemetry: &Telemetry, tokens: Option<watch::Receiver<Arc<Tokens>>>) {
    let Some(tokens) = tokens else { return };
    let meter = telemetry.of("portrait-runtime").meter;
    let refused = tokens.clone();
    meter
        .u64_observable_gauge("portrait_grpc_caller_holdings")
        .with_description(
            "calls, streams, subscriptions and connections that a caller has open, by the name of its token",
        )
        .with_callback(move |gauge| {
            for (name, caller) in tokens.borrow().by_name() {
                for what in Holding::ALL {
                    gauge.observe(caller.holdings().open(what) as u64, &labels(name, what));
                }
            }
        })
        .build();
    meter
        .u64_observable_counter("portrait_grpc_caller_refusals")
        .with_description("calls, streams, subscriptions and connections that a caller was refused because it held its share")
        .with_callback(move |counter| {
            for (name, caller) in refused.borrow().by_name() {
                for what in Holding::ALL {
                    counter.observe(caller.holdings().refused(what), &labels(name, what));
                }
            }
        })
        .build();
}

fn labels(name: &str, what: Holding) -> [KeyValue; 2] {
    [KeyValue::new("caller", name.to_owned()), KeyValue::new("limit", what.name())]
}
