//! Servers as separate processes, so that tests can kill them.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

/// Number of log lines kept per server.
const LOG_LINES: usize = 1000;

/// Environment variable that makes the binary under test behave as the next release.
pub const NEXT_RELEASE: &str = "PORTRAIT_UNDER_TEST_NEXT_RELEASE";

/// Release of a server process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// Current release.
    This,
    /// Next release, whose profiles the current one cannot read.
    Next,
}

/// Command of the binary under test, without environment variables that would configure it.
pub fn portrait_command() -> Command {
    let mut command = Command::new(binary());
    for (name, _) in
        std::env::vars().filter(|(name, _)| name.starts_with("PORTRAIT__") || name == "PORTRAIT_TOKEN")
    {
        command.env_remove(name);
    }
    command.env("NO_COLOR", "1");
    command
}

fn binary() -> PathBuf {
    let test = std::env::current_exe().expect("a running test has a path");
    let folder = test.ancestors().nth(2).expect("a test binary is in <profile>/deps");
    folder.join("portrait-under-test")
}

/// Process of `portrait serve`; killed when dropped.
pub struct Server {
    child: Child,
    grpc_url: String,
    http_url: String,
    /// Appended by the thread that reads stderr, read by tests.
    log: Arc<Mutex<VecDeque<String>>>,
}

impl Server {
    /// Starts a server with the store in `data` on free ports and waits until it is ready.
    ///
    /// # Panics
    /// If the process exits instead; the message contains its stderr.
    pub fn start(data: &Path, extra: &[&str]) -> Self {
        Self::try_start(data, extra).unwrap_or_else(|message| panic!("the server did not start: {message}"))
    }

    /// Starts a server as [`Self::start`] does.
    ///
    /// # Errors
    /// Exit status and stderr, if the process exits instead.
    pub fn try_start(data: &Path, extra: &[&str]) -> Result<Self, String> {
        Self::try_start_role("all", &format!("embedded:{}", data.display()), extra)
    }

    /// Starts one role with a store on free ports and waits until it listens.
    ///
    /// # Errors
    /// Exit status and stderr, if the process exits instead.
    pub fn try_start_role(role: &str, store: &str, extra: &[&str]) -> Result<Self, String> {
        Self::try_start_at(Release::This, "127.0.0.1:0", role, store, extra)
    }

    /// Starts one role of a release with its gRPC port at `listen`.
    ///
    /// # Errors
    /// Exit status and stderr, if the process exits instead.
    pub fn try_start_at(
        release: Release,
        listen: &str,
        role: &str,
        store: &str,
        extra: &[&str],
    ) -> Result<Self, String> {
        let mut child = portrait_command()
            .envs((release == Release::Next).then_some((NEXT_RELEASE, "1")))
            .args(["serve", role, "--listen", listen, "--http-listen", "127.0.0.1:0", "--store", store])
            .args(extra)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary under test is built with the tests");
        // Both pipes are drained from the start, because a full pipe would block the server.
        let log = Arc::new(Mutex::new(VecDeque::new()));
        let kept = Arc::clone(&log);
        let errors = child.stderr.take().expect("stderr is piped");
        let errors = BufReader::new(errors).split(b'\n').map_while(Result::ok);
        let recorder = std::thread::spawn(move || {
            errors.for_each(|line| record_line(&kept, String::from_utf8_lossy(&line).into()));
        });
        let mut lines = BufReader::new(child.stdout.take().expect("stdout is piped")).lines();
        let announcement = lines.by_ref().map_while(Result::ok).find_map(|line| parse_ready_line(&line));
        let Some((grpc_url, http_url)) = announcement else {
            let status = child.wait().expect("wait succeeds");
            recorder.join().expect("the recorder does not panic");
            let lines = log.lock().unwrap_or_else(PoisonError::into_inner);
            let message = lines.iter().map(String::as_str).collect::<Vec<_>>().join("\n");
            return Err(format!("{status}: {message}"));
        };
        std::thread::spawn(move || lines.for_each(drop));
        Ok(Self { child, grpc_url, http_url, log })
    }

    /// Newest lines of the log, at most [`LOG_LINES`].
    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// URL of the gRPC port, for example `http://127.0.0.1:50051`.
    pub fn grpc_url(&self) -> &str {
        &self.grpc_url
    }

