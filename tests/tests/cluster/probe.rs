//! `portrait probe` as an operator runs it, or `helm test` does: against a real server, and against none.

use portrait_tests::{Server, portrait_command, until};

/// What a probe of `address` said, and whether it went well.
fn probe(address: &str, seconds: &str) -> (bool, String) {
    let output =
        portrait_command().args(["probe", "--to", address, "--timeout", seconds]).output().expect("it runs");
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_writes_an_event_finds_it_in_the_profile_and_says_which() {
    let data = tempfile::tempdir().expect("a folder");
    let server = Server::start(data.path(), &[]);
    let by_role = format!("ingest={url},query={url}", url = server.grpc_url());
    for (address, count) in [(server.grpc_url(), 1), (&by_role, 2)] {
        let (well, said) = probe(address, "30");
        assert!(well, "{said}");
        assert!(said.starts_with("event probe-"), "{said}");
        let place = format!(" is in the profile of \"portrait-probe\", event {count} of it");
        assert!(said.contains(&place), "{said}");
    }
    // A commit is counted when it has succeeded, which a reader may see sooner.
    until("both are counted", async || server.counted("portrait_feature_records_total") == 2.0).await;
}

#[test]
fn a_probe_that_nobody_answers_fails_after_its_time_and_says_where_it_asked() {
    let (well, said) = probe("http://127.0.0.1:1", "1");
    assert!(!well);
    for part in ["the probe has tried for 1 s", "no server answers at http://127.0.0.1:1"] {
        assert!(said.contains(part), "{part:?} is not in {said}");
    }
}
