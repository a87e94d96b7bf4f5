//! Sorting of files in any order, with small bounds of memory.

use super::super::shipped::Format;
use super::*;
use portrait_proto::v1::Event;
use std::io::Write;
use std::sync::{Arc, Mutex};
use tempfile::NamedTempFile;

const TAOBAO: Format = Format::named("taobao").expect("it ships");

/// All in memory, two runs or more, and many runs.
const LIMITS: [SortLimits; 4] = [
    SortLimits { rows: 1000, bytes: 1 << 20 },
    SortLimits { rows: 7, bytes: 1 << 20 },
    SortLimits { rows: 1, bytes: 1 << 20 },
    SortLimits { rows: 1000, bytes: 300 },
];

fn file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().expect("a file");
    file.write_all(text.as_bytes()).expect("written");
    file
}

/// Log of Taobao with these times, each by another user; a time of `None` is a broken row.
fn taobao(times: &[Option<i64>]) -> NamedTempFile {
    let row = |(index, at): (usize, &Option<i64>)| match at {
        Some(at) => format!("{index},1,1,pv,{at}\n"),
        None => format!("{index},1,1,pv,soon\n"),
    };
    file(&times.iter().enumerate().map(row).collect::<String>())
}

fn rows(file: &NamedTempFile, limits: SortLimits) -> (Vec<LogRow>, Option<ReadError>) {
    let log = SortedLog::with_limits(file.path(), &TAOBAO.mapping(), LogOptions::default(), limits);
    let (mut rows, mut error) = (Vec::new(), None);
    for row in log.expect("a log") {
        match row {
            Ok(row) => rows.push(row),
            Err(found) => error = Some(found),
        }
    }
    (rows, error)
}

fn event(row: &LogRow) -> Option<&Event> {
    match &row.body {
        RowBody::Event(event) => Some(event),
        _ => None,
    }
}

/// Checks that events come by time, and those of one time in the order of the file, and that every broken row comes once.
fn check(times: &[Option<i64>]) {
    let file = taobao(times);
    let mut expected: Vec<(i64, usize)> =
        times.iter().enumerate().filter_map(|(index, at)| at.map(|at| (at, index))).collect();
    expected.sort_unstable();
    let broken: Vec<u64> = (1..).zip(times).filter(|(_, at)| at.is_none()).map(|(line, _)| line).collect();
    for limits in LIMITS {
        let (rows, error) = rows(&file, limits);
        assert!(error.is_none(), "{error:?}");
        let read: Vec<(i64, usize)> = rows
            .iter()
            .filter_map(event)
            .map(|event| {
                let at = event.occurred_at.as_ref().expect("a time").seconds;
                (at, event.user_id.parse().expect("a number"))
            })
            .collect();
        assert_eq!(read, expected, "{limits:?} {times:?}");
        let lines: Vec<u64> = rows.iter().filter(|row| event(row).is_none()).map(|row| row.line).collect();
        assert_eq!(lines, broken, "{limits:?} {times:?}");
        let by_line = rows.iter().filter_map(|row| event(row).map(|event| (row.line, event)));
        for (line, event) in by_line {
            assert_eq!(event.user_id, (line - 1).to_string(), "a row keeps its line");
        }
    }
}

#[test]
fn rows_come_in_the_order_of_time_whatever_the_order_of_the_file() {
    check(&[]);
    check(&[None]);
    check(&[Some(5)]);
    check(&(0..40).map(Some).collect::<Vec<_>>());
    check(&(0..40).rev().map(Some).collect::<Vec<_>>());
    check(&[Some(1); 30]);
    // In order up to the last row, which is the earliest; broken rows at the begin, in the middle and at the end.
    let mut late: Vec<Option<i64>> = (10..40).map(Some).collect();
    (late[0], late[15]) = (None, None);
    late.extend([Some(-3), None]);
    check(&late);
    let mixed: Vec<Option<i64>> =
        (0..200).map(|index: i64| (index % 11 != 3).then_some(index * 7919 % 50)).collect();
    check(&mixed);
}

#[test]
fn an_unreadable_end_is_the_last_entry_and_loses_no_row_before_it() {
    use flate2::{Compression, write::GzEncoder};
    // A file in order, and one in no order.
    for step in [1, 7919] {
        let times: Vec<i64> = (0..2000).map(|index| 1_511_539_500 + index * step % 100_000).collect();
        let text: String = times.iter().map(|at| format!("{at},1,1,pv,{at}\n")).collect();
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text.as_bytes()).expect("compressed");
        let whole = encoder.finish().expect("compressed");
        let mut file = NamedTempFile::new().expect("a file");
        file.write_all(&whole[..whole.len() / 2]).expect("written");
        let counts: Vec<usize> = LIMITS
            .iter()
            .map(|limits| {
                let (rows, error) = rows(&file, *limits);
                assert!(matches!(error, Some(ReadError::Truncated { .. })), "{error:?}");
                rows.len()
            })
            .collect();
        assert!(counts[0] > 100 && counts.iter().all(|count| *count == counts[0]), "{counts:?}");
    }
}

#[test]
fn progress_has_two_passes_and_ends_at_the_total() {
    let order: Vec<Option<i64>> = (0..5000).map(Some).collect();
    let reversed: Vec<Option<i64>> = (0..5000).rev().map(Some).collect();
    for times in [order, reversed] {
        let file = taobao(&times);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&seen);
        let limits = SortLimits { rows: 100, bytes: 1 << 20 };
        let options = LogOptions::default();
        let log = SortedLog::with_limits(file.path(), &TAOBAO.mapping(), options, limits).expect("a log");
        let log = log.with_progress(move |progress| sink.lock().expect("a lock").push(progress));
        assert_eq!(log.filter(Result::is_ok).count(), 5000);
        let seen = seen.lock().expect("a lock");
        let passes: Vec<LogPass> = seen.iter().map(|progress| progress.pass).collect();
        assert!(passes.is_sorted_by_key(|pass| *pass == LogPass::Deliver), "{passes:?}");
        for pass in [LogPass::Sort, LogPass::Deliver] {
            let newest = seen.iter().rfind(|progress| progress.pass == pass).expect("each pass is reported");
            assert_eq!((newest.done, newest.rows), (newest.total, 5000), "{pass:?}");
        }
    }
}

#[test]
fn the_folder_of_the_runs_is_private_and_is_removed() {
    use std::os::unix::fs::PermissionsExt;
    let mut runs = merge::Runs::default();
    runs.write(std::iter::empty()).expect("written");
    let folder = runs.folder().expect("a folder").to_owned();
    let mode = folder.metadata().expect("it exists").permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    assert_eq!(folder.read_dir().expect("it can be read").count(), 0, "runs have no names");
    drop(runs);
    assert!(!folder.exists());
}
