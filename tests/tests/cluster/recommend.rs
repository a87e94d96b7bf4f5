//! What a shopper may want next, as a recommendation engine asks for it: learned by the server from a log, current with the
//! event that was just acknowledged, and explained.

use super::segments::{import_into, node, train};
use portrait_client::RoleRouter;
use portrait_proto::v1::ingest_service_client::IngestServiceClient;
use portrait_proto::v1::query_service_client::QueryServiceClient;
use portrait_proto::v1::{
    Action, Event, Item, RecommendRequest, RecommendResponse, RecommendationPart, TrackRequest,
    TrainModelRequest, UpsertItemsRequest,
};
use portrait_tests::logs::prepared;
use portrait_tests::{Log, connect, until};
use std::collections::BTreeSet;
use tonic::{Code, Status};

async fn ask(channel: &RoleRouter, request: RecommendRequest) -> Result<RecommendResponse, Status> {
    QueryServiceClient::new(channel.clone()).recommend(request).await.map(tonic::Response::into_inner)
}

fn of(user_id: &str) -> RecommendRequest {
    RecommendRequest { user_id: user_id.to_owned(), ..Default::default() }
}

fn items(answer: &RecommendResponse) -> Vec<&str> {
    answer.items.iter().map(|item| &*item.item_id).collect()
}

/// Tells that a shopper looked at an item, and gives the token to read it by.
async fn look(channel: &RoleRouter, user_id: &str, item_id: &str, number: i64) -> Vec<u8> {
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
    let answer =
        IngestServiceClient::new(channel.clone()).track(request).await.expect("an answer").into_inner();
    assert_eq!(answer.accepted, 1, "{:?}", answer.rejected);
    answer.consistency_token
}

/// What is filtered out is not recommended; prices and categories are the catalogue's.
async fn filters_hold(channel: &RoleRouter) {
    let rest =
        ask(channel, RecommendRequest { exclude_recent: true, ..of("lena") }).await.expect("an answer");
    assert!(items(&rest).iter().all(|item| !["1", "2", "5"].contains(item)), "{:?}", items(&rest));
    let catalogue = ["7", "9", "11"].map(|item_id| Item {
        item_id: item_id.to_owned(),
        category: "coats".to_owned(),
        price: Some(if item_id == "11" { 90.0 } else { 20.0 }),
        ..Item::default()
    });
    let upsert = UpsertItemsRequest { items: catalogue.to_vec() };
    IngestServiceClient::new(channel.clone()).upsert_items(upsert).await.expect("an answer");
    let coats =
        RecommendRequest { categories: vec!["coats".to_owned()], price_max: Some(50.0), ..of("lena") };
    let coats = ask(channel, coats).await.expect("an answer");
    assert_eq!(items(&coats).into_iter().collect::<BTreeSet<_>>(), BTreeSet::from(["7", "9"]));
}

/// What nobody looked at yet is found by what it is like, once a training has seen the catalogue.
async fn newcomers_are_found(channel: &RoleRouter, like: &[&str]) {
    let coat =
        |item_id: &str| Item { item_id: item_id.to_owned(), category: "coats".to_owned(), ..Item::default() };
    let like = like.iter().map(|item_id| coat(item_id));
    let upsert = UpsertItemsRequest { items: like.chain([coat("just-in")]).collect() };
    IngestServiceClient::new(channel.clone()).upsert_items(upsert).await.expect("an answer");
    assert!(train(channel, TrainModelRequest { force: true, ..Default::default() }).await.published);
    let coats = RecommendRequest { categories: vec!["coats".to_owned()], count: 100, ..of("lena") };
    until("the newcomer is recommended", async || {
        let answer = ask(channel, coats.clone()).await.expect("an answer");
        items(&answer).contains(&"just-in")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_recommended_follows_the_newest_event_and_says_why() {
    check_recommendations(&prepared::ESHOP).await;
}

/// Recommends items of a log of the format `eshop`.
pub(super) async fn check_recommendations(log: &Log) {
    let folder = tempfile::tempdir().expect("a folder");
    let usual = portrait_model::Config::default().histories_max;
    let set = |model: &mut portrait_model::Config| (model.automatic, model.histories_max) = (false, usual);
    let node = node(folder.path(), set).await;
    let url = node.grpc_url();
    let channel = connect(&url).await;
    let early = ask(&channel, of("nobody")).await.expect_err("there is no model");
    assert_eq!(early.code(), Code::FailedPrecondition);
    import_into(&url, log).await;
    assert!(train(&channel, TrainModelRequest { segments: 5, ..Default::default() }).await.published);
    until("the model is served", async || ask(&channel, of("nobody")).await.is_ok()).await;

    // Whom nothing is known of is recommended what others have.
    let nobody = ask(&channel, of("nobody")).await.expect("an answer");
    assert_eq!((nobody.items.len(), nobody.profile_version), (20, 0));
    let popular = [RecommendationPart::Popular, RecommendationPart::Trending, RecommendationPart::Segment];
    assert!(
        nobody.items.iter().all(|item| item.reasons.iter().all(|reason| popular.contains(&reason.part())))
    );

    // Two shoppers who look at different things are recommended different ones, as soon as the look is acknowledged.
    let mut answers = Vec::new();
    for (user_id, looks) in [("lena", ["1", "2", "5"]), ("omar", ["200", "201", "210"])] {
        let mut token = Vec::new();
        for (number, item_id) in looks.into_iter().enumerate() {
            token = look(&channel, user_id, item_id, number as i64).await;
        }
        let answer =
            ask(&channel, RecommendRequest { read_after: token, ..of(user_id) }).await.expect("an answer");
        assert!(answer.profile_version > 0 && answer.model_version == 1);
        for item in &answer.items {
            let sum: f64 = item.reasons.iter().map(|reason| reason.contribution).sum();
            assert!((sum - item.score).abs() < 1e-4 * item.score.abs().max(1.0), "{item:?}");
            assert!(item.because_item_id.is_empty() || looks.contains(&&*item.because_item_id), "{item:?}");
        }
        assert!(answer.items.is_sorted_by(|one, next| one.score >= next.score), "{:?}", items(&answer));
        answers.push(answer);
    }
    let (lena, omar): (BTreeSet<&str>, BTreeSet<&str>) =
        (items(&answers[0]).into_iter().collect(), items(&answers[1]).into_iter().collect());
    assert!(lena.intersection(&omar).count() < 10, "{lena:?} and {omar:?}");
    let popular: BTreeSet<&str> = items(&nobody).into_iter().collect();
    assert!(lena != popular && omar != popular);

    filters_hold(&channel).await;
    newcomers_are_found(&channel, &items(&answers[0])).await;
    let many = ask(&channel, RecommendRequest { count: 101, ..of("lena") }).await.expect_err("too many");
    assert_eq!(many.code(), Code::InvalidArgument);
    node.stop().await.expect("it stops");
}
