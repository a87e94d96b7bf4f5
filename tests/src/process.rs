//! Servers as processes of their own, so that they can be killed.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

/// How many lines of a log are kept.
const LOG_LINES: usize = 1000;

/// The variable that makes the binary under test one of the next release.
pub const NEXT_RELEASE: &str = "PORTRAIT_UNDER_TEST_NEXT_RELEASE";

/// Of which release a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// This one.
    This,
    /// The one after it, whose profiles this one cannot read.
    Next,
}

/// The command line of `portrait`, without anything from this process's environment that would configure it.
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
    let folder = test.ancestors().nth(2).expect("a test lies in <profile>/deps");
    folder.join("portrait-under-test")
}

/// `portrait serve` as a process; killed when dropped.
pub struct Server {
    child: Child,
    grpc_url: String,
    http_url: String,
    /// Written as it says something, read by tests.
    log: Arc<Mutex<VecDeque<String>>>,
}

impl Server {
    /// Starts a server on `data` with free ports and waits until it is ready.
    ///
    /// # Panics
    /// If it ends instead; with what it wrote.
    pub fn start(data: &Path, extra: &[&str]) -> Self {
        Self::try_start(data, extra).unwrap_or_else(|said| panic!("the server did not start: {said}"))
    }

    /// As [`Self::start`]; gives what the process wrote if it ends instead.
    pub fn try_start(data: &Path, extra: &[&str]) -> Result<Self, String> {
        Self::try_start_role("all", &format!("embedded:{}", data.display()), extra)
    }

    /// Starts one role over a store on free ports, and waits until it listens.
    ///
    /// # Errors
    /// What the process wrote, if it ends instead.
    pub fn try_start_role(role: &str, store: &str, extra: &[&str]) -> Result<Self, String> {
        Self::try_start_at(Release::This, "127.0.0.1:0", role, store, extra)
    }

    /// As [`Self::try_start_role`], of a release and where its gRPC is to be at `listen`.
    ///
    /// # Errors
    /// What the process wrote, if it ends instead.
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
        let mut lines = BufReader::new(child.stdout.take().expect("stdout is piped")).lines();
        let announcement = lines.by_ref().map_while(Result::ok).find_map(|line| announced(&line));
        let mut errors = child.stderr.take().expect("stderr is piped");
        let Some((grpc_url, http_url)) = announcement else {
            let mut said = String::new();
            let _ = errors.read_to_string(&mut said);
            let status = child.wait().expect("a child can be waited for");
            return Err(format!("{status}: {said}"));
        };
        // Nobody may be stopped by a full pipe.
        let log = Arc::new(Mutex::new(VecDeque::new()));
        let kept = Arc::clone(&log);
        std::thread::spawn(move || lines.for_each(drop));
        let errors = BufReader::new(errors).split(b'\n').map_while(Result::ok);
        std::thread::spawn(move || {
            errors.for_each(|line| keep(&kept, String::from_utf8_lossy(&line).into()));
        });
        Ok(Self { child, grpc_url, http_url, log })
    }

    /// The newest lines of its log since it was ready, [`LOG_LINES`] at most.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// Where its gRPC is, as `http://127.0.0.1:50051`.
    pub fn grpc_url(&self) -> &str {
        &self.grpc_url
    }

    /// Where its HTTP is.
    pub fn http_url(&self) -> &str {
        &self.http_url
    }

    /// What it answers over HTTP, head and body.
    ///
    /// # Panics
    /// If it does not answer.
    pub fn http_get(&self, path: &str) -> String {
        let address = self.http_url.trim_start_matches("http://");
        let mut stream = TcpStream::connect(address).expect("HTTP listens");
        write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("answered");
        answer
    }

    /// What it has counted under `name`, over all labels; 0 for what it has not counted yet.
    ///
    /// # Panics
    /// If it does not answer.
    pub fn counted(&self, name: &str) -> f64 {
        let metrics = self.http_get("/metrics");
        let lines = metrics.lines().filter_map(|line| line.strip_prefix(name));
        lines.filter(|rest| rest.starts_with([' ', '{'])).filter_map(number_at_the_end).sum()
    }

    /// Which process it is.
    pub fn pid(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(&self.child)
    }

    /// The memory that it holds, in bytes.
    ///
    /// # Panics
    /// If it is gone.
    pub fn memory_bytes(&self) -> u64 {
        let path = format!("/proc/{}/status", self.pid().as_raw_nonzero());
        let status = std::fs::read_to_string(path).expect("the child is there");
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kibibytes = resident.and_then(|told| told.trim().strip_suffix("kB"));
        kibibytes.and_then(|digits| digits.trim().parse::<u64>().ok()).expect("a process has memory") << 10
    }

    /// Kills it with SIGKILL, as the loss of the process does, and waits until it is gone.
    pub fn kill(mut self) {
        self.end();
    }

    /// Stops it as a machine that hangs: it goes on later where it was, and knows nothing of the time between.
    ///
    /// # Panics
    /// If it is gone.
    pub fn hang(&self) {
        rustix::process::kill_process(self.pid(), rustix::process::Signal::STOP).expect("the child is there");
    }

    /// Lets it go on after [`Self::hang`].
    ///
    /// # Panics
    /// If it is gone.
    pub fn wake(&self) {
        rustix::process::kill_process(self.pid(), rustix::process::Signal::CONT).expect("the child is there");
    }

    /// Asks it with SIGTERM to stop and waits for its exit status.
    pub fn stop(mut self) -> std::process::ExitStatus {
        rustix::process::kill_process(self.pid(), rustix::process::Signal::TERM).expect("the child is there");
        self.child.wait().expect("a child can be waited for")
    }

    /// Its exit status, if it has ended by itself.
    pub fn ended(&mut self) -> Option<std::process::ExitStatus> {
        self.child.try_wait().expect("a child can be asked")
    }

    fn end(&mut self) {
        // It may have ended by itself; then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

fn number_at_the_end(line: &str) -> Option<f64> {
    line.rsplit(' ').next()?.parse().ok()
}

/// The addresses in the line that says that the server is ready.
fn announced(line: &str) -> Option<(String, String)> {
    let rest = line.strip_prefix("ready: grpc ")?;
    let (grpc, http) = rest.split_once(", http ")?;
    Some((grpc.to_owned(), http.to_owned()))
}

/// Adds a line to those that are kept, and shows it to whoever reads what the test said.
fn keep(log: &Mutex<VecDeque<String>>, line: String) {
    eprintln!("{line}");
    let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
    log.push_back(line);
    if log.len() > LOG_LINES {
        log.pop_front();
    }
}
