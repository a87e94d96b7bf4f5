//! Recommendations over gRPC: learned by the server from a log, current with the event that was just acknowledged, and with reasons.

use super::segments::{import_into, node, train};
use portrait_client::RoleRouter;
use portrait_proto::v1::ingest_service_client::IngestServiceClient;
use portrait_proto::v1::query_service_client::QueryServiceClient;
use portrait_proto::v1::{
    Action, Event, Item, RecommendRequest, RecommendResponse, RecommendationPart, TrackRequest,
    TrainModelRequest, UpsertItemsRequest,
};
use portrait_tests::logs::prepared;
use portrait_tests::{Log, connect, wait_until};
use std::collections::BTreeSet;
use tonic::{Code, Status};

async fn recommend(channel: &RoleRouter, request: RecommendRequest) -> Result<RecommendResponse, Status> {
    QueryServiceClient::new(channel.clone()).recommend(request).await.map(tonic::Response::into_inner)
}

fn of(user_id: &str) -> RecommendRequest {
    RecommendRequest { user_id: user_id.to_owned(), ..Default::default() }
}

fn items(response: &RecommendResponse) -> Vec<&str> {
    response.items.iter().map(|item| &*item.item_id).collect()
}

/// Sends a view of an item by a user; returns the consistency token.
async fn track_view(channel: &RoleRouter, user_id: &str, item_id: &str, number: i64) -> Vec<u8> {
    let at = prost_types::Timestamp { seconds: 1_218_600_000 + number, nanos: 0 };
    let event = Event {
        event_id: format!("{user_id}-{number}"),
        user_id: user_id.to_owned(),
        action: Action::View.into(),
        occurred_at: Some(at),
        item_id: item_id.to_owned(),
        ..Event::default()
    };
    let request = TrackRequest { events: vec![event], ..Default::default() };
    let response =
        IngestServiceClient::new(channel.clone()).track(request).await.expect("a response").into_inner();
    assert_eq!(response.accepted, 1, "{:?}", response.rejected);
    response.consistency_token
}

/// Checks the filters by recent items, category and price; prices and categories come from the catalogue.
async fn check_filters(channel: &RoleRouter) {
    let unseen = recommend(channel, RecommendRequest { exclude_recent: true, ..of("lena") })
        .await
        .expect("a response");
    assert!(items(&unseen).iter().all(|item| !["1", "2", "5"].contains(item)), "{:?}", items(&unseen));
    let catalogue = ["7", "9", "11"].map(|item_id| Item {
        item_id: item_id.to_owned(),
        category: "coats".to_owned(),
        price: Some(if item_id == "11" { 90.0 } else { 20.0 }),
        ..Item::default()
    });
    let upsert = UpsertItemsRequest { items: catalogue.to_vec() };
    IngestServiceClient::new(channel.clone()).upsert_items(upsert).await.expect("a response");
    let coats =
        RecommendRequest { categories: vec!["coats".to_owned()], price_max: Some(50.0), ..of("lena") };
    let coats = recommend(channel, coats).await.expect("a response");
    assert_eq!(items(&coats).into_iter().collect::<BTreeSet<_>>(), BTreeSet::from(["7", "9"]));
}

/// Checks that an item without events is recommended by its attributes after a training that saw the catalogue.
async fn check_cold_start(channel: &RoleRouter, like: &[&str]) {
    let coat =
        |item_id: &str| Item { item_id: item_id.to_owned(), category: "coats".to_owned(), ..Item::default() };
    let like = like.iter().map(|item_id| coat(item_id));
    let upsert = UpsertItemsRequest { items: like.chain([coat("just-in")]).collect() };
    IngestServiceClient::new(channel.clone()).upsert_items(upsert).await.expect("a response");
    assert!(train(channel, TrainModelRequest { force: true, ..Default::default() }).await.published);
    let coats = RecommendRequest { categories: vec!["coats".to_owned()], count: 100, ..of("lena") };
    wait_until("the new item is recommended", async || {
        let response = recommend(channel, coats.clone()).await.expect("a response");
        items(&response).contains(&"just-in")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn recommendations_reflect_the_newest_event_with_reasons() {
    check_recommendations(&prepared::ESHOP).await;
}

/// Checks recommendations on a log of the format `eshop`.
pub(super) async fn check_recommendations(log: &Log) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let histories_max = portrait_model::Config::default().histories_max;
    let set = |model: &mut portrait_model::Config| {
        model.automatic = false;
        model.histories_max = histories_max;
    };
    let node = node(folder.path(), set).await;
    let url = node.grpc_url();
    let channel = connect(&url).await;
    let early = recommend(&channel, of("unknown-user")).await.expect_err("there is no model");
    assert_eq!(early.code(), Code::FailedPrecondition);
    import_into(&url, log).await;
    assert!(train(&channel, TrainModelRequest { segments: 5, ..Default::default() }).await.published);
    wait_until("the model is served", async || recommend(&channel, of("unknown-user")).await.is_ok()).await;

    // Unknown users get popular items.
    let unknown = recommend(&channel, of("unknown-user")).await.expect("a response");
    assert_eq!((unknown.items.len(), unknown.profile_version), (20, 0));
    let popular = [RecommendationPart::Popular, RecommendationPart::Trending, RecommendationPart::Segment];
    assert!(
        unknown.items.iter().all(|item| item.reasons.iter().all(|reason| popular.contains(&reason.part())))
    );

    // Two users with different views get different items as soon as the views are acknowledged.
    let mut responses = Vec::new();
    for (user_id, views) in [("lena", ["1", "2", "5"]), ("omar", ["200", "201", "210"])] {
        let mut token = Vec::new();
        for (number, item_id) in views.into_iter().enumerate() {
            token = track_view(&channel, user_id, item_id, number as i64).await;
        }
        let response = recommend(&channel, RecommendRequest { read_after: token, ..of(user_id) })
            .await
            .expect("a response");
        assert!(response.profile_version > 0 && response.model_version == 1);
        for item in &response.items {
            let sum: f64 = item.reasons.iter().map(|reason| reason.contribution).sum();
            assert!((sum - item.score).abs() < 1e-4 * item.score.abs().max(1.0), "{item:?}");
            assert!(item.because_item_id.is_empty() || views.contains(&&*item.because_item_id), "{item:?}");
        }
        assert!(response.items.is_sorted_by(|one, next| one.score >= next.score), "{:?}", items(&response));
        responses.push(response);
    }
    let (lena, omar): (BTreeSet<&str>, BTreeSet<&str>) =
        (items(&responses[0]).into_iter().collect(), items(&responses[1]).into_iter().collect());
    assert!(lena.intersection(&omar).count() < 10, "{lena:?} and {omar:?}");
    let popular: BTreeSet<&str> = items(&unknown).into_iter().collect();
    assert!(lena != popular && omar != popular);

    check_filters(&channel).await;
    check_cold_start(&channel, &items(&responses[0])).await;
    let many =
        recommend(&channel, RecommendRequest { count: 101, ..of("lena") }).await.expect_err("over the limit");
    assert_eq!(many.code(), Code::InvalidArgument);
    node.stop().await.expect("the node stops");
}
