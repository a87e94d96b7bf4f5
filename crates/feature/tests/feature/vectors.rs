//! Vectors as callers get them: named, of one moment, of some or of a share of all shoppers.

use super::fixture::{NEW_YEAR, FeatureFixture};
use portrait_profile::FeatureSchema;
use portrait_proto::status::reason_of;
use portrait_proto::v1::{
    ErrorReason, GetFeatureSchemaRequest, GetFeaturesRequest, ListPartitionsRequest, StreamFeaturesRequest,
};
use std::collections::BTreeSet;
use tonic::Code;

async fn with_shoppers(count: usize) -> FeatureFixture {
    let mut room = FeatureFixture::running(4).await;
    let views: Vec<_> = (0..count).map(|number| (format!("u{number}"), "e1".to_owned())).collect();
    room.log(&views).await;
    room.settled().await;
    room
}

fn at(millis: i64) -> Option<prost_types::Timestamp> {
    Some(prost_types::Timestamp { seconds: millis / 1000, nanos: 0 })
}

async fn streamed(room: &FeatureFixture, request: StreamFeaturesRequest) -> Vec<String> {
    let mut pages = room.client().stream_features(request).await.expect("answered").into_inner();
    let mut users = Vec::new();
    while let Some(page) = pages.message().await.expect("no page is an error") {
        users.extend(page.vectors.into_iter().map(|vector| vector.user_id));
    }
    users
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vector_has_a_value_for_each_component_and_fades() {
    let room = with_shoppers(3).await;
    let schema = room.client().get_feature_schema(GetFeatureSchemaRequest {}).await.expect("answered");
    let schema = schema.into_inner();
    assert_eq!(schema.schema_hash, FeatureSchema::current().hash());
    let views = schema.components.iter().position(|one| one.name == "behavior.view.1h").expect("a component");
    let user_ids = ["u2", "nobody", "u0"].map(str::to_owned).to_vec();
    for (hours, expected) in [(0, 1.0), (1, 0.5), (2, 0.25)] {
        let as_of = at(NEW_YEAR + hours * 3_600_000);
        let request = GetFeaturesRequest { user_ids: user_ids.clone(), as_of };
        let answer = room.client().get_features(request).await.expect("answered").into_inner();
        let users: Vec<&str> = answer.vectors.iter().map(|vector| vector.user_id.as_str()).collect();
        assert_eq!((users, answer.missing_user_ids), (vec!["u2", "u0"], vec!["nobody".to_owned()]));
        assert_eq!(answer.schema_hash, schema.schema_hash);
        for vector in answer.vectors {
            assert_eq!(vector.values.len(), schema.components.len());
            assert!((vector.values[views] - expected).abs() < 1e-6, "{hours} h: {}", vector.values[views]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_vectors_are_streamed_once_whole_by_shard_or_by_sample() {
    let room = with_shoppers(1500).await;
    let everybody: BTreeSet<String> = (0..1500).map(|number| format!("u{number}")).collect();
    let all = streamed(&room, StreamFeaturesRequest::default()).await;
    assert_eq!((all.len(), all.into_iter().collect::<BTreeSet<_>>()), (1500, everybody));
    let mut shards = Vec::new();
    for shard_index in 0..3 {
        let request = StreamFeaturesRequest { shard_index, shard_count: 3, ..Default::default() };
        shards.extend(streamed(&room, request).await);
    }
    shards.sort();
    shards.dedup();
    assert_eq!(shards.len(), 1500);
    let tenth = StreamFeaturesRequest { sample_fraction: 0.1, ..Default::default() };
    let sample = streamed(&room, tenth).await;
    assert!((100..200).contains(&sample.len()), "{} of 1500 are a tenth", sample.len());
    assert_eq!(streamed(&room, tenth).await, sample, "the same each time");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense_is_refused_by_its_field() {
    let room = with_shoppers(1).await;
    let ids = |count: usize| (0..count).map(|number| format!("u{number}")).collect::<Vec<_>>();
    let rows = [
        (Vec::new(), None, ErrorReason::EmptyBatch),
        (ids(1001), None, ErrorReason::TooMany),
        (vec![String::new()], None, ErrorReason::EmptyId),
        (ids(1), Some(prost_types::Timestamp { seconds: 0, nanos: -1 }), ErrorReason::InvalidTime),
    ];
    for (user_ids, as_of, reason) in rows {
        let request = GetFeaturesRequest { user_ids, as_of };
        let status = room.client().get_features(request).await.expect_err("it makes no sense");
        assert_eq!((status.code(), reason_of(&status)), (Code::InvalidArgument, Some(reason)));
    }
    let rows = [(f64::NAN, 0, 1), (1.5, 0, 1), (-0.5, 0, 1), (1.0, 2, 2)];
    for (sample, shard_index, shard_count) in rows {
        let request = StreamFeaturesRequest { sample_fraction: sample, shard_index, shard_count, ..Default::default() };
        let status = room.client().stream_features(request).await.expect_err("it makes no sense");
        let told = (status.code(), reason_of(&status));
        assert_eq!(told, (Code::InvalidArgument, Some(ErrorReason::OutOfRange)), "{request:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_away_is_said_to_be() {
    let room = with_shoppers(1).await;
    room.faulty.set_unavailable(true);
    let request = GetFeaturesRequest { user_ids: vec!["u0".to_owned()], as_of: None };
    let status = room.client().get_features(request).await.expect_err("the store is away");
    assert_eq!((status.code(), reason_of(&status)), (Code::Unavailable, Some(ErrorReason::StoreUnavailable)));
    let status =
        room.client().list_partitions(ListPartitionsRequest {}).await.expect_err("the store is away");
    assert_eq!(status.code(), Code::Unavailable);
    let mut pages = room.client().stream_features(StreamFeaturesRequest::default()).await;
    let ended = match &mut pages {
        Ok(pages) => pages.get_mut().message().await.expect_err("the store is away"),
        Err(status) => status.clone(),
    };
    assert_eq!(ended.code(), Code::Unavailable);
}
