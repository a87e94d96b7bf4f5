//! What models say of a shopper, as back-end services ask for it: what is done next, how likely a purchase or a bad order is and why,
//! and who is alike. The shop is made up so that what there is to learn is known.

use super::segments::{node, train};
use portrait_client::RoleRouter;
use portrait_proto::v1::ingest_service_client::IngestServiceClient;
use portrait_proto::v1::query_service_client::QueryServiceClient;
use portrait_proto::v1::{
    Action, Event, FindSimilarUsersRequest, Outcome, PredictNextActionRequest, PredictNextActionResponse,
    RecordOutcomesRequest, RecordOutcomesResponse, ScoreLearner, ScoreRequest, ScoreResponse, ScoreTarget,
    TrackRequest, TrainModelRequest, TrainOutcome,
};
use portrait_tests::{connect, until};
use tonic::{Code, Status};

/// Shoppers; every other one buys what is put into the cart.
const SHOPPERS: usize = 400;
/// Days that the shop is open.
const DAYS: i64 = 28;
/// Orders above it turn out badly.
const DEAR: f64 = 500.0;
const OPENED: i64 = 1_700_000_000;
const DAY: i64 = 86_400;
const CLOSED: i64 = OPENED + DAYS * DAY;

fn user(number: usize) -> String {
    format!("u{number:03}")
}

fn buys(number: usize) -> bool {
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
    if (number as i64 + day) % 10 == 0 { 2.0 * DEAR } else { 20.0 }
}

/// What happens on one day: a visit every third day, of two views and, with those who buy, a cart and an order.
fn happens(day: i64) -> Vec<Event> {
    let comes = |number: &usize| (*number as i64 / 2 + day) % 3 == 0;
    let mut events = Vec::new();
    for number in (0..SHOPPERS).filter(comes) {
        let begun = OPENED + day * DAY + number as i64;
        events.push(event(number, begun, Action::View));
        events.push(event(number, begun + 60, Action::View));
        if buys(number) {
            let order_id = format!("order-{number}-{day}");
            let price = Some(price(number, day));
            events.push(event(number, begun + 120, Action::AddToCart));
            events.push(Event { price, order_id, ..event(number, begun + 180, Action::Purchase) });
        }
    }
    events
}

/// What came of the orders of a day.
fn came_of(day: i64) -> Vec<Outcome> {
    let orders = happens(day).into_iter().filter(|event| event.action() == Action::Purchase);
    let outcome = |event: Event| Outcome {
        event_id: format!("outcome-{}", event.event_id),
        user_id: event.user_id,
        target: ScoreTarget::Risk.into(),
        happened: event.price > Some(DEAR),
        occurred_at: event.occurred_at,
        order_id: event.order_id,
    };
    orders.map(outcome).collect()
}

struct Shop {
    channel: RoleRouter,
    ingest: IngestServiceClient<RoleRouter>,
    query: QueryServiceClient<RoleRouter>,
}

impl Shop {
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
        let answer = self.ingest.record_outcomes(RecordOutcomesRequest { outcomes }).await;
        answer.expect("an answer").into_inner()
    }

    async fn track(&mut self, events: Vec<Event>) -> Vec<u8> {
        let count = events.len();
        let request = TrackRequest { events, ..Default::default() };
        let answer = self.ingest.track(request).await.expect("an answer").into_inner();
        assert_eq!(answer.accepted as usize, count, "{:?}", answer.rejected);
        answer.consistency_token
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
        self.query.predict_next_action(request).await.expect("an answer").into_inner()
    }
}

fn probability(answer: &PredictNextActionResponse, action: Action) -> f64 {
    answer.actions.iter().find(|next| next.action() == action).map_or(0.0, |next| next.probability)
}

/// That a score is what its reasons make it.
fn adds_up(answer: &ScoreResponse) {
    let reasons: f64 = answer.reasons.iter().map(|reason| reason.log_odds).sum();
    let sum = answer.base_log_odds + reasons + answer.other_log_odds;
    assert!((sum - answer.log_odds).abs() < 1e-3, "{answer:?}");
    assert!((1.0 / (1.0 + (-answer.log_odds).exp()) - answer.probability).abs() < 1e-9, "{answer:?}");
    if answer.learner() == ScoreLearner::Tree {
        let path: f64 = answer.path.iter().map(|step| step.log_odds).sum();
        assert!((answer.base_log_odds + path - answer.log_odds).abs() < 1e-6, "{answer:?}");
    }
}

/// A purchase within the week is foretold to those who buy, with reasons that add up.
async fn purchases_are_foretold(shop: &mut Shop) {
    for number in [0, 10, 1, 11] {
        let answer = shop.score(number, ScoreTarget::Propensity, &[]).await.expect("a score");
        adds_up(&answer);
        assert_eq!(answer.probability > 0.5, buys(number), "{number}: {answer:?}");
        let quality = answer.quality.expect("figures");
        assert!(quality.auc > 0.95 && quality.precision > 0.9 && quality.recall > 0.9, "{quality:?}");
        assert!(answer.reasons.len() == 5 && answer.model_version == 1 && answer.profile_version > 0);
    }
}

