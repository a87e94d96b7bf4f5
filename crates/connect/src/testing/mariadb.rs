//! MariaDB of a test.

use super::process::{PASSWORD, eventually, free_port, give_to, is_root, password_file, program, run};
use crate::databases::{ConnectOptions, Database, DatabaseUrl, Password};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// Server with a user `portrait`, its password, and a database `shop`. It is stopped when this is dropped.
pub struct MariaDb {
    child: Child,
    port: u16,
    password_file: PathBuf,
    _folder: TempDir,
}

impl MariaDb {
    /// Starts a server.
    ///
    /// # Panics
    /// If MariaDB is not installed or does not start.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts a server with more settings.
    pub async fn start_with(settings: &[String]) -> Self {
        let folder = tempfile::Builder::new().prefix("portrait-mariadb").tempdir().unwrap();
        let password_file = password_file(folder.path());
        let data = folder.path().join("data");
        std::fs::create_dir(&data).unwrap();
        give_to("mysql", folder.path());
        let sbin = [PathBuf::from("/usr/sbin"), PathBuf::from("/usr/bin")];
        let mut install = Command::new(program("mariadb-install-db", &sbin));
        install.args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"]);
        let mut server = Command::new(program("mariadbd", &sbin));
        let port = free_port();
        server.args(["--no-defaults", "--skip-networking=0", "--bind-address=127.0.0.1"]);
        server.args(["--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=256M"]);
        server.arg(format!("--port={port}"));
        server.arg(format!("--socket={}", folder.path().join("socket").display()));
        server.args(settings);
        for command in [&mut install, &mut server] {
            command.arg(format!("--datadir={}", data.display()));
            // Two servers that start at once would share files of /tmp.
            command.arg(format!("--tmpdir={}", data.display()));
            if is_root() {
                command.arg("--user=mysql");
            }
        }
        run(&mut install);
        let child = server.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let server = Self { child, port, password_file, _folder: folder };
        let mut root = eventually("MariaDB starts", || server.log_in("root", None, None)).await;
        let create = format!(
            "CREATE DATABASE shop; CREATE USER portrait@'%' IDENTIFIED BY '{PASSWORD}'; GRANT ALL ON *.* TO portrait@'%'"
        );
        for statement in create.split("; ") {
            root.query_drop(statement).await.unwrap();
        }
        server
    }

    async fn log_in(&self, user: &str, password: Option<&str>, database: Option<&str>) -> Option<Conn> {
        let options =
            OptsBuilder::default().ip_or_hostname("127.0.0.1").tcp_port(self.port).prefer_socket(false);
        Conn::new(options.user(Some(user)).pass(password).db_name(database)).await.ok()
    }

    /// Logs in as the tests' writer.
    pub async fn admin(&self) -> Conn {
        self.log_in("portrait", Some(PASSWORD), Some("shop")).await.unwrap()
    }

    /// Returns the port on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the password of the user `portrait`.
    pub fn password(&self) -> Password {
        Password::from_file(&self.password_file).unwrap()
    }

    /// Connects as a source does.
    pub async fn database(&self) -> Database {
        let url: DatabaseUrl = format!("mariadb://portrait@127.0.0.1:{}/shop", self.port).parse().unwrap();
        Database::connect(&url, Some(&self.password()), &ConnectOptions::default()).await.unwrap()
    }
}

impl Drop for MariaDb {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
