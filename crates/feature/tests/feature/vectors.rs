//! Feature vectors over gRPC: by user id, as a stream by shard or sample, and their errors.

use super::fixture::{FeatureFixture, NEW_YEAR};
use portrait_profile::FeatureSchema;
use portrait_proto::status::reason_of;
use portrait_proto::v1::{
    ErrorReason, GetFeatureSchemaRequest, GetFeaturesRequest, ListPartitionsRequest, StreamFeaturesRequest,
};
use std::collections::BTreeSet;
use tonic::Code;

async fn start_with_users(count: usize) -> FeatureFixture {
    let mut fixture = FeatureFixture::start(4).await;
    let views: Vec<_> = (0..count).map(|number| (format!("u{number}"), "e1".to_owned())).collect();
    fixture.log(&views).await;
    fixture.settled().await;
    fixture
}

fn at(millis: i64) -> Option<prost_types::Timestamp> {
    Some(prost_types::Timestamp { seconds: millis / 1000, nanos: 0 })
}

async fn streamed(fixture: &FeatureFixture, request: StreamFeaturesRequest) -> Vec<String> {
    let mut pages = fixture.client().stream_features(request).await.expect("a response").into_inner();
    let mut users = Vec::new();
    while let Some(page) = pages.message().await.expect("no page is an error") {
        users.extend(page.vectors.into_iter().map(|vector| vector.user_id));
    }
    users
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vector_has_a_value_for_each_component_and_decays() {
    let fixture = start_with_users(3).await;
    let schema = fixture.client().get_feature_schema(GetFeatureSchemaRequest {}).await.expect("a response");
    let schema = schema.into_inner();
    assert_eq!(schema.schema_hash, FeatureSchema::current().hash());
    let views = schema
        .components
        .iter()
        .position(|component| component.name == "behavior.view.1h")
        .expect("a component");
    let user_ids = ["u2", "unknown", "u0"].map(str::to_owned).to_vec();
    for (hours, expected) in [(0, 1.0), (1, 0.5), (2, 0.25)] {
        let as_of = at(NEW_YEAR + hours * 3_600_000);
        let request = GetFeaturesRequest { user_ids: user_ids.clone(), as_of };
        let response = fixture.client().get_features(request).await.expect("a response").into_inner();
        let users: Vec<&str> = response.vectors.iter().map(|vector| vector.user_id.as_str()).collect();
        assert_eq!((users, response.missing_user_ids), (vec!["u2", "u0"], vec!["unknown".to_owned()]));
        assert_eq!(response.schema_hash, schema.schema_hash);
        for vector in response.vectors {
            assert_eq!(vector.values.len(), schema.components.len());
            assert!((vector.values[views] - expected).abs() < 1e-6, "{hours} h: {}", vector.values[views]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_vectors_are_streamed_once_by_shard_or_by_sample() {
    let fixture = start_with_users(1500).await;
    let all_users: BTreeSet<String> = (0..1500).map(|number| format!("u{number}")).collect();
    let all = streamed(&fixture, StreamFeaturesRequest::default()).await;
    assert_eq!((all.len(), all.into_iter().collect::<BTreeSet<_>>()), (1500, all_users));
    let mut shards = Vec::new();
    for shard_index in 0..3 {
        let request = StreamFeaturesRequest { shard_index, shard_count: 3, ..Default::default() };
        shards.extend(streamed(&fixture, request).await);
    }
    shards.sort();
    shards.dedup();
    assert_eq!(shards.len(), 1500);
    let tenth = StreamFeaturesRequest { sample_fraction: 0.1, ..Default::default() };
    let sample = streamed(&fixture, tenth).await;
    assert!((100..200).contains(&sample.len()), "{} of 1500 are a tenth", sample.len());
    assert_eq!(streamed(&fixture, tenth).await, sample, "the same sample each time");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_request_is_refused() {
    let fixture = start_with_users(1).await;
    let ids = |count: usize| (0..count).map(|number| format!("u{number}")).collect::<Vec<_>>();
    let rows = [
        (Vec::new(), None, ErrorReason::EmptyBatch),
        (ids(1001), None, ErrorReason::TooMany),
        (vec![String::new()], None, ErrorReason::EmptyId),
        (ids(1), Some(prost_types::Timestamp { seconds: 0, nanos: -1 }), ErrorReason::BadTime),
    ];
    for (user_ids, as_of, reason) in rows {
        let request = GetFeaturesRequest { user_ids, as_of };
        let status = fixture.client().get_features(request).await.expect_err("an invalid request");
        assert_eq!((status.code(), reason_of(&status)), (Code::InvalidArgument, Some(reason)));
    }
    let rows = [(f64::NAN, 0, 1), (1.5, 0, 1), (-0.5, 0, 1), (1.0, 2, 2)];
    for (sample, shard_index, shard_count) in rows {
        let request =
            StreamFeaturesRequest { sample_fraction: sample, shard_index, shard_count, ..Default::default() };
        let status = fixture.client().stream_features(request).await.expect_err("an invalid request");
        let reported = (status.code(), reason_of(&status));
        assert_eq!(reported, (Code::InvalidArgument, Some(ErrorReason::OutOfRange)), "{request:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unavailable_store_is_reported() {
    let fixture = start_with_users(1).await;
    fixture.faulty.set_unavailable(true);
    let request = GetFeaturesRequest { user_ids: vec!["u0".to_owned()], as_of: None };
    let status = fixture.client().get_features(request).await.expect_err("an unavailable store");
    assert_eq!((status.code(), reason_of(&status)), (Code::Unavailable, Some(ErrorReason::StoreUnavailable)));
    let status =
        fixture.client().list_partitions(ListPartitionsRequest {}).await.expect_err("an unavailable store");
    assert_eq!(status.code(), Code::Unavailable);
    let mut pages = fixture.client().stream_features(StreamFeaturesRequest::default()).await;
    let end = match &mut pages {
        Ok(pages) => pages.get_mut().message().await.expect_err("an unavailable store"),
        Err(status) => status.clone(),
    };
    assert_eq!(end.code(), Code::Unavailable);
}
