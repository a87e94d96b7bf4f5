//! Profiles of a partition, by key and page by page; its tombstones and its dead letters. Each request is bounded, so that the server is not
//! kept from others.

use super::dialer::Request;
use super::cluster::WriteConcern;
use super::reply::{self, ReplyFields};
use super::scan;
use super::store::RedisStore;
use super::failure::UnexpectedReply;
use bytes::Bytes;
use portrait_profile::{PartitionId, Pseudonym};
use portrait_store::backend::dead;
use portrait_store::{DeadLetter, LogSeq, ProfileKey, ProfilePage, Result, ScanCursor, TombstonePage};
use serde::{Deserialize, Serialize};

/// Profiles that one request asks for at most: of the largest there are, 2 MiB.
const PROFILES_PER_REQUEST: usize = 128;
/// Dead letters that one request asks for at most.
const DEAD_LETTERS_PER_REQUEST: usize = 64;

/// Where a scan goes on.
#[derive(Serialize, Deserialize)]
struct ProfileScanCursor {
    /// The server's; none after its last page.
    server: Option<u64>,
    /// Keys that the server gave beyond what a page may have.
    surplus: Vec<Bytes>,
}

impl Default for ProfileScanCursor {
    fn default() -> Self {
        Self { server: Some(0), surplus: Vec::new() }
    }
}

impl RedisStore {
    /// The profiles of `keys`, in their order.
    pub(super) async fn get_profiles(
        &self,
        partition: PartitionId,
        keys: &[ProfileKey],
    ) -> Result<Vec<Option<Bytes>>> {
        let tagged = self.keys.partition(partition);
        let hash = tagged.key("profiles");
        let parts = keys.chunks(PROFILES_PER_REQUEST).map(|part| {
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
        let (found, mut next) = match scan::opened(cursor)? {
            ProfileScanCursor { server: Some(server), surplus } if surplus.is_empty() => {
                self.scan_server(partition, server, most.min(PROFILES_PER_REQUEST)).await?
            }
            ProfileScanCursor { server, mut surplus } => {
                let rest = surplus.split_off(surplus.len().min(most).min(PROFILES_PER_REQUEST));
                let keys: Vec<ProfileKey> = surplus.into_iter().map(ProfileKey).collect();
                let values = self.get_profiles(partition, &keys).await?;
                // One that was deleted meanwhile may be left out.
                let found = keys.into_iter().zip(values).filter_map(|(key, value)| Some((key, value?)));
                (found.collect(), ProfileScanCursor { server, surplus: rest })
            }
        };
        let mut profiles = found;
        let surplus = profiles.split_off(profiles.len().min(most));
        next.surplus.extend(surplus.into_iter().map(|(key, _)| key.0));
        if next.server.is_none() && next.surplus.is_empty() {
            return Ok(ProfilePage { profiles, next: None });
        }
        Ok(ProfilePage { profiles, next: Some(scan::sealed(&next)?) })
    }

    /// Some tombstones from the cursor on, about `most`: there are few, and they are small.
    pub(super) async fn tombstone_page(
        &self,
        partition: PartitionId,
        cursor: Option<ScanCursor>,
        most: usize,
    ) -> Result<TombstonePage> {
        let tagged = self.keys.partition(partition);
        let hash = tagged.key("tombstones");
        let (found, next) = self.scan_hash(tagged.slot, &hash, scan::opened(cursor)?, most.max(1)).await?;
        let tombstone = |(key, value): (Bytes, Bytes)| {
            let bytes = key[..].try_into().map_err(|_| UnexpectedReply("HSCAN"))?;
            Ok((Pseudonym::new(bytes), value))
        };
        let tombstones = found.into_iter().map(tombstone).collect::<Result<_, UnexpectedReply>>()?;
        Ok(TombstonePage { tombstones, next: next.as_ref().map(scan::sealed).transpose()? })
    }

    /// What the server gives at its cursor; often more than asked for.
    async fn scan_server(
        &self,
        partition: PartitionId,
        server: u64,
        about: usize,
    ) -> Result<(Vec<(ProfileKey, Bytes)>, ProfileScanCursor)> {
        let tagged = self.keys.partition(partition);
        let (found, server) = self.scan_hash(tagged.slot, &tagged.key("profiles"), server, about).await?;
        let profiles = found.into_iter().map(|(key, value)| (ProfileKey(key), value)).collect();
        Ok((profiles, ProfileScanCursor { server, surplus: Vec::new() }))
    }

    /// Dead letters after `after`, oldest first.
    pub(super) async fn read_dead_letters(
        &self,
        partition: PartitionId,
        after: LogSeq,
        most: usize,
    ) -> Result<Vec<DeadLetter>> {
        let tagged = self.keys.partition(partition);
        let mut letters = Vec::new();
        let mut from = format!("{}-0", after.next());
        while letters.len() < most {
            let asked = (most - letters.len()).min(DEAD_LETTERS_PER_REQUEST);
            let mut command = redis::cmd("XRANGE");
            command.arg(&tagged.key("dead")[..]).arg(&from).arg("+").arg("COUNT").arg(asked);
            let reply = self.cluster.request(tagged.slot, &Request::Command(command), WriteConcern::Read).await?;
            let entries = reply::list(reply, "XRANGE")?;
            let count = entries.len();
            for entry in entries {
                let mut entry = ReplyFields::of(entry, "XRANGE")?;
                from = format!("({}", entry.text()?);
                let mut fields = ReplyFields::of(entry.value()?, "XRANGE")?;
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
