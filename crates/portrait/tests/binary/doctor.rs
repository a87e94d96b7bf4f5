//! `portrait doctor`: what it judges, and by what.

use crate::server::{Server, run};

/// Returns the rows of the table as check, verdict and detail.
fn rows(output: &std::process::Output) -> Vec<[String; 3]> {
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    let cells = table.lines().filter_map(|line| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, check, verdict, detail, ..] = cells[..] else { return None };
        Some([check, verdict, detail].map(str::to_owned))
    });
    cells.collect()
}

fn verdict<'r>(rows: &'r [[String; 3]], check: &str) -> &'r str {
    let row = rows.iter().find(|[name, ..]| name == check);
    &row.unwrap_or_else(|| panic!("no row {check:?} in {rows:?}"))[1]
}

#[test]
fn the_defaults_of_the_command_are_never_taken_for_those_of_the_servers() {
    let server = Server::start(&[]);
    let found = rows(&run(&["doctor", "--to", server.address("grpc")]));
    for check in ["configuration", "port", "store", "store space", "log bound", "certificates", "release"] {
        assert_eq!(verdict(&found, check), "not checked", "{check}");
    }
    for check in ["ingest", "feature", "model", "query", "partitions", "lag", "log"] {
        assert_eq!(verdict(&found, check), "ok", "{check}");
    }
    assert!(!found.iter().flatten().any(|cell| cell.contains("portrait-data")), "{found:?}");
}

#[test]
fn a_server_is_judged_by_what_it_reports_on_its_http_port() {
    let server = Server::start(&["feature.trim_interval=100ms"]);
    let http = server.address("http");
    let begun = std::time::Instant::now();
    loop {
        let found = rows(&run(&["doctor", "--to", server.address("grpc"), "--http", http]));
        assert_eq!(verdict(&found, &format!("server {http}")), "ok");
        assert_eq!(verdict(&found, "release"), "ok");
        assert_eq!(verdict(&found, "certificates"), "ok");
        // Measured at an interval.
        if ["store space", "log bound"].iter().all(|check| verdict(&found, check) == "ok") {
            break;
        }
        assert!(begun.elapsed() < std::time::Duration::from_secs(60), "{found:?}");
    }
    let wrong = rows(&run(&["doctor", "--to", server.address("grpc"), "--http", server.address("grpc")]));
    assert_eq!(verdict(&wrong, &format!("server {}", server.address("grpc"))), "failed");
}
