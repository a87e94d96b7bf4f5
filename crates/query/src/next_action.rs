//! What a shopper does next: the profile as it is now, read by the newest model. In comes a shopper, out goes a probability for every
//! action. Nothing is kept between two answers.

use crate::context::Shared;
use crate::error::Error;
use crate::read::{self, Terms};
use portrait_profile::{ActionKind, UserId};
use portrait_proto::action::kind_to_wire;
use portrait_proto::v1;

/// Foretells.
pub(crate) async fn predict(
    shared: &Shared,
    user_id: UserId,
    terms: &Terms,
) -> Result<v1::PredictNextActionResponse, Error> {
    let model = shared.served()?;
    let behavior = model.learned().behavior.as_ref().ok_or(Error::NotLearned { remedy: NOBODY_STEPPED })?;
    let (next, profile_version) = match read::stored_at(shared, &user_id, terms).await {
        Ok((profile, moment)) => {
            let segment = model.place_of(&profile);
            (behavior.next(&profile, segment, moment), profile.version().get())
        }
        Err(Error::NotFound { .. }) => (behavior.of_nobody(), 0),
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

/// Why what is done next may not be known.
const NOBODY_STEPPED: &str = "nobody had done one thing after another within a visit when the model was trained: train one when some have";
