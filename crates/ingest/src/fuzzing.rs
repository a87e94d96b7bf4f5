//! Entry point for fuzz targets: items from the wire, validated as in a batch.

use crate::config::{Config, ValidConfig};
use crate::losses::Losses;
use crate::trait_policies::TraitPolicies;
use crate::validate::Validator;
use portrait_profile::{Record, Timestamp};
use portrait_proto::v1;
use portrait_store::AckLevel;

/// Validator with the default configuration.
pub struct FuzzValidator(Validator);

impl Default for FuzzValidator {
    fn default() -> Self {
        let config: ValidConfig = Config::default().validate(AckLevel::Disk).expect("valid defaults");
        let traits = TraitPolicies::without_keys(config.trait_rules.clone());
        Self(Validator::new(&config, traits))
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
        let mut losses = Losses::default();
        let mut records = Vec::new();
        records
            .extend(events.events.into_iter().filter_map(|event| self.0.event(event, now, &mut losses).ok()));
        records.extend(
            traits.updates.into_iter().filter_map(|update| self.0.traits(update, now, &mut losses).ok()),
        );
        let relations = relations.relations.iter().filter_map(|relation| self.0.relation(relation, now).ok());
        records.extend(relations);
        records
    }
}
