//! Codec whose requests are decoded within bounds. The entries of each repeated field are counted in the encoded message before
//! any of them is made: an empty event takes two bytes on the wire and some hundred in memory, so that a limit on the bytes of a
//! message bounds its memory only together with a limit on its entries.

use crate::request::{BATCH_MAX, CATEGORIES_MAX, ValidationError};
use crate::v1::ErrorReason;
use bytes::Buf;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};
use prost::{DecodeError, Message, Name};
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorSet};
use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::LazyLock;
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder};
use tonic_prost::{ProstCodec, ProstEncoder};

/// Maximum number of entries of each repeated field that a request can have, by message and field.
const ENTRIES_MAX: [(&str, &str, usize); 13] = [
    ("TrackRequest", "events", BATCH_MAX),
    ("TrackStreamRequest", "events", BATCH_MAX),
    ("IdentifyRequest", "updates", BATCH_MAX),
    ("RelateRequest", "relations", BATCH_MAX),
    ("UpsertItemsRequest", "items", BATCH_MAX),
    ("RecordOutcomesRequest", "outcomes", BATCH_MAX),
    ("BatchGetProfilesRequest", "user_ids", BATCH_MAX),
    ("WatchProfileChangesRequest", "user_ids", BATCH_MAX),
    ("WatchProfileChangesRequest", "segment_ids", BATCH_MAX),
    ("RecommendRequest", "categories", CATEGORIES_MAX),
    ("GetFeaturesRequest", "user_ids", BATCH_MAX),
    // Ingest keeps fewer and says which; these bounds only limit what is decoded.
    ("Event", "properties", 1000),
    ("TraitsUpdate", "traits", 1000),
];

/// Maximum number of entries of all repeated fields of one message. An entry takes about 128 bytes besides its text, so that
/// they take less than twice the default `ingest.max_request`.
const TOTAL_MAX: usize = 100_000;

/// Maximum number of fields of a shape; none has more than three.
const SHAPE_FIELDS_MAX: usize = 4;

/// Bounds of all messages.
static BOUNDS: LazyLock<Bounds> = LazyLock::new(Bounds::of_descriptors);

/// Codec of the generated clients and servers.
#[derive(Clone, Copy, Debug)]
pub struct BoundedCodec<T, U>(PhantomData<(T, U)>);

/// Decoder that counts the entries of a message before it decodes it.
#[derive(Clone, Copy, Debug)]
pub struct BoundedDecoder<U>(PhantomData<U>);

/// Bounded fields of the messages that have any.
struct Bounds {
    /// Index of a message in `shapes`, by its full name.
    index: HashMap<String, usize>,
    shapes: Vec<Shape>,
}

/// Fields of a message that are counted or contain such fields; at most [`SHAPE_FIELDS_MAX`].
type Shape = Vec<FieldBound>;

/// Bound of one field.
struct FieldBound {
    tag: u32,
    name: String,
    /// Maximum number of entries; `None` for a field that is not repeated.
    max: Option<usize>,
    /// Index of the shape of the message type, if it has bounded fields of its own.
    shape: Option<usize>,
}

/// Path of a message within a request, for errors.
struct EntryPath<'a> {
    parent: Option<&'a EntryPath<'a>>,
    field: &'a str,
    entry: usize,
}

/// Failure of the count.
#[derive(Debug)]
enum CountError {
    /// A field has too many entries.
    TooMany(ValidationError),
    /// The bytes are no message.
    Malformed(DecodeError),
}

impl<T, U> Default for BoundedCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for BoundedCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Name + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = BoundedDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<T, U>::default().encoder()
    }

    fn decoder(&mut self) -> Self::Decoder {
        BoundedDecoder(PhantomData)
    }
}

impl<U: Message + Name + Default> Decoder for BoundedDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        // The message is contiguous: the library collects it before it decodes it.
        count(&U::full_name(), buffer.chunk())?;
        U::decode(buffer).map(Some).map_err(|error| Status::internal(error.to_string()))
    }
}

impl From<DecodeError> for CountError {
    fn from(error: DecodeError) -> Self {
        Self::Malformed(error)
    }
}

impl From<CountError> for Status {
    fn from(error: CountError) -> Self {
        match error {
            CountError::TooMany(error) => error.into(),
            // The same status as for bytes that fail to decode.
            CountError::Malformed(error) => Self::internal(error.to_string()),
        }
    }
}

