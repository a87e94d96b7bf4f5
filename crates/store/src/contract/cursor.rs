//! Cursor of a scan.

use bytes::Bytes;

/// Cursor of a scan. Opaque to the caller, and valid only while the store's process lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanCursor(pub Bytes);
