//! Third-party clients: Python stubs generated from the .proto files, and a command-line client that uses reflection.

use portrait_tests::{Server, python, repository};
use std::process::Command;

fn output(command: &mut Command) -> String {
    let output = command.output().expect("the client runs");
    let message = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{message}{}", String::from_utf8_lossy(&output.stderr));
    message
}

#[test]
fn python_stubs_send_an_event_read_the_profile_and_receive_the_change() {
    let data = tempfile::tempdir().expect("a temporary folder");
    let server = Server::start(data.path(), &[]);
    let address = server.grpc_url().trim_start_matches("http://");
    let stubs = tempfile::tempdir().expect("a temporary folder");
    let generated = format!("--python_out={0} --grpc_python_out={0}", stubs.path().display());
    let protos = repository().join("proto/portrait/v1");
    let protos =
        std::fs::read_dir(protos).expect("the folder of protos").map(|entry| entry.expect("a file").path());
    output(
        Command::new(python())
            .args(["-m", "grpc_tools.protoc"])
            .arg(format!("-I{}", repository().join("proto").display()))
            .args(generated.split(' '))
            .args(protos),
    );
    let script = repository().join("examples/python/first_profile.py");
    let message = output(Command::new(python()).arg(script).arg(address).env("PYTHONPATH", stubs.path()));
    assert_eq!(message, "accepted 1\nprofile lena 1 shoes\nchange lena 1\n");
}

#[test]
fn the_shell_example_reads_the_profile_with_its_event() {
    let data = tempfile::tempdir().expect("a temporary folder");
    let server = Server::start(data.path(), &[]);
    let script = repository().join("examples/curl/first-event.sh");
    let path = std::env::join_paths(
        python()
            .parent()
            .map(std::path::Path::to_owned)
            .into_iter()
            .chain(std::env::split_paths(&std::env::var_os("PATH").expect("a search path"))),
    );
    let message =
        output(Command::new(script).arg(server.grpc_url()).env("PATH", path.expect("no colon in a path")));
    let mut responses = serde_json::Deserializer::from_str(&message).into_iter::<serde_json::Value>();
    let mut next = || responses.next().expect("a response").expect("JSON");
    assert_eq!(next()["accepted"], 1);
    let profile = next();
    assert_eq!(profile["profile"]["appliedEvents"], "1");
    assert_eq!(profile["profile"]["preference"]["categories"][0]["name"], "shoes");
}

#[test]
fn a_client_without_stubs_discovers_the_services_by_reflection() {
    let data = tempfile::tempdir().expect("a temporary folder");
    let server = Server::start(data.path(), &[]);
    let buf = python().with_file_name("buf");
    let call = |method: &str, body: &str| {
        let url = format!("{}/{method}", server.grpc_url());
        output(Command::new(&buf).args([
            "curl",
            "--protocol",
            "grpc",
            "--http2-prior-knowledge",
            &url,
            "--data",
            body,
        ]))
    };
    let event = r#"{"events": [{"event_id": "e1", "user_id": "lena", "action": "ACTION_VIEW",
        "occurred_at": "2026-01-01T12:00:00Z", "item_id": "boots-42", "category": "shoes", "price": 89.9}]}"#;
    let response: serde_json::Value =
        serde_json::from_str(&call("portrait.v1.IngestService/Track", event)).expect("JSON");
    assert_eq!(response["accepted"], 1);
    let read = serde_json::json!({ "userId": "lena", "readAfter": response["consistencyToken"] });
    let profile: serde_json::Value =
        serde_json::from_str(&call("portrait.v1.QueryService/GetProfile", &read.to_string())).expect("JSON");
    assert_eq!(profile["profile"]["appliedEvents"], "1");
    assert_eq!(profile["profile"]["preference"]["categories"][0]["name"], "shoes");
}
