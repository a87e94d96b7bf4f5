//! What the log of a partition holds: records. In comes what ingest has checked and completed (time zone, base currency,
//! catalogue); out goes bytes for the log, and the same record back. A record never changes once it is written.

use crate::action::Action;
use crate::codec::{self, DecodeError};
use crate::id::{ItemId, OrderId, RecordId, UserId};
use crate::pseudonym::Pseudonym;
use crate::time::Timestamp;
use crate::trace::TraceContext;
use serde::{Deserialize, Serialize};

/// One entry of a partition's log.
///
/// ```
/// use portrait_profile::{Body, Record, RecordId, Timestamp, TraitValue, UserId};
///
/// let at = Timestamp::from_millis(1_700_000_000_000);
/// let record = Record {
///     user_id: UserId::parse("lena")?,
///     record_id: Some(RecordId::parse("crm-81")?),
///     occurred_at: at,
///     accepted_at: at,
///     body: Body::Traits(vec![TraitValue { name: "city".into(), value: "Graz".into() }]),
///     trace: None,
/// };
/// assert_eq!(Record::decode(&record.encode())?, record);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Whose profile it changes; also decides the partition. Of a [`Body::Forget`] the text of the pseudonym, since it changes
    /// nobody's profile in particular, and is in every other partition's log.
    pub user_id: UserId,
    /// The sender's id; absent means that the record is never taken for a duplicate.
    pub record_id: Option<RecordId>,
    /// When it happened, by the sender.
    pub occurred_at: Timestamp,
    /// When ingest took it, by ingest's clock: de-duplication windows and freshness are counted from here.
    pub accepted_at: Timestamp,
    /// What happened.
    pub body: Body,
    /// The span that logged it, if its call is followed. Last, and not written if there is none, so that releases that know no spans
    /// read what nobody follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceContext>,
}

/// The kinds of record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Body {
    /// The shopper did something.
    Event(Event),
    /// Something is known of the shopper.
    Traits(Vec<TraitValue>),
    /// The shopper is connected to another.
    Relation(Relation),
    /// It is known what came of something.
    Outcome(Outcome),
    /// The shopper is to be erased: the profile goes, and edges to the shopper from others of this partition.
    Erase(Pseudonym),
    /// A shopper of another partition is erased: edges to whoever has this pseudonym go.
    Forget(Pseudonym),
}

/// What a shopper did.
///
/// ```
/// use portrait_profile::{Action, Event, ItemId, OrderId};
///
/// // Two pairs of shoes, as one line of the order A-17.
/// let line = Event {
///     action: Action::Purchase,
///     utc_offset_minutes: 120,
///     item_id: Some(ItemId::parse("sku-9")?),
///     category: Some("shoes".into()),
///     brand: Some("acme".into()),
///     price: Some(59.0),
///     quantity: 2.0,
///     order_id: Some(OrderId::parse("A-17")?),
///     context: None,
/// };
/// assert_eq!(line.price.map(|price| price * line.quantity), Some(118.0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// What was done.
    pub action: Action,
    /// What the shop's clocks on the wall were ahead of UTC then, in minutes: hours and weekdays are the shop's.
    pub utc_offset_minutes: i16,
    /// The item it was done to.
    pub item_id: Option<ItemId>,
    /// The item's category, by the sender or by the catalogue as it was then.
    pub category: Option<Box<str>>,
    /// The item's brand, by the sender or by the catalogue as it was then.
    pub brand: Option<Box<str>>,
    /// The price of one unit in the base currency; finite, not negative.
    pub price: Option<f64>,
    /// How many units; finite, above 0.
    pub quantity: f64,
    /// The order this is a line of.
    pub order_id: Option<OrderId>,
    /// What the shop told beside: kept in the log for later readers, not folded into the profile.
    pub context: Option<Box<EventContext>>,
}

/// What an event says that no profile is made of.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EventContext {
    /// The words of a search.
    pub query: Box<str>,
    /// The sender's session id.
    pub session_id: Box<str>,
    /// The id of the device before the shopper was known.
    pub anonymous_id: Box<str>,
    /// Anything else.
    pub properties: Vec<(Box<str>, Box<str>)>,
}

/// One trait as the policy of ingest let it through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraitValue {
    /// Its name.
    pub name: Box<str>,
    /// Its value; empty removes the trait.
    pub value: Box<str>,
}

/// An edge to another shopper.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Relation {
    /// The other end.
    pub other_user_id: UserId,
    /// What connects them.
    pub kind: RelationKind,
    /// How strong it is, 0 to 1; 0 removes the edge.
    pub weight: f64,
}

/// What came of something that a score foretells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Which score.
    pub target: ScoreTarget,
    /// Whether it came about.
    pub happened: bool,
    /// The order it is about; none for the newest at that time.
    pub order_id: Option<OrderId>,
}

/// What a score foretells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ScoreTarget {
    /// A purchase within [`crate::HORIZON`].
    Propensity,
    /// That an order turns out badly: fraud, a charge back, a payment that never comes.
    Risk,
}

/// What connects two shoppers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum RelationKind {
    /// They are friends.
    Friend,
    /// They are family or share a household.
    Family,
    /// They work together.
    Colleague,
    /// The one follows the other.
    Follows,
    /// They met in the shop only.
    Stranger,
}

impl Record {
    /// The bytes for the log: a version byte and postcard.
    pub fn encode(&self) -> Vec<u8> {
        self.encode_after(Vec::with_capacity(256))
    }

    /// Those bytes behind what `bytes` has already.
    pub fn encode_after(&self, bytes: Vec<u8>) -> Vec<u8> {
        codec::encode_after(bytes, codec::RECORD_VERSION.saying(self.trace.is_some()), self)
    }

    /// The record of such bytes. Fails on bytes that are damaged or were written by a newer version.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        codec::decode(codec::RECORD_VERSION, bytes)
    }
}
