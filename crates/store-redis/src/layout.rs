//! Settings fixed at creation, stored in the store: read at every open, written by the first one.

use super::cluster::{ClusterClient, WriteConcern};
use super::dialer::Request;
use super::keys::RedisKeys;
use super::reply::ReplyFields;
use super::scripts::{self, ScriptCall};
use portrait_profile::{PartitionCount, PseudonymKey, TimeDelta};
use portrait_store::{Error, Layout, Result, StoreId};

/// Format of everything under the prefix.
const FORMAT: u32 = 3;
/// Previous format, without a pseudonym key and tombstones; upgraded at open.
const PREVIOUS_FORMAT: u32 = 2;
/// Partitions of a new store without a setting.
const DEFAULT_PARTITIONS: u16 = 64;

/// Settings that a process requests at open.
pub(super) struct LayoutRequest {
    /// Number of partitions; none accepts the stored number.
    pub(super) partitions: Option<PartitionCount>,
    /// De-duplication window to compare.
    pub(super) dedup_window: TimeDelta,
    /// Pseudonym key of a store that is created; none draws one.
    pub(super) pseudonym_key: Option<PseudonymKey>,
    /// True if a missing store is created.
    pub(super) creates: bool,
}

/// Stored layout.
pub(super) struct StoredLayout {
    pub(super) layout: Layout,
    /// True if this call created the store.
    pub(super) is_new: bool,
}

/// Reads the stored layout, or creates it; none if there is no store and none is created. The requested settings must agree with the
/// stored ones.
pub(super) async fn open(
    cluster: &ClusterClient,
    keys: &RedisKeys,
    request: &LayoutRequest,
) -> Result<Option<StoredLayout>> {
    // Window numbers have 32 bits: a window below a second would overflow them.
    if request.dedup_window.millis() < 1000 {
        return Err(incompatible("store.dedup_window is below 1s: give it at least 1s".to_owned()));
    }
    let tagged = keys.layout();
    let key = request.pseudonym_key.unwrap_or_else(|| PseudonymKey::new(rand::random()));
    let wanted = request.partitions.map_or(DEFAULT_PARTITIONS, PartitionCount::get);
    let call = ScriptCall::new(&scripts::LAYOUT, vec![tagged.base()])
        .number(FORMAT)
        .number(wanted)
        .number(request.dedup_window.millis())
        .number(PREVIOUS_FORMAT)
        .arg(format!("{:032x}", key.get()))
        .arg(StoreId::random().to_string())
        .number(u8::from(request.creates));
    // Also while the store is lost: this call finds out whether it is back.
    let reply =
        cluster.request_of_any_store(tagged.slot, &Request::Call(call), WriteConcern::Acknowledged).await?;
    let mut reply = ReplyFields::of(reply, "the layout")?;
    let format: u32 = reply.number()?;
    // There is no format 0: the reply of a store that is neither there nor created.
    if format == 0 {
        return Ok(None);
    }
    // The format first: another one may give the other values another meaning.
    if format != FORMAT {
        return Err(incompatible(format!(
            "the data in redis has format {format} and this release reads formats {PREVIOUS_FORMAT} and {FORMAT}: run the release that wrote it, or \
             name another store.prefix"
        )));
    }
    let layout = read_layout(&mut reply, request)?;
    let is_new = reply.number::<u8>()? != 0;
    Ok(Some(StoredLayout { layout, is_new }))
}

/// Reads the fields after the format, and compares them with the requested ones.
fn read_layout(reply: &mut ReplyFields, request: &LayoutRequest) -> Result<Layout> {
    let stored: u16 = reply.number()?;
    let window: i64 = reply.number()?;
    let stored_key = reply.text()?;
    let id = reply.text()?;
    if let Some(requested) = request.partitions.filter(|requested| requested.get() != stored) {
        return Err(incompatible(format!(
            "the store in redis has {stored} partitions and store.partitions is {}: they are fixed at creation: set it to 0 or \
             name another store.prefix",
            requested.get()
        )));
    }
    if window != request.dedup_window.millis() {
        return Err(incompatible(format!(
            "the store in redis was created with a de-duplication window of {window} ms and store.dedup_window is {} ms: it is \
             fixed at creation",
            request.dedup_window.millis()
        )));
    }
    let partitions = PartitionCount::new(stored).ok_or_else(|| damaged("0 partitions"))?;
    let pseudonym_key =
        u128::from_str_radix(&stored_key, 16).map_err(|_| damaged("an invalid pseudonym key"))?;
    let id = id.parse().map_err(|_| damaged("an invalid id"))?;
    Ok(Layout {
        partitions,
        dedup_window: request.dedup_window,
        pseudonym_key: PseudonymKey::new(pseudonym_key),
        id,
    })
}

fn damaged(what: &str) -> Error {
    Error::Damaged { detail: format!("the store in redis has {what}") }
}

fn incompatible(detail: String) -> Error {
    Error::Incompatible { detail }
}
