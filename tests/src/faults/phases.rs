//! Acknowledged events per second by number of workers, accumulated over the cycles of all runs for the report.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// Phases by number of workers.
#[derive(Debug, Default)]
pub(super) struct Phases(BTreeMap<u64, Phase>);

/// Total of the phases with one number of workers.
#[derive(Debug, Default)]
struct Phase {
    acknowledged: u64,
    millis: u64,
}

impl Phases {
    /// Phases in the report of earlier runs.
    pub(super) fn of(run: &Value) -> Self {
        let number = |phase: &Value, name: &str| phase[name].as_u64().unwrap_or_default();
        let phase = |phase: &Value| {
            let totals =
                Phase { acknowledged: number(phase, "acknowledged"), millis: number(phase, "millis") };
            (number(phase, "workers"), totals)
        };
        Self(run["phases"].as_array().into_iter().flatten().map(phase).collect())
    }

    /// Adds a phase.
    pub(super) fn add(&mut self, workers: u64, acknowledged: u64, duration: Duration) {
        let phase = self.0.entry(workers).or_default();
        phase.acknowledged += acknowledged;
        phase.millis += u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    }

    /// JSON for the report; `None` without phases.
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

    /// Prints one line per number of workers.
    pub(super) fn print(&self) {
        for (workers, phase) in &self.0 {
            let total = phase.per_second();
            let per_worker = total / workers.max(&1);
            println!("workers: {workers}, acknowledged: {total} events/s, {per_worker} per worker");
        }
    }
}

impl Phase {
    fn per_second(&self) -> u64 {
        (self.acknowledged * 1000).checked_div(self.millis).unwrap_or_default()
    }
}
