//! Failed calls in words: no code of a status, and a remedy.

use crate::server::{Server, errors, portrait, run};
use std::net::TcpListener;
use std::process::Command;

/// Texts of a status or of the language that mean nothing to a person.
const RAW: [&str; 6] = ["code:", "Status {", "status:", "details:", "panicked", "Unauthenticated"];

fn assert_words(arguments: &[&str], output: &std::process::Output, remedy: &str) {
    let text = errors(output);
    assert!(!output.status.success(), "{arguments:?} succeeded");
    assert!(
        text.starts_with("error: ") && text.contains(remedy),
        "{arguments:?}: {remedy:?} is missing: {text}"
    );
    for raw in RAW {
        assert!(!text.contains(raw), "{arguments:?}: {text}");
    }
}

/// Commands that call a server, with a log for those that read one.
fn commands(log: &str) -> Vec<Vec<&str>> {
    vec![
        vec!["profile", "lena"],
        vec!["erase", "lena"],
        vec!["segments"],
        vec!["recommend", "lena"],
        vec!["next", "lena"],
        vec!["score", "lena"],
        vec!["similar", "lena"],
        vec!["train"],
        vec!["watch"],
        vec!["probe", "--timeout", "1"],
        vec!["import", log, "--format", "jsonl"],
    ]
}

fn log_file(folder: &std::path::Path) -> String {
    let log = folder.join("log.jsonl");
    let line = "{\"user_id\":\"lena\",\"action\":\"view\",\"occurred_at\":\"2026-01-01T00:00:00Z\"}\n";
    std::fs::write(&log, line).expect("written");
    log.display().to_string()
}

#[test]
fn a_caller_without_a_token_or_with_another_role_learns_which_flag_to_use() {
    let folder = tempfile::tempdir().expect("a folder");
    let made = run(&["token", "guest", "--role", "write"]);
    let tokens = folder.path().join("tokens.toml");
    std::fs::write(&tokens, &made.stdout).expect("written");
    let secret = errors(&made).rsplit(' ').next().expect("a token").trim().to_owned();
    let server = Server::start(&[&format!("server.tokens_file={}", tokens.display())]);
    let log = log_file(folder.path());
    for command in commands(&log) {
        let arguments = [&command[..], &["--to", server.address("grpc")]].concat();
        assert_words(&arguments, &run(&arguments), "--token-file");
    }
    for command in commands(&log) {
        let arguments = [&command[..], &["--to", server.address("grpc")]].concat();
        let output = portrait().args(&arguments).env("PORTRAIT_TOKEN", &secret).output().expect("it runs");
        // An import may send, and needs the role read for the count of duplicates.
        assert_words(&arguments, &output, "--token-file");
    }
}

#[test]
fn a_wrong_address_is_told_by_its_cause() {
    let server = Server::start(&[]);
    let grpc = server.address("grpc");
    let https = grpc.replace("http://", "https://");
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let closed = silent.local_addr().expect("bound");
    drop(silent);
    let closed = format!("http://{closed}");
    let folder = tempfile::tempdir().expect("a folder");
    let log = log_file(folder.path());
    let rows = [
        (https.as_str(), "write http://"),
        (closed.as_str(), "portrait serve"),
        ("http://no-such-host.invalid:50051", "no host has this name"),
        (server.address("http"), "gRPC port"),
    ];
    for (to, remedy) in rows {
        for command in commands(&log).into_iter().filter(|command| command[0] != "watch") {
            let arguments = [&command[..], &["--to", to]].concat();
            if to == server.address("http") && command[0] == "erase" {
                // An erasure is tried for a minute.
                continue;
            }
            assert_words(&arguments, &run(&arguments), remedy);
        }
    }
}

#[test]
fn a_port_with_tls_is_told_to_callers_without() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "5",
        ])
        .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-keyout", &path("key"), "-out", &path("certificate")])
        .output()
        .expect("scripts/setup installs openssl");
    assert!(made.status.success(), "{}", errors(&made));
    let settings = [
        format!("server.tls_certificate={}", path("certificate")),
        format!("server.tls_key={}", path("key")),
    ];
    let server = Server::start(&[&settings[0], &settings[1]]);
    let https = server.address("grpc").to_owned();
    let http = https.replace("https://", "http://");
    for command in [["profile", "lena"], ["score", "lena"], ["recommend", "lena"]] {
        let plain = [&command[..], &["--to", &http]].concat();
        assert_words(&plain, &run(&plain), "write https://");
        let unknown = [&command[..], &["--to", &https]].concat();
        assert_words(&unknown, &run(&unknown), "--ca FILE");
    }
    let log = server.stop();
    assert!(log.contains("a certificate expires soon") && log.contains("server.tls_certificate"), "{log}");
}
