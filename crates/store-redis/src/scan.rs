//! Scans of hashes by page. Cursors are encoded, so that callers cannot depend on their contents.

use super::cluster::WriteConcern;
use super::dialer::Request;
use super::failure::UnexpectedReply;
use super::keys::Slot;
use super::reply::{self, ReplyFields};
use super::store::RedisStore;
use bytes::Bytes;
use portrait_store::{Error, Result, ScanCursor};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Fields of a hash with their values, and the cursor of the next page; none after the last.
pub(super) type Scanned = (Vec<(Bytes, Bytes)>, Option<u64>);

impl RedisStore {
    /// Returns about `about` fields of a hash from the server's cursor on.
    pub(super) async fn scan_hash(
        &self,
        slot: Slot,
        hash: &Bytes,
        server: u64,
        about: usize,
    ) -> Result<Scanned> {
        let mut command = redis::cmd("HSCAN");
        command.arg(&hash[..]).arg(server).arg("COUNT").arg(about);
        let reply = self.cluster.request(slot, &Request::Command(command), WriteConcern::Read).await?;
        let mut reply = ReplyFields::of(reply, "HSCAN")?;
        let next: u64 = reply.number()?;
        let mut fields = Vec::new();
        for (key, value) in reply::pairs(reply.value()?, "HSCAN")? {
            let key = reply::bytes(key, "HSCAN")?.ok_or(UnexpectedReply("HSCAN"))?;
            fields.push((key, reply::bytes(value, "HSCAN")?.ok_or(UnexpectedReply("HSCAN"))?));
        }
        // Redis ends a scan with cursor 0.
        Ok((fields, Some(next).filter(|next| *next != 0)))
    }
}

/// Encodes the cursor of a scan.
pub(super) fn encode_cursor(cursor: &impl Serialize) -> Result<ScanCursor> {
    let bytes = postcard::to_stdvec(cursor).map_err(Error::unavailable)?;
    Ok(ScanCursor(bytes.into()))
}

/// Decodes the cursor of a scan; without one, returns the beginning.
pub(super) fn decode_cursor<P: DeserializeOwned + Default>(cursor: Option<ScanCursor>) -> Result<P> {
    let Some(cursor) = cursor else { return Ok(P::default()) };
    postcard::from_bytes(&cursor.0).map_err(|error| Error::Damaged {
        detail: format!("cursor of a scan that this store did not return: {error}"),
    })
}
