//! One step of a partition's owner as one call of a script, and the windows of remembered ids that it writes to: ids lie in
//! buckets, each bucket one string of seven bytes an id, so that an id costs little more than that.

use super::RedisStore;
use super::keys::Tagged;
use super::link::Request;
use super::nodes::How;
use super::partition::{fresh_nonce, token_text};
use super::reply::Fields;
use super::scripts::{self, Call};
use super::trouble::Unexpected;
use crate::contract::{Commit, Committed, SeenQuery};
use crate::error::{Error, Result};
use crate::position::{CommitNo, FeedSeq};
use crate::{block, dead};
use bytes::Bytes;
use portrait_profile::{PartitionId, SeenId, Span, Timestamp};
use std::collections::BTreeMap;

/// How many bits of an id name its bucket; a part of the format.
const BUCKET_BITS: u32 = 12;
/// How many bits of an id are not kept in its bucket's string; the bucket's name has them.
const DROPPED_BITS: u32 = 7;
/// Ids that one call looks up at most.
const SEEN_A_CALL: usize = 512;

/// The number of the window of a moment.
pub(super) fn window(at: Timestamp, length: Span) -> u32 {
    u32::try_from((at.millis() / length.millis().max(1)).max(0)).unwrap_or(u32::MAX)
}

/// The name of the bucket that an id is in.
fn bucket(id: SeenId) -> [u8; 2] {
    let number = id.get() & ((1 << BUCKET_BITS) - 1);
    [(number >> 8) as u8, number as u8]
}

/// What is kept of an id in its bucket.
fn kept(id: SeenId) -> [u8; 7] {
    let mut bytes = [0; 7];
    bytes.copy_from_slice(&(id.get() >> DROPPED_BITS).to_be_bytes()[1..]);
    bytes
}

impl RedisStore {
    /// Does everything in `commit`, or nothing.
    pub(super) async fn do_commit(&self, partition: PartitionId, commit: Commit) -> Result<Committed> {
        let expected = commit.expected;
        let tagged = self.keys.partition(partition);
        let call = self.commit_call(&tagged, commit);
        let reply = self.nodes.ask(tagged.slot, &Request::Call(call), How::Write).await?;
        let mut reply = Fields::of(reply, "a commit")?;
        reply.value()?;
        match reply.text()?.as_str() {
            "done" => Ok(Committed { commit_no: expected.next(), feed_end: FeedSeq::new(reply.number()?) }),
            "fenced" => Err(Error::Fenced { partition, expected, current: CommitNo::new(reply.number()?) }),
            _ => Err(Unexpected("a commit").into()),
        }
    }

    fn commit_call(&self, tagged: &Tagged, commit: Commit) -> Call {
        let windows = self.by_window_and_bucket(&commit.seen);
        let mut keys: Vec<Bytes> =
            ["meta", "profiles", "changes", "dead", "windows"].iter().map(|name| tagged.key(name)).collect();
        keys.extend(windows.keys().map(|window| tagged.seen(*window)));
        let (written, deleted): (Vec<_>, Vec<_>) =
            commit.profiles.into_iter().partition(|(_, value)| value.is_some());
        let counted = commit.counted;
        let changes =
            if commit.changes.is_empty() { Bytes::new() } else { block::encode(commit.at, &commit.changes) };
        // One more sign than the note, since an empty note is one too.
        let note = commit.note.map_or(Bytes::new(), |note| [b"=", &note[..]].concat().into());
        let mut call = Call::new(&scripts::COMMIT, keys)
            .arg(fresh_nonce())
            .arg(tagged.bell())
            .arg(token_text(commit.token))
            .number(commit.expected)
            .number(commit.expected.next())
            .number(commit.applied_through)
            .number(commit.clock.millis())
            .number(counted.applied)
            .number(counted.duplicates)
            .number(counted.dead_letters)
            .number(counted.late)
            .number(commit.changes.len())
            .arg(changes)
            .number(self.limits.dead_letters)
            .arg(note)
            .number(written.len() * 2)
            .number(deleted.len())
            .number(commit.dead_letters.len());
        for (key, value) in written {
            call.push(key.0);
            call.push(value.unwrap_or_default());
        }
        deleted.into_iter().for_each(|(key, _)| call.push(key.0));
        for letter in &commit.dead_letters {
            call.push(letter.seq.to_string());
            call.push(dead::encode(letter));
        }
        for (window, buckets) in windows {
            call.push(window.to_string());
            // Ids of one bucket stand together: the script joins them.
            let ids =
                buckets.iter().flat_map(|(bucket, ids)| ids.iter().map(move |id| [&bucket[..], id].concat()));
            call.push(ids.flatten().collect::<Vec<u8>>());
        }
        call
    }

    fn by_window_and_bucket(&self, seen: &[SeenQuery]) -> BTreeMap<u32, BTreeMap<[u8; 2], Vec<[u8; 7]>>> {
        let mut windows: BTreeMap<u32, BTreeMap<[u8; 2], Vec<[u8; 7]>>> = BTreeMap::new();
        for query in seen {
            let window = window(query.arrived_at, self.layout.dedup_window);
            windows.entry(window).or_default().entry(bucket(query.id)).or_default().push(kept(query.id));
        }
        windows
    }

    /// Which of `queries` are remembered, in their window or the one before.
    pub(super) async fn look_up_seen(
        &self,
        partition: PartitionId,
        queries: &[SeenQuery],
    ) -> Result<Vec<bool>> {
        let tagged = self.keys.partition(partition);
        let parts = queries.chunks(SEEN_A_CALL).map(|part| self.look_up_part(&tagged, part));
        Ok(futures::future::try_join_all(parts).await?.concat())
    }

    async fn look_up_part(&self, tagged: &Tagged, queries: &[SeenQuery]) -> Result<Vec<bool>> {
        let mut windows: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        for (index, query) in queries.iter().enumerate() {
            let window = window(query.arrived_at, self.layout.dedup_window);
            windows.entry(window).or_default().push(index);
            if let Some(before) = window.checked_sub(1) {
                windows.entry(before).or_default().push(index);
            }
        }
        let keys = windows.keys().map(|window| tagged.seen(*window)).collect();
        let mut call = Call::new(&scripts::SEEN, keys);
        for indices in windows.values() {
            let mut asked = Vec::with_capacity(indices.len() * 9);
            for index in indices {
                asked.extend_from_slice(&bucket(queries[*index].id));
                asked.extend_from_slice(&kept(queries[*index].id));
            }
            call.push(asked);
        }
        let reply = self.nodes.ask(tagged.slot, &Request::Call(call), How::Read).await?;
        let answers = super::reply::text(&reply).ok_or(Unexpected("a look-up of ids"))?.as_bytes();
        let mut found = vec![false; queries.len()];
        for (answer, index) in answers.iter().zip(windows.values().flatten()) {
            found[*index] |= *answer == b'1';
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_and_kept_bytes_have_the_whole_id() {
        const { assert!(BUCKET_BITS >= DROPPED_BITS) };
        for number in [0, 1, 127, 128, 0x0FFF, 0x7FFF_FFFF_FFFF_FFFF, 0x1234_5678_9ABC_DEF0] {
            let id = SeenId::from_bits(number);
            let low = u64::from(u16::from_be_bytes(bucket(id)));
            let high = kept(id).iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
            assert_eq!(high << DROPPED_BITS | low & ((1 << DROPPED_BITS) - 1), id.get());
        }
    }
}
