//! `portrait cases`: what scores would be learned from. In goes a log, out goes a table: of each visit that profiles look back at, what
//! was known of the shopper then and whether a purchase followed within seven days. Rows are made by the profiles themselves, as the
//! server keeps them: nothing in a row is newer than its moment, and a row is there once its seven days have passed.

use crate::eval::{Log, LogArgs, Shopper};
use anyhow::{Context, Result};
use clap::Args;
use portrait_profile::{FeatureSchema, HORIZON, LookedBack, MomentSort, Profile, Timestamp, UserId};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The arguments of `portrait cases`.
#[derive(Debug, Args)]
pub struct CasesArgs {
    /// What to read.
    #[command(flatten)]
    pub log: LogArgs,
    /// Where to write: CSV with a header; `user_id`, `at_ms`, `bought`, and each component of the feature vector.
    #[arg(long, value_name = "FILE")]
    pub to: PathBuf,
}

/// A moment, and what came of it.
#[derive(Clone, Debug, PartialEq)]
struct Case {
    user_id: UserId,
    at: Timestamp,
    bought: bool,
    values: Vec<f32>,
}

/// Folds a log and writes what was looked back at on the way.
///
/// # Errors
/// If the log cannot be read or the file not be written.
pub async fn run(args: CasesArgs) -> Result<()> {
    let written = tokio::task::spawn_blocking(move || {
        let cases = cases(&Log::read(&args.log)?);
        write(&cases, &args.to).with_context(|| format!("cannot write {}", args.to.display()))?;
        anyhow::Ok((cases.len(), args.to))
    });
    let (cases, file) = written.await??;
    println!("{cases} cases in {}", file.display());
    Ok(())
}

/// All cases of a log, oldest first.
fn cases(log: &Log) -> Vec<Case> {
    let (_, end) = log.span();
    let of = |shopper: &Shopper| of_shopper(shopper, end);
    let mut cases: Vec<Case> = log.shoppers.par_iter().flat_map_iter(of).collect();
    cases.sort_by(|one, other| (one.at, &one.user_id).cmp(&(other.at, &other.user_id)));
    cases
}

/// A profile keeps few moments: they are taken down while it grows, each with what is known of it in the end.
fn of_shopper(shopper: &Shopper, end: Timestamp) -> Vec<Case> {
    let mut profile = Profile::new(shopper.records[0].user_id.clone());
    let mut found: BTreeMap<Timestamp, LookedBack> = BTreeMap::new();
    let mut take_down = |profile: &Profile, as_of: Timestamp| {
        let over = |one: &LookedBack| one.sort == MomentSort::Visit && as_of.since(one.at) > HORIZON;
        found.extend(profile.looked_back(as_of).into_iter().filter(over).map(|one| (one.at, one)));
    };
    for same_moment in shopper.records.chunk_by(|one, next| one.occurred_at == next.occurred_at) {
        // Before it counts: a moment may give way to this one.
        take_down(&profile, same_moment[0].occurred_at);
        same_moment.iter().for_each(|record| {
            profile.apply(record);
        });
    }
    take_down(&profile, end);
    let case = |one: LookedBack| {
        let user_id = profile.user_id().clone();
        Some(Case { user_id, at: one.at, bought: one.bought?, values: one.values })
    };
    found.into_values().filter_map(case).collect()
}

fn write(cases: &[Case], file: &Path) -> Result<()> {
    let mut writer = csv::Writer::from_path(file)?;
    let names = FeatureSchema::current().components().iter().map(|component| component.name.to_string());
    writer.write_record(["user_id", "at_ms", "bought"].map(str::to_owned).into_iter().chain(names))?;
    for Case { user_id, at, bought, values } in cases {
        let known = [user_id.as_str().to_owned(), at.millis().to_string(), u8::from(*bought).to_string()];
        writer.write_record(known.into_iter().chain(values.iter().map(f32::to_string)))?;
    }
    writer.flush()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::testing::{did, event};
    use portrait_profile::{Action, Body, Record, Span};

    fn record(user: u32, hour: i64, action: Action) -> Record {
        let at = Timestamp::EPOCH.plus(Span::from_days(15_000)).plus(Span::from_hours(hour));
        did(user, at, event(action))
    }

    /// A shopper who looks every five hours for three weeks, and buys at some hours.
    fn shopper(user: u32, bought: &[i64]) -> Vec<Record> {
        let looks = (0..100).map(|step| record(user, step * 5, Action::View));
        looks.chain(bought.iter().map(|hour| record(user, *hour, Action::Purchase))).collect()
    }

    #[test]
    fn a_case_has_what_was_known_then_and_whether_a_purchase_followed_in_seven_days() {
        // Never at the moment of a look.
        let bought = |user: u32| [i64::from(user) * 45 % 500 + 1];
        let log = Log::of((0..40).map(|user| shopper(user, &bought(user))).collect(), 1).expect("events");
        let cases = cases(&log);
        assert!(cases.is_sorted_by_key(|case| case.at) && cases.len() >= 80, "{}", cases.len());
        assert!(cases.iter().any(|case| case.bought) && cases.iter().any(|case| !case.bought));
        let (_, end) = log.span();
        for case in &cases {
            let user: u32 = case.user_id.as_str()[1..].parse().expect("a number");
            let records = shopper(user, &bought(user));
            let followed = records.iter().any(|record| {
                let later = record.occurred_at.since(case.at);
                let buys = matches!(&record.body, Body::Event(event) if event.action == Action::Purchase);
                buys && record.occurred_at > case.at && later <= HORIZON
            });
            assert_eq!(case.bought, followed, "{} at {:?}", case.user_id.as_str(), case.at);
            assert!(end.since(case.at) > HORIZON, "its days have not passed");
            // Whatever came later is not in it.
            let mut before = Profile::new(case.user_id.clone());
            let mut known: Vec<&Record> =
                records.iter().filter(|record| record.occurred_at <= case.at).collect();
            known.sort_by_key(|record| record.occurred_at);
            known.into_iter().for_each(|record| {
                before.apply(record);
            });
            assert_eq!(case.values, before.known_at(case.at), "{} at {:?}", case.user_id.as_str(), case.at);
        }
    }

    #[test]
    fn what_is_written_has_a_name_for_every_column() {
        let log = Log::of((0..5).map(|user| shopper(user, &[7])).collect(), 1).expect("events");
        let file = tempfile::NamedTempFile::new().expect("a file");
        let cases = cases(&log);
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
