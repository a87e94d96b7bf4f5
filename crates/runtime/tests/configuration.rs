//! Reading a configuration: precedence of the sources, and messages for unknown keys and invalid values.

use portrait_runtime::config::{ByteSize, ConfigError, DurationSetting, Sources, dump, load, value_of};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::Write;
use tempfile::NamedTempFile;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    server: Server,
    money: Money,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Server {
    listen: String,
    linger: DurationSetting,
    max_message: ByteSize,
    max_calls: usize,
    idle: Option<DurationSetting>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Money {
    rates: BTreeMap<String, f64>,
    actions: Vec<String>,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:1".to_owned(),
            linger: DurationSetting::from_millis(2),
            max_message: ByteSize::mebibytes(4),
            max_calls: 8,
            idle: None,
        }
    }
}

fn file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().expect("a temporary file");
    file.write_all(text.as_bytes()).expect("a write of a few bytes");
    file
}

fn sources(file: Option<&NamedTempFile>, environment: &[(&str, &str)], flags: &[(&str, &str)]) -> Sources {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Sources {
        file: file.map(|file| file.path().to_owned()),
        environment: environment.iter().map(owned).collect(),
        flags: flags.iter().map(|(key, value)| ((*key).to_owned(), value_of(value))).collect(),
    }
}

fn message_of(sources: &Sources) -> String {
    load::<Config>(sources).expect_err("the configuration is invalid").to_string()
}

#[test]
fn flags_override_the_environment_which_overrides_the_file_and_defaults() {
    let file = file("[server]\nlisten = \"file\"\nlinger = \"3ms\"\nmax_calls = 3\n");
    let environment = [
        ("PORTRAIT__SERVER__LINGER", "5ms"),
        ("PORTRAIT__SERVER__MAX_CALLS", "5"),
        ("PORTRAIT_QUERY_PORT", "a variable of another program"),
        ("PATH", "/bin"),
    ];
    let flags = [("server.max_calls", "7")];
    let config: Config = load(&sources(Some(&file), &environment, &flags)).expect("every key is known");
    let expected = Server {
        listen: "file".to_owned(),
        linger: DurationSetting::from_millis(5),
        max_calls: 7,
        ..Server::default()
    };
    assert_eq!(config.server, expected);
    assert_eq!(load::<Config>(&Sources::default()).expect("nothing to refuse"), Config::default());
}

#[test]
fn the_later_of_two_flags_wins() {
    let flags = [("server.max_calls", "1"), ("server.max_calls", "2")];
    let config: Config = load(&sources(None, &[], &flags)).expect("both are known");
    assert_eq!(config.server.max_calls, 2);
}

