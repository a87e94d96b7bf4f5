//! Certificates for TLS servers and their clients: a certificate authority, a server's for `localhost`, and clients'.

use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// Certificate authority and its certificates.
pub struct Certificates {
    folder: TempDir,
}

impl Certificates {
    /// Creates a certificate authority and a server's certificate.
    ///
    /// # Panics
    /// If `openssl` is not installed or fails.
    pub fn make() -> Self {
        let made = Self { folder: tempfile::tempdir().expect("a folder for certificates") };
        let key = ["-newkey", "rsa:2048", "-nodes", "-days", "2"];
        made.openssl(
            &["req", "-x509", "-subj", "/CN=signer", "-keyout", "signer.key", "-out", "signer.pem"],
            &key,
        );
        made.server("server");
        made
    }

    /// Creates a server's certificate, `NAME.pem`, and its key, `NAME.key`; replaces existing ones.
    ///
    /// # Panics
    /// If `openssl` fails.
    pub fn server(&self, name: &str) {
        self.signed(name, "localhost", &[NAMES, "extendedKeyUsage=serverAuth,clientAuth"]);
    }

    /// Creates a client's certificate, `NAME.pem`, and its key, `NAME.key`.
    ///
    /// # Panics
    /// If `openssl` fails.
    pub fn caller(&self, name: &str) {
        self.signed(name, name, &["extendedKeyUsage=clientAuth"]);
    }

    /// Creates a client's certificate that has expired.
    ///
    /// # Panics
    /// If `openssl` fails.
    pub fn expired_caller(&self, name: &str) {
        self.caller(name);
        let file = |end: &str| format!("{name}.{end}");
        std::fs::write(self.path("authority.cnf"), AUTHORITY).expect("the folder is there");
        std::fs::write(self.path("index.txt"), "").expect("the folder is there");
        let subject = format!("/CN={name}");
        self.openssl(&["req", "-new", "-subj", &subject, "-key", &file("key"), "-out", &file("csr")], &[]);
        let days = ["-startdate", "20200101000000Z", "-enddate", "20200201000000Z"];
        let what = ["ca", "-batch", "-notext", "-config", "authority.cnf", "-in", &file("csr")];
        self.openssl(&what, &[&days[..], &["-out", &file("pem")]].concat());
    }

    fn signed(&self, name: &str, subject: &str, extensions: &[&str]) {
        let (certificate, key) = (format!("{name}.pem"), format!("{name}.key"));
        let subject = format!("/CN={subject}");
        let what = ["req", "-x509", "-subj", &subject, "-keyout", &key, "-out", &certificate];
        let usual =
            ["-newkey", "rsa:2048", "-nodes", "-days", "2", "-CA", "signer.pem", "-CAkey", "signer.key"];
        let extensions = [&["basicConstraints=critical,CA:FALSE"], extensions].concat();
        let extensions: Vec<&str> = extensions.into_iter().flat_map(|one| ["-addext", one]).collect();
        self.openssl(&what, &[&usual[..], &extensions].concat());
    }

    /// Returns the authority's certificate in PEM.
    ///
    /// # Panics
    /// If the file was removed.
    pub fn signer(&self) -> Vec<u8> {
        std::fs::read(self.path("signer.pem")).expect("it was made")
    }

    /// Returns the settings of a server with these certificates.
    pub fn settings(&self) -> [(&'static str, String); 4] {
        let path = |name: &str| self.path(name).display().to_string();
        [
            ("tls-cert-file", path("server.pem")),
            ("tls-key-file", path("server.key")),
            ("tls-ca-cert-file", path("signer.pem")),
            ("tls-auth-clients", "no".to_owned()),
        ]
    }

    /// Returns the path of a file, such as `signer.pem`.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    /// Returns the folder of all files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn openssl(&self, what: &[&str], more: &[&str]) {
        let done = Command::new("openssl").args(what).args(more).current_dir(self.folder.path()).output();
        let done = done.unwrap_or_else(|error| {
            panic!("openssl cannot be started and this test needs it, apt-get install openssl: {error}")
        });
        assert!(done.status.success(), "openssl {what:?}: {}", String::from_utf8_lossy(&done.stderr));
    }
}

/// Names in a server's certificate.
const NAMES: &str = "subjectAltName=DNS:localhost,IP:127.0.0.1";

/// Configuration of the authority for certificates with a given period.
const AUTHORITY: &str = "[ca]
default_ca = signer
[signer]
database = index.txt
rand_serial = yes
new_certs_dir = .
certificate = signer.pem
private_key = signer.key
default_md = sha256
policy = names
x509_extensions = caller
[names]
commonName = supplied
[caller]
basicConstraints = critical,CA:FALSE
extendedKeyUsage = clientAuth
";
