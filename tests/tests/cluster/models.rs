//! Predictions over gRPC: next action, propensity and risk scores with reasons, and similar users. The events are synthetic, so that the
//! correct predictions are known.

use super::segments::{node, train};
use portrait_client::RoleRouter;
use portrait_proto::v1::ingest_service_client::IngestServiceClient;
use portrait_proto::v1::query_service_client::QueryServiceClient;
use portrait_proto::v1::{
    Action, Event, FindSimilarUsersRequest, Outcome, PredictNextActionRequest, PredictNextActionResponse,
    RecordOutcomesRequest, RecordOutcomesResponse, ScoreLearner, ScoreRequest, ScoreResponse, ScoreTarget,
    TrackRequest, TrainModelRequest, TrainOutcome,
};
use portrait_tests::{connect, wait_until};
use tonic::{Code, Status};

/// Number of users; every second one buys the items of the cart.
const USERS: usize = 400;
/// Days with events.
const DAYS: i64 = 28;
/// Orders above this price have the risk outcome.
const BAD_ORDER_PRICE: f64 = 500.0;
const FIRST_DAY: i64 = 1_700_000_000;
const DAY: i64 = 86_400;
const AFTER_LAST_DAY: i64 = FIRST_DAY + DAYS * DAY;

fn user(number: usize) -> String {
    format!("u{number:03}")
}

fn is_buyer(number: usize) -> bool {
    number.is_multiple_of(2)
}

fn at(seconds: i64) -> Option<prost_types::Timestamp> {
    Some(prost_types::Timestamp { seconds, nanos: 0 })
}

fn event(number: usize, seconds: i64, action: Action) -> Event {
    Event {
        event_id: format!("{number}-{seconds}-{}", action.as_str_name()),
        user_id: user(number),
        action: action.into(),
        occurred_at: at(seconds),
        item_id: format!("item-{}", seconds % 7),
        ..Event::default()
    }
}

fn price(number: usize, day: i64) -> f64 {
    if (number as i64 + day) % 10 == 0 { 2.0 * BAD_ORDER_PRICE } else { 20.0 }
}

/// Events of one day: each user visits every third day with two views; buyers add to the cart and order.
fn events_of(day: i64) -> Vec<Event> {
    let visits = |number: &usize| (*number as i64 / 2 + day) % 3 == 0;
    let mut events = Vec::new();
    for number in (0..USERS).filter(visits) {
        let started = FIRST_DAY + day * DAY + number as i64;
        events.push(event(number, started, Action::View));
        events.push(event(number, started + 60, Action::View));
        if is_buyer(number) {
            let order_id = format!("order-{number}-{day}");
            let price = Some(price(number, day));
            events.push(event(number, started + 120, Action::AddToCart));
            events.push(Event { price, order_id, ..event(number, started + 180, Action::Purchase) });
        }
    }
    events
}

/// Risk outcomes of the orders of a day.
fn outcomes_of(day: i64) -> Vec<Outcome> {
    let orders = events_of(day).into_iter().filter(|event| event.action() == Action::Purchase);
    let outcome = |event: Event| Outcome {
        source: String::new(),
        event_id: format!("outcome-{}", event.event_id),
        user_id: event.user_id,
        target: ScoreTarget::Risk.into(),
        happened: event.price > Some(BAD_ORDER_PRICE),
        occurred_at: event.occurred_at,
        order_id: event.order_id,
    };
    orders.map(outcome).collect()
}

struct Client {
    channel: RoleRouter,
    ingest: IngestServiceClient<RoleRouter>,
    query: QueryServiceClient<RoleRouter>,
}

impl Client {
    async fn at(url: &str) -> Self {
        let channel = connect(url).await;
        Self {
            ingest: IngestServiceClient::new(channel.clone()),
            query: QueryServiceClient::new(channel.clone()),
            channel,
        }
    }

    async fn train(&self, request: TrainModelRequest) -> TrainOutcome {
        train(&self.channel, request).await
    }

    async fn record(&mut self, outcomes: Vec<Outcome>) -> RecordOutcomesResponse {
        let response = self.ingest.record_outcomes(RecordOutcomesRequest { outcomes }).await;
        response.expect("a response").into_inner()
    }

    async fn track(&mut self, events: Vec<Event>) -> Vec<u8> {
        let count = events.len();
        let request = TrackRequest { events, ..Default::default() };
        let response = self.ingest.track(request).await.expect("a response").into_inner();
        assert_eq!(response.accepted as usize, count, "{:?}", response.rejected);
        response.consistency_token
    }

    async fn score(
        &mut self,
        number: usize,
        target: ScoreTarget,
        after: &[u8],
    ) -> Result<ScoreResponse, Status> {
        let request = ScoreRequest {
            user_id: user(number),
            target: target.into(),
            read_after: after.to_vec(),
            ..Default::default()
        };
        self.query.score(request).await.map(tonic::Response::into_inner)
    }

    async fn next(&mut self, user_id: &str, after: &[u8]) -> PredictNextActionResponse {
        let request = PredictNextActionRequest {
            user_id: user_id.to_owned(),
            read_after: after.to_vec(),
            ..Default::default()
        };
        self.query.predict_next_action(request).await.expect("a response").into_inner()
    }
}

fn probability(response: &PredictNextActionResponse, action: Action) -> f64 {
    response.actions.iter().find(|next| next.action() == action).map_or(0.0, |next| next.probability)
}

