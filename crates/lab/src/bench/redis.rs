//! Redis server for one measurement: a child process on a free port, with its files in the scratch directory. Reports
//! its memory by key, and the write rate of its own benchmark.

use anyhow::{Context, Result, bail};
use redis::{Cmd, Connection};
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Hint for a missing program.
const INSTALL_HINT: &str =
    "install Redis 7 or newer, as with apt-get install redis-server redis-tools, and have it in the PATH";
/// Time limit for the start of a server.
const START_TIMEOUT: Duration = Duration::from_secs(10);
/// Interval of the start-up checks.
const PAUSE: Duration = Duration::from_millis(10);
/// Keys of one `SCAN`.
const KEYS_A_PAGE: usize = 512;

/// Writes of the bound.
const XADDS: usize = 500_000;
/// Connections of the bound.
const XADD_CONNECTIONS: usize = 50;
/// Writes in flight on each connection.
const XADD_PIPELINE: usize = 16;
/// Size of one write, about that of an event record.
const XADD_BYTES: usize = 200;

/// Persistence of acknowledged writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Persistence {
    /// Memory only: `appendonly no`.
    Memory,
    /// Disk before the reply: `appendonly yes`, `appendfsync always`.
    Disk,
}

/// Running server; dropping it kills the process.
pub(super) struct BenchRedis {
    process: Child,
    port: u16,
}

/// Memory usage of a server, in bytes.
#[derive(Debug, Default)]
pub(super) struct MemoryUsage {
    /// Total, as `used_memory` reports it.
    pub(super) used: u64,
    /// Sum over the keys of each name, by the name without prefix and numbers.
    pub(super) by_name: BTreeMap<String, u64>,
}

impl BenchRedis {
    /// Starts a server with its files in `folder`.
    pub(super) async fn start(folder: &Path, persistence: Persistence) -> Result<Self> {
        // Another process may take the port in between: then the server exits, which is reported with its log.
        let port =
            TcpListener::bind("127.0.0.1:0").context("no free port for redis-server")?.local_addr()?.port();
        let log = folder.join("redis.log");
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", ""]);
        command.arg("--dir").arg(folder).arg("--logfile").arg(&log);
        match persistence {
            Persistence::Memory => command.args(["--appendonly", "no"]),
            Persistence::Disk => command.args(["--appendonly", "yes", "--appendfsync", "always"]),
        };
        // The log goes to a file: a full pipe would block the server.
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut server = Self { process: spawn("redis-server", &mut command)?, port };
        let started = Instant::now();
        while server.connect().and_then(|mut to| Ok(redis::cmd("PING").query::<String>(&mut to)?)).is_err() {
            // A server that exited will never answer: its log says why.
            if server.process.try_wait()?.is_some() || started.elapsed() > START_TIMEOUT {
                let message = std::fs::read_to_string(&log).unwrap_or_default();
                bail!("redis-server does not start on port {port}: {}", message.trim());
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(server)
    }

    /// Address to open a store with.
    pub(super) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Reads the memory usage, by `INFO` and by `MEMORY USAGE` of every key.
    pub(super) fn memory(&self) -> Result<MemoryUsage> {
        let mut connection = self.connect()?;
        let info: String = redis::cmd("INFO").arg("memory").query(&mut connection)?;
        let used = info.lines().find_map(|line| line.strip_prefix("used_memory:"));
        let used = used.context("INFO of redis-server has no used_memory")?.trim().parse()?;
        let mut memory = MemoryUsage { used, by_name: BTreeMap::new() };
        let mut cursor = 0_u64;
        loop {
            let (next, keys): (u64, Vec<String>) =
                redis::cmd("SCAN").arg(cursor).arg("COUNT").arg(KEYS_A_PAGE).query(&mut connection)?;
            for key in keys {
                let mut usage = Cmd::new();
                // `SAMPLES 0` measures every element of a key: the default estimate from five can be far off where
                // profiles differ in size.
                usage.arg("MEMORY").arg("USAGE").arg(&key).arg("SAMPLES").arg(0);
                let bytes: Option<u64> = usage.query(&mut connection)?;
                *memory.by_name.entry(name_of(&key)).or_default() += bytes.unwrap_or_default();
            }
            // The load is applied, so that hardly any key changes during the scan.
            cursor = next;
            if cursor == 0 {
                return Ok(memory);
            }
        }
    }

    /// Measures writes per second by `redis-benchmark`: pipelined XADD of [`XADD_BYTES`].
    pub(super) async fn xadds_per_second(&self) -> Result<f64> {
        let mut command = Command::new("redis-benchmark");
        for (name, value) in [("-c", XADD_CONNECTIONS), ("-P", XADD_PIPELINE), ("-n", XADDS)] {
            command.args([name, &value.to_string()]);
        }
        command.args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "--csv"]);
        command.args(["XADD", "ceiling", "*", "b", &"x".repeat(XADD_BYTES)]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let benchmark = spawn("redis-benchmark", &mut command)?;
        // The benchmark takes seconds: waiting on a runtime thread would stall the server under measurement.
        let output = tokio::task::spawn_blocking(move || benchmark.wait_with_output()).await??;
        let report = String::from_utf8_lossy(&output.stdout);
        rate(&report)
            .with_context(|| format!("cannot parse the report of redis-benchmark: {}", report.trim()))
    }

    fn connect(&self) -> Result<Connection> {
        let client = redis::Client::open(self.url())?;
        Ok(client.get_connection_with_timeout(START_TIMEOUT)?)
    }
}

impl Drop for BenchRedis {
    fn drop(&mut self) {
        // A server that exited by itself cannot be killed again.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Description of the bound for the table.
pub(super) fn xadd_description() -> String {
    format!(
        "redis-benchmark XADD of {XADD_BYTES} bytes, {XADD_CONNECTIONS} connections x {XADD_PIPELINE} pipelined"
    )
}

fn spawn(program: &str, command: &mut Command) -> Result<Child> {
    match command.spawn() {
        Ok(process) => Ok(process),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            bail!("{program} is not installed, and is required to measure on Redis: {INSTALL_HINT}")
        }
        Err(error) => Err(error).with_context(|| format!("{program} does not start")),
    }
}

/// Name of a key: `seen` for `{portrait:7}:seen:20000`, empty for `{portrait:layout}`.
fn name_of(key: &str) -> String {
    let name = key.split_once("}:").map_or("", |(_, name)| name);
    name.split(':').next().unwrap_or_default().to_owned()
}

/// Parses the rate from the CSV of `redis-benchmark`.
fn rate(csv: &str) -> Result<f64> {
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let column = reader.headers()?.iter().position(|name| name == "rps").context("no column rps")?;
    let row = reader.records().next().context("no data row")??;
    Ok(row.get(column).context("no value of rps")?.parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_grouped_by_name() {
        let rows =
            [("{portrait:7}:log", "log"), ("{portrait:7}:seen:20000", "seen"), ("{portrait:layout}", "")];
        for (key, name) in rows {
            assert_eq!(name_of(key), name, "{key}");
        }
    }

    #[test]
    fn the_rate_is_parsed_from_the_csv_of_the_benchmark() {
        let table = "\"test\",\"rps\",\"avg_latency_ms\"\n\"XADD a * b xx\",\"512345.50\",\"1.1\"\n";
        assert_eq!(rate(table).expect("a rate"), 512_345.5);
        assert!(rate("").is_err() && rate("\"test\",\"rps\"\n").is_err());
    }
}
