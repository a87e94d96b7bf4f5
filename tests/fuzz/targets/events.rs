//! Requests of ingest: for arbitrary bytes each item is accepted or rejected, and accepted items can be logged and applied.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portrait_ingest::fuzzing::FuzzValidator;
use portrait_profile::{Profile, Record, Timestamp, UserId};
use portrait_proto::v1;
use prost::Message;
use std::sync::LazyLock;

static RULES: LazyLock<FuzzValidator> = LazyLock::new(FuzzValidator::default);
/// 2026-01-01.
const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);

fuzz_target!(|bytes: &[u8]| {
    let events = v1::TrackRequest::decode(bytes).unwrap_or_default();
    let traits = v1::IdentifyRequest::decode(bytes).unwrap_or_default();
    let relations = v1::RelateRequest::decode(bytes).unwrap_or_default();
    let mut profile = Profile::new(UserId::parse("lena").expect("an id"));
    for record in RULES.records(events, traits, &relations, NOW) {
        let logged = record.encode();
        assert_eq!(Record::decode(&logged).expect("a round trip").encode(), logged);
        profile.apply(&record);
    }
    let stored = profile.encode();
    assert!(stored.len() < portrait_profile::PROFILE_MAX_BYTES, "{} bytes", stored.len());
    assert_eq!(Profile::decode(&stored).expect("a round trip").encode(), stored);
});
