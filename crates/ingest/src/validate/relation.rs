//! Validation of a relation between two users.

use super::{Validator, number};
use portrait_profile::{Body, Record, Relation, Timestamp};
use portrait_proto::action::relation_from_wire;
use portrait_proto::request::ValidationError;
use portrait_proto::v1::{self, ErrorReason};

impl Validator {
    /// Validates a relation that arrives at `now`.
    pub(crate) fn relation(
        &self,
        relation: &v1::Relation,
        now: Timestamp,
    ) -> Result<Record, ValidationError> {
        let from = self.ids.user_id("user_id", &relation.user_id)?;
        let other_user_id = self.ids.user_id("other_user_id", &relation.other_user_id)?;
        if from == other_user_id {
            let message = "is the same as user_id: an edge needs two users";
            return Err(ValidationError::new(ErrorReason::ConflictingFields, "other_user_id", message));
        }
        let kind = relation_from_wire(relation.kind).ok_or_else(|| {
            let message = format!("{} is no relation: send one of the enum RelationKind", relation.kind);
            ValidationError::new(ErrorReason::UnknownRelation, "kind", message)
        })?;
        let weight = number("weight", relation.weight, 0.0..=1.0)?;
        let record_id = self.ids.record_id(&relation.event_id)?;
        let source = self.ids.source(&relation.source, record_id.as_ref())?;
        let occurred_at = self.occurred_at(relation.occurred_at.as_ref(), now)?;
        let body = Body::Relation(Relation { other_user_id, kind, weight });
        Ok(Record { user_id: from, record_id, occurred_at, accepted_at: now, body, trace: None, source })
    }
}
