//! Watched files: a value built from file contents and rebuilt when the contents change. If a file becomes unreadable or
//! invalid, the error is logged once and the previous value stays in effect. File contents are never logged.

use crate::config::InvalidValue;
use ring::digest::{Context, Digest, SHA256};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Maximum size of a file. Certificates, keys and a full list of tokens are far smaller.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// File named by a configuration key or a flag.
#[derive(Clone, Debug)]
pub struct WatchedFile {
    /// Key or flag that names the file, such as `server.tls_key` or `--ca`.
    pub key: &'static str,
    /// Path of the file.
    pub path: PathBuf,
    /// Remedy of errors: the expected content, as an imperative.
    pub remedy: &'static str,
}

/// Builds a value from the contents of the files, in their order, and the previous value.
type Build<T> = Box<dyn Fn(&[Vec<u8>], Option<&T>) -> Result<T, InvalidValue> + Send>;

/// Watcher of files with the receiver of their value.
pub type FileWatch<T> = (FileWatcher<T>, watch::Receiver<T>);

/// Task that polls files for changes.
pub struct FileWatcher<T> {
    files: Arc<Vec<WatchedFile>>,
    build: Build<T>,
    value: watch::Sender<T>,
    /// Digest of the contents polled last, valid or not.
    seen: Digest,
    /// Error logged last, so that each is logged once.
    reported: Option<InvalidValue>,
}

impl WatchedFile {
    /// Creates a reference to the file at `path`; `None` if the path is empty.
    pub fn new(key: &'static str, path: &std::path::Path, remedy: &'static str) -> Option<Self> {
        (!path.as_os_str().is_empty()).then(|| Self { key, path: path.to_owned(), remedy })
    }

    /// Creates the error for a problem with this file.
    pub fn invalid(&self, problem: impl std::fmt::Display) -> InvalidValue {
        InvalidValue::new(self.key, format!("names {}, {problem}", self.path.display()), self.remedy)
    }

    /// Reads the content.
    ///
    /// # Errors
    /// If the file cannot be read or exceeds [`FILE_BYTES_MAX`].
    pub(crate) fn read(&self) -> Result<Vec<u8>, InvalidValue> {
        // Checked before reading: a wrong path may name a huge file.
        let size = std::fs::metadata(&self.path).map(|metadata| metadata.len());
        if size.is_ok_and(|bytes| bytes > FILE_BYTES_MAX) {
            return Err(self.invalid(format_args!("which has more than {FILE_BYTES_MAX} bytes")));
        }
        std::fs::read(&self.path).map_err(|error| self.invalid(format_args!("which cannot be read: {error}")))
    }
}

impl<T: Send + Sync + 'static> FileWatcher<T> {
    /// Reads the files and builds the first value.
    ///
    /// # Errors
    /// If a file cannot be read or its content is invalid.
    pub fn start(
        files: Vec<WatchedFile>,
        build: impl Fn(&[Vec<u8>], Option<&T>) -> Result<T, InvalidValue> + Send + 'static,
    ) -> Result<FileWatch<T>, InvalidValue> {
        let contents = contents(&files)?;
        let (value, receiver) = watch::channel(build(&contents, None)?);
        let seen = digest(&contents);
        Ok((Self { files: Arc::new(files), build: Box::new(build), value, seen, reported: None }, receiver))
    }

    /// Polls the files at this interval until `end` is cancelled.
    pub async fn run(mut self, interval: Duration, end: CancellationToken) {
        let polling = async {
            loop {
                tokio::time::sleep(interval).await;
                let files = Arc::clone(&self.files);
                // Blocking I/O: a hanging disk must not block the async threads.
                if let Ok(contents) = tokio::task::spawn_blocking(move || contents(&files)).await {
                    self.poll(contents);
                }
            }
        };
        end.run_until_cancelled(polling).await;
    }

    fn poll(&mut self, contents: Result<Vec<Vec<u8>>, InvalidValue>) {
        let value = match contents {
            // Digests are compared, not modification times: mounted Secrets are replaced through symbolic links.
            Ok(contents) if digest(&contents).as_ref() == self.seen.as_ref() => return,
            Ok(contents) => {
                self.seen = digest(&contents);
                let before = self.value.borrow();
                (self.build)(&contents, Some(&before))
            }
            Err(error) => Err(error),
        };
        match value {
            Ok(value) => {
                self.reported = None;
                self.value.send_replace(value);
                let files: Vec<&str> = self.files.iter().map(|file| file.key).collect();
                tracing::info!(files = files.join(", "), "files reloaded");
            }
            // The same error at every poll would flood the log.
            Err(error) if self.reported.as_ref() == Some(&error) => {}
            Err(error) => {
                tracing::error!(%error, "files changed but are invalid; previous contents stay in effect");
                self.reported = Some(error);
            }
        }
    }
}

fn contents(files: &[WatchedFile]) -> Result<Vec<Vec<u8>>, InvalidValue> {
    files.iter().map(WatchedFile::read).collect()
}

fn digest(contents: &[Vec<u8>]) -> Digest {
    let mut context = Context::new(&SHA256);
    for content in contents {
        // The length separates the files: moving bytes from one file to the next changes the digest.
        context.update(&content.len().to_le_bytes());
        context.update(content);
    }
    context.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_file_is_reloaded_and_an_invalid_one_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("number");
        let file = WatchedFile { key: "test.number", path: path.clone(), remedy: "write a number" };
        let write = |text: &str| std::fs::write(&path, text).expect("written");
        let read = |contents: &[Vec<u8>], before: Option<&i64>| {
            let text = String::from_utf8_lossy(&contents[0]).into_owned();
            let number: i64 =
                text.parse().map_err(|_| InvalidValue::new("test.number", "is none", "write one"))?;
            Ok(number + before.copied().unwrap_or_default())
        };
        let start = || FileWatcher::start(vec![file.clone()], read);
        let missing = start().err().map(|error| error.to_string()).expect("the file is missing");
        for part in ["test.number names", &path.display().to_string(), "cannot be read", "write a number"] {
            assert!(missing.contains(part), "{missing}");
        }
        write("1");
        let (mut watcher, receiver) = start().expect("a number");
        for (text, expected) in [("1", 1), ("10", 11), ("ten", 11), ("10", 21)] {
            write(text);
            watcher.poll(contents(&watcher.files));
            assert_eq!(*receiver.borrow(), expected, "{text}");
        }
        std::fs::remove_file(&path).expect("removed");
        watcher.poll(contents(&watcher.files));
        assert_eq!(*receiver.borrow(), 21);
        assert!(watcher.reported.is_some());
        let large = vec![b'1'; usize::try_from(FILE_BYTES_MAX).expect("small") + 1];
        std::fs::write(&path, large).expect("written");
        assert!(start().err().is_some_and(|error| error.problem.contains("more than")));
    }
}
