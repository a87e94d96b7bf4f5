//! What events of a shop mean, over gRPC: orders that are sent again, refunds, what was given back, and what cannot be bought.

use super::segments::{import_into, node, train};
use portrait_client::RoleRouter;
use portrait_profile::{ORDER_LINES_MAX, ORDERS_MAX};
use portrait_proto::v1::ingest_service_client::IngestServiceClient;
use portrait_proto::v1::query_service_client::QueryServiceClient;
use portrait_proto::v1::{
    Action, BatchGetProfilesRequest, Event, GetProfileRequest, Item, ItemState, Profile, RecommendRequest,
    TrackRequest, TrainModelRequest, UpsertItemsRequest,
};
use portrait_tests::logs::prepared;
use portrait_tests::{Log, census, connect, python, repository, wait_until};
use std::collections::BTreeMap;
use std::process::Command;

/// 2026-01-01T10:00:00Z.
const BEGIN_S: i64 = 1_767_261_600;

/// Event of a user at a number of seconds after the beginning.
fn event(user: &str, action: Action, item: &str, second: i64) -> Event {
    Event {
        event_id: format!("{user}-{}-{item}-{second}", action.as_str_name()),
        user_id: user.to_owned(),
        action: action.into(),
        item_id: item.to_owned(),
        occurred_at: Some(prost_types::Timestamp { seconds: BEGIN_S + second, nanos: 0 }),
        ..Event::default()
    }
}

/// Line of an order.
fn line(user: &str, action: Action, item: &str, second: i64, price: f64) -> Event {
    Event { price: Some(price), order_id: format!("{user}-order"), ..event(user, action, item, second) }
}

async fn track(channel: &RoleRouter, events: Vec<Event>) -> Vec<u8> {
    let count = events.len();
    let request = TrackRequest { events, ..Default::default() };
    let response =
        IngestServiceClient::new(channel.clone()).track(request).await.expect("a response").into_inner();
    assert_eq!((response.accepted as usize, response.rejected), (count, Vec::new()));
    response.consistency_token
}

async fn profile(channel: &RoleRouter, user: &str, read_after: Vec<u8>) -> Profile {
    let request = GetProfileRequest { user_id: user.to_owned(), read_after, ..Default::default() };
    let response = QueryServiceClient::new(channel.clone()).get_profile(request).await;
    response.expect("a profile").into_inner().profile.expect("a profile")
}

async fn recommended(channel: &RoleRouter, request: RecommendRequest) -> Vec<String> {
    let response = QueryServiceClient::new(channel.clone()).recommend(request).await.expect("a response");
    response.into_inner().items.into_iter().map(|item| item.item_id).collect()
}

