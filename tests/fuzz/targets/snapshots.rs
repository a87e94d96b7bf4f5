//! Parts of a model as a node fetches them: incomplete or inconsistent parts are refused, a served part never panics. The first byte
//! selects the part.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portrait_learning::Model;
use portrait_learning::prediction::Predictors;
use portrait_profile::FeatureSchema;

const PARTS: [&str; 5] = ["items", "behavior", "propensity", "risk", "lookalikes"];

fuzz_target!(|bytes: &[u8]| {
    let Some((&first, bytes)) = bytes.split_first() else { return };
    let schema = FeatureSchema::current();
    match PARTS.get(usize::from(first) % (PARTS.len() + 1)) {
        Some(part) => {
            let mut learned = Predictors::default();
            if learned.decode_part(part, bytes).is_ok() {
                let written = learned.encode();
                for (part, bytes) in &written {
                    Predictors::default().decode_part(part, bytes).expect("a round trip");
                }
            }
        }
        None => {
            if let Ok(model) = Model::decode(bytes, schema) {
                let vector = vec![0.5; model.width()];
                // A model may have no segments.
                let assigned = model.assign(&vector, None);
                assert_eq!(assigned.is_none(), model.segments.is_empty());
                assert!(assigned.is_none_or(|assigned| model.segment(assigned.segment_id).is_some()));
            }
        }
    }
});
