//! Records: the entries of a partition's log. Ingest validates and completes them (time zone, base currency, catalogue
//! data). A record never changes once it is written.

use crate::action::Action;
use crate::codec::{self, DecodeError};
use crate::id::{ItemId, OrderId, RecordId, UserId};
use crate::pseudonym::Pseudonym;
use crate::source::SourceId;
use crate::time::Timestamp;
use crate::trace::TraceContext;
use serde::ser::SerializeTuple;
use serde::{Deserialize, Serialize, Serializer};

/// Entry of a partition's log.
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
///     source: None,
/// };
/// assert_eq!(Record::decode(&record.encode())?, record);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// User whose profile the record changes; it decides the partition. For [`Body::Forget`] the text of the pseudonym,
    /// since such a record is in the log of every other partition and changes no particular profile.
    pub user_id: UserId,
    /// Id of the record as the sender assigns it; a record without one is never treated as a duplicate.
    pub record_id: Option<RecordId>,
    /// Time of the event by the sender.
    pub occurred_at: Timestamp,
    /// Time of acceptance by ingest's clock; de-duplication windows and freshness are measured from here.
    pub accepted_at: Timestamp,
    /// Content of the record.
    pub body: Body,
    /// Span that logged the record, if its call is sampled.
    pub trace: Option<TraceContext>,
    /// Source that the record comes from, if its sender named one: within a source a record id counts once for ever.
    pub source: Option<SourceId>,
}

/// Record as it is stored: later releases appended fields, which are not written if they and all after them are empty, so that
/// releases without them can read most records.
#[derive(Deserialize)]
struct StoredRecord {
    user_id: UserId,
    record_id: Option<RecordId>,
    occurred_at: Timestamp,
    accepted_at: Timestamp,
    body: Body,
    trace: Option<TraceContext>,
    /// [`Event::order_line`].
    order_line: u32,
    /// [`Event::strength`].
    strength: Option<f32>,
    source: Option<SourceId>,
}

/// Content of a record, by kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Body {
    /// Action of the user.
    Event(Event),
    /// Traits of the user.
    Traits(Vec<TraitValue>),
    /// Edge to another user.
    Relation(Relation),
    /// Label for a score.
    Outcome(Outcome),
    /// Erasure of the user: deletes the profile, and the edges to the user in this partition.
    Erase(Pseudonym),
    /// Erasure of a user of another partition: removes the edges to the user with this pseudonym.
    Forget(Pseudonym),
}

/// Action of a user.
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
///     order_line: 0,
///     strength: None,
///     context: None,
/// };
/// assert_eq!(line.price.map(|price| price * line.quantity), Some(118.0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Kind of the action.
    pub action: Action,
    /// Offset of the shop's local time from UTC at that time, in minutes; hours and weekdays are local to the shop.
    pub utc_offset_minutes: i16,
    /// Item of the action.
    pub item_id: Option<ItemId>,
    /// Category of the item, from the sender or from the catalogue at that time.
    pub category: Option<Box<str>>,
    /// Brand of the item, from the sender or from the catalogue at that time.
    pub brand: Option<Box<str>>,
    /// Price of one unit in the base currency; finite, not negative.
    pub price: Option<f64>,
    /// Number of units; finite, above 0.
    pub quantity: f64,
    /// Order that the line belongs to.
    pub order_id: Option<OrderId>,
    /// Number of the line among those of its item in the order, from 0. Lines with one number replace each other.
    #[serde(skip)]
    pub order_line: u32,
    /// Strength of the action by the shop's own table; none if it is [`ActionKind::strength`](crate::ActionKind::strength).
    #[serde(skip)]
    pub strength: Option<f32>,
    /// Additional data from the sender: kept in the log for later readers, not folded into the profile.
    pub context: Option<Box<EventContext>>,
}

/// Data of an event that is not folded into the profile.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EventContext {
    /// Words of a search.
    pub query: Box<str>,
    /// Session id of the sender.
    pub session_id: Box<str>,
    /// Id of the device before the user was identified.
    pub anonymous_id: Box<str>,
    /// Additional properties by name.
    pub properties: Vec<(Box<str>, Box<str>)>,
}

/// Trait as ingest's policy kept it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraitValue {
    /// Name of the trait.
    pub name: Box<str>,
    /// Value of the trait; empty removes it.
    pub value: Box<str>,
}

