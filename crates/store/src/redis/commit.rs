//! One step of a partition's owner as one call of a script.

use super::RedisStore;
use super::keys::Tagged;
use super::link::Request;
use super::nodes::How;
use super::partition::{fresh_nonce, token_text};
use super::reply::Fields;
use super::scripts::{self, Call};
use super::seen::additions;
use super::trouble::Unexpected;
use crate::contract::{Commit, Committed};
use crate::error::{Error, Result};
use crate::position::{CommitNo, FeedSeq};
use crate::{block, dead};
use bytes::Bytes;
use portrait_profile::PartitionId;
use std::collections::BTreeMap;

impl RedisStore {
    /// Does everything in `commit`, or nothing.
    pub(super) async fn do_commit(&self, partition: PartitionId, commit: Commit) -> Result<Committed> {
        let expected = commit.expected;
        let tagged = self.keys.partition(partition);
        let additions = additions(&commit.seen, self.layout.dedup_window);
        let call = self.commit_call(&tagged, commit, &additions);
        let reply = self.nodes.ask(tagged.slot, &Request::Call(call), How::Write).await?;
        let mut reply = Fields::of(reply, "a commit")?;
        reply.value()?;
        match reply.text()?.as_str() {
            "done" => {
                let committed =
                    Committed { commit_no: expected.next(), feed_end: FeedSeq::new(reply.number()?) };
                let mut remembered = self.remembered(partition).lock().await;
                for (window, ids) in &additions {
                    remembered.added(*window, ids, reply.number()?);
                }
                Ok(committed)
            }
            "fenced" => {
                self.forget_seen(partition).await;
                Err(Error::Fenced { partition, expected, current: CommitNo::new(reply.number()?) })
            }
            "crowded" => Err(Error::Full {
                detail: format!(
                    "partition {partition} has as many ids to remember as one window holds: it goes on with the next window; a \
                     store with more partitions or a shorter store.dedup_window has room"
                ),
            }),
            _ => Err(Unexpected("a commit").into()),
        }
    }

    fn commit_call(&self, tagged: &Tagged, commit: Commit, additions: &BTreeMap<u32, Vec<u8>>) -> Call {
        let mut keys: Vec<Bytes> = ["meta", "profiles", "changes", "dead", "windows", "tombstones"]
            .iter()
            .map(|name| tagged.key(name))
            .collect();
        keys.extend(additions.keys().map(|window| tagged.seen(*window)));
        let (written, deleted): (Vec<_>, Vec<_>) =
            commit.profiles.into_iter().partition(|(_, value)| value.is_some());
        let (raised, expired): (Vec<_>, Vec<_>) =
            commit.tombstones.into_iter().partition(|(_, value)| value.is_some());
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
            .number(commit.dead_letters.len())
            .number(counted.blocked)
            .number(raised.len() * 2)
            .number(expired.len());
        for (key, value) in written {
            call.push(key.0);
            call.push(value.unwrap_or_default());
        }
        deleted.into_iter().for_each(|(key, _)| call.push(key.0));
        for (pseudonym, value) in raised {
            call.push(Bytes::copy_from_slice(pseudonym.bytes()));
            call.push(value.unwrap_or_default());
        }
        expired.into_iter().for_each(|(pseudonym, _)| call.push(Bytes::copy_from_slice(pseudonym.bytes())));
        for letter in &commit.dead_letters {
            call.push(letter.seq.to_string());
            call.push(dead::encode(letter));
        }
        for (window, ids) in additions {
            call.push(window.to_string());
            call.push(ids.clone());
        }
        call
    }
}
