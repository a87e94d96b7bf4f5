//! Replay of drift, `portrait drift`: the drift checks that the model service would have run while a log was
//! recorded. Prints a row for each check: the features that moved, whether loyalty changed, and when a model would
//! have been trained. Rows are those that the server would have, in the order of time. Nothing is sent anywhere.

use crate::checked_log::{CheckedLog, CheckedRow, Duplicates, ServerRules};
use crate::replay::Replay;
use anyhow::{Result, bail};
use clap::Args;
use comfy_table::{Table, presets};
use indicatif::ProgressBar;
use portrait_client::text::words;
use portrait_connect::files::MappingArgs;
use portrait_learning::drift::{DriftFeatures, DriftReference, DriftSample};
use portrait_model::DriftMonitor;
use portrait_profile::{ModelVersion, TimeDelta, Timestamp};
use portrait_proto::v1::DriftStatus;
use std::path::PathBuf;

/// Components and categories that a row names, at most.
const NAMED: usize = 2;

/// Arguments of `portrait drift`.
#[derive(Debug, Args)]
pub struct DriftArgs {
    /// Event log in any order.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Mapping of the log.
    #[command(flatten)]
    pub mapping: MappingArgs,
    /// Days from check to check.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(i64).range(1..=365))]
    pub check_every: i64,
    /// Days of events before the first model.
    #[arg(long, default_value_t = 28, value_parser = clap::value_parser!(i64).range(1..=3650))]
    pub warm_up: i64,
    /// Active users below which features are not checked, as `model.drift_rows_min`.
    #[arg(long, default_value_t = portrait_learning::drift::PSI_ROWS_MIN)]
    pub rows_min: usize,
    /// Consecutive checks with drift before a model is trained, as `model.drift_consecutive_checks`.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub consecutive_checks: u32,
    /// Rules by which rows are taken.
    #[command(flatten)]
    pub rules: ServerRules,
}

/// Drift checks of the model service, with a new reference as soon as drift has lasted.
#[derive(Debug)]
pub(crate) struct DriftReplay {
    monitor: DriftMonitor,
    consecutive_checks: u32,
    version: ModelVersion,
    reference: DriftReference,
}

/// Result of one check.
#[derive(Debug)]
pub(crate) struct DriftCheck {
    /// Result as the API reports it.
    pub(crate) status: DriftStatus,
    /// True if a model would have been trained.
    pub(crate) trained: bool,
}

impl DriftReplay {
    /// Creates checks against a model of these users.
    pub(crate) fn from_model(sample: &DriftSample<'_>, rows_min: usize, consecutive_checks: u32) -> Self {
        let reference = DriftFeatures::current().reference(sample);
        Self {
            monitor: DriftMonitor::new(rows_min),
            consecutive_checks,
            version: ModelVersion::FIRST,
            reference,
        }
    }

    /// Checks users whose feature vectors were read at `at`.
    pub(crate) fn check(&mut self, sample: &DriftSample<'_>, at: Timestamp) -> Result<DriftCheck> {
        let status = self.monitor.check(self.version, &self.reference, sample, at)?;
        let trained = status.consecutive_checks >= self.consecutive_checks;
        if trained {
            // A new model learns the drift: later checks compare with the users as they are now.
            self.version = self.version.next();
            self.reference = DriftFeatures::current().reference(sample);
        }
        Ok(DriftCheck { status, trained })
    }
}

/// Replays a log and prints the checks.
///
/// # Errors
/// If the log cannot be read, or ends before the first model.
pub async fn run(args: DriftArgs) -> Result<()> {
    let bar = ProgressBar::new(0);
    let mut log =
        CheckedLog::open(&args.file, &args.mapping.mapping(&args.file)?.0, &args.rules.ingest()?, &bar)?;
    let mut duplicates = Duplicates::default();
    let every = TimeDelta::from_days(args.check_every);
    let warm_up = TimeDelta::from_days(args.warm_up);
    let mut replay = Replay::default();
    let mut checks = None::<DriftReplay>;
    let mut next = None;
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN);
    table.set_header(["check", "active", "moved (PSI)", "categories", "loyalty", "consecutive", "model"]);
    for row in log.by_ref() {
        let CheckedRow::Event { record, .. } = row? else { continue };
        if duplicates.is_repeat(&record) {
            continue;
        }
        let at = record.occurred_at;
        let mut due = *next.get_or_insert_with(|| at.plus(warm_up));
        // A gap in the log may span several checks: each sees the profiles as they were due.
        while due <= at {
            // Vectors are read at the due time, not at that of the newest event: decay goes on without events.
            let raw = replay.vectors(due)?;
            let sample = DriftSample { raw: raw.view(), latest_category: replay.latest() };
            let active = DriftFeatures::current().rows(sample.raw).nrows();
            let line = match &mut checks {
                Some(checks) => print_check(due, active, &checks.check(&sample, due)?, checks.version),
                // The first due time is that of the first model: there is nothing to compare with yet.
                none => {
                    *none = Some(DriftReplay::from_model(&sample, args.rows_min, args.consecutive_checks));
                    let mut line = [const { String::new() }; 7];
                    line[0] = words::date(due);
                    line[1] = words::count(active as u64);
                    line[6] = "model 1".to_owned();
                    line
                }
            };
            table.add_row(line);
            due = due.plus(every);
        }
        next = Some(due);
        replay.fold_record(&record);
    }
    bar.finish_and_clear();
    log.warn();
    if checks.is_none() {
        bail!("the log ends before the first model: give fewer days of --warm-up");
    }
    println!("{table}");
    Ok(())
}

fn print_check(at: Timestamp, active: usize, check: &DriftCheck, version: ModelVersion) -> [String; 7] {
    let status = &check.status;
    let moved = status.components.iter().map(|drift| format!("{} {:.2}", drift.name, drift.psi));
    let categories = status.categories.iter().map(|drift| {
        format!("{} {} -> {}", drift.name, words::percent(drift.before), words::percent(drift.now))
    });
    let loyalty = status.loyalty.map(|drift| format!("{:.2} -> {:.2}", drift.before, drift.now));
    [
        words::date(at),
        words::count(active as u64),
        first(moved),
        first(categories),
        loyalty.unwrap_or_default(),
        if status.consecutive_checks > 0 { status.consecutive_checks.to_string() } else { String::new() },
        if check.trained { format!("model {}", version.get()) } else { String::new() },
    ]
}

/// First entries of a list, and the number of the others.
fn first(list: impl ExactSizeIterator<Item = String>) -> String {
    let more = list.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", list.take(NAMED).collect::<Vec<_>>().join(", "))
}
