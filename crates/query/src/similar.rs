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
    options: &ReadOptions,
) -> Result<v1::FindSimilarUsersResponse, Error> {
    let model = shared.served()?;
    let sample = model.predictors().lookalikes.as_ref().ok_or(Error::NotTrained { remedy: NO_SAMPLE })?;
    let (profile, read_time) = read::stored_at(shared, &user_id, options).await?;
    let coordinates = embed(&model, &profile, read_time);
    // One more, since the user itself may be in the sample.
    let nearest = sample.nearest(&coordinates, count * CANDIDATES_MAX + 1);
    let others: Vec<&UserId> = nearest.into_iter().filter(|other| **other != user_id).collect();
    let profiles = read::stored_anywhere(shared, &others).await?;
    // Distances in the sample are as old as the model; the current profiles decide.
    let mut users: Vec<v1::SimilarUser> = Vec::with_capacity(profiles.len());
    for other in profiles.into_iter().flatten() {
        let other_coordinates = embed(&model, &other, read_time);
        let squares = other_coordinates.iter().zip(&coordinates).map(|(one, two)| (one - two).powi(2));
        users.push(v1::SimilarUser {
            user_id: other.user_id().to_string(),
            distance: f64::from(squares.sum::<f32>().sqrt()),
            segment_id: other
                .segment()
                .map_or_else(String::new, |membership| membership.segment_id.to_string()),
            profile_version: other.version().get(),
        });
    }
    users.sort_by(|one, other| one.distance.total_cmp(&other.distance));
    // Sorted by the current distance first: the order of the sample is outdated.
    users.truncate(count);
    Ok(v1::FindSimilarUsersResponse {
        users,
        profile_version: profile.version().get(),
        model_version: model.version.get(),
    })
}

fn embed(model: &Model, profile: &Profile, read_time: Timestamp) -> Vec<f32> {
    model.embed(&profile.features_at(read_time))
}

/// Remedy if the model has no sample.
const NO_SAMPLE: &str =
    "it was trained without a sample of users: set model.lookalikes_max above 0 and train one";
