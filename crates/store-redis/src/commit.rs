//! Commits: each is one call of a script.

use super::cluster::WriteConcern;
use super::commit_arguments::CommitArguments;
use super::dialer::Request;
use super::failure::UnexpectedReply;
use super::keys::TaggedKeys;
use super::partition::{fresh_nonce, token_text};
use super::reply::ReplyFields;
use super::scripts::{self, ScriptCall};
use super::seen_cache::additions;
use super::store::RedisStore;
use bytes::Bytes;
use portrait_profile::PartitionId;
use portrait_store::backend::seen_sets::SeenSet;
use portrait_store::backend::{block, dead};
use portrait_store::{Commit, CommitNo, Committed, Error, FeedSeq, Result};
use std::collections::BTreeMap;

impl RedisStore {
    /// Applies everything in `commit`, or nothing.
    pub(super) async fn do_commit(&self, partition: PartitionId, commit: Commit) -> Result<Committed> {
        let expected = commit.expected;
        let tagged = self.keys.partition(partition);
        let additions = additions(&commit.seen, self.layout.dedup_window);
        let call = self.commit_call(&tagged, commit, &additions);
        let reply =
            self.cluster.request(tagged.slot, &Request::Call(call), WriteConcern::Acknowledged).await?;
        let mut reply = ReplyFields::of(reply, "a commit")?;
        // The first value is the incarnation, which the connection has read already.
        reply.value()?;
        match reply.text()?.as_str() {
            "done" => {
                let committed =
                    Committed { commit_no: expected.next(), feed_end: FeedSeq::new(reply.number()?) };
                let mut cache = self.seen_cache(partition).lock().await;
                for (set, ids) in &additions {
                    cache.added(*set, ids, reply.number()?);
                }
                Ok(committed)
            }
            "fenced" => {
                // The new owner adds ids that this process does not see, so its cache is no longer complete.
                self.forget_seen(partition).await;
                Err(Error::Fenced { partition, expected, current: CommitNo::new(reply.number()?) })
            }
            "crowded" => Err(Error::Full {
                detail: format!(
                    "the de-duplication window of partition {partition} is full: commits resume with the next window; use more \
                     partitions or a shorter store.dedup_window"
                ),
            }),
            _ => Err(UnexpectedReply("a commit").into()),
        }
    }

    fn commit_call(
        &self,
        tagged: &TaggedKeys,
        commit: Commit,
        additions: &BTreeMap<SeenSet, Vec<u8>>,
    ) -> ScriptCall {
        let keys = commit_keys(tagged, additions);
        let (written, deleted): (Vec<_>, Vec<_>) =
            commit.profiles.into_iter().partition(|(_, value)| value.is_some());
        let (tombstones, expired): (Vec<_>, Vec<_>) =
            commit.tombstones.into_iter().partition(|(_, value)| value.is_some());
        let counted = commit.counted;
        let changes =
            if commit.changes.is_empty() { Bytes::new() } else { block::encode(commit.at, &commit.changes) };
        // Prefixed by one byte, to tell an empty note from none.
        let note = commit.note.map_or(Bytes::new(), |note| [b"=", &note[..]].concat().into());
        let arguments = CommitArguments {
            fresh_nonce: fresh_nonce().into(),
            channel: tagged.channel(),
            owner_token: token_text(commit.token).into(),
            expected_commit_no: number(commit.expected),
            next_commit_no: number(commit.expected.next()),
            applied_through: number(commit.applied_through),
            clock: number(commit.clock.millis()),
            more_applied: number(counted.applied),
            more_duplicates: number(counted.duplicates),
            more_dead: number(counted.dead_letters),
            more_late: number(counted.late),
            more_blocked: number(counted.blocked),
            more_sourced: number(counted.sourced),
            change_count: number(commit.changes.len()),
            change_block: changes,
            letters_kept: number(self.limits.dead_letters),
            note,
            profile_values: number(written.len() * 2),
            deletion_count: number(deleted.len()),
            tombstone_values: number(tombstones.len() * 2),
            expired_count: number(expired.len()),
            letter_count: number(commit.dead_letters.len()),
        };
        // The values follow in the order of the counts, which is how the script walks through them.
        let mut call = ScriptCall::new(&scripts::COMMIT, keys);
        arguments.into_values().into_iter().for_each(|value| call.push(value));
        for (key, value) in written {
            call.push(key.0);
            call.push(value.unwrap_or_default());
        }
        deleted.into_iter().for_each(|(key, _)| call.push(key.0));
        for (pseudonym, value) in tombstones {
            call.push(Bytes::copy_from_slice(pseudonym.bytes()));
            call.push(value.unwrap_or_default());
        }
        expired.into_iter().for_each(|(pseudonym, _)| call.push(Bytes::copy_from_slice(pseudonym.bytes())));
        for letter in &commit.dead_letters {
            call.push(letter.seq.to_string());
            call.push(dead::encode(letter));
        }
        for (set, ids) in additions {
            // Windows are listed by their number, for trims; ledgers are never trimmed.
            call.push(match set {
                SeenSet::Window(number) => number.to_string(),
                SeenSet::Ledger(_) => String::new(),
            });
            call.push(ids.clone());
        }
        call
    }
}

/// Returns the keys of a commit. Those of the sets of ids come last, since their number varies.
fn commit_keys(tagged: &TaggedKeys, additions: &BTreeMap<SeenSet, Vec<u8>>) -> Vec<Bytes> {
    let fixed = ["meta", "profiles", "changes", "dead", "windows", "tombstones"];
    let sets = additions.keys().map(|set| tagged.seen(*set));
    fixed.iter().map(|name| tagged.key(name)).chain(sets).collect()
}

/// Returns a number in the form that the script parses.
fn number(number: impl std::fmt::Display) -> Bytes {
    number.to_string().into()
}
