//! Server of a scale run: `portrait serve` as a process of its own, so that its memory is not that of the load.

use super::super::env::FreshStore;
use anyhow::{Context, Result, bail};
use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

/// Time limit of a start.
const START_TIMEOUT: Duration = Duration::from_secs(120);
/// Interval of the checks whether the server is ready.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// Caches of the server with its default configuration: block cache of the embedded store and profiles, in MB.
pub(super) const CACHE_MB: f64 = 384.0;

/// Running server; dropping it kills the process.
pub(super) struct ServerProcess {
    process: Child,
    grpc_url: String,
    http_address: String,
}

impl ServerProcess {
    /// Starts a server on the store and waits until it is ready.
    pub(super) async fn start(store: &FreshStore) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["serve", "--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"]);
        for setting in store.settings() {
            command.args(["--set", &setting]);
        }
        // A training in the background would compete for the processors; the sweep's rate is measured, not its limit.
        command.args([
            "--set",
            // A restarted pod keeps its name, and by it takes back its leases; the default name has the port.
            "profiles.node=scale",
            "--set",
            "model.automatic=false",
            "--set",
            "feature.sweep_profiles_per_second=1000000",
        ]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut process = command.spawn().context("the server does not start")?;
        let output = process.stdout.take().context("the server has no output")?;
        let mut lines = BufReader::new(output).lines();
        let ready = tokio::time::timeout(START_TIMEOUT, lines.next_line())
            .await
            .context("the server is not ready")??;
        let ready = ready.context("the server ended at its start")?;
        let (grpc, http) = ready
            .strip_prefix("ready: grpc ")
            .and_then(|addresses| addresses.split_once(", http http://"))
            .with_context(|| format!("unexpected first line of the server: {ready}"))?;
        let server = Self { process, grpc_url: grpc.to_owned(), http_address: http.to_owned() };
        server.wait_until_ready().await?;
        Ok(server)
    }

    pub(super) fn grpc_url(&self) -> &str {
        &self.grpc_url
    }

    /// Kills the server and starts another on the same store; returns the time from its start until it is ready.
    pub(super) async fn restart_after_kill(&mut self, store: &FreshStore) -> Result<Duration> {
        self.process.kill().await?;
        let started = Instant::now();
        *self = Self::start(store).await?;
        Ok(started.elapsed())
    }

    /// Ends the server gracefully.
    pub(super) async fn stop(mut self) -> Result<()> {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.pid()?)?).context("no process")?;
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        self.process.wait().await?;
        Ok(())
    }

    /// Resident memory, in MB.
    pub(super) fn resident_mb(&self) -> Result<f64> {
        self.status_mb("VmRSS:")
    }

    /// Largest resident memory since [`Self::reset_peak`], in MB.
    pub(super) fn peak_mb(&self) -> Result<f64> {
        self.status_mb("VmHWM:")
    }

    pub(super) fn reset_peak(&self) -> Result<()> {
        // proc(5): 5 resets the peak to the present size.
        Ok(fs::write(format!("/proc/{}/clear_refs", self.pid()?), "5")?)
    }

    fn status_mb(&self, name: &str) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()?))?;
        let line = status.lines().find_map(|line| line.strip_prefix(name)).context("no such line")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
    }

    fn pid(&self) -> Result<u32> {
        self.process.id().context("the server has ended")
    }

    async fn wait_until_ready(&self) -> Result<()> {
        let started = Instant::now();
        while !self.is_ready().await.unwrap_or(false) {
            if started.elapsed() > START_TIMEOUT {
                bail!("the server is not ready after {START_TIMEOUT:?}");
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        Ok(())
    }

    async fn is_ready(&self) -> Result<bool> {
        Ok(self.get("/readyz").await?.contains(" 200 "))
    }

    /// Returns the sum of a metric over its labels.
    pub(super) async fn metric(&self, name: &str) -> Result<f64> {
        let response = self.get("/metrics").await?;
        let lines = response
            .lines()
            .filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])));
        let values = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        Ok(values.sum())
    }

    async fn get(&self, path: &str) -> Result<String> {
        let mut stream = TcpStream::connect(&self.http_address).await?;
        stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await?;
        let mut response = String::new();
        stream.read_to_string(&mut response).await?;
        Ok(response)
    }
}
