//! Messages of abusive clients.

use anyhow::Result;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;
use std::time::Duration;

/// Interval of the slow bytes and of the oversized messages.
pub(super) const SLOW_WRITE_INTERVAL: Duration = Duration::from_millis(100);
/// Length in the header of the other oversized message.
const ANNOUNCED_BYTES: u32 = 1 << 30;

/// Header and first byte of a message whose rest never comes.
pub(super) fn announced_message() -> Bytes {
    [&[0], &ANNOUNCED_BYTES.to_be_bytes()[..], b"x"].concat().into()
}

/// Small message that decompresses to `bytes` bytes, `content` again and again.
pub(super) fn compressed_message(content: &[u8], bytes: usize) -> Result<Bytes> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    let block = content.repeat((1 << 20) / content.len());
    for _ in 0..bytes / block.len() {
        packed.write_all(&block)?;
    }
    let packed = packed.finish()?;
    Ok([&[1], &u32::try_from(packed.len())?.to_be_bytes()[..], &packed].concat().into())
}
