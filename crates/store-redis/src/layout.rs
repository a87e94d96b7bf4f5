//! Settings fixed at creation, stored in the store: read at every open, written by the first one.

use super::cluster::{ClusterClient, WriteConcern};
use super::dialer::Request;
use super::keys::RedisKeys;
use super::reply::ReplyFields;
use super::scripts::{self, ScriptCall};
use portrait_profile::{PartitionCount, PseudonymKey, TimeDelta};
use portrait_store::{Error, Layout, Result};

/// Format of everything under the prefix.
const FORMAT: u32 = 3;
/// Previous format, without a pseudonym key and tombstones; upgraded at open.
const PREVIOUS_FORMAT: u32 = 2;
/// Partitions of a new store without a setting.
const DEFAULT_PARTITIONS: u16 = 64;

/// Layout that a process requests at open.
pub(super) struct LayoutRequest {
    /// Number of partitions; none accepts the stored number.
    pub(super) partitions: Option<PartitionCount>,
    /// De-duplication window to compare.
    pub(super) dedup_window: TimeDelta,
    /// Pseudonym key, if the process has read it before.
    pub(super) pseudonym_key: Option<PseudonymKey>,
}

/// Reads the stored layout, or creates it. The requested settings must agree with the stored ones.
pub(super) async fn open(cluster: &ClusterClient, keys: &RedisKeys, wanted: LayoutRequest) -> Result<Layout> {
    let LayoutRequest { partitions, dedup_window, pseudonym_key } = wanted;
    // Window numbers have 32 bits: a window below a second would overflow them.
    if dedup_window.millis() < 1000 {
        return Err(incompatible("store.dedup_window is below 1s: give it at least 1s".to_owned()));
    }
    let tagged = keys.layout();
    let key = pseudonym_key.unwrap_or_else(|| PseudonymKey::new(rand::random()));
    let wanted = partitions.map_or(DEFAULT_PARTITIONS, PartitionCount::get);
    let call = ScriptCall::new(&scripts::LAYOUT, vec![tagged.base()])
        .number(FORMAT)
        .number(wanted)
        .number(dedup_window.millis())
        .number(PREVIOUS_FORMAT)
        .arg(format!("{:032x}", key.get()));
    let reply = cluster.request(tagged.slot, &Request::Call(call), WriteConcern::Acknowledged).await?;
    let mut reply = ReplyFields::of(reply, "the layout")?;
    let format: u32 = reply.number()?;
    let stored: u16 = reply.number()?;
    let window: i64 = reply.number()?;
    let stored_key = reply.text()?;
    // The format first: another one may give the other values another meaning.
    if format != FORMAT {
        return Err(incompatible(format!(
            "the data in redis has format {format} and this release reads formats {PREVIOUS_FORMAT} and {FORMAT}: run the release that wrote it, or \
             name another store.prefix"
        )));
    }
    if let Some(requested) = partitions.filter(|requested| requested.get() != stored) {
        return Err(incompatible(format!(
            "the store in redis has {stored} partitions and store.partitions is {}: they are fixed at creation: set it to 0 or \
             name another store.prefix",
            requested.get()
        )));
    }
    if window != dedup_window.millis() {
        return Err(incompatible(format!(
            "the store in redis was created with a de-duplication window of {window} ms and store.dedup_window is {} ms: it is \
             fixed at creation",
            dedup_window.millis()
        )));
    }
    let partitions = PartitionCount::new(stored)
        .ok_or_else(|| Error::Damaged { detail: "the store in redis has 0 partitions".to_owned() })?;
    let stored_pseudonym_key =
        u128::from_str_radix(&stored_key, 16).map(PseudonymKey::new).map_err(|_| Error::Damaged {
            detail: "the store in redis has an invalid pseudonym key".to_owned(),
        })?;
    // Another process created the store again with a new key; pseudonyms of this process would match none of its tombstones.
    if pseudonym_key.is_some_and(|known| known != stored_pseudonym_key) {
        return Err(incompatible(
            "the store in redis was lost and created again: restart this process".to_owned(),
        ));
    }
    Ok(Layout { partitions, dedup_window, pseudonym_key: stored_pseudonym_key })
}

fn incompatible(detail: String) -> Error {
    Error::Incompatible { detail }
}
