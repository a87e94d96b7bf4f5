//! Lines of the log.

use crate::server::{Server, errors, portrait, run};
use serde_json::Value;
use std::net::TcpListener;

/// Returns the lines as JSON objects; every one must be.
fn json_lines(text: &str) -> Vec<Value> {
    let lines = text.lines().map(|line| {
        let value: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        for field in ["timestamp", "level", "fields", "target"] {
            assert!(value.get(field).is_some(), "{field} is missing: {line}");
        }
        value
    });
    lines.collect()
}

#[test]
fn every_line_of_a_json_log_is_json_from_the_addresses_to_the_end() {
    let server = Server::start(&["log.format=json"]);
    let ready = json_lines(&server.ready);
    assert_eq!(ready[0]["fields"]["message"], "ready");
    for port in ["grpc", "http"] {
        assert!(ready[0]["fields"][port].as_str().is_some_and(|url| url.starts_with("http://")), "{ready:?}");
    }
    let lines = json_lines(&server.stop());
    assert!(
        lines
            .iter()
            .any(|line| line["fields"]["message"].as_str().is_some_and(|text| text.contains("stopped")))
    );
}

#[test]
fn an_error_that_ends_a_json_server_is_json() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("server.listen={}", taken.local_addr().expect("bound"));
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("portrait.toml");
    std::fs::write(&file, "[log]\nformat = \"json\"\n[server]\nlisen = 1\n").expect("written");
    let file = file.display().to_string();
    let rows: [(&[&str], &str); 6] = [
        (&["serve", "--set", "log.format=json", "--set", &address], "in use"),
        (&["serve", "--set", "log.format=json", "--set", "server.max_calls=many"], "server.max_calls"),
        (&["serve", "--set", "log.format=json", "--set", "log.filter=debg"], "log.filter"),
        (&["serve", "--set", "log.format=json", "--set", "store.url=embedded:/proc/none"], "/proc/none"),
        (&["serve", "--set", "log.format=json", "--set", "ingest.trait_keys_file=/none"], "/none"),
        (&["serve", "--config", &file], "server.listen"),
    ];
    for (arguments, part) in rows {
        let output = run(arguments);
        let lines = json_lines(&errors(&output));
        assert!(!output.status.success(), "{arguments:?}");
        let last = lines.last().expect("the error");
        assert_eq!(last["level"], "ERROR");
        assert!(last["fields"]["error"].as_str().is_some_and(|text| text.contains(part)), "{last}");
    }
    let unknown = portrait().args(["serve", "--lisen", "x"]).env("PORTRAIT__LOG__FORMAT", "json").output();
    let unknown = unknown.expect("the binary runs");
    assert_eq!(unknown.status.code(), Some(2));
    assert_eq!(json_lines(&errors(&unknown)).len(), 1);
}

#[test]
fn lines_for_people_stay_as_they_are() {
    let server = Server::start(&[]);
    assert!(server.ready.starts_with("ready: grpc http://127.0.0.1:"), "{}", server.ready);
    let log = server.stop();
    assert!(log.contains("INFO") && !log.contains("{\"timestamp\""), "{log}");
}
