//! Single and batch reads: results, read times, and refusals.

use super::fixture::{NEW_YEAR, QueryFixture, config, purchases_of_the_week};
use super::reader::reason;
use portrait_proto::v1::{BatchGetProfilesRequest, ErrorReason, GetProfileRequest, Profile};
use portrait_store::ProfileClock;
use prost_types::Timestamp;
use tonic::{Code, Status};
use tonic_types::StatusExt;

const WEEK: i64 = 7 * 86_400_000;

fn wire(millis: i64) -> Option<Timestamp> {
    Some(portrait_proto::time::to_wire(portrait_profile::Timestamp::from_millis(millis)))
}

async fn read(fixture: &QueryFixture, user: &str, read_at: Option<Timestamp>) -> Result<Profile, Status> {
    let request = GetProfileRequest { user_id: user.to_owned(), read_at, ..Default::default() };
    let response = fixture.client().get_profile(request).await?.into_inner();
    Ok(response.profile.expect("a response has a profile"))
}

fn field(status: &Status) -> String {
    let details = status.get_error_details();
    let request = details.bad_request().expect("a field is named");
    request.field_violations[0].field.clone()
}

#[tokio::test]
async fn a_profile_decays_to_the_read_time() {
    let mut fixture = QueryFixture::running().await;
    fixture.buy("u1", NEW_YEAR).await;
    for (weeks, expected) in [(0, 1.0), (1, 0.5), (3, 0.125)] {
        let profile = read(&fixture, "u1", wire(NEW_YEAR + weeks * WEEK)).await.expect("a profile");
        assert!((purchases_of_the_week(&profile) - expected).abs() < 1e-9, "{weeks} weeks later");
    }
    fixture.clock.set(NEW_YEAR + 2 * WEEK);
    let now = read(&fixture, "u1", None).await.expect("a profile");
    assert!((purchases_of_the_week(&now) - 0.25).abs() < 1e-9);
    assert_eq!(now.read_at, wire(NEW_YEAR + 2 * WEEK));
}

#[tokio::test]
async fn a_read_time_before_the_newest_event_is_refused_and_now_never_is() {
    let mut fixture = QueryFixture::running().await;
    fixture.buy("u1", NEW_YEAR).await;
    fixture.buy("u2", NEW_YEAR + 5).await;
    let refused = read(&fixture, "u1", wire(NEW_YEAR - 1)).await.expect_err("too early");
    assert_eq!((reason(&refused), field(&refused).as_str()), (ErrorReason::ReadBeforeNewest, "read_at"));
    let user_ids = vec!["u1".to_owned(), "u2".to_owned()];
    let batch = BatchGetProfilesRequest { user_ids, read_at: wire(NEW_YEAR + 4), ..Default::default() };
    let refused = fixture.client().batch_get_profiles(batch).await.expect_err("too early for one");
    assert_eq!(reason(&refused), ErrorReason::ReadBeforeNewest);
    fixture.clock.set(NEW_YEAR - WEEK);
    let profile = read(&fixture, "u1", None).await.expect("the server's clock may be behind");
    assert_eq!(profile.read_at, wire(NEW_YEAR));
}

#[tokio::test]
async fn with_the_event_clock_reads_are_at_the_newest_event() {
    let mut fixture = QueryFixture::open(config(), ProfileClock::Events).await;
    let users = [fixture.users_of(0, 1), fixture.users_of(1, 1)].concat();
    fixture.buy(&users[0], NEW_YEAR).await;
    fixture.buy(&users[1], NEW_YEAR + WEEK).await;
    fixture.clock.set(NEW_YEAR + 500 * WEEK);
    let profile = read(&fixture, &users[0], None).await.expect("a profile");
    assert_eq!(profile.read_at, wire(NEW_YEAR + WEEK));
    assert!((purchases_of_the_week(&profile) - 0.5).abs() < 1e-9);
}

#[tokio::test]
async fn a_batch_answers_each_user_once_in_order_and_lists_the_missing() {
    let mut fixture = QueryFixture::running().await;
    for number in 0..200 {
        fixture.buy(&format!("u{number}"), NEW_YEAR).await;
    }
    let mut user_ids: Vec<String> = (0..200).rev().map(|number| format!("u{number}")).collect();
    user_ids.insert(50, "unknown".to_owned());
    user_ids.extend(["u7".to_owned(), "unknown".to_owned(), "stranger".to_owned()]);
    let request = BatchGetProfilesRequest { user_ids, ..Default::default() };
    let batch = fixture.client().batch_get_profiles(request).await.expect("a response").into_inner();
    let found: Vec<String> = batch.profiles.into_iter().map(|profile| profile.user_id).collect();
    assert_eq!(found, (0..200).rev().map(|number| format!("u{number}")).collect::<Vec<_>>());
    assert_eq!(batch.missing_user_ids, ["unknown", "stranger"]);
}

#[tokio::test]
async fn an_invalid_request_is_refused_with_its_field() {
    let fixture = QueryFixture::running().await;
    let ids = |ids: &[&str]| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
    let rows = [
        (ids(&[]), ErrorReason::EmptyBatch, "user_ids"),
        (vec!["u".to_owned(); 1001], ErrorReason::TooMany, "user_ids"),
        (ids(&["a", "b", "c", ""]), ErrorReason::EmptyId, "user_ids[3]"),
        (ids(&["a", "b\0"]), ErrorReason::BadText, "user_ids[1]"),
        (vec!["x".repeat(129)], ErrorReason::TooLong, "user_ids[0]"),
    ];
    for (user_ids, expected, invalid_field) in rows {
        let request = BatchGetProfilesRequest { user_ids, ..Default::default() };
        let refused = fixture.client().batch_get_profiles(request).await.expect_err("an invalid request");
        assert_eq!((refused.code(), reason(&refused)), (Code::InvalidArgument, expected), "{invalid_field}");
        assert_eq!(field(&refused), invalid_field);
    }
    let refused = read(&fixture, "", None).await.expect_err("no id");
    assert_eq!((reason(&refused), field(&refused).as_str()), (ErrorReason::EmptyId, "user_id"));
    let no_time = Some(Timestamp { seconds: 0, nanos: -1 });
    let refused = read(&fixture, "u", no_time).await.expect_err("no time");
    assert_eq!((reason(&refused), field(&refused).as_str()), (ErrorReason::BadTime, "read_at"));
    let missing = read(&fixture, "u", None).await.expect_err("unknown");
    assert_eq!((missing.code(), reason(&missing)), (Code::NotFound, ErrorReason::UserNotFound));
}
