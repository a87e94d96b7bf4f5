//! Certificates for servers that speak TLS: a signer and a server's, made when they are needed, for `localhost` alone.

use std::path::PathBuf;
use std::process::Command;
use tempfile::TempDir;

/// A signer and what it signed.
pub struct Certificates {
    folder: TempDir,
}

impl Certificates {
    /// Makes new ones.
    ///
    /// # Panics
    /// If `openssl` is not installed, or will not.
    pub fn make() -> Self {
        let made = Self { folder: tempfile::tempdir().expect("a folder for certificates") };
        let key = ["-newkey", "rsa:2048", "-nodes", "-days", "2"];
        made.openssl(
            &["req", "-x509", "-subj", "/CN=signer", "-keyout", "signer.key", "-out", "signer.pem"],
            &key,
        );
        made.openssl(
            &["req", "-x509", "-subj", "/CN=localhost", "-keyout", "server.key", "-out", "server.pem"],
            &[&key[..], &["-CA", "signer.pem", "-CAkey", "signer.key"], &NAMES].concat(),
        );
        made
    }

    /// The signer's certificate, in PEM.
    ///
    /// # Panics
    /// If somebody removed it.
    pub fn signer(&self) -> Vec<u8> {
        std::fs::read(self.path("signer.pem")).expect("it was made")
    }

    /// What a server is started with.
    pub fn settings(&self) -> [(&'static str, String); 4] {
        let path = |name: &str| self.path(name).display().to_string();
        [
            ("tls-cert-file", path("server.pem")),
            ("tls-key-file", path("server.key")),
            ("tls-ca-cert-file", path("signer.pem")),
            ("tls-auth-clients", "no".to_owned()),
        ]
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn openssl(&self, what: &[&str], more: &[&str]) {
        let done = Command::new("openssl").args(what).args(more).current_dir(self.folder.path()).output();
        let done = done.unwrap_or_else(|error| {
            panic!("openssl cannot be started and this test needs it, apt-get install openssl: {error}")
        });
        assert!(done.status.success(), "openssl {what:?}: {}", String::from_utf8_lossy(&done.stderr));
    }
}

/// What a server's certificate says beside its name.
const NAMES: [&str; 6] = [
    "-addext",
    "subjectAltName=DNS:localhost,IP:127.0.0.1",
    "-addext",
    "basicConstraints=critical,CA:FALSE",
    "-addext",
    "extendedKeyUsage=serverAuth",
];
