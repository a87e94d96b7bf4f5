//! Hashes page by page. In come a hash and where its server is, out go some of its fields and where the server goes on; cursors are
//! sealed, so that callers cannot depend on what they are.

use super::dialer::Request;
use super::keys::Slot;
use super::cluster::WriteConcern;
use super::reply::{self, ReplyFields};
use super::store::RedisStore;
use super::failure::UnexpectedReply;
use bytes::Bytes;
use portrait_store::{Error, Result, ScanCursor};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Some fields of a hash with their values, and where its server goes on; none after the last.
pub(super) type Scanned = (Vec<(Bytes, Bytes)>, Option<u64>);

impl RedisStore {
    /// What the server gives of a hash at its cursor, about so many fields.
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
        Ok((fields, Some(next).filter(|next| *next != 0)))
    }
}

/// What a caller is given to go on with.
pub(super) fn sealed(place: &impl Serialize) -> Result<ScanCursor> {
    let bytes = postcard::to_stdvec(place).map_err(Error::unavailable)?;
    Ok(ScanCursor(bytes.into()))
}

/// Where a caller goes on; the beginning without a cursor.
pub(super) fn opened<P: DeserializeOwned + Default>(cursor: Option<ScanCursor>) -> Result<P> {
    let Some(cursor) = cursor else { return Ok(P::default()) };
    postcard::from_bytes(&cursor.0).map_err(|error| Error::Damaged {
        detail: format!("a cursor of a scan that this store did not give: {error}"),
    })
}
