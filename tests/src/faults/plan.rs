//! Cycles, seed and progress of a row of the fault matrix, from `PORTRAIT_FAULT_CYCLES`, `PORTRAIT_FAULT_SEED` and the report of earlier
//! runs. The report is written after each cycle, so that an interrupted run loses none; a table is printed at the end.

use super::oracle::{Difference, OracleCounts};
use super::phases::Phases;
use crate::repository;
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;

/// Rows with the number of cycles of a short run.
const ROWS: [(&str, u64); 17] = [
    ("feature-killed", 20),
    ("ingest-killed", 20),
    ("killed-at-failpoint", 20),
    ("feature-hangs", 12),
    ("redis-killed-disk", 20),
    // Twenty lost replies per cycle.
    ("reply-lost", 5),
    ("redis-full", 2),
    ("redis-killed-memory", 10),
    ("redis-killed-everysec", 5),
    ("feature-resized", 3),
    ("primary-killed", 2),
    ("replica-disconnected", 2),
    ("combined", 5),
    ("subscribers", 20),
    // Fifty records per cycle.
    ("poison-records", 20),
    // Up to five users per cycle.
    ("erasure", 20),
    // Not a fault: checks that the oracle detects loss and duplication.
    ("oracle-self-check", 1),
];

/// Number of cycles of a row: `PORTRAIT_FAULT_CYCLES`, or `short` if it is not set.
///
/// # Panics
/// If the variable is not a number.
pub fn cycles(short: u64) -> u64 {
    env_number("PORTRAIT_FAULT_CYCLES").unwrap_or(short)
}

/// Plan and progress of a row.
#[derive(Debug)]
pub struct Plan {
    row: &'static str,
    seed: u64,
    /// Total number of cycles.
    cycles: u64,
    /// Completed cycles of this seed, including earlier runs.
    done: CompletedCycles,
    /// Value of `done` at the start of this run.
    before: CompletedCycles,
    /// Throughput by number of workers, in rows that change that number.
    phases: Phases,
}

/// Results of the completed cycles of one seed.
#[derive(Clone, Copy, Debug, Default)]
struct CompletedCycles {
    cycles: u64,
    counts: OracleCounts,
    lost: u64,
    duplicated: u64,
    slowest_ms: u64,
}

impl Plan {
    /// Plan of a row, continuing its report.
    ///
    /// # Panics
    /// If the row does not exist, or its report is not valid JSON.
    pub fn for_row(row: &str) -> Self {
        let (row, short) = ROWS.into_iter().find(|(known, _)| *known == row).expect("a row of the matrix");
        let seed = env_number("PORTRAIT_FAULT_SEED").unwrap_or_else(|| rand::random::<u32>().into());
        println!("{row}: PORTRAIT_FAULT_SEED={seed}");
        let mut plan = Self {
            row,
            seed,
            cycles: cycles(short),
            done: CompletedCycles::default(),
            before: CompletedCycles::default(),
            phases: Phases::default(),
        };
        let runs = plan.kept_runs();
        let earlier = runs.iter().find(|run| run["seed"].as_u64() == Some(seed));
        plan.done = earlier.map(CompletedCycles::of).unwrap_or_default();
        plan.before = plan.done;
        plan.phases = earlier.map(Phases::of).unwrap_or_default();
        plan
    }

