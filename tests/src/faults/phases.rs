//! How much was acknowledged with how many workers. In come the phases of each cycle and the report of earlier runs; out go lines for
//! the report and the table.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// By the number of workers.
#[derive(Debug, Default)]
pub(super) struct Phases(BTreeMap<u64, Phase>);

/// All phases with one number of workers.
#[derive(Debug, Default)]
struct Phase {
    acknowledged: u64,
    millis: u64,
}

impl Phases {
    /// Those of earlier runs.
    pub(super) fn of(run: &Value) -> Self {
        let number = |phase: &Value, name: &str| phase[name].as_u64().unwrap_or_default();
        let phase = |phase: &Value| {
            let (acknowledged, millis) = (number(phase, "acknowledged"), number(phase, "millis"));
            (number(phase, "workers"), Phase { acknowledged, millis })
        };
        Self(run["phases"].as_array().into_iter().flatten().map(phase).collect())
    }

    /// One more phase.
    pub(super) fn add(&mut self, workers: u64, acknowledged: u64, took: Duration) {
        let phase = self.0.entry(workers).or_default();
        phase.acknowledged += acknowledged;
        phase.millis += u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    }

    /// For the report; nothing if there was none.
    pub(super) fn report(&self) -> Option<Value> {
        let line = |(workers, phase): (&u64, &Phase)| {
            json!({
                "workers": workers,
                "acknowledged": phase.acknowledged,
                "millis": phase.millis,
                "acknowledged_per_second": phase.per_second(),
                "acknowledged_per_second_and_worker": phase.per_second() / workers.max(&1),
            })
        };
        (!self.0.is_empty()).then(|| self.0.iter().map(line).collect())
    }

    /// For whoever watches.
    pub(super) fn print(&self) {
        for (workers, phase) in &self.0 {
            let (all, each) = (phase.per_second(), phase.per_second() / workers.max(&1));
            println!("workers: {workers}, acknowledged: {all} events/s, {each} for each of them");
        }
    }
}

impl Phase {
    fn per_second(&self) -> u64 {
        (self.acknowledged * 1000).checked_div(self.millis).unwrap_or_default()
    }
}
