//! Validation of an outcome, the label of a score.

use super::Validator;
use portrait_profile::{Body, Outcome, Record, Timestamp};
use portrait_proto::action::target_from_wire;
use portrait_proto::request::ValidationError;
use portrait_proto::v1::{self, ErrorReason};

impl Validator {
    /// Validates an outcome that arrives at `now`.
    pub(crate) fn outcome(&self, outcome: &v1::Outcome, now: Timestamp) -> Result<Record, ValidationError> {
        let user_id = self.ids.user_id("user_id", &outcome.user_id)?;
        let target = target_from_wire(outcome.target).ok_or_else(|| {
            let message = format!("{} is no target: send one of the enum ScoreTarget", outcome.target);
            ValidationError::new(ErrorReason::UnknownTarget, "target", message)
        })?;
        let order_id = self.ids.order_id(&outcome.order_id)?;
        let record_id = self.ids.record_id(&outcome.event_id)?;
        let source = self.ids.source(&outcome.source, record_id.as_ref())?;
        let occurred_at = self.occurred_at(outcome.occurred_at.as_ref(), now)?;
        let body = Body::Outcome(Outcome { target, happened: outcome.happened, order_id });
        Ok(Record { user_id, record_id, occurred_at, accepted_at: now, body, trace: None, source })
    }
}