/// Edge to another user.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Relation {
    /// User at the other end.
    pub other_user_id: UserId,
    /// Kind of the relation.
    pub kind: RelationKind,
    /// Strength of the relation, 0 to 1; 0 removes the edge.
    pub weight: f64,
}

/// Label for a score: the outcome that the score predicts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Score that the label belongs to.
    pub target: ScoreTarget,
    /// True if the predicted event happened.
    pub happened: bool,
    /// Order of the label; none for the newest order at that time.
    pub order_id: Option<OrderId>,
}

/// Event whose probability a score predicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ScoreTarget {
    /// Purchase within [`crate::LABEL_WINDOW`] of the prediction.
    Propensity,
    /// Bad outcome of an order: fraud, a chargeback, a payment that never arrives.
    Risk,
}

/// Kind of a relation between two users.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum RelationKind {
    /// Friends of each other.
    Friend,
    /// Members of one family or household.
    Family,
    /// Colleagues of each other at work.
    Colleague,
    /// The user follows the other user.
    Follows,
    /// Connected only through the shop.
    Stranger,
}

impl Record {
    /// Encodes the record for the log: a version byte and postcard.
    pub fn encode(&self) -> Vec<u8> {
        self.encode_after(Vec::with_capacity(256))
    }

    /// Encodes as [`Self::encode`], appending to `bytes`.
    pub fn encode_after(&self, bytes: Vec<u8>) -> Vec<u8> {
        codec::encode_after(bytes, codec::RECORD_VERSION.for_content(self.appended()), self)
    }

    /// Decodes a record from the bytes of [`Self::encode`].
    ///
    /// # Errors
    /// If the bytes are damaged or of a newer version.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        codec::decode::<StoredRecord>(codec::RECORD_VERSION, bytes).map(Self::from)
    }

    /// Returns whether the fields of each later format version have values.
    fn appended(&self) -> [bool; 3] {
        let has_line =
            self.body.event().is_some_and(|event| event.order_line != 0 || event.strength.is_some());
        [self.trace.is_some(), has_line, self.source.is_some()]
    }
}

impl Body {
    /// Returns the event; none for another body.
    pub fn event(&self) -> Option<&Event> {
        match self {
            Self::Event(event) => Some(event),
            Self::Traits(_) | Self::Relation(_) | Self::Outcome(_) | Self::Erase(_) | Self::Forget(_) => None,
        }
    }
}

impl Event {
    /// Returns the strength of the event as evidence of interest, by the shop's table or the common one.
    pub fn interest(&self) -> f64 {
        self.strength.map_or_else(|| self.action.kind().strength(), f64::from)
    }
}

impl Serialize for Record {
    /// Writes the fields of [`StoredRecord`] without a copy of the body.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        const FIELDS: usize = 5;
        let [has_trace, has_line, has_source] = self.appended();
        // The fields of a version are written with those of every later one.
        let (writes_trace, writes_line) = (has_trace || has_line || has_source, has_line || has_source);
        let appended = usize::from(writes_trace) + 2 * usize::from(writes_line) + usize::from(has_source);
        let mut fields = serializer.serialize_tuple(FIELDS + appended)?;
        fields.serialize_element(&self.user_id)?;
        fields.serialize_element(&self.record_id)?;
        fields.serialize_element(&self.occurred_at)?;
        fields.serialize_element(&self.accepted_at)?;
        fields.serialize_element(&self.body)?;
        if writes_trace {
            fields.serialize_element(&self.trace)?;
        }
        if writes_line {
            let event = self.body.event();
            fields.serialize_element(&event.map_or(0, |event| event.order_line))?;
            fields.serialize_element(&event.and_then(|event| event.strength))?;
        }
        if has_source {
            fields.serialize_element(&self.source)?;
        }
        fields.end()
    }
}

impl From<StoredRecord> for Record {
    fn from(stored: StoredRecord) -> Self {
        let StoredRecord {
            user_id,
            record_id,
            occurred_at,
            accepted_at,
            mut body,
            trace,
            order_line,
            strength,
            source,
        } = stored;
        if let Body::Event(event) = &mut body {
            event.order_line = order_line;
            event.strength = strength;
        }
        Self { user_id, record_id, occurred_at, accepted_at, body, trace, source }
    }
}