    /// Name of the row.
    pub fn row(&self) -> &'static str {
        self.row
    }

    /// Prefix of the event ids of this run; no two runs of a plan share one.
    pub fn name(&self) -> String {
        format!("{}-{}", self.seed, self.done.cycles)
    }

    /// Random seed of the run.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Random generator of the next cycle, independent of earlier cycles; `None` after the last one.
    pub fn next(&self) -> Option<StdRng> {
        let cycle = self.done.cycles;
        (cycle < self.cycles).then(|| StdRng::seed_from_u64(self.seed.rotate_left(32) ^ cycle))
    }

    /// Index of the next cycle, from 0.
    pub fn cycle(&self) -> u64 {
        self.done.cycles
    }

    /// Records the acknowledged events of a phase with `workers` workers.
    pub fn record_phase(&mut self, workers: u64, acknowledged: u64, duration: Duration) {
        self.phases.add(workers, acknowledged, duration);
    }

    /// Records the duration of a takeover; the report keeps the longest one.
    pub fn record_duration(&mut self, duration: Duration) {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        self.done.slowest_ms = self.done.slowest_ms.max(millis);
    }

    /// Records a completed cycle: the counts of this run so far and the difference of the profiles. Writes the report.
    ///
    /// # Panics
    /// If the report cannot be written.
    pub fn record_cycle(&mut self, sent: OracleCounts, difference: &Difference) {
        self.done.cycles += 1;
        self.done.counts = OracleCounts {
            sent: self.before.counts.sent + sent.sent,
            acknowledged: self.before.counts.acknowledged + sent.acknowledged,
            refused: self.before.counts.refused + sent.refused,
            unknown: self.before.counts.unknown + sent.unknown,
        };
        self.done.lost += difference.lost;
        self.done.duplicated += difference.duplicated;
        self.write();
    }

    fn print(&self) {
        let done = &self.done;
        println!(
            "{:<22} {:>10} {:>7} {:>9} {:>9} {:>8} {:>8} {:>5} {:>10} {:>10}",
            "row",
            "seed",
            "cycles",
            "sent",
            "acknowl.",
            "refused",
            "unknown",
            "lost",
            "duplicated",
            "slowest ms"
        );
        println!(
            "{:<22} {:>10} {:>7} {:>9} {:>9} {:>8} {:>8} {:>5} {:>10} {:>10}",
            self.row,
            self.seed,
            done.cycles,
            done.counts.sent,
            done.counts.acknowledged,
            done.counts.refused,
            done.counts.unknown,
            done.lost,
            done.duplicated,
            done.slowest_ms
        );
        self.phases.print();
    }

    /// Path of the report; `None` for a short run.
    fn path(&self) -> Option<PathBuf> {
        std::env::var_os("PORTRAIT_FAULT_CYCLES")?;
        Some(repository().join("faults-report").join(format!("{}.json", self.row)))
    }

    fn kept_runs(&self) -> Vec<Value> {
        let text = self.path().and_then(|path| std::fs::read_to_string(path).ok());
        let report: Option<Value> =
            text.map(|text| serde_json::from_str(&text).expect("a report is valid JSON"));
        report.and_then(|report| report["runs"].as_array().cloned()).unwrap_or_default()
    }

    fn write(&self) {
        let Some(path) = self.path() else { return };
        let mut runs = self.kept_runs();
        runs.retain(|run| run["seed"].as_u64() != Some(self.seed));
        let mut run = self.done.report(self.seed);
        if let Some(phases) = self.phases.report() {
            run["phases"] = phases;
        }
        runs.push(run);
        runs.sort_by_key(|run| run["seed"].as_u64());
        let report = json!({ "row": self.row, "runs": runs });
        let text = serde_json::to_string_pretty(&report).expect("a report is valid JSON");
        std::fs::create_dir_all(path.parent().expect("a temporary folder")).expect("a folder for reports");
        // Written to a second file and renamed, so that an interrupted run never leaves a partial report.
        let partial = path.with_extension("partial");
        std::fs::write(&partial, text + "\n").expect("the report is writable");
        std::fs::rename(&partial, &path).expect("the report is replaceable");
    }
}

impl Drop for Plan {
    /// Prints the table, also after a failed cycle.
    fn drop(&mut self) {
        self.print();
    }
}

impl CompletedCycles {
    fn of(run: &Value) -> Self {
        let number = |name: &str| run[name].as_u64().unwrap_or_default();
        Self {
            cycles: number("cycles"),
            counts: OracleCounts {
                sent: number("sent"),
                acknowledged: number("acknowledged"),
                refused: number("refused"),
                unknown: number("unknown_answers"),
            },
            lost: number("lost"),
            duplicated: number("duplicated"),
            slowest_ms: number("slowest_takeover_ms"),
        }
    }

    fn report(&self, seed: u64) -> Value {
        json!({
            "seed": seed,
            "cycles": self.cycles,
            "sent": self.counts.sent,
            "acknowledged": self.counts.acknowledged,
            "refused": self.counts.refused,
            "unknown_answers": self.counts.unknown,
            "lost": self.lost,
            "duplicated": self.duplicated,
            "slowest_takeover_ms": self.slowest_ms,
        })
    }
}

fn env_number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text:?} is not a number")))
}
