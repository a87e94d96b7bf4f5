//! Every profile of a server: who is there, how many records each was made of, and which.

use portrait_client::RoleRouter;
use portrait_proto::v1::feature_service_client::FeatureServiceClient;
use portrait_proto::v1::query_service_client::QueryServiceClient;
use portrait_proto::v1::{BatchGetProfilesRequest, StreamFeaturesRequest};
use std::collections::BTreeMap;

/// User id to (applied events, fingerprint).
pub type Census = BTreeMap<String, (u64, u64)>;

/// Asks a server for every profile.
///
/// # Panics
/// If it does not answer.
pub async fn census(channel: RoleRouter) -> Census {
    let user_ids = every_user(channel.clone()).await;
    let mut client = QueryServiceClient::new(channel);
    let mut census = Census::new();
    for page in user_ids.chunks(500) {
        let request = BatchGetProfilesRequest { user_ids: page.to_vec(), ..Default::default() };
        let answer = client.batch_get_profiles(request).await.expect("profiles can be read").into_inner();
        assert_eq!(answer.missing_user_ids, Vec::<String>::new(), "a user has a vector and no profile");
        let entries = answer.profiles.into_iter();
        census
            .extend(entries.map(|profile| (profile.user_id, (profile.applied_events, profile.fingerprint))));
    }
    census
}

async fn every_user(channel: RoleRouter) -> Vec<String> {
    let mut client = FeatureServiceClient::new(channel);
    let mut pages = client
        .stream_features(StreamFeaturesRequest::default())
        .await
        .expect("vectors can be read")
        .into_inner();
    let mut user_ids = Vec::new();
    while let Some(page) = pages.message().await.expect("the stream of vectors ends well") {
        user_ids.extend(page.vectors.into_iter().map(|vector| vector.user_id));
    }
    user_ids
}
