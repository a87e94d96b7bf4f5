//! The remembered ids. The server keeps those of a window in one string, each after the one before, which costs it next to
//! nothing; who looks one up knows the windows himself, and asks the server only how far they have grown and for what he has
//! not read yet.
//!
//! What is known is good for one generation: a server that lost some of it begins another one with its next write.

mod window;

use self::window::{ID_BYTES, Known, Window, ids_of, kept, stretch};
use super::RedisStore;
use super::keys::Tagged;
use super::link::Request;
use super::nodes::How;
use super::reply::{self, Fields};
use super::scripts::{self, Call};
use crate::contract::SeenQuery;
use crate::error::{Error, Result};
use bytes::Bytes;
use portrait_profile::{PartitionId, Span, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// How many bytes of ids a window may have: what a string of the server holds, less what one step adds.
pub(super) const WINDOW_BYTES_MAX: usize = 500 << 20;
/// How many bytes are read at a time.
const READ_BYTES: usize = 1 << 20;
/// How many windows of a partition are known at a time: the current one and the one before, and one that begins.
const WINDOWS_KNOWN: usize = 3;

/// What a process knows of the ids of one partition.
#[derive(Default)]
pub(super) struct Remembered {
    /// In which generation.
    generation: Bytes,
    windows: BTreeMap<u32, Window>,
}

/// A chunk of a window.
type Place = (u32, usize);

/// The number of the window of a moment.
pub(super) fn window_of(at: Timestamp, length: Span) -> u32 {
    u32::try_from((at.millis() / length.millis().max(1)).max(0)).unwrap_or(u32::MAX)
}

/// The windows in which a query's id may be: its own and the one before.
fn windows_of(query: &SeenQuery, length: Span) -> impl Iterator<Item = u32> + use<> {
    let window = window_of(query.arrived_at, length);
    [Some(window), window.checked_sub(1)].into_iter().flatten()
}

/// Ids as they are added to their windows.
pub(super) fn additions(seen: &[SeenQuery], length: Span) -> BTreeMap<u32, Vec<u8>> {
    let mut additions: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
    for query in seen {
        let ids = additions.entry(window_of(query.arrived_at, length)).or_default();
        ids.extend_from_slice(&kept(query.id));
    }
    additions
}

impl Remembered {
    /// Forgets what is of another generation.
    fn settle(&mut self, generation: Bytes) {
        if self.generation != generation {
            *self = Self { generation, windows: BTreeMap::new() };
        }
    }

    /// Takes ids that were added, after which the window has `bytes`; if others were added before them, they are read later.
    pub(super) fn added(&mut self, window: u32, ids: &[u8], bytes: usize) {
        if let Some(known) = self.windows.get_mut(&window)
            && known.bytes() + ids.len() == bytes
        {
            known.extend(ids_of(ids));
        }
    }

    /// Which of `queries` are known to be remembered, and in which chunks the others may be.
    fn ask(&self, queries: &[SeenQuery], length: Span) -> (Vec<bool>, BTreeMap<Place, Vec<usize>>) {
        let mut found = vec![false; queries.len()];
        let mut suspects: BTreeMap<Place, Vec<usize>> = BTreeMap::new();
        for (index, query) in queries.iter().enumerate() {
            for number in windows_of(query, length) {
                match self.windows.get(&number).map(|window| window.ask(query.id)) {
                    Some(Known::Seen) => found[index] = true,
                    Some(Known::Within(chunks)) => chunks
                        .into_iter()
                        .for_each(|chunk| suspects.entry((number, chunk)).or_default().push(index)),
                    None => {}
                }
            }
        }
        (found, suspects)
    }

    fn forget_old(&mut self) {
        while self.windows.len() > WINDOWS_KNOWN {
            self.windows.pop_first();
        }
    }
}

impl RedisStore {
    /// Which of `queries` are remembered, in their window or the one before.
    pub(super) async fn look_up_seen(
        &self,
        partition: PartitionId,
        queries: &[SeenQuery],
    ) -> Result<Vec<bool>> {
        let length = self.layout.dedup_window;
        let tagged = self.keys.partition(partition);
        let mut remembered = self.remembered(partition).lock().await;
        let asked: BTreeSet<u32> = queries.iter().flat_map(|query| windows_of(query, length)).collect();
        self.catch_up(&tagged, &mut remembered, &asked).await?;
        let (mut found, suspects) = remembered.ask(queries, length);
        for ((window, chunk), indices) in suspects {
            let (first, last) = stretch(chunk);
            let ids: BTreeSet<u64> = ids_of(&self.read_ids(&tagged, window, first, last).await?).collect();
            indices.into_iter().for_each(|index| found[index] |= ids.contains(&queries[index].id.get()));
        }
        remembered.forget_old();
        Ok(found)
    }

    /// Forgets what is known of a partition's ids, as one does whose partition it no longer is.
    pub(super) async fn forget_seen(&self, partition: PartitionId) {
        *self.remembered(partition).lock().await = Remembered::default();
    }

    /// What is known of a partition's ids.
    pub(super) fn remembered(&self, partition: PartitionId) -> &tokio::sync::Mutex<Remembered> {
        &self.remembered[usize::from(partition.get())]
    }

    /// Reads what the windows have and is not known yet.
    async fn catch_up(
        &self,
        tagged: &Tagged,
        remembered: &mut Remembered,
        windows: &BTreeSet<u32>,
    ) -> Result<()> {
        let mut keys = vec![tagged.key("meta")];
        keys.extend(windows.iter().map(|window| tagged.seen(*window)));
        let call = Call::new(&scripts::SEEN, keys);
        let reply = self.nodes.ask(tagged.slot, &Request::Call(call), How::Read).await?;
        let mut reply = Fields::of(reply, "the windows of ids")?;
        remembered.settle(reply.bytes()?.unwrap_or_default());
        for number in windows {
            let bytes: usize = reply.number()?;
            if bytes == 0 {
                remembered.windows.remove(number);
                continue;
            }
            let known = remembered.windows.entry(*number).or_default();
            if known.bytes() > bytes {
                *known = Window::default();
            }
            while known.bytes() < bytes {
                let first = known.bytes();
                let last = bytes.min(first + READ_BYTES) - 1;
                known.extend(ids_of(&self.read_ids(tagged, *number, first, last).await?));
            }
        }
        Ok(())
    }

    /// A stretch of a window's ids, both ends included.
    async fn read_ids(&self, tagged: &Tagged, window: u32, first: usize, last: usize) -> Result<Bytes> {
        let mut command = redis::cmd("GETRANGE");
        command.arg(&tagged.seen(window)[..]).arg(first).arg(last);
        let reply = self.nodes.ask(tagged.slot, &Request::Command(command), How::Read).await?;
        let ids = reply::bytes(reply, "GETRANGE")?.unwrap_or_default();
        // A server that lost some of them meanwhile has fewer: whoever asks again is told so.
        if ids.len() == last + 1 - first && ids.len().is_multiple_of(ID_BYTES) {
            Ok(ids)
        } else {
            Err(Error::Unavailable(None))
        }
    }
}