/// Counts the entries of an encoded message of the type `name`.
fn count(name: &str, bytes: &[u8]) -> Result<(), CountError> {
    match BOUNDS.index.get(name) {
        Some(shape) => count_fields(&BOUNDS.shapes[*shape], bytes, None, &mut 0),
        None => Ok(()),
    }
}

/// Counts the entries of a message below `parent`; `total` are all so far.
fn count_fields(
    shape: &Shape,
    mut bytes: &[u8],
    parent: Option<&EntryPath<'_>>,
    total: &mut usize,
) -> Result<(), CountError> {
    let mut counts = [0; SHAPE_FIELDS_MAX];
    while bytes.has_remaining() {
        let (tag, wire_type) = decode_key(&mut bytes)?;
        let is_delimited = wire_type == WireType::LengthDelimited;
        let fields = shape.iter().zip(&mut counts);
        let Some((bound, entries)) = fields.into_iter().find(|(bound, _)| is_delimited && bound.tag == tag)
        else {
            skip_field(wire_type, tag, &mut bytes, DecodeContext::default())?;
            continue;
        };
        let length = usize::try_from(decode_varint(&mut bytes)?).unwrap_or(usize::MAX);
        // Bytes that end too early are reported by the decoder, with its own error.
        let (field, rest) = bytes.split_at(length.min(bytes.len()));
        bytes = rest;
        if let Some(max) = bound.max {
            *total += 1;
            for (entries, max) in [(*entries + 1, max), (*total, TOTAL_MAX)] {
                if entries > max {
                    return Err(too_many(parent, &bound.name, max));
                }
            }
        }
        if let Some(inner) = bound.shape {
            let path = EntryPath { parent, field: &bound.name, entry: *entries };
            count_fields(&BOUNDS.shapes[inner], field, Some(&path), total)?;
        }
        *entries += 1;
    }
    Ok(())
}

fn too_many(parent: Option<&EntryPath<'_>>, field: &str, max: usize) -> CountError {
    let message = format!("more than {max} were sent, {max} are allowed: split the request");
    let path = parent.map(EntryPath::text).unwrap_or_default();
    CountError::TooMany(ValidationError::new(ErrorReason::TooMany, format!("{path}{field}"), message))
}

impl EntryPath<'_> {
    /// Returns the path of the fields of the message, such as `events[3].`.
    fn text(&self) -> String {
        let parent = self.parent.map(Self::text).unwrap_or_default();
        format!("{parent}{}[{}].", self.field, self.entry)
    }
}

impl Bounds {
    /// Reads the bounded fields of all messages from the descriptors.
    fn of_descriptors() -> Self {
        let descriptors = FileDescriptorSet::decode(crate::DESCRIPTOR_SET).expect("the descriptors are ours");
        let ours = descriptors.file.iter().filter(|file| file.package() == "portrait.v1");
        let messages: Vec<&DescriptorProto> = ours.flat_map(|file| &file.message_type).collect();
        let mut bounds = Self { index: HashMap::new(), shapes: Vec::new() };
        // A message that contains a bounded one is found after it: each pass finds one more level of nesting.
        loop {
            let known = bounds.shapes.len();
            for message in &messages {
                bounds.add(message);
            }
            if bounds.shapes.len() == known {
                return bounds;
            }
        }
    }

    /// Adds the shape of a message, or replaces it by one with more fields.
    fn add(&mut self, message: &DescriptorProto) {
        let shape: Shape = message.field.iter().filter_map(|field| self.bound_of(message, field)).collect();
        if shape.is_empty() {
            return;
        }
        assert!(shape.len() <= SHAPE_FIELDS_MAX, "raise SHAPE_FIELDS_MAX for {}", message.name());
        match self.index.get(&full_name(message.name())) {
            Some(index) => self.shapes[*index] = shape,
            None => {
                self.index.insert(full_name(message.name()), self.shapes.len());
                self.shapes.push(shape);
            }
        }
    }

    fn bound_of(&self, message: &DescriptorProto, field: &FieldDescriptorProto) -> Option<FieldBound> {
        let row = ENTRIES_MAX.iter().find(|row| (row.0, row.1) == (message.name(), field.name()));
        let max = row.map(|row| row.2);
        let shape = self.index.get(field.type_name().trim_start_matches('.')).copied();
        let tag = u32::try_from(field.number()).ok()?;
        (max.is_some() || shape.is_some()).then(|| FieldBound {
            tag,
            name: field.name().to_owned(),
            max,
            shape,
        })
    }
}

