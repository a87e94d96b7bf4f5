//! Resume file: the token of the last handled response. A new token replaces the old one atomically, so that a crash leaves one or
//! the other.

use anyhow::{Context, Result, bail};
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::PathBuf;

/// Maximum size of a resume file. Tokens are far shorter, so a longer file is a different file and is not overwritten.
const TOKEN_BYTES_MAX: usize = 64 * 1024;

/// Resume file with its newest token.
#[derive(Debug)]
pub(super) struct ResumeFile {
    path: PathBuf,
    token: Vec<u8>,
    saved: bool,
}

impl ResumeFile {
    /// Reads the saved token; empty if the file does not exist.
    pub(super) fn open(path: PathBuf) -> Result<Self> {
        let token = match fs::read(&path) {
            Ok(token) => token,
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        if token.len() > TOKEN_BYTES_MAX {
            bail!("{} is no resume file: it has {} bytes; name another", path.display(), token.len());
        }
        Ok(Self { path, token, saved: true })
    }

    /// Returns the newest token; empty without one.
    pub(super) fn token(&self) -> &[u8] {
        &self.token
    }

    /// Notes a newer token, which [`Self::save`] writes.
    pub(super) fn note(&mut self, token: &[u8]) {
        // An empty token carries no position; the last one stays valid.
        if !token.is_empty() {
            self.token.clear();
            self.token.extend_from_slice(token);
            self.saved = false;
        }
    }

    /// Writes the newest token, if it is not saved.
    pub(super) fn save(&mut self) -> Result<()> {
        // An unchanged token is not written again: saves happen at every progress message.
        if self.saved {
            return Ok(());
        }
        let mut name = self.path.file_name().context("a resume file needs a name")?.to_owned();
        name.push(".new");
        // In the same directory: a rename across file systems is not atomic.
        let new = self.path.with_file_name(name);
        // Write, sync, rename: the rename must not become durable before the content.
        let write = || -> std::io::Result<()> {
            let mut file = File::create(&new)?;
            file.write_all(&self.token)?;
            file.sync_all()?;
            fs::rename(&new, &self.path)
        };
        write().with_context(|| format!("cannot write {}", self.path.display()))?;
        self.saved = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_back_and_a_foreign_file_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("token");
        let mut file = ResumeFile::open(path.clone()).expect("no file yet");
        assert_eq!(file.token(), b"");
        file.save().expect("nothing to save");
        assert!(!path.exists());
        file.note(b"one");
        file.note(b"");
        file.save().expect("saved");
        assert_eq!(ResumeFile::open(path.clone()).expect("it is there").token(), b"one");
        fs::write(&path, vec![0; TOKEN_BYTES_MAX + 1]).expect("written");
        assert!(ResumeFile::open(path).is_err());
        assert!(ResumeFile::open(folder.path().to_owned()).is_err(), "a folder is no file");
    }
}
