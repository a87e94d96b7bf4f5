//! Assembly of a model from manifest and parts: damage is an error that names the part, a later format is refused
//! with both numbers, and unknown kinds of parts are ignored.

use bytes::Bytes;
use portrait_learning::{Model, ModelError, testing};
use portrait_model::manifest::{decoded, name_of_wire, name_to_wire, parts_of};
use portrait_model::{InvalidManifest, assembled};
use portrait_profile::{ModelVersion, Timestamp};
use portrait_proto::v1::{ModelManifest, ModelPart};
use portrait_store::PartName;
use prost::Message;
use std::collections::BTreeMap;

/// Manifest with its parts.
#[derive(Clone)]
struct Whole {
    manifest: ModelManifest,
    parts: BTreeMap<PartName, Bytes>,
}

impl Whole {
    /// Creates version 1 with segments only.
    fn new() -> Self {
        let model = testing::by_views(ModelVersion::FIRST, [1, 2], Timestamp::EPOCH);
        let manifest = ModelManifest { version: 1, ..Default::default() };
        Self { manifest, parts: BTreeMap::new() }.with("segments", model.encode())
    }

    /// Adds a part.
    fn with(mut self, kind: &str, bytes: Vec<u8>) -> Self {
        let name = PartName::of(&bytes);
        let size = bytes.len() as u64;
        self.manifest.parts.push(ModelPart { name: name_to_wire(name), kind: kind.to_owned(), size });
        self.parts.insert(name, bytes.into());
        self
    }

    /// Replaces the segments by changed bytes, with a matching name.
    fn with_segments(&self, change: impl FnOnce(&mut Vec<u8>)) -> Self {
        let mut bytes = self.bytes();
        change(&mut bytes);
        let manifest = ModelManifest { parts: Vec::new(), ..self.manifest.clone() };
        Self { manifest, parts: BTreeMap::new() }.with("segments", bytes)
    }

    /// Bytes of the segments.
    fn bytes(&self) -> Vec<u8> {
        self.parts.values().next().expect("segments").to_vec()
    }

    fn assembled(&self) -> Result<Model, InvalidManifest> {
        assembled(&self.manifest.encode_to_vec(), &self.parts)
    }
}

#[test]
fn a_complete_model_is_assembled() {
    let whole = Whole::new();
    let model = whole.assembled().expect("a model");
    assert_eq!(model.encode(), whole.bytes());
    assert_eq!(model.segments.len(), 2);
}

#[test]
fn a_model_without_segments_is_assembled_unless_its_trainer_found_some() {
    let model = testing::without_segments(ModelVersion::FIRST, [1, 2], Timestamp::EPOCH);
    let manifest = ModelManifest { version: 1, ..Default::default() };
    let mut whole = Whole { manifest, parts: BTreeMap::new() }.with("segments", model.encode());
    assert_eq!(whole.assembled(), Ok(model.clone()));
    let former = testing::by_views(ModelVersion::FIRST, [1, 2], Timestamp::EPOCH);
    let carried = whole.clone().with("former_segments", former.encode());
    assert_eq!(carried.assembled(), Ok(model), "no node reads the former segments");
    whole.manifest.segments = 2;
    assert_eq!(whole.assembled(), Err(InvalidManifest::LostSegments { manifest: 2 }));
}

#[test]
fn the_name_of_a_part_is_its_hash_in_sixteen_bytes() {
    let name = PartName::of(b"bytes");
    assert_eq!(name_to_wire(name), name.get().to_be_bytes());
    assert_eq!(name_of_wire(&name_to_wire(name)), Some(name));
    for bytes in [&b""[..], &[0; 15], &[0; 17]] {
        assert_eq!(name_of_wire(bytes), None);
    }
}

#[test]
fn a_damaged_manifest_is_refused() {
    let bytes = Whole::new().manifest.encode_to_vec();
    assert_eq!(decoded(&bytes).expect("whole").version, 1);
    for damaged in [&b"\xff"[..], &bytes[..bytes.len() - 1]] {
        assert_eq!(decoded(damaged), Err(InvalidManifest::Damaged));
        assert_eq!(assembled(damaged, &BTreeMap::new()).err(), Some(InvalidManifest::Damaged));
    }
    let mut whole = Whole::new();
    whole.manifest.parts[0].name.pop();
    assert_eq!(parts_of(&whole.manifest), Err(InvalidManifest::Damaged));
    assert_eq!(whole.assembled().err(), Some(InvalidManifest::Damaged));
}

#[test]
fn a_missing_or_mismatched_part_is_named() {
    let missing = |kind: &str| Some(InvalidManifest::MissingPart { kind: kind.to_owned() });
    let mut whole = Whole::new();
    whole.parts.clear();
    assert_eq!(whole.assembled().err(), missing("segments"));
    let mut whole = Whole::new();
    whole.manifest.parts.clear();
    assert_eq!(whole.assembled().err(), missing("segments"));
    let mut whole = Whole::new().with("items", b"items".to_vec());
    whole.parts.remove(&PartName::of(b"items"));
    assert_eq!(whole.assembled().err(), missing("items"));
    whole.parts.insert(PartName::of(b"items"), Bytes::from_static(b"others"));
    assert_eq!(whole.assembled().err(), Some(InvalidManifest::OtherPart { kind: "items".to_owned() }));
}

#[test]
fn a_manifest_with_another_version_than_its_part_is_refused() {
    let mut whole = Whole::new();
    whole.manifest.version = 2;
    assert_eq!(whole.assembled().err(), Some(InvalidManifest::OtherVersion { manifest: 2, part: 1 }));
}

#[test]
fn a_format_of_another_release_is_refused_with_its_number() {
    let whole = Whole::new();
    let format = whole.bytes()[0];
    let later = whole.with_segments(|bytes| bytes[0] = format + 1).assembled().expect_err("a later format");
    assert_eq!(later, InvalidManifest::Model(ModelError::Newer { found: format + 1 }));
    assert!(later.to_string().contains(&format!("format {}", format + 1)), "{later}");
    let earlier = whole.with_segments(|bytes| bytes[0] = format - 1).assembled().expect_err("an earlier one");
    assert_eq!(earlier, InvalidManifest::Model(ModelError::Older { found: format - 1 }));
}

#[test]
fn damaged_segments_never_panic() {
    let whole = Whole::new();
    let bytes = whole.bytes();
    for length in 0..bytes.len().min(400) {
        let cut = whole.with_segments(|bytes| bytes.truncate(length)).assembled();
        assert!(matches!(cut, Err(InvalidManifest::Model(_))), "{length} bytes are no model");
    }
    let longer = whole.with_segments(|bytes| bytes.push(0)).assembled();
    assert!(matches!(longer, Err(InvalidManifest::Model(ModelError::Damaged(_)))));
    for index in (0..bytes.len()).step_by(7) {
        // Another number may be a model too.
        let _ = whole.with_segments(|bytes| bytes[index] ^= 0xFF).assembled();
    }
}

#[test]
fn a_damaged_part_is_named_and_an_unknown_kind_is_ignored() {
    for kind in ["items", "behavior", "propensity", "risk", "lookalikes"] {
        let bad = Whole::new().with(kind, b"\x63no part".to_vec()).assembled().expect_err(kind);
        assert!(matches!(&bad, InvalidManifest::Model(ModelError::Part(part)) if part.kind == kind), "{bad}");
        assert!(bad.to_string().contains(kind), "{bad}");
    }
    let model = Whole::new().with("of a later release", b"anything".to_vec()).assembled();
    assert_eq!(model.expect("a model").predictors(), &portrait_learning::prediction::Predictors::default());
}
