//! Output whose reader is gone.

use crate::server::{Server, portrait};
use std::process::Stdio;

/// Runs a command whose standard output is closed; returns its exit code and what it wrote to standard error.
fn into_closed_pipe(arguments: &[&str]) -> (Option<i32>, String) {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let child = portrait().args(arguments).stdout(writer).stderr(Stdio::piped()).spawn().expect("it runs");
    let output = child.wait_with_output().expect("it ends");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn no_command_panics_if_the_reader_of_its_output_is_gone() {
    let server = Server::start(&[]);
    let to = ["--to", server.address("grpc")];
    let sent = portrait().arg("probe").args(to).output().expect("it runs");
    assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
    let log = server.folder().join("log.jsonl");
    std::fs::write(
        &log,
        "{\"user_id\":\"lena\",\"action\":\"view\",\"occurred_at\":\"2026-01-01T00:00:00Z\"}\n",
    )
    .expect("written");
    let log = log.display().to_string();
    let rows: [(&[&str], bool); 14] = [
        (&["--help"], false),
        (&["help"], false),
        (&["--version"], false),
        (&["serve", "--help"], false),
        (&["serve", "--dump-config"], false),
        (&["sizing", "--users", "1000", "--events-per-second", "10"], false),
        (&["token", "shop", "--role", "read"], false),
        (&["doctor"], true),
        (&["probe"], true),
        (&["profile", "portrait-probe"], true),
        (&["profile", "portrait-probe", "--json"], true),
        (&["import", &log, "--format", "jsonl"], true),
        (&["eval", "--help"], false),
        (&["watch", "--from", "snapshot", "--user", "portrait-probe"], true),
    ];
    for (arguments, needs_server) in rows {
        let arguments = if needs_server { [arguments, &to].concat() } else { arguments.to_vec() };
        let (code, text) = into_closed_pipe(&arguments);
        assert!(!text.contains("panicked") && !text.contains("stack backtrace"), "{arguments:?}: {text}");
        assert!(matches!(code, Some(0 | 141)), "{arguments:?} ended with {code:?}: {text}");
    }
}
