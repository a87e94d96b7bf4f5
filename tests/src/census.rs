//! Census of a server: every profile with its number of applied records and their fingerprint.

use portrait_client::RoleRouter;
use portrait_proto::v1::feature_service_client::FeatureServiceClient;
use portrait_proto::v1::query_service_client::QueryServiceClient;
use portrait_proto::v1::{BatchGetProfilesRequest, StreamFeaturesRequest};
use std::collections::BTreeMap;

/// User id to (applied events, fingerprint).
pub type Census = BTreeMap<String, (u64, u64)>;

/// Reads every profile of a server.
///
/// # Panics
/// If the server does not respond.
pub async fn census(channel: RoleRouter) -> Census {
    let user_ids = every_user(channel.clone()).await;
    let mut client = QueryServiceClient::new(channel);
    let mut census = Census::new();
    for page in user_ids.chunks(500) {
        let request = BatchGetProfilesRequest { user_ids: page.to_vec(), ..Default::default() };
        let response = client.batch_get_profiles(request).await.expect("profiles are readable").into_inner();
        assert_eq!(
            response.missing_user_ids,
            Vec::<String>::new(),
            "a user has a feature vector but no profile"
        );
        let entries = response.profiles.into_iter();
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
        .expect("feature vectors are readable")
        .into_inner();
    let mut user_ids = Vec::new();
    while let Some(page) = pages.message().await.expect("the stream of feature vectors completes") {
        user_ids.extend(page.vectors.into_iter().map(|vector| vector.user_id));
    }
    user_ids
}
