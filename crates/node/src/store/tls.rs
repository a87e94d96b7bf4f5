//! Certificates of the connections to Redis, from files that are read again when they change.

use super::StoreConfig;
use portrait_runtime::config::InvalidValue;
use portrait_runtime::files::{FileWatch, FileWatcher, WatchedFile};
use portrait_store_redis::{ClientIdentity, TlsMaterial, TlsProblem};

/// Files of the certificates.
struct RedisTlsFiles {
    authority: Option<WatchedFile>,
    /// Client certificate and its key.
    identity: Option<(WatchedFile, WatchedFile)>,
}

impl StoreConfig {
    /// Reads the certificates and returns a watcher for their files; none without files.
    ///
    /// # Errors
    /// If a file cannot be read or is invalid, or certificate and key are not given together or do not match.
    pub(super) fn watch_certificates(&self) -> Result<Option<FileWatch<TlsMaterial>>, InvalidValue> {
        let files = RedisTlsFiles::of(self)?;
        let watched = files.watched();
        if watched.is_empty() {
            return Ok(None);
        }
        FileWatcher::start(watched, move |contents, _| files.read(contents)).map(Some)
    }
}

impl RedisTlsFiles {
    fn of(config: &StoreConfig) -> Result<Self, InvalidValue> {
        let remedy = "name a file with the CA certificates of the Redis servers, in PEM";
        let authority =
            WatchedFile::new("store.certificate_authority", &config.certificate_authority, remedy);
        let remedy = "name a file with the client certificate for Redis, in PEM";
        let certificate = WatchedFile::new("store.certificate", &config.certificate, remedy);
        let remedy = "name a file with the private key of store.certificate, in PEM";
        let key = WatchedFile::new("store.key", &config.key, remedy);
        let identity = match (certificate, key) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            (Some(_), None) => return Err(missing("store.key", "store.certificate")),
            (None, Some(_)) => return Err(missing("store.certificate", "store.key")),
        };
        Ok(Self { authority, identity })
    }

    fn watched(&self) -> Vec<WatchedFile> {
        let identity = self.identity.iter().flat_map(|(certificate, key)| [certificate, key]);
        self.authority.iter().chain(identity).cloned().collect()
    }

    /// Builds the certificates from file contents, in the order of [`Self::watched`].
    fn read(&self, contents: &[Vec<u8>]) -> Result<TlsMaterial, InvalidValue> {
        let mut contents = contents.iter().map(Vec::as_slice);
        let mut next = || contents.next().unwrap_or_default();
        let authority = self.authority.as_ref().map(|_| next());
        let identity = self.identity.as_ref().map(|_| ClientIdentity { certificate: next(), key: next() });
        TlsMaterial::read(authority, identity).map_err(|problem| self.invalid(problem))
    }

    fn invalid(&self, problem: TlsProblem) -> InvalidValue {
        let identity = self.identity.as_ref();
        let (file, problem) = match problem {
            TlsProblem::Authority(problem) => (self.authority.as_ref(), problem),
            TlsProblem::Certificate(problem) => (identity.map(|(certificate, _)| certificate), problem),
            TlsProblem::Key(problem) => (identity.map(|(_, key)| key), problem),
        };
        match file {
            Some(file) => file.invalid(format_args!("which {problem}")),
            None => InvalidValue::new("store.certificate", problem, "name a file in PEM"),
        }
    }
}

fn missing(key: &'static str, other: &str) -> InvalidValue {
    InvalidValue::new(key, format!("is empty, and {other} is not"), "name both files, or neither")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn message(config: &StoreConfig) -> Option<String> {
        config.watch_certificates().err().map(|error| error.to_string())
    }

    #[test]
    fn an_invalid_certificate_names_its_key_and_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("written");
            path
        };
        let plain = StoreConfig::default;
        assert_eq!(message(&plain()), None);
        let empty = file("empty", "");
        let missing = PathBuf::from("/missing");
        let rows = [
            (
                StoreConfig { certificate: empty.clone(), ..plain() },
                vec!["store.key is empty", "store.certificate"],
            ),
            (StoreConfig { key: empty.clone(), ..plain() }, vec!["store.certificate is empty", "store.key"]),
            (
                StoreConfig { certificate_authority: empty.clone(), ..plain() },
                vec!["store.certificate_authority names", "empty", "no certificate"],
            ),
            (
                StoreConfig { certificate_authority: missing, ..plain() },
                vec!["store.certificate_authority names /missing", "cannot be read"],
            ),
            (
                StoreConfig { certificate: empty.clone(), key: empty, ..plain() },
                vec!["store.certificate names", "no certificate", "in PEM"],
            ),
        ];
        for (config, parts) in rows {
            let message = message(&config).expect("an error");
            assert!(parts.iter().all(|part| message.contains(part)), "{message}");
        }
    }
}
