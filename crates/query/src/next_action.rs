//! Next-action prediction: the current profile, evaluated by the active model. Input: a user. Output: a probability
//! for every action; for unknown users the distribution of the population. No state is kept between requests.

use crate::context::QueryContext;
use crate::error::Error;
use crate::read::{self, ReadOptions};
use portrait_profile::UserId;
use portrait_proto::action::kind_to_wire;
use portrait_proto::v1;

/// Predicts the next action of a user.
pub(crate) async fn predict(
    shared: &QueryContext,
    user_id: UserId,
    options: &ReadOptions,
) -> Result<v1::PredictNextActionResponse, Error> {
    let model = shared.served()?;
    let behavior =
        model.predictors().behavior.as_ref().ok_or(Error::NotTrained { remedy: NO_TRANSITIONS })?;
    let (prediction, profile_version) = match read::stored_at(shared, &user_id, options).await {
        Ok((profile, read_time)) => {
            let segment = model.segment_index_of(&profile);
            (behavior.predict(&profile, segment, read_time), profile.version().get())
        }
        // Unknown users are the common case of anonymous traffic, not an error.
        Err(Error::NotFound { .. }) => (behavior.for_unknown_user(), 0),
        Err(error) => return Err(error),
    };
    let actions = prediction
        .shares
        .into_iter()
        .map(|(kind, probability)| v1::NextAction { action: kind_to_wire(kind).into(), probability })
        .collect();
    Ok(v1::PredictNextActionResponse {
        actions,
        last_action: prediction.last.map_or(v1::Action::Unspecified, kind_to_wire).into(),
        profile_version,
        model_version: model.version.get(),
    })
}

/// Remedy if the model has no next-action part.
const NO_TRANSITIONS: &str =
    "it was trained without transitions between actions within a visit: train one when there are some";
