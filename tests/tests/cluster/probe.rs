//! Command `portrait probe`, as operators and `helm test` run it: with a running server and without one.

use portrait_tests::{Server, portrait_command, wait_until};

/// Runs a probe of `address`; returns its success and its output.
fn probe(address: &str, seconds: &str) -> (bool, String) {
    let output = portrait_command()
        .args(["probe", "--to", address, "--timeout", seconds])
        .output()
        .expect("a running process");
    let message = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&message).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_writes_an_event_and_reports_it_in_the_profile() {
    let data = tempfile::tempdir().expect("a temporary folder");
    let server = Server::start(data.path(), &[]);
    let by_role = format!("ingest={url},query={url}", url = server.grpc_url());
    for (address, count) in [(server.grpc_url(), 1), (&by_role, 2)] {
        let (success, message) = probe(address, "30");
        assert!(success, "{message}");
        assert!(message.starts_with("event probe-"), "{message}");
        let line = format!(" is in the profile of \"portrait-probe\", event {count} of it");
        assert!(message.contains(&line), "{message}");
    }
    // The counter is incremented after the commit, so a reader may see the profile first.
    wait_until("both records are counted", async || {
        server.metric_total("portrait_feature_records_total") == 2.0
    })
    .await;
}

#[test]
fn a_probe_without_a_server_fails_after_its_timeout_and_names_the_address() {
    let (success, message) = probe("http://127.0.0.1:1", "1");
    assert!(!success);
    for part in ["the probe has tried for 1 s", "no server answers at http://127.0.0.1:1"] {
        assert!(message.contains(part), "{part:?} is not in {message}");
    }
}
