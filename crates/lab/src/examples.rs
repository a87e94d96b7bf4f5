//! Training examples of scores, `portrait examples`. Writes a row for each visit that profiles keep as a snapshot:
//! the user's features at the time, and the label, whether a purchase followed within seven days. The profiles make
//! the rows as on the server: a row contains nothing newer than its time, and exists once its seven days have passed.

use crate::eval::{EventLog, LogArgs, LogUser};
use anyhow::{Context, Result};
use clap::Args;
use portrait_profile::{FeatureSchema, LABEL_WINDOW, TrainingExample, SnapshotKind, Profile, Timestamp, UserId};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Arguments of `portrait examples`.
#[derive(Debug, Args)]
pub struct ExamplesArgs {
    /// Log to read and its filters.
    #[command(flatten)]
    pub log: LogArgs,
    /// File to write: CSV with a header; `user_id`, `at_ms`, `bought`, and each component of the feature vector.
    #[arg(long, value_name = "FILE")]
    pub output: PathBuf,
}

/// Training example: a snapshot with its label.
#[derive(Clone, Debug, PartialEq)]
struct ExampleRow {
    user_id: UserId,
    at: Timestamp,
    bought: bool,
    values: Vec<f32>,
}

/// Folds a log and writes the examples.
///
/// # Errors
/// If the log cannot be read or the file cannot be written.
pub async fn run(args: ExamplesArgs) -> Result<()> {
    let written = tokio::task::spawn_blocking(move || {
        let cases = examples(&EventLog::read(&args.log)?);
        write(&cases, &args.output).with_context(|| format!("cannot write {}", args.output.display()))?;
        anyhow::Ok((cases.len(), args.output))
    });
    let (cases, file) = written.await??;
    println!("{cases} cases in {}", file.display());
    Ok(())
}

/// Examples of a log, oldest first.
fn examples(log: &EventLog) -> Vec<ExampleRow> {
    let (_, end) = log.span();
    let of = |shopper: &LogUser| of_user(shopper, end);
    let mut cases: Vec<ExampleRow> = log.users.par_iter().flat_map_iter(of).collect();
    cases.sort_by(|one, other| (one.at, &one.user_id).cmp(&(other.at, &other.user_id)));
    cases
}

/// Examples of one user. A profile keeps few snapshots: they are collected while it grows, each with its latest
/// label.
fn of_user(shopper: &LogUser, end: Timestamp) -> Vec<ExampleRow> {
    let mut profile = Profile::new(shopper.records[0].user_id.clone());
    let mut found: BTreeMap<Timestamp, TrainingExample> = BTreeMap::new();
    let mut take_down = |profile: &Profile, as_of: Timestamp| {
        let over = |one: &TrainingExample| one.kind == SnapshotKind::Visit && as_of.since(one.at) > LABEL_WINDOW;
        found.extend(profile.training_examples(as_of).into_iter().filter(over).map(|one| (one.at, one)));
    };
    for same_moment in shopper.records.chunk_by(|one, next| one.occurred_at == next.occurred_at) {
        // Collected before the events apply: they may evict an older snapshot.
        take_down(&profile, same_moment[0].occurred_at);
        same_moment.iter().for_each(|record| {
            profile.apply(record);
        });
    }
    take_down(&profile, end);
    let case = |one: TrainingExample| {
        let user_id = profile.user_id().clone();
        Some(ExampleRow { user_id, at: one.at, bought: one.bought?, values: one.values })
    };
    found.into_values().filter_map(case).collect()
}

fn write(cases: &[ExampleRow], file: &Path) -> Result<()> {
    let mut writer = csv::Writer::from_path(file)?;
    let names = FeatureSchema::current().components().iter().map(|component| component.name.to_string());
    writer.write_record(["user_id", "at_ms", "bought"].map(str::to_owned).into_iter().chain(names))?;
    for ExampleRow { user_id, at, bought, values } in cases {
        let known = [user_id.as_str().to_owned(), at.millis().to_string(), u8::from(*bought).to_string()];
        writer.write_record(known.into_iter().chain(values.iter().map(f32::to_string)))?;
    }
    writer.flush()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::testing::{record, event};
    use portrait_profile::{Action, Body, Record, TimeDelta};

    fn record(user: u32, hour: i64, action: Action) -> Record {
        let at = Timestamp::EPOCH.plus(TimeDelta::from_days(15_000)).plus(TimeDelta::from_hours(hour));
        record(user, at, event(action))
    }

    /// User who views an item every five hours for three weeks, and buys at some hours.
    fn shopper(user: u32, bought: &[i64]) -> Vec<Record> {
        let looks = (0..100).map(|step| record(user, step * 5, Action::View));
        looks.chain(bought.iter().map(|hour| record(user, *hour, Action::Purchase))).collect()
    }

    #[test]
    fn an_example_has_the_features_of_its_time_and_a_label_of_seven_days() {
        // Never at the time of a view.
        let bought = |user: u32| [i64::from(user) * 45 % 500 + 1];
        let log = EventLog::of((0..40).map(|user| shopper(user, &bought(user))).collect(), 1).expect("events");
        let cases = examples(&log);
        assert!(cases.is_sorted_by_key(|case| case.at) && cases.len() >= 80, "{}", cases.len());
        assert!(cases.iter().any(|case| case.bought) && cases.iter().any(|case| !case.bought));
        let (_, end) = log.span();
        for case in &cases {
            let user: u32 = case.user_id.as_str()[1..].parse().expect("a number");
            let records = shopper(user, &bought(user));
            let followed = records.iter().any(|record| {
                let later = record.occurred_at.since(case.at);
                let buys = matches!(&record.body, Body::Event(event) if event.action == Action::Purchase);
                buys && record.occurred_at > case.at && later <= LABEL_WINDOW
            });
            assert_eq!(case.bought, followed, "{} at {:?}", case.user_id.as_str(), case.at);
            assert!(end.since(case.at) > LABEL_WINDOW, "its days have not passed");
            // Later events do not influence the features.
            let mut before = Profile::new(case.user_id.clone());
            let mut known: Vec<&Record> =
                records.iter().filter(|record| record.occurred_at <= case.at).collect();
            known.sort_by_key(|record| record.occurred_at);
            known.into_iter().for_each(|record| {
                before.apply(record);
            });
            assert_eq!(case.values, before.features_bf16_at(case.at), "{} at {:?}", case.user_id.as_str(), case.at);
        }
    }

    #[test]
    fn the_written_file_names_every_column() {
        let log = EventLog::of((0..5).map(|user| shopper(user, &[7])).collect(), 1).expect("events");
        let file = tempfile::NamedTempFile::new().expect("a file");
        let cases = examples(&log);
        write(&cases, file.path()).expect("it can be written");
        let mut reader = csv::Reader::from_path(file.path()).expect("it can be read");
        assert_eq!(
            reader.headers().expect("a header").len(),
            3 + FeatureSchema::current().components().len()
        );
        let rows: Vec<csv::StringRecord> = reader.records().map(|row| row.expect("a row")).collect();
        assert_eq!(rows.len(), cases.len());
        let value = |row: usize, column: usize| rows[row][column].parse::<f32>().expect("a number");
        for (row, case) in cases.iter().enumerate() {
            let read: Vec<f32> = (0..case.values.len()).map(|column| value(row, column + 3)).collect();
            assert_eq!(read, case.values);
        }
    }
}
