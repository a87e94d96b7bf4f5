//! Steady load of a Python client with the published gRPC service configuration: 2,000 events and 500 reads a second.

use portrait_tests::{Cluster, census, python, repository, wait_until};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Stdio};

/// Running load.
pub(crate) struct SteadyLoad {
    process: Child,
    stdout: BufReader<ChildStdout>,
}

#[derive(Debug, serde::Deserialize)]
struct LoadReport {
    events: BTreeMap<String, u64>,
    reads: u64,
    failed: BTreeMap<String, u64>,
    seconds: f64,
    slowest: BTreeMap<String, f64>,
}

impl SteadyLoad {
    /// Starts the load on the addresses of the roles, `HOST:PORT,HOST:PORT`.
    pub(crate) fn start(ingest: &str, query: &str) -> Self {
        let mut process = Command::new(python())
            .arg(repository().join("tests/clients/steady_load.py"))
            .args([ingest, query, "2000", "500"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python runs");
        let mut stdout = BufReader::new(process.stdout.take().expect("stdout is piped"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("the load reports its start");
        assert_eq!(line, "started\n");
        Self { process, stdout }
    }

    /// Ends the load. Asserts that no call failed, and that every acknowledged event is applied once.
    pub(crate) async fn end(mut self, cluster: &Cluster) {
        drop(self.process.stdin.take());
        let mut figures = String::new();
        self.stdout.read_to_string(&mut figures).expect("the load reports its results");
        assert!(self.process.wait().expect("wait succeeds").success());
        let report: LoadReport = serde_json::from_str(&figures).expect("figures");
        let events: u64 = report.events.values().sum();
        println!(
            "{:.0} events and {:.0} reads a second for {:.0} s; slowest calls, in seconds: {:?}",
            events as f64 / report.seconds,
            report.reads as f64 / report.seconds,
            report.seconds,
            report.slowest,
        );
        assert_eq!(report.failed, BTreeMap::new());
        assert!(report.reads > 0);
        let channel = cluster.connect().await;
        wait_until("every acknowledged event is applied once", async || {
            let profiles = census(channel.clone()).await;
            profiles.into_iter().map(|(user, (applied, _))| (user, applied)).eq(report.events.clone())
        })
        .await;
    }
}