#[test]
fn a_value_is_parsed_as_toml_where_possible_and_text_otherwise() {
    let environment = [
        ("PORTRAIT__SERVER__LISTEN", "[::1]:50051"),
        ("PORTRAIT__MONEY__RATES", "{EUR = 1.5, JPY = 2}"),
        ("PORTRAIT__MONEY__ACTIONS", r#"["scan", "try"]"#),
        ("PORTRAIT__SERVER__IDLE", "1h"),
    ];
    let config: Config = load(&sources(None, &environment, &[])).expect("all are known");
    assert_eq!(config.server.listen, "[::1]:50051");
    assert_eq!(config.server.idle, Some(DurationSetting::from_hours(1)));
    assert_eq!(config.money.rates, BTreeMap::from([("EUR".to_owned(), 1.5), ("JPY".to_owned(), 2.0)]));
    assert_eq!(config.money.actions, ["scan", "try"]);
    let rows = [
        ("8", toml::Value::Integer(8)),
        ("true", toml::Value::Boolean(true)),
        ("\"8\"", toml::Value::String("8".to_owned())),
        ("info", toml::Value::String("info".to_owned())),
        ("1\nx = 2", toml::Value::String("1\nx = 2".to_owned())),
    ];
    for (text, expected) in rows {
        assert_eq!(value_of(text), expected, "{text}");
    }
}

#[test]
fn an_unknown_key_is_refused_with_its_origin_and_the_similar_key() {
    let wrong = file("[server]\nlisen = \"x\"\n");
    let at = format!("the file {}", wrong.path().display());
    let rows = [
        (sources(Some(&wrong), &[], &[]), "server.lisen", at.as_str(), Some("server.listen")),
        (
            sources(None, &[("PORTRAIT__SERVER__MAX_CALS", "1")], &[]),
            "server.max_cals",
            "the environment variable PORTRAIT__SERVER__MAX_CALS",
            Some("server.max_calls"),
        ),
        (sources(None, &[], &[("sever.listen", "x")]), "sever", "the command line", Some("server")),
        (sources(None, &[], &[("listen", "x")]), "listen", "the command line", Some("server.listen")),
        (sources(None, &[], &[("server.quite_else", "x")]), "server.quite_else", "the command line", None),
        (sources(None, &[], &[("server..x", "x")]), "server..x", "the command line", None),
        (sources(None, &[("PORTRAIT__", "x")], &[]), "", "the environment variable PORTRAIT__", None),
    ];
    for (sources, expected_key, expected_origin, similar) in rows {
        let error = load::<Config>(&sources).expect_err("an unknown key");
        let ConfigError::UnknownKey { key, origin, remedy } = &error else {
            panic!("{error} is another variant");
        };
        assert_eq!((key.as_str(), origin.as_str()), (expected_key, expected_origin));
        match similar {
            Some(similar) => assert!(remedy.contains(&format!("did you mean {similar}?")), "{error}"),
            None => assert!(!remedy.contains("did you mean"), "{error}"),
        }
    }
}

#[test]
fn a_value_of_the_wrong_type_is_refused_with_key_origin_and_syntax() {
    let file = file("[server]\nmax_calls = \"many\"\n");
    let rows = [
        (sources(Some(&file), &[], &[]), vec!["server.max_calls", "the file", "many"]),
        (
            sources(None, &[("PORTRAIT__SERVER__LINGER", "soon")], &[]),
            vec!["server.linger", "PORTRAIT__SERVER__LINGER", "\"soon\" is not a duration", "250ms"],
        ),
        (
            sources(None, &[], &[("server.max_message", "4MB")]),
            vec!["server.max_message", "the command line", "\"4MB\" is not a size", "4MiB"],
        ),
        (
            sources(None, &[], &[("server.max_calls", "-1")]),
            vec!["server.max_calls", "the command line", "-1"],
        ),
        (sources(None, &[], &[("server", "1")]), vec!["server", "the command line"]),
    ];
    for (sources, parts) in rows {
        let message = message_of(&sources);
        for part in parts {
            assert!(message.contains(part), "{message:?} lacks {part:?}");
        }
    }
}

#[test]
fn a_missing_or_malformed_file_is_named() {
    let absent = Sources { file: Some("/nowhere/portrait.toml".into()), ..Sources::default() };
    assert!(message_of(&absent).contains("/nowhere/portrait.toml"));
    let broken = file("[server\n");
    let error = load::<Config>(&sources(Some(&broken), &[], &[])).expect_err("no TOML");
    let cause = std::error::Error::source(&error).expect("the line in the file").to_string();
    assert!(error.to_string().contains(&broken.path().display().to_string()), "{error}");
    assert!(cause.contains("line 1"), "{cause}");
    assert!(!error.to_string().contains(&cause), "an error does not repeat its source");
}

#[test]
fn a_dump_reads_back_as_the_same_configuration() {
    let mut config = Config::default();
    let rows: [fn(&mut Config); 4] = [
        |_| {},
        |config| config.server.linger = DurationSetting::from_millis(1500),
        |config| config.server.idle = Some(DurationSetting::from_days(30)),
        |config| config.money.rates = BTreeMap::from([("EUR".to_owned(), 1.1)]),
    ];
    for change in rows {
        change(&mut config);
        let dumped = dump(&config).expect("it has a form");
        let read: Config = load(&sources(Some(&file(&dumped)), &[], &[])).expect("its own dump");
        assert_eq!(read, config, "{dumped}");
        assert_eq!(dump(&read).expect("it has a form"), dumped);
    }
}

#[test]
fn a_variable_of_a_key_in_another_spelling_is_refused_with_the_right_name() {
    for name in ["PORTRAIT_SERVER_MAX_CALLS", "portrait__server__max_calls", "PORTRAIT__SERVER__MAX_CALLS_"] {
        let read = load::<Config>(&sources(None, &[(name, "9")], &[]));
        match name.strip_prefix("PORTRAIT__") {
            // With the prefix it is an unknown key, as before.
            Some(_) => assert!(matches!(read, Err(ConfigError::UnknownKey { .. })), "{name}"),
            None => {
                let message = read.expect_err("it would be passed over").to_string();
                assert!(
                    message.contains(name) && message.contains("PORTRAIT__SERVER__MAX_CALLS"),
                    "{message}"
                );
            }
        }
    }
    for (name, known) in
        [("PORTRAIT_LISTEN", "PORTRAIT__SERVER__LISTEN"), ("PORTRAIT_TOKNE", "PORTRAIT_TOKEN")]
    {
        let message = message_of(&sources(None, &[(name, "x")], &[]));
        assert!(message.contains(name) && message.contains(known), "{message}");
    }
    // Variables of Kubernetes and of scripts are not of a key.
    let others = [
        ("PORTRAIT_QUERY_PORT", "tcp://10.0.0.1:50051"),
        ("PORTRAIT_TOKEN", "t"),
        ("PORTRAITS", "1"),
        ("P", "1"),
    ];
    assert_eq!(load::<Config>(&sources(None, &others, &[])).expect("nothing is set"), Config::default());
}

#[test]
fn one_key_is_read_before_the_configuration_is_known_to_be_valid() {
    let broken = file("[server]\nlisten = \"file\"\nlisten_too = 1\n");
    let named = ("PORTRAIT__SERVER__LISTEN", "variable");
    let rows = [
        (sources(None, &[], &[]), None),
        (sources(Some(&broken), &[], &[]), Some("file")),
        (sources(Some(&broken), &[named], &[("x", "1")]), Some("variable")),
        (sources(Some(&broken), &[named], &[("server.listen", "a"), ("server.listen", "b")]), Some("b")),
        (sources(Some(&file("[server")), &[], &[]), None),
    ];
    for (sources, expected) in rows {
        assert_eq!(sources.peek("server.listen").as_deref(), expected);
    }
}
