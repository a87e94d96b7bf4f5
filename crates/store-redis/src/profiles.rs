//! Lookups and scans of a partition's profiles, tombstones and dead letters. Requests are bounded, so that none blocks the server
//! for long.

use super::cluster::WriteConcern;
use super::dialer::Request;
use super::failure::UnexpectedReply;
use super::reply::{self, ReplyFields};
use super::scan;
use super::store::RedisStore;
use bytes::Bytes;
use portrait_profile::{PartitionId, Pseudonym};
use portrait_store::backend::dead;
use portrait_store::{DeadLetter, LogSeq, ProfileKey, ProfilePage, Result, ScanCursor, TombstonePage};
use serde::{Deserialize, Serialize};

/// Largest number of profiles in one request: 2 MiB of the largest profiles.
const PROFILES_PER_REQUEST: usize = 128;
/// Largest number of dead letters in one request.
const DEAD_LETTERS_PER_REQUEST: usize = 64;

/// Cursor of a scan of profiles.
#[derive(Serialize, Deserialize)]
struct ProfileScanCursor {
    /// Cursor of the server; none after its last page.
    server: Option<u64>,
    /// Keys that the server returned beyond the size of a page.
    surplus: Vec<Bytes>,
}

impl Default for ProfileScanCursor {
    fn default() -> Self {
        Self { server: Some(0), surplus: Vec::new() }
    }
}

impl RedisStore {
    /// Returns the profiles of `keys`, in their order.
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

    /// Returns a page of at most `max` profiles from the cursor on.
    pub(super) async fn scan_page(
        &self,
        partition: PartitionId,
        cursor: Option<ScanCursor>,
        max: usize,
    ) -> Result<ProfilePage> {
        let max = max.max(1);
        let (found, mut next) = match scan::decode_cursor(cursor)? {
            ProfileScanCursor { server: Some(server), surplus } if surplus.is_empty() => {
                self.scan_server(partition, server, max.min(PROFILES_PER_REQUEST)).await?
            }
            ProfileScanCursor { server, mut surplus } => {
                let rest = surplus.split_off(surplus.len().min(max).min(PROFILES_PER_REQUEST));
                let keys: Vec<ProfileKey> = surplus.into_iter().map(ProfileKey).collect();
                let values = self.get_profiles(partition, &keys).await?;
                // A profile that was deleted during the scan may be left out.
                let found = keys.into_iter().zip(values).filter_map(|(key, value)| Some((key, value?)));
                (found.collect(), ProfileScanCursor { server, surplus: rest })
            }
        };
        let mut profiles = found;
        // `HSCAN` returns whole buckets, and a small hash at once. The surplus goes into the cursor by key, since values may change.
        let surplus = profiles.split_off(profiles.len().min(max));
        next.surplus.extend(surplus.into_iter().map(|(key, _)| key.0));
        if next.server.is_none() && next.surplus.is_empty() {
            return Ok(ProfilePage { profiles, next: None });
        }
        Ok(ProfilePage { profiles, next: Some(scan::encode_cursor(&next)?) })
    }

    /// Returns the tombstones of `pseudonyms`, in their order.
    pub(super) async fn get_tombstones(
        &self,
        partition: PartitionId,
        pseudonyms: &[Pseudonym],
    ) -> Result<Vec<Option<Bytes>>> {
        // `HMGET` without a field is an error of the server.
        if pseudonyms.is_empty() {
            return Ok(Vec::new());
        }
        let tagged = self.keys.partition(partition);
        let fields = pseudonyms.iter().map(|pseudonym| &pseudonym.bytes()[..]);
        self.fields(tagged.slot, &tagged.key("tombstones"), fields).await
    }

    /// Returns a page of about `max` tombstones from the cursor on: they are few and small, so a surplus is returned too.
    pub(super) async fn tombstone_page(
        &self,
        partition: PartitionId,
        cursor: Option<ScanCursor>,
        max: usize,
    ) -> Result<TombstonePage> {
        let tagged = self.keys.partition(partition);
        let hash = tagged.key("tombstones");
        let (found, next) =
            self.scan_hash(tagged.slot, &hash, scan::decode_cursor(cursor)?, max.max(1)).await?;
        let mut tombstones = Vec::with_capacity(found.len());
        for (key, value) in found {
            let bytes = key[..].try_into().map_err(|_| UnexpectedReply("HSCAN"))?;
            tombstones.push((Pseudonym::new(bytes), value));
        }
        Ok(TombstonePage { tombstones, next: next.as_ref().map(scan::encode_cursor).transpose()? })
    }

    /// Returns the profiles at a cursor of the server; often more than `about`.
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

    /// Returns dead letters after `after`, oldest first.
    pub(super) async fn read_dead_letters(
        &self,
        partition: PartitionId,
        after: LogSeq,
        max: usize,
    ) -> Result<Vec<DeadLetter>> {
        let tagged = self.keys.partition(partition);
        let mut letters = Vec::new();
        let mut from = format!("{}-0", after.next());
        while letters.len() < max {
            let requested = (max - letters.len()).min(DEAD_LETTERS_PER_REQUEST);
            let mut command = redis::cmd("XRANGE");
            command.arg(&tagged.key("dead")[..]).arg(&from).arg("+").arg("COUNT").arg(requested);
            let reply =
                self.cluster.request(tagged.slot, &Request::Command(command), WriteConcern::Read).await?;
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
                // A position that was lost and assigned again may be stored behind newer ones.
                if letter.seq > after {
                    letters.push(letter);
                }
            }
            // A short reply is the end of the stream, which saves a last request for nothing.
            if count < requested {
                break;
            }
        }
        Ok(letters)
    }
}
