//! Training examples of scores, `portrait examples`. Writes a row for each visit that profiles keep as a snapshot:
//! the user's features at the time, and the label, whether a purchase followed within seven days. The profiles make
//! the rows as on the server: a row contains nothing newer than its time, and exists once its seven days have passed.

use crate::eval::{EventLog, LogArgs, LogUser};
use anyhow::{Context, Result};
use clap::Args;
use portrait_connect::files::{private_file, spreadsheet_cell};
use portrait_profile::{
    FeatureSchema, LABEL_WINDOW, Profile, SnapshotKind, Timestamp, TrainingExample, UserId,
};
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
        let rows = examples(&EventLog::read(&args.log)?);
        write(&rows, &args.output).with_context(|| format!("cannot write {}", args.output.display()))?;
        anyhow::Ok((rows.len(), args.output))
    });
    let (count, file) = written.await??;
    println!("{count} examples in {}", file.display());
    Ok(())
}

/// Examples of a log, oldest first.
fn examples(log: &EventLog) -> Vec<ExampleRow> {
    let (_, end) = log.span();
    let mut rows: Vec<ExampleRow> = log.users.par_iter().flat_map_iter(|user| of_user(user, end)).collect();
    // Oldest first, so that a split by position is a split by time.
    rows.sort_by(|a, b| (a.at, &a.user_id).cmp(&(b.at, &b.user_id)));
    rows
}

/// Examples of one user. A profile keeps few snapshots: they are collected while it grows, each with its latest
/// label.
fn of_user(user: &LogUser, end: Timestamp) -> Vec<ExampleRow> {
    let mut profile = Profile::new(user.records[0].user_id.clone());
    let mut examples = BTreeMap::new();
    for records in user.records.chunk_by(|a, b| a.occurred_at == b.occurred_at) {
        // Collected before the events apply: they may evict an older snapshot.
        collect_complete(&profile, records[0].occurred_at, &mut examples);
        for record in records {
            profile.apply(record);
        }
    }
    collect_complete(&profile, end, &mut examples);
    examples
        .into_values()
        .filter_map(|example| {
            let user_id = profile.user_id().clone();
            Some(ExampleRow { user_id, at: example.at, bought: example.bought?, values: example.values })
        })
        .collect()
}

/// Adds the visits of a profile whose label window is over at `as_of`, by time.
fn collect_complete(
    profile: &Profile,
    as_of: Timestamp,
    examples: &mut BTreeMap<Timestamp, TrainingExample>,
) {
    for example in profile.training_examples(as_of) {
        if example.kind == SnapshotKind::Visit && as_of.since(example.at) > LABEL_WINDOW {
            examples.insert(example.at, example);
        }
    }
}

fn write(rows: &[ExampleRow], file: &Path) -> Result<()> {
    let mut writer = csv::Writer::from_writer(private_file(file)?);
    let names = FeatureSchema::current().components().iter().map(|component| component.name.to_string());
    writer.write_record(["user_id", "at_ms", "bought"].map(str::to_owned).into_iter().chain(names))?;
    for ExampleRow { user_id, at, bought, values } in rows {
        let user_id = spreadsheet_cell(user_id.as_str().as_bytes());
        let known = [
            String::from_utf8_lossy(&user_id).into_owned(),
            at.millis().to_string(),
            u8::from(*bought).to_string(),
        ];
        writer.write_record(known.into_iter().chain(values.iter().map(f32::to_string)))?;
    }
    // Dropping the writer would swallow an error of the last block.
    writer.flush()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::testing::{event, record};
    use portrait_profile::{Action, Body, Record, TimeDelta};

    fn record_at(user: u32, hour: i64, action: Action) -> Record {
        let at = Timestamp::EPOCH.plus(TimeDelta::from_days(15_000)).plus(TimeDelta::from_hours(hour));
        record(user, at, event(action))
    }

    /// User who views an item every five hours for three weeks, and buys at some hours.
    fn user_records(user: u32, bought: &[i64]) -> Vec<Record> {
        let views = (0..100).map(|step| record_at(user, step * 5, Action::View));
        views.chain(bought.iter().map(|hour| record_at(user, *hour, Action::Purchase))).collect()
    }

    #[test]
    fn an_example_has_the_features_of_its_time_and_a_label_of_seven_days() {
        // Never at the time of a view.
        let bought = |user: u32| [i64::from(user) * 45 % 500 + 1];
        let log =
            EventLog::of((0..40).map(|user| user_records(user, &bought(user))).collect(), 1).expect("events");
        let rows = examples(&log);
        assert!(rows.is_sorted_by_key(|row| row.at) && rows.len() >= 80, "{}", rows.len());
        assert!(rows.iter().any(|row| row.bought) && rows.iter().any(|row| !row.bought));
        let (_, end) = log.span();
        for row in &rows {
            let user: u32 = row.user_id.as_str()[1..].parse().expect("a number");
            let records = user_records(user, &bought(user));
            let followed = records.iter().any(|record| {
                let later = record.occurred_at.since(row.at);
                let buys = matches!(&record.body, Body::Event(event) if event.action == Action::Purchase);
                buys && record.occurred_at > row.at && later <= LABEL_WINDOW
            });
            assert_eq!(row.bought, followed, "{} at {:?}", row.user_id.as_str(), row.at);
            assert!(end.since(row.at) > LABEL_WINDOW, "its days have not passed");
            // Later events do not influence the features.
            let mut before = Profile::new(row.user_id.clone());
            let mut known: Vec<&Record> =
                records.iter().filter(|record| record.occurred_at <= row.at).collect();
            known.sort_by_key(|record| record.occurred_at);
            known.into_iter().for_each(|record| {
                before.apply(record);
            });
            assert_eq!(
                row.values,
                before.features_bf16_at(row.at),
                "{} at {:?}",
                row.user_id.as_str(),
                row.at
            );
        }
    }

    #[test]
    fn the_written_file_names_every_column() {
        let log = EventLog::of((0..5).map(|user| user_records(user, &[7])).collect(), 1).expect("events");
        let file = tempfile::NamedTempFile::new().expect("a file");
        let rows = examples(&log);
        write(&rows, file.path()).expect("it can be written");
        let mut reader = csv::Reader::from_path(file.path()).expect("it can be read");
        assert_eq!(
            reader.headers().expect("a header").len(),
            3 + FeatureSchema::current().components().len()
        );
        let lines: Vec<csv::StringRecord> = reader.records().map(|line| line.expect("a row")).collect();
        assert_eq!(lines.len(), rows.len());
        for (line, row) in lines.iter().zip(&rows) {
            let read: Vec<f32> = line.iter().skip(3).map(|value| value.parse().expect("a number")).collect();
            assert_eq!(read, row.values);
        }
    }
}
