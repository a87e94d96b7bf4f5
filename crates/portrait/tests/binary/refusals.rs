//! Settings that would be passed over in silence.

use crate::server::{errors, portrait, run};

#[test]
fn a_variable_of_this_program_that_sets_nothing_is_refused_with_the_right_one() {
    let rows = [
        ("PORTRAIT_STORE_URL", "PORTRAIT__STORE__URL"),
        ("portrait__store__url", "PORTRAIT__STORE__URL"),
        ("PORTRAIT_LISTEN", "PORTRAIT__SERVER__LISTEN"),
        ("PORTRAIT_LOG_FORMAT", "PORTRAIT__LOG__FORMAT"),
        ("PORTRAIT_ACKNOWLEDGE", "PORTRAIT__INGEST__ACKNOWLEDGE"),
        ("PORTRAIT_TOKENS_FILE", "PORTRAIT__SERVER__TOKENS_FILE"),
        ("PORTRAIT_TOKN", "PORTRAIT_TOKEN"),
    ];
    for (name, meant) in rows {
        let output = portrait().args(["serve", "--dump-config"]).env(name, "x").output().expect("it runs");
        let text = errors(&output);
        assert!(!output.status.success() && text.contains(name) && text.contains(meant), "{name}: {text}");
    }
    let passed = [
        ("PORTRAIT_TOKEN", "t"),
        ("PORTRAIT", "/usr/bin/portrait"),
        ("PORTRAIT_QUERY_SERVICE_HOST", "10.0.0.1"),
        ("PORTRAIT_QUERY_PORT_50051_TCP_ADDR", "10.0.0.1"),
        ("PORTRAIT__STORE__PARTITIONS", "4"),
    ];
    let output = portrait().args(["serve", "--dump-config"]).envs(passed).output().expect("it runs");
    assert!(output.status.success(), "{}", errors(&output));
    assert!(String::from_utf8_lossy(&output.stdout).contains("partitions = 4"));
}

#[test]
fn an_address_without_a_scheme_is_refused_by_servers_and_commands() {
    let rows: [(&[&str], &str); 5] = [
        (&["serve", "--set", "profiles.models=model:50051"], "profiles.models"),
        (&["serve", "--set", "model.features=10.0.0.1:50051"], "model.features"),
        (&["serve", "--set", "trace.endpoint=collector:4317"], "trace.endpoint"),
        (&["profile", "lena", "--to", "localhost:50051"], "localhost:50051"),
        (&["watch", "--to", "query=localhost:50051"], "localhost:50051"),
    ];
    for (arguments, key) in rows {
        let arguments = [arguments, if arguments[0] == "serve" { FREE_PORTS } else { &[] }].concat();
        let output = run(&arguments);
        let text = errors(&output);
        assert!(
            !output.status.success() && text.contains(key) && text.contains("http://"),
            "{arguments:?}: {text}"
        );
    }
}

const FREE_PORTS: &[&str] = &["--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"];

#[test]
fn a_variable_has_precedence_over_the_file_of_the_image() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("image.toml");
    let text = "[server]\nlisten = \"0.0.0.0:50051\"\n[store]\nurl = \"embedded:/data\"\n";
    std::fs::write(&file, text).expect("written");
    let output = portrait()
        .args(["serve", "--dump-config", "--config", &file.display().to_string()])
        .env("PORTRAIT__STORE__URL", "redis://redis:6379")
        .output()
        .expect("it runs");
    let dump = String::from_utf8_lossy(&output.stdout);
    assert!(dump.contains("redis://redis:6379") && dump.contains("0.0.0.0:50051"), "{dump}");
}
