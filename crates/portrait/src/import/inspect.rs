//! `portrait import` without a server: a guess, the check of a mapping, and a dry run.

use super::args::ImportArgs;
use super::progress;
use super::report::ImportReport;
use super::rows::ImportRows;
use crate::output;
use anyhow::{Context, Result, bail};
use comfy_table::{Table, presets};
use portrait_client::text::{printable, words};
use portrait_connect::files::{LogOptions, LogReader, LogRow, Mapping, RowBody};
use portrait_connect::files::{check as check_mapping, guess as guess_mapping};
use portrait_proto::action::kind_from_wire;
use portrait_proto::v1::{Event, Item};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// Prints a guessed mapping on standard output, and the first rows as they would be read on standard error.
///
/// # Errors
/// If the file cannot be read, or no column looks like a required field.
pub(super) fn guess(file: &Path) -> Result<()> {
    let guess = guess_mapping(file)?;
    output::lines(&guess.text);
    if !guess.missing.is_empty() {
        let missing = guess.missing.join(" and ");
        bail!(
            "no column looks like {missing}: complete the mapping (docs/guides/import.md), and check it with --check"
        );
    }
    eprintln!("The first rows of {} as they would be read:", file.display());
    eprintln!("{}", printable(&rows_table(&guess.rows)));
    Ok(())
}

/// Prints which column becomes which field, and the first rows as they are read.
///
/// # Errors
/// If the file does not have the columns of the mapping, or none of the first rows can be read.
pub(super) fn check(file: &Path, mapping: &Arc<Mapping>) -> Result<()> {
    let check = check_mapping(file, mapping).with_context(|| file.display().to_string())?;
    let mut fields = table(&["field", "column"]);
    for (field, column) in &check.fields {
        fields.add_row([field, column]);
    }
    output::line(format!("mapping {}, form {}", mapping.name(), check.kind.name()));
    output::line(fields);
    if !check.unused.is_empty() {
        output::line(format!("columns that are not read: {}", check.unused.join(", ")));
    }
    output::line(rows_table(&check.shown));
    let rejected = check.rejected.rows();
    let first = words::counted(check.rows as u64, "row");
    output::line(format!("of the first {first}, {} cannot be read", words::count(rejected)));
    for (reason, count) in check.rejected.by_reason() {
        output::line(format!("{reason}: {}, as {}", words::counted(count.rows, "row"), count.example));
    }
    if check.rows > 0 && rejected == check.rows as u64 {
        bail!("none of the first rows can be read: mend the mapping");
    }
    Ok(())
}

/// Reads the whole file and counts its rows.
///
/// # Errors
/// If the file cannot be read to its end, or more rows are rejected than allowed.
pub(super) fn dry_run(args: &ImportArgs, report: &mut ImportReport) -> Result<()> {
    let started = Instant::now();
    let name = args.file.display();
    let reader = LogReader::open(&args.file, &args.chosen()?, LogOptions::default());
    let mut reader = reader.with_context(|| name.to_string())?;
    report.is_dry_run = true;
    let mut rejects = args.rejects_file(Some(&args.file))?;
    let mut rows = ImportRows::new(report, rejects.as_mut(), args.max_rejects);
    let bar = progress::bar();
    bar.set_prefix("reading");
    bar.set_length(reader.bytes_total());
    let mut read = Ok(());
    while let Some(row) = reader.next() {
        read = match row {
            Ok(row) => count(&row, &mut rows),
            Err(error) => Err(error.into()),
        };
        read = read.and_then(|()| rows.check_limit());
        if read.is_err() {
            break;
        }
        if reader.rows_read().is_multiple_of(1000) {
            bar.set_position(reader.bytes_read());
        }
    }
    let finished = rows.finish();
    bar.finish_and_clear();
    report.elapsed = started.elapsed();
    read.and(finished).with_context(|| name.to_string())
}

fn count(row: &LogRow, rows: &mut ImportRows<'_>) -> Result<()> {
    match &row.body {
        RowBody::Rejected(defect) => rows.reject(row.line, defect, row.raw.as_deref()),
        RowBody::LeftOut => {
            rows.leave_out();
            Ok(())
        }
        RowBody::Event(_) | RowBody::Item(_) => {
            rows.readable();
            Ok(())
        }
    }
}

/// Returns a table of rows as they are read.
fn rows_table(rows: &[LogRow]) -> String {
    let is_catalogue = rows.iter().any(|row| matches!(row.body, RowBody::Item(_)));
    let names: &[&str] = if is_catalogue {
        &["line", "item", "category", "brand", "price", "title"]
    } else {
        &["line", "user", "action", "time", "item", "category", "brand", "price", "quantity", "order"]
    };
    let mut table = table(names);
    for row in rows {
        let line = row.line.to_string();
        let cells = match &row.body {
            RowBody::Event(event) => event_cells(event),
            RowBody::Item(item) => item_cells(item),
            RowBody::Rejected(defect) => vec![format!("rejected: {defect}")],
            RowBody::LeftOut => vec!["left out".to_owned()],
        };
        table.add_row([line].into_iter().chain(cells));
    }
    table.to_string()
}

fn event_cells(event: &Event) -> Vec<String> {
    let action = kind_from_wire(event.action).map_or("", |kind| kind.name());
    let at = event.occurred_at.as_ref().map(ToString::to_string);
    vec![
        event.user_id.clone(),
        if event.custom_action.is_empty() { action.to_owned() } else { event.custom_action.clone() },
        at.unwrap_or_default(),
        event.item_id.clone(),
        event.category.clone(),
        event.brand.clone(),
        number(event.price),
        number(event.quantity),
        event.order_id.clone(),
    ]
}

fn item_cells(item: &Item) -> Vec<String> {
    let names = [&item.item_id, &item.category, &item.brand].map(String::clone);
    names.into_iter().chain([number(item.price), item.title.clone()]).collect()
}

fn number(number: Option<f64>) -> String {
    number.map(|number| number.to_string()).unwrap_or_default()
}

fn table(names: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN).set_header(names);
    table
}
