//! Server in a process of its own, with a store in a temporary folder.

use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use tempfile::TempDir;

/// Running server.
pub(crate) struct Server {
    process: Child,
    folder: TempDir,
    /// First line of standard output.
    pub(crate) ready: String,
}

/// Returns the command without the variables of the environment that configure it.
pub(crate) fn portrait() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portrait"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().to_ascii_uppercase().starts_with("PORTRAIT") {
            command.env_remove(name);
        }
    }
    command
}

/// Runs the command to its end, in a folder of its own: a server without a store makes one in the current folder.
pub(crate) fn run(arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().expect("a folder");
    portrait().args(arguments).current_dir(folder.path()).output().expect("the binary runs")
}

/// Returns what a command wrote to standard error.
pub(crate) fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

impl Server {
    /// Starts a server on free ports with these further settings, and waits until it is ready.
    pub(crate) fn start(settings: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = format!("embedded:{}", folder.path().join("store").display());
        let mut command = portrait();
        command.args(["serve", "--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--store", &store]);
        command.args(["--set", "store.partitions=1", "--set", "store.reserve=1MiB"]);
        for setting in settings {
            command.args(["--set", setting]);
        }
        let mut process =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs");
        let mut ready = String::new();
        let output = process.stdout.as_mut().expect("piped");
        BufReader::new(output).read_line(&mut ready).expect("a line");
        if ready.is_empty() {
            let output = process.wait_with_output().expect("it has ended");
            panic!("the server does not start: {}", errors(&output));
        }
        Self { process, folder, ready: ready.trim_end().to_owned() }
    }

    /// Returns the part of the ready line after `name`, such as `grpc http://127.0.0.1:1234`.
    pub(crate) fn address(&self, name: &str) -> &str {
        let (_, rest) = self.ready.split_once(&format!("{name} ")).expect("the line for people");
        rest.split([',', ' ']).next().expect("an address")
    }

    /// Folder of the server.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Sends SIGTERM and returns what the server wrote to standard error.
    pub(crate) fn stop(mut self) -> String {
        kill_process(Pid::from_child(&self.process), Signal::TERM).expect("it runs");
        let mut log = String::new();
        self.process.stderr.take().expect("piped").read_to_string(&mut log).expect("text");
        assert!(self.process.wait().expect("it ends").success(), "{log}");
        log
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
