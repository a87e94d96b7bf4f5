//! Entry point for fuzz targets: items from the wire, validated as in a batch.

use crate::config::{Config, ValidConfig};
use crate::validate::Validator;
use portrait_profile::{Record, Timestamp};
use portrait_proto::v1;
use portrait_store::AckLevel;

/// Validator with the default configuration.
pub struct FuzzValidator(Validator);

impl Default for FuzzValidator {
    fn default() -> Self {
        let config: ValidConfig = Config::default().validate(AckLevel::Disk).expect("valid defaults");
        Self(Validator::new(&config))
    }
}

impl FuzzValidator {
    /// Returns the records of the valid items of three batches that arrive at `now`.
    pub fn records(
        &self,
        events: v1::TrackRequest,
        traits: v1::IdentifyRequest,
        relations: &v1::RelateRequest,
        now: Timestamp,
    ) -> Vec<Record> {
        let events = events.events.into_iter().filter_map(|event| self.0.event(event, now).ok());
        let traits = traits.updates.into_iter().filter_map(|update| self.0.traits(update, now).ok());
        let relations = relations.relations.iter().filter_map(|relation| self.0.relation(relation, now).ok());
        events.chain(traits).chain(relations).collect()
    }
}
