//! Opening of a file: detection of gzip, and the number of bytes that were read of it.

use super::error::ReadError;
use super::line::Text;
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Magic number of gzip files.
const GZIP: [u8; 2] = [0x1f, 0x8b];
const BUFFER_BYTES: usize = 256 << 10;

/// Opened file.
pub(super) struct Input {
    /// Text after decompression.
    pub(super) text: Text,
    /// Progress in bytes of the file, before decompression.
    pub(super) progress: FileProgress,
}

/// Progress of reading a file.
#[derive(Clone, Debug)]
pub(super) struct FileProgress {
    bytes_read: Arc<AtomicU64>,
    bytes_total: u64,
}

struct CountingReader<F> {
    file: F,
    bytes_read: Arc<AtomicU64>,
}

impl<F: Read> Read for CountingReader<F> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.bytes_read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

impl Input {
    /// Opens the file at `path`.
    ///
    /// # Errors
    /// [`ReadError::Open`].
    pub(super) fn open(path: &Path) -> Result<Self, ReadError> {
        let opened = File::open(path).and_then(|file| Ok((file.metadata()?.len(), file)));
        let (bytes_total, file) =
            opened.map_err(|source| ReadError::Open { path: path.to_owned(), source })?;
        Self::of(file, bytes_total, path)
    }

    /// Opens `file`, which yields `bytes_total` bytes; `path` is its name in messages.
    pub(super) fn of(
        file: impl Read + Send + 'static,
        bytes_total: u64,
        path: &Path,
    ) -> Result<Self, ReadError> {
        let bytes_read = Arc::new(AtomicU64::new(0));
        // The counter is below the decoder, so progress compares compressed bytes with the size of the file.
        let counting = CountingReader { file, bytes_read: Arc::clone(&bytes_read) };
        let mut raw = BufReader::with_capacity(BUFFER_BYTES, counting);
        let begin = raw.fill_buf().map_err(|source| ReadError::Open { path: path.to_owned(), source })?;
        let text: Text = if begin.starts_with(&GZIP) {
            Box::new(BufReader::with_capacity(BUFFER_BYTES, MultiGzDecoder::new(raw)))
        } else {
            Box::new(raw)
        };
        Ok(Self { text, progress: FileProgress { bytes_read, bytes_total } })
    }
}

impl FileProgress {
    /// Returns the number of bytes read so far.
    pub(super) fn bytes_read(&self) -> u64 {
        self.bytes_read.load(Ordering::Relaxed)
    }

    /// Returns the size of the file in bytes.
    pub(super) fn bytes_total(&self) -> u64 {
        self.bytes_total
    }
}
