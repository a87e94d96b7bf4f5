//! What was fixed when the store was created, kept in the store: read at every opening, written by the first.

use super::dialer::Request;
use super::keys::RedisKeys;
use super::cluster::{WriteConcern, ClusterClient};
use super::reply::ReplyFields;
use super::scripts::{self, ScriptCall};
use portrait_profile::{PartitionCount, PseudonymKey, TimeDelta};
use portrait_store::{Error, Layout, Result};

/// The format of everything under the prefix.
const FORMAT: u32 = 3;
/// The format before it, which has no key of pseudonyms and no tombstones: it gets them at the opening.
const PREVIOUS_FORMAT: u32 = 2;
/// How many partitions a new store gets if nobody says.
const DEFAULT_PARTITIONS: u16 = 64;

/// What is asked for of a layout.
pub(super) struct LayoutRequest {
    /// How many partitions; none takes what is there.
    pub(super) partitions: Option<PartitionCount>,
    /// For how long ids are remembered.
    pub(super) dedup_window: TimeDelta,
    /// The key of pseudonyms, for whoever knows it already.
    pub(super) pseudonym_key: Option<PseudonymKey>,
}

/// Reads the layout, or fixes it. What is asked for must agree with what is stored.
pub(super) async fn open(nodes: &ClusterClient, keys: &RedisKeys, wanted: LayoutRequest) -> Result<Layout> {
    let LayoutRequest { partitions, dedup_window, pseudonym_key } = wanted;
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
    let reply = nodes.request(tagged.slot, &Request::Call(call), WriteConcern::Acknowledged).await?;
    let mut reply = ReplyFields::of(reply, "the layout")?;
    let (format, stored, window): (u32, u16, i64) = (reply.number()?, reply.number()?, reply.number()?);
    let kept_key = reply.text()?;
    if format != FORMAT {
        return Err(incompatible(format!(
            "the data in redis has format {format} and this release reads formats {PREVIOUS_FORMAT} and {FORMAT}: run the release that wrote it, or \
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
    let kept = u128::from_str_radix(&kept_key, 16).map(PseudonymKey::new).map_err(|_| Error::Damaged {
        detail: "the store in redis has a key of pseudonyms that is none".to_owned(),
    })?;
    if pseudonym_key.is_some_and(|known| known != kept) {
        return Err(incompatible(
            "the store in redis was lost and created anew meanwhile: restart this process".to_owned(),
        ));
    }
    Ok(Layout { partitions, dedup_window, pseudonym_key: kept })
}

fn incompatible(detail: String) -> Error {
    Error::Incompatible { detail }
}
