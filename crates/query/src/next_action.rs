//! Next-action prediction: the current profile, evaluated by the active model. Input: a user. Output: a probability
//! for every action; for unknown users the distribution of the population. No state is kept between requests.

use crate::context::QueryContext;
use crate::error::Error;
use crate::read::{self, ReadOptions};
use portrait_profile::{ActionKind, UserId};
use portrait_proto::action::kind_to_wire;
use portrait_proto::v1;

/// Predicts the next action of a user.
pub(crate) async fn predict(
    shared: &QueryContext,
    user_id: UserId,
    terms: &ReadOptions,
) -> Result<v1::PredictNextActionResponse, Error> {
    let model = shared.served()?;
    let behavior = model.predictors().behavior.as_ref().ok_or(Error::NotLearned { remedy: NO_TRANSITIONS })?;
    let (next, profile_version) = match read::stored_at(shared, &user_id, terms).await {
        Ok((profile, moment)) => {
            let segment = model.segment_index_of(&profile);
            (behavior.predict(&profile, segment, moment), profile.version().get())
        }
        Err(Error::NotFound { .. }) => (behavior.for_unknown_user(), 0),
        Err(error) => return Err(error),
    };
    let action = |(kind, probability): (ActionKind, f64)| v1::NextAction {
        action: kind_to_wire(kind).into(),
        probability,
    };
    Ok(v1::PredictNextActionResponse {
        actions: next.shares.into_iter().map(action).collect(),
        last_action: next.last.map_or(v1::Action::Unspecified, kind_to_wire).into(),
        profile_version,
        model_version: model.version.get(),
    })
}

/// Remedy if the model has no next-action part.
const NO_TRANSITIONS: &str = "it was trained without transitions between actions within a visit: train one when there are some";
