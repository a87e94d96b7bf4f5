//! Personal data do not reach the log under any name, and what a policy changes is changed before it is written.

use super::fixture::{IngestFixture, new_year, track, view};
use portrait_ingest::{Config, TraitPolicy};
use portrait_profile::{Body, Event};
use portrait_proto::v1::{self, ErrorReason, IdentifyRequest, TraitsUpdate};
use std::collections::HashMap;

/// Names of personal data, one a line: the kind, and the name.
const PERSONAL_NAMES: &str = include_str!("../../src/personal/testdata/personal_names.txt");
/// Value of every personal trait; it has no form of its own.
const SECRET: &str = "secret-of-lena";

fn update(traits: HashMap<String, String>) -> TraitsUpdate {
    TraitsUpdate { user_id: "priv".to_owned(), occurred_at: new_year(), traits, ..Default::default() }
}

fn map(traits: &[(&str, &str)]) -> HashMap<String, String> {
    traits.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Sends updates of a user and returns the names and values that are in the log.
async fn logged(config: &Config, updates: Vec<TraitsUpdate>) -> Vec<(String, String)> {
    let fixture = IngestFixture::new(config);
    let count = updates.len();
    let response =
        fixture.client().identify(IdentifyRequest { updates }).await.expect("a response").into_inner();
    assert_eq!((response.accepted as usize, response.rejected), (count, vec![]));
    let bodies = fixture.logs().await.into_iter().map(|record| record.body);
    let traits = bodies.flat_map(|body| match body {
        Body::Traits(traits) => traits,
        other => panic!("{other:?} is no update"),
    });
    traits.map(|kept| (kept.name.into(), kept.value.into())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn contacts_by_other_names_are_not_logged() {
    // The traits of rudderlabs/rudder-sdk-js#1184.
    let names = [
        "phoneNumber",
        "phone_number",
        "mobile",
        "e-mail",
        "emailAddress",
        "fullName",
        "surname",
        "date_of_birth",
        "ip",
    ];
    let traits = names.iter().map(|name| ((*name).to_owned(), "secret".to_owned()));
    assert_eq!(logged(&Config::default(), vec![update(traits.collect())]).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_personal_names_are_not_logged_in_clear() {
    let names: Vec<&str> = PERSONAL_NAMES
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(' ').map(|(_, name)| name))
        .collect();
    assert!(names.len() >= 500, "{} names", names.len());
    let colour = ("favourite_colour".to_owned(), "red".to_owned());
    let updates = names.chunks(31).map(|names| {
        let traits = names.iter().map(|name| ((*name).to_owned(), SECRET.to_owned()));
        update(traits.chain([colour.clone()]).collect())
    });
    let updates: Vec<TraitsUpdate> = updates.collect();
    let expected = vec![colour; updates.len()];
    assert_eq!(logged(&Config::default(), updates).await, expected);
    // The same names as properties of events.
    let fixture = IngestFixture::new(&Config::default());
    let events = names.chunks(16).enumerate().map(|(index, names)| v1::Event {
        properties: names.iter().map(|name| ((*name).to_owned(), SECRET.to_owned())).collect(),
        ..view("priv", &format!("e{index}"))
    });
    let response = fixture.client().track(track(events.collect())).await.expect("a response").into_inner();
    assert_eq!(response.rejected, []);
    for record in fixture.logs().await {
        assert!(matches!(&record.body, Body::Event(Event { context: None, .. })), "{record:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn values_with_the_form_of_a_contact_are_not_logged() {
    let traits = map(&[
        ("a", "lena@example.com"),
        ("b", "+49 170 1234567"),
        ("c", "4111 1111 1111 1111"),
        ("d", "11010519491231002X"),
        ("e", "1704067200"),
    ]);
    let expected = vec![("e".to_owned(), "1704067200".to_owned())];
    assert_eq!(logged(&Config::default(), vec![update(traits)]).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_of_the_shop_is_applied_before_the_log() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("trait.keys");
    std::fs::write(&path, format!("2 {}\n", "5c".repeat(32))).expect("written");
    let mut config = Config { trait_keys_file: path, ..Config::default() };
    for (name, policy) in
        [("email", TraitPolicy::Hash), ("phone", TraitPolicy::Encrypt), ("ip", TraitPolicy::Truncate)]
    {
        config.traits.insert(name.to_owned(), policy);
    }
    let traits = map(&[("email", "lena@example.com"), ("phone", "+49 170 1234567"), ("ip", "203.0.113.77")]);
    let kept = logged(&config, vec![update(traits)]).await;
    let values: Vec<&str> = kept.iter().map(|(_, value)| &**value).collect();
    assert_eq!(kept.iter().map(|(name, _)| &**name).collect::<Vec<_>>(), ["email", "ip", "phone"]);
    assert!(values[0].starts_with("h2:") && values[2].starts_with("e2:"), "{values:?}");
    assert_eq!(values[1], "203.0.113.0");
    assert!(values.iter().all(|value| !value.contains("lena") && !value.contains("123456")), "{values:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_with_an_invisible_character_is_refused() {
    let fixture = IngestFixture::new(&Config::default());
    let mut event = view("u1", "e1");
    event.item_id = "boo\u{200B}ts".to_owned();
    let events = vec![event, view("u\u{202E}1", "e2"), view("u1", "e3")];
    let response = fixture.client().track(track(events)).await.expect("a response").into_inner();
    let rejected: Vec<_> =
        response.rejected.iter().map(|rejection| (rejection.reason(), rejection.field.as_str())).collect();
    let expected = [(ErrorReason::BadText, "events[0].item_id"), (ErrorReason::BadText, "events[1].user_id")];
    assert_eq!((response.accepted, rejected), (1, expected.to_vec()));
    assert!(response.rejected[0].message.contains("invisible"), "{:?}", response.rejected[0]);
}
