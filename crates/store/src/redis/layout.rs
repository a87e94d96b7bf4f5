//! What was fixed when the store was created, kept in the store: read at every opening, written by the first.

use super::keys::Keys;
use super::link::Request;
use super::nodes::{How, Nodes};
use super::reply::Fields;
use super::scripts::{self, Call};
use crate::contract::Layout;
use crate::error::{Error, Result};
use portrait_profile::{PartitionCount, Span};

/// The format of everything under the prefix.
const FORMAT: u32 = 2;
/// How many partitions a new store gets if nobody says.
const DEFAULT_PARTITIONS: u16 = 64;

/// Reads the layout, or fixes it. What is asked for must agree with what is stored.
pub(super) async fn open(
    nodes: &Nodes,
    keys: &Keys,
    partitions: Option<PartitionCount>,
    dedup_window: Span,
) -> Result<Layout> {
    if dedup_window.millis() < 1000 {
        return Err(incompatible("store.dedup_window is below 1s: give it at least 1s".to_owned()));
    }
    let tagged = keys.layout();
    let wanted = partitions.map_or(DEFAULT_PARTITIONS, PartitionCount::get);
    let call = Call::new(&scripts::LAYOUT, vec![tagged.itself()])
        .number(FORMAT)
        .number(wanted)
        .number(dedup_window.millis());
    let reply = nodes.ask(tagged.slot, &Request::Call(call), How::Write).await?;
    let mut reply = Fields::of(reply, "the layout")?;
    let (format, stored, window): (u32, u16, i64) = (reply.number()?, reply.number()?, reply.number()?);
    if format != FORMAT {
        return Err(incompatible(format!(
            "the data in redis has format {format} and this release reads format {FORMAT}: run the release that wrote it, or \
             name another store.prefix"
        )));
    }
    if let Some(asked) = partitions.filter(|asked| asked.get() != stored) {
        return Err(incompatible(format!(
            "the store in redis has {stored} partitions and store.partitions is {}: they are fixed at creation, set it to 0 or \
             name another store.prefix",
            asked.get()
        )));
    }
    if window != dedup_window.millis() {
        return Err(incompatible(format!(
            "the store in redis was created with a de-duplication window of {window} ms and store.dedup_window is {} ms: it is \
             fixed at creation",
            dedup_window.millis()
        )));
    }
    let partitions = PartitionCount::new(stored).ok_or_else(|| Error::Damaged {
        detail: "the store in redis says that it has no partitions".to_owned(),
    })?;
    Ok(Layout { partitions, dedup_window })
}

fn incompatible(detail: String) -> Error {
    Error::Incompatible { detail }
}
