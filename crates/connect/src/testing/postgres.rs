//! PostgreSQL of a test.

use super::process::{PASSWORD, command_as, eventually, free_port, give_to, password_file, program, run};
use crate::databases::{ConnectOptions, Database, DatabaseUrl, Password, SourceError};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_postgres::{Client, Config, NoTls};

/// Server with a user `portrait` and its password. It is stopped when this is dropped.
pub struct Postgres {
    child: Child,
    port: u16,
    folder: TempDir,
    password_file: PathBuf,
}

/// Client that prepares tables and writes rows.
pub struct PostgresAdmin {
    client: Client,
    _driver: JoinSet<()>,
}

impl std::ops::Deref for PostgresAdmin {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl PostgresAdmin {
    /// Runs statements.
    ///
    /// # Panics
    /// If one fails.
    pub async fn run(&self, sql: &str) {
        self.client.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }
}

impl Postgres {
    /// Starts a server.
    ///
    /// # Panics
    /// If PostgreSQL is not installed or does not start.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts a server with more settings.
    ///
    /// # Panics
    /// As [`Self::start`].
    pub async fn start_with(settings: &[&str]) -> Self {
        let folder = tempfile::Builder::new().prefix("portrait-postgres").tempdir().unwrap();
        let password_file = password_file(folder.path());
        give_to("postgres", folder.path());
        let mut bins: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
            .map(|found| found.filter_map(|version| Some(version.ok()?.path().join("bin"))).collect())
            .unwrap_or_default();
        bins.sort();
        bins.reverse();
        let data = folder.path().join("data");
        let mut initdb = command_as("postgres", &program("initdb", &bins));
        initdb.arg("-D").arg(&data).args(["-U", "portrait", "-A", "scram-sha-256", "-E", "UTF8", "-N"]);
        // The file has a second line, which initdb ignores as we do.
        run(initdb.args(["--locale", "C.UTF-8"]).arg("--pwfile").arg(&password_file));
        let port = free_port();
        let mut server = command_as("postgres", &program("postgres", &bins));
        server.arg("-D").arg(&data).arg("-k").arg(folder.path()).args(["-p", &port.to_string()]);
        server.args(["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "wal_level=logical"]);
        for setting in settings {
            server.args(["-c", setting]);
        }
        let child = server.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let server = Self { child, port, folder, password_file };
        eventually("PostgreSQL starts", || async { server.try_admin().await }).await;
        server
    }

    /// Logs in as the tests' writer.
    ///
    /// # Panics
    /// If the server does not answer.
    pub async fn admin(&self) -> PostgresAdmin {
        self.try_admin().await.unwrap()
    }

    async fn try_admin(&self) -> Option<PostgresAdmin> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await.ok()?;
        let (client, connection) = Config::new()
            .user("portrait")
            .password(PASSWORD)
            .dbname("postgres")
            .connect_raw(stream, NoTls)
            .await
            .ok()?;
        let mut driver = JoinSet::new();
        driver.spawn(async move {
            let _ = connection.await;
        });
        Some(PostgresAdmin { client, _driver: driver })
    }

    /// Returns the address of its database.
    pub fn url(&self) -> DatabaseUrl {
        format!("postgres://portrait@127.0.0.1:{}/postgres", self.port).parse().unwrap()
    }

    /// Returns the port on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the folder of its files.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Returns the password of the user `portrait`.
    pub fn password(&self) -> Password {
        Password::from_file(&self.password_file).unwrap()
    }

    /// Connects as a source does.
    pub async fn database(&self) -> Database {
        self.connect(&self.url(), &ConnectOptions::default()).await.unwrap()
    }

    /// Connects with these rules.
    ///
    /// # Errors
    /// As [`Database::connect`].
    pub async fn connect(
        &self,
        url: &DatabaseUrl,
        options: &ConnectOptions,
    ) -> Result<Database, SourceError> {
        Database::connect(url, Some(&self.password()), options).await
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // The first process ends the others on SIGQUIT; on SIGKILL it could not.
        let _ = Command::new("kill").args(["-QUIT", &self.child.id().to_string()]).status();
        let _ = self.child.wait();
    }
}
