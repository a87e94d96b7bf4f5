//! Similar users. Input: a user. The model returns near users of its training sample; their distance is computed
//! again from the current profiles, so users who have moved away or were deleted drop out. No state is kept between
//! requests.

use crate::context::QueryContext;
use crate::error::Error;
use crate::read::{self, ReadOptions};
use portrait_learning::Model;
use portrait_profile::{Profile, Timestamp, UserId};
use portrait_proto::v1;

/// Candidates per requested user: some have moved away since the training.
const CANDIDATES_MAX: usize = 4;

/// Finds at most `count` similar users, nearest first.
pub(crate) async fn find(
    shared: &QueryContext,
    user_id: UserId,
    count: usize,
    terms: &ReadOptions,
) -> Result<v1::FindSimilarUsersResponse, Error> {
    let model = shared.served()?;
    let sample = model.predictors().lookalikes.as_ref().ok_or(Error::NotLearned { remedy: NO_SAMPLE })?;
    let (profile, moment) = read::stored_at(shared, &user_id, terms).await?;
    let place = embed(&model, &profile, moment);
    // One more, since the user itself may be in the sample.
    let near = sample.nearest(&place, count * CANDIDATES_MAX + 1);
    let others: Vec<&UserId> = near.into_iter().filter(|other| **other != user_id).collect();
    let profiles = read::stored_anywhere(shared, &others).await?;
    let similar = |other: Profile| {
        let there = embed(&model, &other, moment);
        let apart = there.iter().zip(&place).map(|(one, two)| (one - two).powi(2));
        v1::SimilarUser {
            user_id: other.user_id().to_string(),
            distance: f64::from(apart.sum::<f32>().sqrt()),
            segment_id: other.segment().map_or_else(String::new, |held| held.segment_id.to_string()),
            profile_version: other.version().get(),
        }
    };
    let mut users: Vec<v1::SimilarUser> = profiles.into_iter().flatten().map(similar).collect();
    users.sort_by(|one, other| one.distance.total_cmp(&other.distance));
    users.truncate(count);
    let (profile_version, model_version) = (profile.version().get(), model.version.get());
    Ok(v1::FindSimilarUsersResponse { users, profile_version, model_version })
}

fn embed(model: &Model, profile: &Profile, moment: Timestamp) -> Vec<f32> {
    model.embed(&profile.features_at(moment))
}

/// Remedy if the model has no sample.
const NO_SAMPLE: &str =
    "it was trained without a sample of users: set model.lookalikes_max above 0 and train one";
