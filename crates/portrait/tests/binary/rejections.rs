//! Items that ingest rejects, in the log of the server and in a file for people.

use crate::server::{Server, errors, portrait};
use std::os::unix::fs::PermissionsExt;

#[test]
fn rejected_items_are_told_without_a_value_of_the_sender() {
    let server = Server::start(&["log.format=json"]);
    let log = server.folder().join("log.jsonl");
    let rejects = server.folder().join("rejects.csv");
    let row = |user: &str| {
        format!("{{\"user_id\":\"{user}\",\"action\":\"view\",\"occurred_at\":\"2026-01-01T00:00:00Z\"}}\n")
    };
    let rows = ["lena", "le\u{200b}na-secret", "\u{202e}admin-secret", "", "x\u{2028}y-secret"].map(row);
    std::fs::write(&log, rows.concat()).expect("written");
    std::fs::write(&rejects, "an older file").expect("written");
    std::fs::set_permissions(&rejects, std::fs::Permissions::from_mode(0o644)).expect("ours");
    let ready: serde_json::Value = serde_json::from_str(&server.ready).expect("JSON");
    let to = ready["fields"]["grpc"].as_str().expect("an address").to_owned();
    let output = portrait()
        .arg("import")
        .arg(&log)
        .args(["--format", "jsonl", "--to", &to, "--rejects"])
        .arg(&rejects)
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(3), "{}", errors(&output));
    let shown = String::from_utf8_lossy(&output.stdout).into_owned() + &errors(&output);
    assert!(!shown.contains(['\u{200b}', '\u{202e}', '\u{2028}']), "{shown}");
    let mode = std::fs::metadata(&rejects).expect("made").permissions().mode() & 0o777;
    assert_eq!(mode, 0o600, "rows have ids");
    let lines = server.stop();
    let line = lines.lines().find(|line| line.contains("items were rejected")).expect("a line of the log");
    let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
    assert_eq!(line["fields"]["field"], "user_id", "{line}");
    assert_eq!(line["fields"]["kind"], "event", "{line}");
    assert!(line["fields"]["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{line}");
    assert!(!lines.contains("secret"), "{lines}");
}
