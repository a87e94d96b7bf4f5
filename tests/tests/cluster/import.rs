//! Imports of every log: the counts are those of the file, the profiles equal an independent count in Python, and a second import of the
//! same file changes nothing.

use portrait::import::{self, ImportArgs, ImportReport};
use portrait_client::ServerArgs;
use portrait_connect::files::Format;
use portrait_tests::logs::prepared;
use portrait_tests::{Census, Log, Server, census, connect, python, repository};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

async fn imported(args: &ImportArgs) -> ImportReport {
    let mut report = ImportReport::default();
    import::import(args, &mut report).await.expect("the log imports");
    report
}

fn independent_census(format: Format, file: &Path) -> Census {
    let script = repository().join("tests/clients/independent_count.py");
    let output =
        Command::new(python()).arg(script).arg(format.name()).arg(file).output().expect("python runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("a census")
}

/// Trimmed cells of the table of formats in docs/results/formats.md; the first cell of a row is the format's name.
fn documented_rows() -> Vec<Vec<String>> {
    let page =
        std::fs::read_to_string(repository().join("docs/results/formats.md")).expect("the page of formats");
    let table = page.lines().skip_while(|line| !line.starts_with("| `--format` |")).skip(2);
    let rows = table.take_while(|line| line.starts_with('|'));
    rows.map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}

/// Checks that the table of formats in docs/results/formats.md has the numbers of a log: read, accepted, duplicates, rejected, users.
fn check_documents(log: &Log) {
    let number = |cell: &String| {
        let digits: String = cell.replace(',', "").chars().take_while(char::is_ascii_digit).collect();
        digits.parse().unwrap_or(0)
    };
    let name = format!("`{}`", log.format.name());
    let rows = documented_rows().into_iter().filter(|row| row[0] == name);
    let rows: Vec<Vec<u64>> = rows.map(|row| row[3..].iter().map(number).collect()).collect();
    let counted = vec![log.read, log.read - log.rejected, log.duplicates, log.rejected, log.users];
    assert!(rows.contains(&counted), "{}: docs/results/formats.md has {rows:?}, not {counted:?}", log.file);
}

/// Imports a log twice and compares its numbers and all profiles with an independent count.
async fn check(log: &Log) {
    let file = log.path();
    let data = tempfile::tempdir().expect("a temporary folder");
    let server = Server::start(data.path(), &[]);
    let to = ServerArgs::at(server.grpc_url());
    let args = ImportArgs::new(&file, log.format, to);
    let first = imported(&args).await;
    let counts = |report: &ImportReport| (report.read, report.accepted, report.rejected.rows());
    assert_eq!(counts(&first), (log.read, log.read - log.rejected, log.rejected), "{}", log.file);
    assert_eq!(first.duplicates, log.duplicates, "{}", log.file);
    let channel = connect(server.grpc_url()).await;
    let census_of_first = census(channel.clone()).await;
    let expected = independent_census(log.format, &file);
    assert!(census_of_first == expected, "{}: profiles differ from the independent count", log.file);
    assert_eq!(expected.len() as u64, log.users, "{}", log.file);
    let applied: u64 = expected.values().map(|(applied, _)| applied).sum();
    if !expected.is_empty() {
        assert_eq!(first.accepted - first.duplicates, applied, "{}", log.file);
    }
    let second = imported(&args).await;
    assert_eq!(counts(&second), counts(&first), "{}", log.file);
    if !expected.is_empty() {
        assert_eq!(
            second.duplicates, second.accepted,
            "{}: in the second import every row is a duplicate",
            log.file
        );
    }
    assert!(census(channel).await == census_of_first, "{}: the second import changed something", log.file);
    assert!(server.stop().success());
}

/// Checks every log, and the row that docs/results/formats.md has for it.
pub(super) async fn check_with_documents(logs: impl IntoIterator<Item = Log>) {
    for log in logs {
        check(&log).await;
        check_documents(&log);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn small_logs_import_with_the_numbers_of_an_independent_count() {
    for log in prepared::WRITTEN.iter().filter(|log| log.read < 20_000) {
        check(log).await;
    }
    check_with_documents(prepared::FIXTURES).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_logs_import_with_the_numbers_of_an_independent_count() {
    for log in prepared::WRITTEN.iter().filter(|log| log.read >= 20_000) {
        check(log).await;
    }
}

#[test]
fn the_guide_lists_every_format_and_the_results_those_with_a_generated_log() {
    let names = |formats: &mut dyn Iterator<Item = Format>| -> BTreeSet<String> {
        formats.map(|format| format!("`{}`", format.name())).collect()
    };
    let guide =
        std::fs::read_to_string(repository().join("docs/guides/import.md")).expect("the guide of imports");
    for format in Format::all() {
        assert!(guide.contains(&format!("| `{}` |", format.name())), "{}", format.name());
    }
    let generated = names(&mut prepared::WRITTEN.iter().map(|log| log.format));
    let written: BTreeSet<String> = documented_rows().into_iter().map(|row| row[0].clone()).collect();
    assert_eq!(written, generated);
}