fn full_name(message: &str) -> String {
    format!("portrait.v1.{message}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v1;
    use prost_types::field_descriptor_proto::Label;
    use std::collections::BTreeSet;

    /// Encodes `count` entries of the field `tag`, each of `entry`.
    fn entries(tag: u32, entry: &[u8], count: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        for _ in 0..count {
            prost::encoding::encode_key(tag, WireType::LengthDelimited, &mut bytes);
            prost::encoding::encode_varint(entry.len() as u64, &mut bytes);
            bytes.extend_from_slice(entry);
        }
        bytes
    }

    /// Descriptors of all messages of the package, by full name with a leading dot.
    fn messages() -> HashMap<String, DescriptorProto> {
        let set = FileDescriptorSet::decode(crate::DESCRIPTOR_SET).expect("ours");
        let ours = set.file.into_iter().filter(|file| file.package() == "portrait.v1");
        ours.flat_map(|file| file.message_type)
            .map(|message| (format!(".portrait.v1.{}", message.name()), message))
            .collect()
    }

    #[test]
    fn every_repeated_field_of_every_request_has_a_bound() {
        let set = FileDescriptorSet::decode(crate::DESCRIPTOR_SET).expect("ours");
        let services = set.file.iter().filter(|file| file.package() == "portrait.v1");
        let methods = services.flat_map(|file| &file.service).flat_map(|service| &service.method);
        let mut open: Vec<String> = methods.map(|method| method.input_type().to_owned()).collect();
        let messages = messages();
        let mut seen = BTreeSet::new();
        let mut repeated = BTreeSet::new();
        while let Some(name) = open.pop() {
            let Some(message) = messages.get(&name).filter(|_| seen.insert(name.clone())) else { continue };
            for field in &message.field {
                if field.label() == Label::Repeated {
                    repeated.insert((message.name().to_owned(), field.name().to_owned()));
                }
                open.extend(field.type_name.clone());
            }
        }
        let bounded: BTreeSet<(String, String)> =
            ENTRIES_MAX.iter().map(|row| (row.0.to_owned(), row.1.to_owned())).collect();
        assert_eq!(bounded, repeated, "add the new field to ENTRIES_MAX");
    }

    #[test]
    fn one_entry_too_many_is_refused_wherever_it_is() {
        let messages = messages();
        for (message, field, max) in ENTRIES_MAX {
            let descriptor = &messages[&format!(".portrait.v1.{message}")];
            let tag = descriptor.field.iter().find(|row| row.name() == field).expect("a field").number();
            let tag = u32::try_from(tag).expect("a positive number");
            let name = full_name(message);
            count(&name, &entries(tag, b"", max)).expect("as many as are allowed");
            let error = count(&name, &entries(tag, b"", max + 1)).expect_err("one too many");
            let CountError::TooMany(error) = error else { panic!("{error:?}") };
            assert_eq!((error.reason, &*error.field), (ErrorReason::TooMany, field), "{message}");
        }
    }

    #[test]
    fn entries_inside_of_entries_are_counted_too() {
        let event = entries(16, b"", 1001);
        let error = count("portrait.v1.TrackRequest", &entries(1, &event, 1)).expect_err("too many");
        assert!(matches!(&error, CountError::TooMany(error) if error.field == "events[0].properties"));
        // Each event is within its own bound; together they are too many.
        let event = entries(16, b"\x0a\x01k", 999);
        let error = count("portrait.v1.TrackRequest", &entries(1, &event, 999)).expect_err("too many");
        assert!(
            matches!(&error, CountError::TooMany(error) if error.message.contains("100000")),
            "{error:?}"
        );
    }

    #[test]
    fn an_ordinary_request_passes_and_damaged_bytes_are_no_panic() {
        let event = v1::Event { user_id: "lena".to_owned(), ..v1::Event::default() };
        let request = v1::TrackRequest { events: vec![event; 1000], backfill: true };
        let bytes = request.encode_to_vec();
        count(&v1::TrackRequest::full_name(), &bytes).expect("1000 events are allowed");
        for end in 0..100 {
            // The decoder has the last word on a truncated message.
            let _ = count(&v1::TrackRequest::full_name(), &bytes[..end]);
        }
        let endless = [0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        count(&v1::TrackRequest::full_name(), &endless).expect("a length beyond the end is the decoder's");
        let error = count(&v1::TrackRequest::full_name(), &[0xff; 11]).expect_err("no key");
        assert!(matches!(error, CountError::Malformed(_)), "{error:?}");
    }
}