    /// URL of the HTTP port.
    pub fn http_url(&self) -> &str {
        &self.http_url
    }

    /// Response to an HTTP GET request, head and body.
    ///
    /// # Panics
    /// If the server does not respond.
    pub fn http_get(&self, path: &str) -> String {
        let address = self.http_url.trim_start_matches("http://");
        let mut stream = TcpStream::connect(address).expect("HTTP listens");
        write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").expect("sent");
        let mut response = String::new();
        stream.read_to_string(&mut response).expect("a response");
        response
    }

    /// Sum of a metric over all labels; 0 if it is not exported yet.
    ///
    /// # Panics
    /// If the server does not respond.
    pub fn metric_total(&self, name: &str) -> f64 {
        let metrics = self.http_get("/metrics");
        let lines = metrics.lines().filter_map(|line| line.strip_prefix(name));
        lines.filter(|rest| rest.starts_with([' ', '{'])).filter_map(trailing_number).sum()
    }

    /// Process id of the server.
    pub fn pid(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(&self.child)
    }

    /// Resident memory, in bytes.
    ///
    /// # Panics
    /// If the process has exited.
    pub fn memory_bytes(&self) -> u64 {
        self.memory("VmRSS:")
    }

    /// Largest resident memory so far.
    ///
    /// # Panics
    /// If the process has exited.
    pub fn peak_memory_bytes(&self) -> u64 {
        self.memory("VmHWM:")
    }

    fn memory(&self, key: &str) -> u64 {
        let path = format!("/proc/{}/status", self.pid().as_raw_nonzero());
        let status = std::fs::read_to_string(path).expect("the process runs");
        let resident = status.lines().find_map(|line| line.strip_prefix(key));
        let kibibytes = resident.and_then(|text| text.trim().strip_suffix("kB"));
        kibibytes.and_then(|digits| digits.trim().parse::<u64>().ok()).expect("a process has memory") << 10
    }

    /// Kills the process with SIGKILL and waits until it has exited.
    pub fn kill(mut self) {
        self.kill_and_wait();
    }

    /// Suspends the process with SIGSTOP, as on a machine that hangs; [`Self::resume`] continues it.
    ///
    /// # Panics
    /// If the process has exited.
    pub fn suspend(&self) {
        rustix::process::kill_process(self.pid(), rustix::process::Signal::STOP).expect("the process runs");
    }

    /// Continues the process after [`Self::suspend`].
    ///
    /// # Panics
    /// If the process has exited.
    pub fn resume(&self) {
        rustix::process::kill_process(self.pid(), rustix::process::Signal::CONT).expect("the process runs");
    }

    /// Stops the process with SIGTERM and waits for its exit status.
    pub fn stop(mut self) -> std::process::ExitStatus {
        rustix::process::kill_process(self.pid(), rustix::process::Signal::TERM).expect("the process runs");
        self.child.wait().expect("wait succeeds")
    }

    /// Exit status, if the process has exited.
    pub fn exit_status(&mut self) -> Option<std::process::ExitStatus> {
        self.child.try_wait().expect("try_wait succeeds")
    }

    fn kill_and_wait(&mut self) {
        // The process may have exited already; then the kill fails.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill_and_wait();
    }
}

fn trailing_number(line: &str) -> Option<f64> {
    line.rsplit(' ').next()?.parse().ok()
}

/// gRPC and HTTP addresses in the line that announces that the server is ready.
fn parse_ready_line(line: &str) -> Option<(String, String)> {
    if let Ok(json) = serde_json::from_str::<serde_json::Value>(line) {
        let address = |port: &str| json["fields"][port].as_str().map(str::to_owned);
        return Some((address("grpc")?, address("http")?));
    }
    let rest = line.strip_prefix("ready: grpc ")?;
    let (grpc, http) = rest.split_once(", http ")?;
    Some((grpc.to_owned(), http.to_owned()))
}

/// Records a line of the log and echoes it to the output of the test.
fn record_line(log: &Mutex<VecDeque<String>>, line: String) {
    eprintln!("{line}");
    let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
    log.push_back(line);
    if log.len() > LOG_LINES {
        log.pop_front();
    }
}