/// Asserts that a score equals the sum of its reasons.
fn assert_reasons_add_up(response: &ScoreResponse) {
    let reasons: f64 = response.reasons.iter().map(|reason| reason.log_odds).sum();
    let sum = response.base_log_odds + reasons + response.other_log_odds;
    assert!((sum - response.log_odds).abs() < 1e-3, "{response:?}");
    assert!((1.0 / (1.0 + (-response.log_odds).exp()) - response.probability).abs() < 1e-9, "{response:?}");
    if response.learner() == ScoreLearner::Tree {
        let path: f64 = response.path.iter().map(|step| step.log_odds).sum();
        assert!((response.base_log_odds + path - response.log_odds).abs() < 1e-6, "{response:?}");
    }
}

/// Checks that buyers get a purchase probability above 0.5, with reasons that add up.
async fn check_propensity(client: &mut Client) {
    for number in [0, 10, 1, 11] {
        let response = client.score(number, ScoreTarget::Propensity, &[]).await.expect("a score");
        assert_reasons_add_up(&response);
        assert_eq!(response.probability > 0.5, is_buyer(number), "{number}: {response:?}");
        let quality = response.quality.expect("figures");
        assert!(quality.auc > 0.95 && quality.precision > 0.9 && quality.recall > 0.9, "{quality:?}");
        assert!(response.reasons.len() == 5 && response.model_version == 1 && response.profile_version > 0);
    }
}

/// Records outcomes twice and checks that one without a target is rejected with the field.
async fn check_outcomes(client: &mut Client) {
    for outcomes in (0..DAYS).map(outcomes_of) {
        for _ in 0..2 {
            let response = client.record(outcomes.clone()).await;
            assert_eq!(response.accepted as usize, outcomes.len(), "{:?}", response.rejected);
        }
    }
    let without_target = Outcome { user_id: user(0), occurred_at: at(FIRST_DAY), ..Default::default() };
    let response = client.record(vec![without_target]).await;
    assert_eq!((response.accepted, &*response.rejected[0].field), (0, "outcomes[0].target"));
}

/// Checks that the risk model learns from outcomes that expensive orders are risky.
async fn check_risk(client: &mut Client) {
    wait_until("the risk model is trained", async || {
        client.train(TrainModelRequest { force: true, ..Default::default() }).await;
        client.score(0, ScoreTarget::Risk, &[]).await.is_ok()
    })
    .await;
    let mut risks = Vec::new();
    for (number, price) in [(0, 20.0), (10, 2.0 * BAD_ORDER_PRICE)] {
        let order = Event { price: Some(price), ..event(number, AFTER_LAST_DAY, Action::Purchase) };
        let token = client.track(vec![order]).await;
        let response = client.score(number, ScoreTarget::Risk, &token).await.expect("a score");
        assert_reasons_add_up(&response);
        risks.push(response.probability);
    }
    assert!(risks[0] < risks[1], "an expensive order is riskier than a cheap one: {risks:?}");
}

/// Checks that the prediction depends on the newest event.
async fn check_next_action(client: &mut Client) {
    let token = client.track(vec![event(2, AFTER_LAST_DAY + 600, Action::AddToCart)]).await;
    let buyer = client.next(&user(2), &token).await;
    assert_eq!((buyer.last_action(), buyer.actions[0].action()), (Action::AddToCart, Action::Purchase));
    let token = client.track(vec![event(3, AFTER_LAST_DAY + 610, Action::View)]).await;
    let viewer = client.next(&user(3), &token).await;
    let sum: f64 = viewer.actions.iter().map(|next| next.probability).sum();
    assert!((sum - 1.0).abs() < 1e-9 && viewer.last_action() == Action::View);
    assert!(probability(&viewer, Action::Purchase) < probability(&buyer, Action::Purchase));
    let unknown = client.next("unknown-user", &[]).await;
    assert_eq!((unknown.profile_version, unknown.last_action()), (0, Action::Unspecified));
}

async fn check_similar_users(client: &mut Client) {
    let request = FindSimilarUsersRequest { user_id: user(20), count: 10, ..Default::default() };
    let similar = client.query.find_similar_users(request).await.expect("a response").into_inner();
    assert_eq!(similar.users.len(), 10);
    assert!(similar.users.is_sorted_by(|one, next| one.distance <= next.distance));
    assert!(similar.users.iter().all(|other| other.user_id != user(20) && other.profile_version > 0));
    let number = |id: &str| id[1..].parse::<usize>().expect("a number");
    assert!(
        similar.users.iter().filter(|other| is_buyer(number(&other.user_id))).count() >= 9,
        "{similar:?}"
    );
    let request = FindSimilarUsersRequest { user_id: "unknown-user".to_owned(), ..Default::default() };
    assert_eq!(client.query.find_similar_users(request).await.expect_err("unknown").code(), Code::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn models_predict_score_and_compare_users_with_reasons() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let examples_max = portrait_model::Config::default().examples_max;
    let node = node(folder.path(), |model| {
        model.automatic = false;
        model.examples_max = examples_max;
    })
    .await;
    let mut client = Client::at(&node.grpc_url()).await;
    let mut token = Vec::new();
    for day in 0..DAYS {
        token = client.track(events_of(day)).await;
    }
    let early = client.score(0, ScoreTarget::Propensity, &token).await.expect_err("there is no model yet");
    assert_eq!(early.code(), Code::FailedPrecondition);
    assert!(client.train(TrainModelRequest { segments: 4, ..Default::default() }).await.published);
    wait_until("the model is served", async || client.score(0, ScoreTarget::Propensity, &[]).await.is_ok())
        .await;
    let risk = client.score(0, ScoreTarget::Risk, &[]).await.expect_err("no outcomes are recorded");
    assert_eq!(risk.code(), Code::FailedPrecondition);
    assert!(risk.message().contains("RecordOutcomes"), "{risk:?}");
    check_propensity(&mut client).await;
    check_outcomes(&mut client).await;
    check_risk(&mut client).await;
    check_next_action(&mut client).await;
    check_similar_users(&mut client).await;
    node.stop().await.expect("the node stops");
}
