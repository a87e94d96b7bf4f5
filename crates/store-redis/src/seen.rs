//! The remembered ids. The server keeps those of a window in one string, each after the one before, which costs it next to
//! nothing; who looks one up knows the windows himself, and asks the server only how far they have grown and for what he has
//! not read yet.

use super::dialer::Request;
use super::keys::Tagged;
use super::nodes::How;
use super::remembered::window::{ID_BYTES, Window, ids_of, stretch};
use super::remembered::{Remembered, windows_of};
use super::reply::{self, Fields};
use super::scripts::{self, Call};
use super::store::RedisStore;
use bytes::Bytes;
use portrait_profile::PartitionId;
use portrait_store::{Error, Result, SeenQuery};
use std::collections::BTreeSet;

/// How many bytes are read at a time.
const READ_BYTES: usize = 1 << 20;

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