/// Outcomes are counted once, and one that says nothing is refused by the name of its field.
async fn outcomes_are_recorded(shop: &mut Shop) {
    for outcomes in (0..DAYS).map(came_of) {
        for _ in 0..2 {
            let answer = shop.record(outcomes.clone()).await;
            assert_eq!(answer.accepted as usize, outcomes.len(), "{:?}", answer.rejected);
        }
    }
    let aimless = Outcome { user_id: user(0), occurred_at: at(OPENED), ..Default::default() };
    let answer = shop.record(vec![aimless]).await;
    assert_eq!((answer.accepted, &*answer.rejected[0].field), (0, "outcomes[0].target"));
}

/// What orders had in common that turned out badly is learned from outcomes.
async fn risk_is_learned(shop: &mut Shop) {
    until("what came of orders is learned", async || {
        shop.train(TrainModelRequest { force: true, ..Default::default() }).await;
        shop.score(0, ScoreTarget::Risk, &[]).await.is_ok()
    })
    .await;
    let mut risks = Vec::new();
    for (number, price) in [(0, 20.0), (10, 2.0 * DEAR)] {
        let order = Event { price: Some(price), ..event(number, CLOSED, Action::Purchase) };
        let token = shop.track(vec![order]).await;
        let answer = shop.score(number, ScoreTarget::Risk, &token).await.expect("a score");
        adds_up(&answer);
        risks.push(answer.probability);
    }
    assert!(risks[0] < risks[1], "a dear order is riskier than a cheap one: {risks:?}");
}

/// What is foretold follows the newest event, not the one before.
async fn next_action_follows_the_newest(shop: &mut Shop) {
    let token = shop.track(vec![event(2, CLOSED + 600, Action::AddToCart)]).await;
    let buyer = shop.next(&user(2), &token).await;
    assert_eq!((buyer.last_action(), buyer.actions[0].action()), (Action::AddToCart, Action::Purchase));
    let token = shop.track(vec![event(3, CLOSED + 610, Action::View)]).await;
    let viewer = shop.next(&user(3), &token).await;
    let sum: f64 = viewer.actions.iter().map(|next| next.probability).sum();
    assert!((sum - 1.0).abs() < 1e-9 && viewer.last_action() == Action::View);
    assert!(probability(&viewer, Action::Purchase) < probability(&buyer, Action::Purchase));
    let nobody = shop.next("nobody", &[]).await;
    assert_eq!((nobody.profile_version, nobody.last_action()), (0, Action::Unspecified));
}

async fn similar_users_shop_alike(shop: &mut Shop) {
    let request = FindSimilarUsersRequest { user_id: user(20), count: 10, ..Default::default() };
    let similar = shop.query.find_similar_users(request).await.expect("an answer").into_inner();
    assert_eq!(similar.users.len(), 10);
    assert!(similar.users.is_sorted_by(|one, next| one.distance <= next.distance));
    assert!(similar.users.iter().all(|other| other.user_id != user(20) && other.profile_version > 0));
    let number = |id: &str| id[1..].parse::<usize>().expect("a number");
    assert!(similar.users.iter().filter(|other| buys(number(&other.user_id))).count() >= 9, "{similar:?}");
    let request = FindSimilarUsersRequest { user_id: "nobody".to_owned(), ..Default::default() };
    assert_eq!(shop.query.find_similar_users(request).await.expect_err("unknown").code(), Code::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn models_foretell_score_and_compare_shoppers_and_say_why() {
    let folder = tempfile::tempdir().expect("a folder");
    let usual = portrait_model::Config::default().examples_max;
    let node = node(folder.path(), |model| (model.automatic, model.examples_max) = (false, usual)).await;
    let mut shop = Shop::at(&node.grpc_url()).await;
    let mut token = Vec::new();
    for day in 0..DAYS {
        token = shop.track(happens(day)).await;
    }
    let early = shop.score(0, ScoreTarget::Propensity, &token).await.expect_err("there is no model yet");
    assert_eq!(early.code(), Code::FailedPrecondition);
    assert!(shop.train(TrainModelRequest { segments: 4, ..Default::default() }).await.published);
    until("the model is served", async || shop.score(0, ScoreTarget::Propensity, &[]).await.is_ok()).await;
    let risk = shop.score(0, ScoreTarget::Risk, &[]).await.expect_err("nobody said what came of orders");
    assert_eq!(risk.code(), Code::FailedPrecondition);
    assert!(risk.message().contains("RecordOutcomes"), "{risk:?}");
    purchases_are_foretold(&mut shop).await;
    outcomes_are_recorded(&mut shop).await;
    risk_is_learned(&mut shop).await;
    next_action_follows_the_newest(&mut shop).await;
    similar_users_shop_alike(&mut shop).await;
    node.stop().await.expect("it stops");
}
