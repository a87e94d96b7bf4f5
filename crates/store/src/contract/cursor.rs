//! Place where a scan goes on.

use bytes::Bytes;

/// Where a scan goes on; opaque to the caller, and valid for the life of the store's process only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanCursor(pub Bytes);
