//! `portrait drift`: what the model service would have said of drift while a log was made. In goes a log, out goes a line for each
//! look: what had moved, whether habits had changed, and when a model would have been trained for it. Nothing is sent anywhere.

use crate::card::words;
use crate::import::{Format, LogReader, Row};
use crate::replay::Replay;
use anyhow::{Result, bail};
use clap::Args;
use comfy_table::{Table, presets};
use indicatif::ProgressBar;
use portrait_learning::drift::{Lately, Reference, Seen};
use portrait_model::Watch;
use portrait_profile::{ModelVersion, Span, Timestamp};
use portrait_proto::time;
use portrait_proto::v1::DriftStatus;
use std::path::PathBuf;

/// Components, and categories, that a line names.
const NAMED: usize = 2;

/// The arguments of `portrait drift`.
#[derive(Debug, Args)]
pub struct DriftArgs {
    /// An event log in the order of time.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The log's format.
    #[arg(long, value_enum)]
    pub format: Format,
    /// Days from look to look.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(i64).range(1..=365))]
    pub every: i64,
    /// Days before the first model.
    #[arg(long, default_value_t = 28, value_parser = clap::value_parser!(i64).range(1..=3650))]
    pub warm_up: i64,
    /// How many shoppers must have come lately before a component is said to have moved, as `model.drift_rows_min`.
    #[arg(long, default_value_t = portrait_learning::drift::PSI_ROWS_MIN)]
    pub rows_min: usize,
    /// How many looks in a row must find drift before a model is trained for it, as `model.drift_windows`.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub windows: u32,
}

/// Looks at drift as the model service does, with models that are made as soon as drift has lasted.
#[derive(Debug)]
pub(crate) struct Looks {
    watch: Watch,
    windows: u32,
    version: ModelVersion,
    reference: Reference,
}

/// One look.
#[derive(Debug)]
pub(crate) struct Look {
    /// What was found.
    pub(crate) status: DriftStatus,
    /// Whether a model was made for it.
    pub(crate) trained: bool,
}

impl Looks {
    /// Looks that compare with a model of these shoppers.
    pub(crate) fn from_model_of(seen: &Seen<'_>, rows_min: usize, windows: u32) -> Self {
        let reference = Lately::current().reference(seen);
        Self { watch: Watch::new(rows_min), windows, version: ModelVersion::FIRST, reference }
    }

    /// One look at shoppers whose vectors were read at `at`.
    pub(crate) fn look(&mut self, seen: &Seen<'_>, at: Timestamp) -> Result<Look> {
        let status = self.watch.look(self.version, &self.reference, seen, at)?;
        let trained = status.windows >= self.windows;
        if trained {
            (self.version, self.reference) = (self.version.next(), Lately::current().reference(seen));
        }
        Ok(Look { status, trained })
    }
}

/// Looks at a log and prints what was found.
///
/// # Errors
/// If the log cannot be read, or ends before the first model.
pub async fn run(args: DriftArgs) -> Result<()> {
    let mut log = LogReader::open(&args.file, args.format, args.format.default_event_id())?;
    let bar = ProgressBar::new(log.bytes_total());
    let (every, warm_up) = (Span::from_days(args.every), Span::from_days(args.warm_up));
    let (mut replay, mut looks, mut next) = (Replay::default(), None::<Looks>, None);
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN);
    table.set_header(["look", "came lately", "moved (PSI)", "come for", "constancy", "in a row", "model"]);
    while let Some(row) = log.next() {
        bar.set_position(log.bytes_read());
        let Row::Event(event) = row? else { continue };
        let Some(at) = event.occurred_at.as_ref() else { bail!("an event without a time") };
        let at = time::from_wire(at)?;
        let mut due = *next.get_or_insert_with(|| at.plus(warm_up));
        while due <= at {
            let raw = replay.vectors(due)?;
            let seen = Seen { raw: raw.view(), latest: replay.latest() };
            let came = Lately::current().rows(seen.raw).nrows();
            let line = match &mut looks {
                Some(looks) => told(due, came, &looks.look(&seen, due)?, looks.version),
                none => {
                    *none = Some(Looks::from_model_of(&seen, args.rows_min, args.windows));
                    let mut line = [const { String::new() }; 7];
                    line[0] = words::date(due);
                    line[1] = words::count(came as u64);
                    line[6] = "model 1".to_owned();
                    line
                }
            };
            table.add_row(line);
            due = due.plus(every);
        }
        next = Some(due);
        replay.fold(&event)?;
    }
    bar.finish_and_clear();
    if looks.is_none() {
        bail!("the log ends before the first model: give fewer days of --warm-up");
    }
    println!("{table}");
    Ok(())
}

fn told(at: Timestamp, came: usize, look: &Look, version: ModelVersion) -> [String; 7] {
    let status = &look.status;
    let moved = status.components.iter().map(|one| format!("{} {:.2}", one.name, one.psi));
    let come_for = status
        .categories
        .iter()
        .map(|one| format!("{} {} -> {}", one.name, words::percent(one.before), words::percent(one.now)));
    let constancy = status.habits.map(|one| format!("{:.2} -> {:.2}", one.before, one.now));
    [
        words::date(at),
        words::count(came as u64),
        first(moved),
        first(come_for),
        constancy.unwrap_or_default(),
        if status.windows > 0 { status.windows.to_string() } else { String::new() },
        if look.trained { format!("model {}", version.get()) } else { String::new() },
    ]
}

/// The first of a list, and how many more there are.
fn first(list: impl ExactSizeIterator<Item = String>) -> String {
    let more = list.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", list.take(NAMED).collect::<Vec<_>>().join(", "))
}
