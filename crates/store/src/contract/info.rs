//! Fixed properties of an open store, and the levels of durability that it acknowledges at.

use portrait_profile::{PartitionCount, PseudonymKey, TimeDelta};
use std::fmt;
use std::str::FromStr;

/// Fixed properties of a store. Supertrait of every role, so that the user of one role can read the limits of a call.
pub trait StoreInfo: Send + Sync + 'static {
    /// Returns the settings fixed at creation. MUST NOT change while the store is open.
    fn layout(&self) -> Layout;

    /// Returns the limits of one call. MUST NOT change while the store is open.
    fn limits(&self) -> Limits;

    /// Returns the problems that did not prevent the store from opening, each with its remedy. MAY change while the store is open.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Settings fixed when the store was created. A process that expects other ones is refused at start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Number of partitions of the store.
    pub partitions: PartitionCount,
    /// Least time for which a record's id is remembered; at most twice as long.
    pub dedup_window: TimeDelta,
    /// Key of the pseudonyms of erased users, drawn at creation. Without it no tombstone can be matched to a user again.
    pub pseudonym_key: PseudonymKey,
    /// Id of the store, which tells it from every other one.
    pub id: StoreId,
}

/// Id of a store, drawn at creation: 128 bits, written as 32 hexadecimal digits. A store that was lost and created again has
/// another id.
///
/// ```
/// use portrait_store::StoreId;
///
/// let id: StoreId = "0123456789abcdef0123456789abcdef".parse()?;
/// assert_eq!(id.to_string(), "0123456789abcdef0123456789abcdef");
/// # Ok::<(), &'static str>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct StoreId(u128);

impl StoreId {
    /// Wraps the given bits.
    pub const fn new(bits: u128) -> Self {
        Self(bits)
    }

    /// Draws an id.
    pub fn random() -> Self {
        Self(rand::random())
    }
}

impl fmt::Display for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for StoreId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // A sign is accepted by the parser of numbers, so the form is checked first.
        let is_plain = text.len() == 32 && text.bytes().all(|letter| letter.is_ascii_hexdigit());
        let bits = is_plain.then(|| u128::from_str_radix(text, 16).ok()).flatten();
        bits.map(Self).ok_or("is not 32 hexadecimal digits")
    }
}

/// Limits of one call. A caller MUST stay within them; a store MUST fail with [`crate::Error::TooBig`] otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest number of records in one append.
    pub append_records: usize,
    /// Largest total of bytes of the records in one append.
    pub append_bytes: usize,
    /// Largest number of profiles in one commit, and of tombstones in one commit.
    pub commit_profiles: usize,
    /// Largest total of bytes of the values in one commit.
    pub commit_bytes: usize,
    /// Largest number of ids, keys or items in one lookup, upsert or page.
    pub page_items: usize,
    /// Dead letters retained per partition; the oldest are dropped first.
    pub dead_letters: usize,
    /// Largest size of one model part, and of one manifest, in bytes.
    pub part_bytes: usize,
}

/// Durability at which an append is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AckLevel {
    /// Accepted by the store: survives the death of every process of Portrait. A backend on servers of its own MAY lose it with
    /// one of them.
    Memory,
    /// On disk: survives a loss of power.
    Disk,
    /// On every replica that may take over: survives the loss of the machine. A backend without replicas MUST refuse it with
    /// `Incompatible`, since fewer copies must not pass for this level.
    Replica,
}
