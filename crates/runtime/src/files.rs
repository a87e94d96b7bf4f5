//! Files that are followed. In come names of files and how a value is made of what they hold; out goes a watched value that is
//! made anew when their content changes. What cannot be read or makes no sense changes nothing: it is told once, and what was
//! made before goes on. No content of a file is ever told.

use crate::config::Invalid;
use ring::digest::{Context, Digest, SHA256};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// No certificate, key or list of tokens is as large.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A file that a key or a flag names.
#[derive(Clone, Debug)]
pub struct Named {
    /// What names it, as `server.tls_key` or `--ca`.
    pub key: &'static str,
    /// Where it is.
    pub path: PathBuf,
    /// What it must hold, as a person is told who named another.
    pub remedy: &'static str,
}

/// Makes a value of what the files hold, in their order, and of the value before.
type Make<T> = Box<dyn Fn(&[Vec<u8>], Option<&T>) -> Result<T, Invalid> + Send>;

/// Who looks, and what is seen.
pub(crate) type Followed<T> = (Follower<T>, watch::Receiver<T>);

/// Who looks whether the files have changed.
pub(crate) struct Follower<T> {
    files: Arc<Vec<Named>>,
    make: Make<T>,
    value: watch::Sender<T>,
    /// Of the content that was looked at last, whether something came of it or not.
    seen: Digest,
    /// What was told last of files that cannot be read, so that it is told once.
    told: Option<Invalid>,
}

impl Named {
    /// The file at `path`; none if that is empty.
    pub fn new(key: &'static str, path: &std::path::Path, remedy: &'static str) -> Option<Self> {
        (!path.as_os_str().is_empty()).then(|| Self { key, path: path.to_owned(), remedy })
    }

    /// What is wrong with the file.
    pub(crate) fn invalid(&self, problem: impl std::fmt::Display) -> Invalid {
        Invalid::new(self.key, format!("names {}, {problem}", self.path.display()), self.remedy)
    }

    /// What it holds.
    ///
    /// # Errors
    /// If it cannot be read or is far too large.
    pub(crate) fn read(&self) -> Result<Vec<u8>, Invalid> {
        let size = std::fs::metadata(&self.path).map(|found| found.len());
        if size.is_ok_and(|bytes| bytes > FILE_BYTES_MAX) {
            return Err(self.invalid(format_args!("which has more than {FILE_BYTES_MAX} bytes")));
        }
        std::fs::read(&self.path).map_err(|error| self.invalid(format_args!("which cannot be read: {error}")))
    }
}

impl<T: Send + Sync + 'static> Follower<T> {
    /// Reads the files for the first time.
    ///
    /// # Errors
    /// If one cannot be read, or nothing can be made of them.
    pub(crate) fn begin(
        files: Vec<Named>,
        make: impl Fn(&[Vec<u8>], Option<&T>) -> Result<T, Invalid> + Send + 'static,
    ) -> Result<Followed<T>, Invalid> {
        let contents = contents(&files)?;
        let (value, receiver) = watch::channel(make(&contents, None)?);
        let seen = digest(&contents);
        Ok((Self { files: Arc::new(files), make: Box::new(make), value, seen, told: None }, receiver))
    }

    /// Looks every so often, until `end`.
    pub(crate) async fn run(mut self, every: Duration, end: CancellationToken) {
        let following = async {
            loop {
                tokio::time::sleep(every).await;
                let files = Arc::clone(&self.files);
                // A disk that hangs holds up no call.
                if let Ok(found) = tokio::task::spawn_blocking(move || contents(&files)).await {
                    self.look(found);
                }
            }
        };
        end.run_until_cancelled(following).await;
    }

    fn look(&mut self, found: Result<Vec<Vec<u8>>, Invalid>) {
        let made = match found {
            Ok(contents) if digest(&contents).as_ref() == self.seen.as_ref() => return,
            Ok(contents) => {
                self.seen = digest(&contents);
                let before = self.value.borrow();
                (self.make)(&contents, Some(&before))
            }
            Err(error) => Err(error),
        };
        match made {
            Ok(value) => {
                self.told = None;
                self.value.send_replace(value);
                let files: Vec<&str> = self.files.iter().map(|file| file.key).collect();
                tracing::info!(files = files.join(", "), "files have changed and hold from now on");
            }
            Err(error) if self.told.as_ref() == Some(&error) => {}
            Err(error) => {
                tracing::error!(%error, "files have changed and are not taken: what they held before holds");
                self.told = Some(error);
            }
        }
    }
}

fn contents(files: &[Named]) -> Result<Vec<Vec<u8>>, Invalid> {
    files.iter().map(Named::read).collect()
}

fn digest(contents: &[Vec<u8>]) -> Digest {
    let mut context = Context::new(&SHA256);
    for content in contents {
        context.update(&content.len().to_le_bytes());
        context.update(content);
    }
    context.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_changes_is_taken_and_one_that_makes_no_sense_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("number");
        let file = Named { key: "test.number", path: path.clone(), remedy: "write a number" };
        let write = |text: &str| std::fs::write(&path, text).expect("written");
        let read = |contents: &[Vec<u8>], before: Option<&i64>| {
            let text = String::from_utf8_lossy(&contents[0]).into_owned();
            let number: i64 =
                text.parse().map_err(|_| Invalid::new("test.number", "is none", "write one"))?;
            Ok(number + before.copied().unwrap_or_default())
        };
        let begin = || Follower::begin(vec![file.clone()], read);
        let missing = begin().err().map(|error| error.to_string()).expect("there is no file");
        for part in ["test.number names", &path.display().to_string(), "cannot be read", "write a number"] {
            assert!(missing.contains(part), "{missing}");
        }
        write("1");
        let (mut follower, receiver) = begin().expect("a number");
        for (text, expected) in [("1", 1), ("10", 11), ("ten", 11), ("10", 21)] {
            write(text);
            follower.look(contents(&follower.files));
            assert_eq!(*receiver.borrow(), expected, "{text}");
        }
        std::fs::remove_file(&path).expect("removed");
        follower.look(contents(&follower.files));
        assert_eq!(*receiver.borrow(), 21);
        assert!(follower.told.is_some());
        let large = vec![b'1'; usize::try_from(FILE_BYTES_MAX).expect("small") + 1];
        std::fs::write(&path, large).expect("written");
        assert!(begin().err().is_some_and(|error| error.problem.contains("more than")));
    }
}
