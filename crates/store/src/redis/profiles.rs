//! Profiles of a partition, by key and page by page; its tombstones and its dead letters. Each request is bounded, so that the server is not
//! kept from others.

use super::RedisStore;
use super::link::Request;
use super::nodes::How;
use super::reply::{self, Fields};
use super::trouble::Unexpected;
use crate::contract::{DeadLetter, ProfileKey, ProfilePage, ScanCursor, TombstonePage};
use crate::dead;
use crate::error::{Error, Result};
use crate::position::LogSeq;
use bytes::Bytes;
use portrait_profile::{PartitionId, Pseudonym};
use serde::{Deserialize, Serialize};

/// Profiles that one request asks for at most: of the largest there are, 2 MiB.
const PROFILES_A_REQUEST: usize = 128;
/// Dead letters that one request asks for at most.
const LETTERS_A_REQUEST: usize = 64;

/// Where a scan goes on.
#[derive(Default, Serialize, Deserialize)]
struct Cursor {
    /// The server's; none after its last page.
    server: Option<u64>,
    /// Keys that the server gave beyond what a page may have.
    surplus: Vec<Bytes>,
}

impl RedisStore {
    /// The profiles of `keys`, in their order.
    pub(super) async fn look_up_profiles(
        &self,
        partition: PartitionId,
        keys: &[ProfileKey],
    ) -> Result<Vec<Option<Bytes>>> {
        let tagged = self.keys.partition(partition);
        let hash = tagged.key("profiles");
        let parts = keys.chunks(PROFILES_A_REQUEST).map(|part| {
            let fields = part.iter().map(|key| &key.0[..]);
            self.fields(tagged.slot, &hash, fields)
        });
        Ok(futures::future::try_join_all(parts).await?.concat())
    }

    /// Some profiles from the cursor on, at most `most`.
    pub(super) async fn scan_page(
        &self,
        partition: PartitionId,
        cursor: Option<ScanCursor>,
        most: usize,
    ) -> Result<ProfilePage> {
        let most = most.max(1);
        let cursor = match cursor {
            None => Cursor { server: Some(0), surplus: Vec::new() },
            Some(cursor) => postcard::from_bytes(&cursor.0).map_err(|error| Error::Damaged {
                detail: format!("a cursor of a scan that this store did not give: {error}"),
            })?,
        };
        let (found, mut next) = match cursor {
            Cursor { server: Some(server), surplus } if surplus.is_empty() => {
                self.scan_server(partition, server, most.min(PROFILES_A_REQUEST)).await?
            }
            Cursor { server, mut surplus } => {
                let rest = surplus.split_off(surplus.len().min(most).min(PROFILES_A_REQUEST));
                let keys: Vec<ProfileKey> = surplus.into_iter().map(ProfileKey).collect();
                let values = self.look_up_profiles(partition, &keys).await?;
                // One that was deleted meanwhile may be left out.
                let found = keys.into_iter().zip(values).filter_map(|(key, value)| Some((key, value?)));
                (found.collect(), Cursor { server, surplus: rest })
            }
        };
        let mut profiles = found;
        let surplus = profiles.split_off(profiles.len().min(most));
        next.surplus.extend(surplus.into_iter().map(|(key, _)| key.0));
        if next.server.is_none() && next.surplus.is_empty() {
            return Ok(ProfilePage { profiles, next: None });
        }
        let next = postcard::to_stdvec(&next).map_err(Error::unavailable)?;
        Ok(ProfilePage { profiles, next: Some(ScanCursor(next.into())) })
    }

    /// Some tombstones from the cursor on, about `most`: there are few, and they are small.
    pub(super) async fn tombstone_page(
        &self,
        partition: PartitionId,
        cursor: Option<ScanCursor>,
        most: usize,
    ) -> Result<TombstonePage> {
        let server = match &cursor {
            None => 0,
            Some(cursor) => {
                let server = std::str::from_utf8(&cursor.0).ok().and_then(|server| server.parse().ok());
                server.ok_or(Unexpected("HSCAN"))?
            }
        };
        let (found, next) = self.scan_hash(partition, "tombstones", server, most.max(1)).await?;
        let tombstone = |(key, value): (Bytes, Bytes)| {
            let bytes = key[..].try_into().map_err(|_| Unexpected("HSCAN"))?;
            Ok((Pseudonym::new(bytes), value))
        };
        let tombstones = found.into_iter().map(tombstone).collect::<Result<_, Unexpected>>()?;
        let next = next.map(|next| ScanCursor(next.to_string().into()));
        Ok(TombstonePage { tombstones, next })
    }

    /// What the server gives at its cursor; often more than asked for.
    async fn scan_server(
        &self,
        partition: PartitionId,
        server: u64,
        about: usize,
    ) -> Result<(Vec<(ProfileKey, Bytes)>, Cursor)> {
        let (found, server) = self.scan_hash(partition, "profiles", server, about).await?;
        let profiles = found.into_iter().map(|(key, value)| (ProfileKey(key), value)).collect();
        Ok((profiles, Cursor { server, surplus: Vec::new() }))
    }

    /// Fields of a hash of a partition from the server's cursor on, about so many, and its next cursor.
    async fn scan_hash(
        &self,
        partition: PartitionId,
        name: &str,
        server: u64,
        about: usize,
    ) -> Result<(Vec<(Bytes, Bytes)>, Option<u64>)> {
        let tagged = self.keys.partition(partition);
        let mut command = redis::cmd("HSCAN");
        command.arg(&tagged.key(name)[..]).arg(server).arg("COUNT").arg(about);
        let reply = self.nodes.ask(tagged.slot, &Request::Command(command), How::Read).await?;
        let mut reply = Fields::of(reply, "HSCAN")?;
        let next: u64 = reply.number()?;
        let mut fields = Vec::new();
        for (key, value) in reply::pairs(reply.value()?, "HSCAN")? {
            let key = reply::bytes(key, "HSCAN")?.ok_or(Unexpected("HSCAN"))?;
            fields.push((key, reply::bytes(value, "HSCAN")?.ok_or(Unexpected("HSCAN"))?));
        }
        Ok((fields, Some(next).filter(|next| *next != 0)))
    }

    /// Dead letters after `after`, oldest first.
    pub(super) async fn read_letters(
        &self,
        partition: PartitionId,
        after: LogSeq,
        most: usize,
    ) -> Result<Vec<DeadLetter>> {
        let tagged = self.keys.partition(partition);
        let mut letters = Vec::new();
        let mut from = format!("{}-0", after.next());
        while letters.len() < most {
            let asked = (most - letters.len()).min(LETTERS_A_REQUEST);
            let mut command = redis::cmd("XRANGE");
            command.arg(&tagged.key("dead")[..]).arg(&from).arg("+").arg("COUNT").arg(asked);
            let reply = self.nodes.ask(tagged.slot, &Request::Command(command), How::Read).await?;
            let entries = reply::list(reply, "XRANGE")?;
            let count = entries.len();
            for entry in entries {
                let mut entry = Fields::of(entry, "XRANGE")?;
                from = format!("({}", entry.text()?);
                let mut fields = Fields::of(entry.value()?, "XRANGE")?;
                fields.value()?;
                let seq = fields.number()?;
                fields.value()?;
                let letter = dead::decode(seq, &fields.bytes()?.unwrap_or_default())?;
                // A place that was lost and given again may lie behind newer ones.
                if letter.seq > after {
                    letters.push(letter);
                }
            }
            if count < asked {
                break;
            }
        }
        Ok(letters)
    }
}