fn of(user: &str) -> RecommendRequest {
    RecommendRequest { user_id: user.to_owned(), count: 20, ..Default::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_counts_once_and_a_refund_takes_back_what_was_paid() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let node = node(folder.path(), |model| model.automatic = false).await;
    let channel = connect(&node.grpc_url()).await;

    // The confirmation page is loaded twice: two event ids, one order.
    let page = |second| line("reload", Action::Purchase, "boots", second, 89.9);
    let token = track(&channel, vec![page(0), page(300)]).await;
    let reload = profile(&channel, "reload", token).await.behavior.expect("behavior");
    let rfm = reload.rfm.expect("purchases");
    assert_eq!((rfm.orders_total, rfm.money_total, rfm.corrected_lines), (1, 89.9, 1));
    assert_eq!(reload.actions[0].total, 1);

    // Two months later all of it comes back.
    let late = [Action::Purchase, Action::Refund].map(|action| {
        line("late", action, "coat", if action == Action::Refund { 60 * 86_400 } else { 0 }, 100.0)
    });
    let token = track(&channel, late.to_vec()).await;
    let late = profile(&channel, "late", token).await;
    let state = late.preference.expect("interests").recent_items[0].state();
    let money = late.behavior.expect("behavior").rfm.expect("purchases");
    let decayed = money.money.expect("sums");
    assert_eq!([money.money_total, decayed.hour, decayed.week, decayed.quarter], [0.0; 4]);
    assert_eq!(state, ItemState::Returned);
    node.stop().await.expect("the node stops");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_given_back_or_cannot_be_bought_is_not_recommended() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let set = |model: &mut portrait_model::Config| {
        (model.automatic, model.rows_min) = (false, 20);
        model.histories_max = portrait_model::Config::default().histories_max;
    };
    let node = node(folder.path(), set).await;
    let channel = connect(&node.grpc_url()).await;
    let mut events = Vec::new();
    for number in 0..40_i64 {
        let user = format!("k{number}");
        let (kept, second) = (number % 2 == 0, number * 60);
        let bought = if kept { "kept" } else { "returned" };
        events.push(line(&user, Action::Purchase, bought, second, 20.0));
        events.extend(
            (0..number % 5)
                .map(|more| event(&user, Action::View, &format!("seen-{number}-{more}"), second + more)),
        );
        if kept {
            events.push(event(&user, Action::AddToCart, "taken-out", second + 20));
            events.push(event(&user, Action::RemoveFromCart, "taken-out", second + 30));
        } else {
            events.push(line(&user, Action::Refund, bought, second + 86_400, 20.0));
        }
    }
    let token = track(&channel, events).await;
    profile(&channel, "k39", token).await;
    let outcome = train(&channel, TrainModelRequest::default()).await;
    assert!(outcome.published, "{}", outcome.refusal);
    wait_until("recommendations", async || !recommended(&channel, of("nobody")).await.is_empty()).await;

    let popular = recommended(&channel, of("nobody")).await;
    assert_eq!(popular[0], "kept");
    for absent in ["returned", "taken-out"] {
        assert!(!popular.contains(&absent.to_owned()), "{popular:?}");
    }
    for (user, rejected) in [("k1", "returned"), ("k2", "taken-out")] {
        assert!(!recommended(&channel, of(user)).await.contains(&rejected.to_owned()), "{user}");
    }
    // What was bought and kept may come again, unless the caller excludes it.
    let without = recommended(&channel, RecommendRequest { exclude_bought: true, ..of("k2") }).await;
    assert!(!without.contains(&"kept".to_owned()), "{without:?}");
    let again = recommended(&channel, RecommendRequest { exclude_bought: true, ..of("k1") }).await;
    assert!(again.contains(&"kept".to_owned()), "{again:?}");

    // Sold out, until it can be bought again.
    for available in [false, true] {
        let item = Item { item_id: "kept".to_owned(), available: Some(available), ..Item::default() };
        let request = UpsertItemsRequest { items: vec![item] };
        IngestServiceClient::new(channel.clone()).upsert_items(request).await.expect("a response");
        let popular = recommended(&channel, of("nobody")).await;
        assert_eq!(popular.contains(&"kept".to_owned()), available, "{popular:?}");
    }
    node.stop().await.expect("the node stops");
}

/// Net money, orders and lines of a customer.
type Money = (f64, u64, u64);

/// Counts the money of invoices in Python.
fn independent_money(log: &Log) -> BTreeMap<String, Money> {
    let script = repository().join("tests/clients/independent_money.py");
    let output = Command::new(python()).arg(script).arg(log.path()).output().expect("python runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("a count")
}

#[tokio::test(flavor = "multi_thread")]
async fn money_of_invoices_equals_an_independent_count() {
    check_money(&prepared::ONLINE_RETAIL).await;
}

/// Checks the money of every customer of a log of invoices: to a cent for those within the bounds of a profile, and within what was
/// sent for all.
pub(super) async fn check_money(log: &Log) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let node = node(folder.path(), |model| model.automatic = false).await;
    let url = node.grpc_url();
    import_into(&url, log).await;
    let channel = connect(&url).await;
    let expected = independent_money(log);
    let user_ids: Vec<String> = census(channel.clone()).await.into_keys().collect();
    assert_eq!(user_ids.len(), expected.len());
    let mut within = 0;
    for page in user_ids.chunks(500) {
        let request = BatchGetProfilesRequest { user_ids: page.to_vec(), ..Default::default() };
        let response = QueryServiceClient::new(channel.clone()).batch_get_profiles(request).await;
        for profile in response.expect("profiles").into_inner().profiles {
            let rfm = profile.behavior.and_then(|behavior| behavior.rfm).unwrap_or_default();
            let (money, orders, lines) = expected[&profile.user_id];
            let user = &profile.user_id;
            assert!(rfm.money_total >= 0.0, "{user}: {}", rfm.money_total);
            let is_within = orders <= ORDERS_MAX as u64 && lines <= ORDER_LINES_MAX as u64;
            if is_within && rfm.untracked_lines == 0 {
                assert!(
                    (rfm.money_total - money).abs() < 0.01,
                    "{user}: {}, counted {money}",
                    rfm.money_total
                );
                assert_eq!(rfm.orders_total, orders, "{user}");
                within += 1;
            }
        }
    }
    assert!(within * 2 > expected.len(), "{within} of {} customers are within the bounds", expected.len());
    node.stop().await.expect("the node stops");
}
