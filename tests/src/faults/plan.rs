//! How often a row of the matrix does its harm, by which seed, and what it has done so far. In come `PORTRAIT_FAULT_CYCLES`,
//! `PORTRAIT_FAULT_SEED` and the report of earlier runs; out goes the report after each cycle, so that a run that is cut off loses
//! none, and a table at the end.

use super::oracle::{Difference, OracleCounts};
use super::phases::Phases;
use crate::repository;
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;

/// The rows, and the cycles of their short runs.
const ROWS: [(&str, u64); 17] = [
    ("feature-killed", 20),
    ("ingest-killed", 20),
    ("killed-at-a-point", 20),
    ("feature-hangs", 12),
    ("redis-killed-disk", 20),
    // Twenty answers each.
    ("answer-lost", 5),
    ("redis-full", 2),
    ("redis-killed-memory", 10),
    ("redis-killed-everysec", 5),
    ("feature-resized", 3),
    ("primary-killed", 2),
    ("replica-cut", 2),
    ("together", 5),
    ("subscribers", 20),
    // Fifty records each.
    ("poison", 20),
    // Up to five shoppers each.
    ("erased", 20),
    // No row: what the judge is shown to see whether it sees.
    ("judge", 1),
];

/// How often a row does its harm: `short` times, unless `PORTRAIT_FAULT_CYCLES` says otherwise.
///
/// # Panics
/// If that is no number.
pub fn cycles(short: u64) -> u64 {
    number_in("PORTRAIT_FAULT_CYCLES").unwrap_or(short)
}

/// The cycles of one run of a row.
#[derive(Debug)]
pub struct Plan {
    row: &'static str,
    seed: u64,
    /// How many are wanted in all.
    cycles: u64,
    /// What was done by this seed, with earlier runs.
    done: CompletedCycles,
    /// As `done` was when this run began.
    before: CompletedCycles,
    /// How much was acknowledged with how many workers, in rows that change their number.
    phases: Phases,
}

/// What was done by one seed.
#[derive(Clone, Copy, Debug, Default)]
struct CompletedCycles {
    cycles: u64,
    counts: OracleCounts,
    lost: u64,
    doubled: u64,
    slowest_ms: u64,
}

impl Plan {
    /// The plan of a row.
    ///
    /// # Panics
    /// If there is no such row, or its report cannot be read.
    pub fn of(row: &str) -> Self {
        let (row, short) = ROWS.into_iter().find(|(known, _)| *known == row).expect("a row of the matrix");
        let seed = number_in("PORTRAIT_FAULT_SEED").unwrap_or_else(|| rand::random::<u32>().into());
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

    /// Its row.
    pub fn row(&self) -> &'static str {
        self.row
    }

    /// What the load's events are called: no two runs of a plan send the same.
    pub fn name(&self) -> String {
        format!("{}-{}", self.seed, self.done.cycles)
    }

    /// Its seed.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The chance of the next cycle, which is the same whatever was done before it; none after the last.
    pub fn next(&self) -> Option<StdRng> {
        let cycle = self.done.cycles;
        (cycle < self.cycles).then(|| StdRng::seed_from_u64(self.seed.rotate_left(32) ^ cycle))
    }

    /// Which cycle is the next, from 0.
    pub fn cycle(&self) -> u64 {
        self.done.cycles
    }

    /// So much was acknowledged while so many workers were there, and it took that long.
    pub fn phase(&mut self, workers: u64, acknowledged: u64, took: Duration) {
        self.phases.add(workers, acknowledged, took);
    }

    /// Something took that long.
    pub fn took(&mut self, took: Duration) {
        let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        self.done.slowest_ms = self.done.slowest_ms.max(millis);
    }

    /// A cycle is over: notes what this run sent so far, and how the profiles differed.
    ///
    /// # Panics
    /// If the report cannot be written.
    pub fn cycle_done(&mut self, sent: OracleCounts, difference: &Difference) {
        self.done.cycles += 1;
        self.done.counts = OracleCounts {
            sent: self.before.counts.sent + sent.sent,
            acknowledged: self.before.counts.acknowledged + sent.acknowledged,
            refused: self.before.counts.refused + sent.refused,
            unknown: self.before.counts.unknown + sent.unknown,
        };
        self.done.lost += difference.lost;
        self.done.doubled += difference.duplicated;
        self.write();
    }

    fn print(&self) {
        let done = &self.done;
        println!(
            "{:<22} {:>10} {:>7} {:>9} {:>9} {:>8} {:>8} {:>5} {:>7} {:>10}",
            "row",
            "seed",
            "cycles",
            "sent",
            "acknowl.",
            "refused",
            "unknown",
            "lost",
            "doubled",
            "slowest ms"
        );
        println!(
            "{:<22} {:>10} {:>7} {:>9} {:>9} {:>8} {:>8} {:>5} {:>7} {:>10}",
            self.row,
            self.seed,
            done.cycles,
            done.counts.sent,
            done.counts.acknowledged,
            done.counts.refused,
            done.counts.unknown,
            done.lost,
            done.doubled,
            done.slowest_ms
        );
        self.phases.print();
    }

    /// Where the report is; none for a short run.
    fn path(&self) -> Option<PathBuf> {
        std::env::var_os("PORTRAIT_FAULT_CYCLES")?;
        Some(repository().join("faults-report").join(format!("{}.json", self.row)))
    }

    fn kept_runs(&self) -> Vec<Value> {
        let text = self.path().and_then(|path| std::fs::read_to_string(path).ok());
        let report: Option<Value> = text.map(|text| serde_json::from_str(&text).expect("a report is JSON"));
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
        let text = serde_json::to_string_pretty(&report).expect("a report is JSON");
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder for reports");
        // A run that is cut off leaves the report before or the one after, and never a half.
        let half = path.with_extension("half");
        std::fs::write(&half, text + "\n").expect("the report can be written");
        std::fs::rename(&half, &path).expect("the report can be replaced");
    }
}

impl Drop for Plan {
    /// Also when a cycle went wrong, what was done is told.
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
            doubled: number("doubled"),
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
            "doubled": self.doubled,
            "slowest_takeover_ms": self.slowest_ms,
        })
    }
}

fn number_in(variable: &str) -> Option<u64> {
    let told = std::env::var(variable).ok()?;
    Some(told.parse().unwrap_or_else(|_| panic!("{variable}={told:?} is no number")))
}
