//! `portrait serve`: reads the configuration, runs a node, prints its addresses, and drains it on a signal.

use anyhow::{Context, Result};
use clap::Args;
use portrait_node::{Config, NodeRole};
use portrait_runtime::config::{self, Sources};
use portrait_runtime::telemetry::LogFormat;
use portrait_runtime::telemetry::console;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use tracing::Level;

/// Arguments of `portrait serve`. Flags override `PORTRAIT__SECTION__KEY` in the environment, which overrides the file.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Role of this process.
    #[arg(value_enum, default_value_t = NodeRole::All)]
    role: NodeRole,
    #[command(flatten)]
    config: ConfigArgs,
    /// Address of the gRPC port [default: 127.0.0.1:50051].
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Address of the HTTP port, for /metrics, /livez and /readyz [default: 127.0.0.1:8080].
    #[arg(long, value_name = "ADDRESS")]
    http_listen: Option<SocketAddr>,
    /// Print the effective configuration and exit.
    #[arg(long)]
    dump_config: bool,
}

/// Sources of the configuration. Flags override `PORTRAIT__SECTION__KEY` in the environment, which overrides the file.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// TOML file; every key is optional.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address of the store [default: embedded:./portrait-data].
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    /// Any other key, such as `ingest.linger=1ms`; can be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
}

/// Runs the server until SIGTERM or SIGINT.
///
/// # Errors
/// If the configuration is invalid, or the node cannot be started or closed.
pub async fn run(args: ServeArgs) -> Result<()> {
    let role = args.role;
    let dump = args.dump_config;
    let sources = args.sources()?;
    // Read first: the error of an invalid configuration has the format of the log too.
    if sources.peek("log.format").as_deref() == Some("json") {
        console::set_format(LogFormat::Json);
    }
    let config = Config::load(&sources)?;
    if dump {
        // The dump may end up in a log or a ticket.
        let store = config.store.without_password();
        print!("{}", config::dump(&Config { store, ..config })?);
        return Ok(());
    }
    portrait_node::serve(role, config, |node| {
        // Printed to standard output, where scripts wait for this line; logs go to standard error. A server whose output is closed
        // still serves.
        let _ = writeln!(std::io::stdout(), "{}", ready_line(&node.grpc_url(), &node.http_url()));
    })
    .await
}

fn ready_line(grpc: &str, http: &str) -> String {
    if console::is_json() {
        return console::json_line(Level::INFO, "ready", &[("grpc", grpc), ("http", http)]);
    }
    format!("ready: grpc {grpc}, http {http}")
}

impl ServeArgs {
    fn sources(self) -> Result<Sources> {
        let mut flags = Vec::new();
        flags.extend(self.listen.map(|address| ("server.listen".to_owned(), text(address.to_string()))));
        flags.extend(
            self.http_listen.map(|address| ("server.http_listen".to_owned(), text(address.to_string()))),
        );
        self.config.sources(flags)
    }
}

impl ConfigArgs {
    /// Combines file, environment and flags; `flags` come before the ones of this struct.
    pub(crate) fn sources(self, mut flags: Vec<(String, toml::Value)>) -> Result<Sources> {
        flags.extend(self.store.map(|url| ("store.url".to_owned(), text(url))));
        for setting in self.settings {
            flags.push(parse_setting(&setting).with_context(|| format!("--set {setting}"))?);
        }
        Ok(Sources::of_process(self.config, flags))
    }
}

fn text(value: String) -> toml::Value {
    toml::Value::String(value)
}

fn parse_setting(setting: &str) -> Result<(String, toml::Value)> {
    let (key, value) = setting.split_once('=').context("is not KEY=VALUE")?;
    Ok((key.to_owned(), config::value_of(value)))
}
