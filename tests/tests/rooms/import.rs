//! Every log imports, its counts are the file's, and what the profiles then say equals an independent count made in Python.
//! A second import of the same file changes nothing.

use portrait::import::{self, ImportArgs, Report};
use portrait_client::Target;
use portrait_connect::files::Format;
use portrait_tests::{Census, Log, Server, census, connect, log_file, python, repository};
use std::path::Path;
use std::process::Command;

const LOGS: [Log; 11] = [
    Log { format: Format::Rees46, file: "rees46_2019-10-01_0000-0250.csv.gz", read: 17_434, rejected: 0 },
    Log { format: Format::Taobao, file: "taobao2017_wholeusers_A.csv.gz", read: 4_528, rejected: 0 },
    Log { format: Format::Tmall, file: "tmall2013_events_A.csv.gz", read: 111_219, rejected: 0 },
    Log { format: Format::Otto, file: "otto_sample_20sessions.csv.gz", read: 862, rejected: 0 },
    Log { format: Format::Eshop, file: "uci_eshop_clothing_2008.csv.gz", read: 165_474, rejected: 0 },
    Log { format: Format::OnlineRetail, file: "uci_online_retail.csv.gz", read: 541_909, rejected: 135_080 },
    Log {
        format: Format::CompleteJourney,
        file: "completejourney_transactions_A.csv.gz",
        read: 764_999,
        rejected: 0,
    },
    Log {
        format: Format::CompleteJourney,
        file: "completejourney_products.csv.gz",
        read: 92_331,
        rejected: 0,
    },
    Log { format: Format::Retailrocket, file: "retailrocket.csv", read: 201, rejected: 0 },
    Log { format: Format::Jdata, file: "jdata.csv", read: 201, rejected: 0 },
    Log { format: Format::Jsonl, file: "events.jsonl", read: 101, rejected: 0 },
];

async fn imported(args: &ImportArgs) -> Report {
    let mut report = Report::default();
    import::import(args, &mut report).await.expect("the log imports");
    report
}

fn independent(format: Format, file: &Path) -> Census {
    let script = repository().join("tests/clients/independent_count.py");
    let output =
        Command::new(python()).arg(script).arg(format.name()).arg(file).output().expect("python runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("a census")
}

/// The numbers that the README's table has for a format: read, accepted, duplicates, rejected, shoppers.
fn told(format: Format) -> Vec<[u64; 5]> {
    let readme = std::fs::read_to_string(repository().join("README.md")).expect("there is a README");
    let begin = format!("| `{}` |", format.name());
    let number = |cell: &str| {
        let digits: String = cell.trim().replace(',', "").chars().take_while(char::is_ascii_digit).collect();
        digits.parse().unwrap_or(0)
    };
    let row = |line: &str| {
        let cells: Vec<&str> = line.split('|').collect();
        [4, 5, 6, 7, 8].map(|column| cells.get(column).map_or(0, |cell| number(cell)))
    };
    readme.lines().filter(|line| line.starts_with(&begin)).map(row).collect()
}

async fn check(log: &Log) {
    let file = log_file(log);
    let data = tempfile::tempdir().expect("a folder");
    let server = Server::start(data.path(), &[]);
    let to = Target::at(server.grpc_url());
    let args = ImportArgs { file: file.clone(), format: log.format, server: to, event_id: None };
    let first = imported(&args).await;
    let counts = |report: &Report| (report.read, report.accepted, report.rejected_rows());
    assert_eq!(counts(&first), (log.read, log.read - log.rejected, log.rejected), "{}", log.file);
    let channel = connect(server.grpc_url()).await;
    let census_of_first = census(channel.clone()).await;
    let expected = independent(log.format, &file);
    assert!(census_of_first == expected, "{}: profiles differ from the independent count", log.file);
    let applied: u64 = expected.values().map(|(applied, _)| applied).sum();
    if !expected.is_empty() {
        assert_eq!(first.accepted - first.duplicates, applied, "{}", log.file);
    }
    let counted =
        [first.read, first.accepted, first.duplicates, first.rejected_rows(), expected.len() as u64];
    assert!(told(log.format).contains(&counted), "{}: the README does not say {counted:?}", log.file);
    let second = imported(&args).await;
    assert_eq!(counts(&second), counts(&first), "{}", log.file);
    if !expected.is_empty() {
        assert_eq!(second.duplicates, second.accepted, "{}: the second time all are known", log.file);
    }
    assert!(census(channel).await == census_of_first, "{}: the second import changed something", log.file);
    assert!(server.stop().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn small_logs_import_as_an_independent_count_has_them() {
    for log in LOGS.iter().filter(|log| log.read < 100_000) {
        check(log).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn large_logs_import_as_an_independent_count_has_them() {
    for log in LOGS.iter().filter(|log| log.read >= 100_000) {
        check(log).await;
    }
}
