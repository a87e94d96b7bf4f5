//! Read your writes: waits for a consistency token, and invalid tokens.

use super::fixture::{NEW_YEAR, PATIENCE, QueryFixture, config};
use super::reader::reason;
use portrait_proto::token::ConsistencyToken;
use portrait_proto::v1::{BatchGetProfilesRequest, ErrorReason, GetProfileRequest, Profile};
use portrait_query::Config;
use std::time::Duration;
use tokio::time::timeout;
use tonic::{Code, Request, Status};

fn request(user: &str, read_after: &[u8]) -> GetProfileRequest {
    GetProfileRequest { user_id: user.to_owned(), read_after: read_after.to_vec(), ..Default::default() }
}

async fn read(
    fixture: &QueryFixture,
    request: impl tonic::IntoRequest<GetProfileRequest>,
) -> Result<Profile, Status> {
    let response = fixture.client().get_profile(request).await?.into_inner();
    Ok(response.profile.expect("a response has a profile"))
}

#[tokio::test]
async fn a_read_waits_until_its_token_is_applied() {
    let mut fixture = QueryFixture::running().await;
    let (record, token) = fixture.log_purchase("u1", NEW_YEAR).await;
    assert_eq!(
        reason(&read(&fixture, request("u1", &[])).await.expect_err("not yet")),
        ErrorReason::UserNotFound
    );
    let mut client = fixture.client();
    let waiting = request("u1", &token.encode(fixture.key()));
    let mut response = tokio::spawn(async move { client.get_profile(waiting).await });
    // Nothing is applied yet: the read must still be waiting.
    assert!(timeout(Duration::from_millis(50), &mut response).await.is_err());
    fixture.apply(&record, &token).await;
    let response = timeout(PATIENCE, response).await.expect("a response").expect("no panic");
    let profile = response.expect("what was written").into_inner().profile.expect("a profile");
    assert_eq!(profile.applied_events, 1);
}

#[tokio::test]
async fn a_read_whose_token_is_not_applied_in_time_times_out() {
    let wait = "20ms".parse().expect("an interval");
    let rows: [(Config, Option<Duration>); 3] = [
        (Config { read_after_wait: wait, ..config() }, None),
        (config(), Some(Duration::from_millis(20))),
        (
            Config { read_after_wait: wait, read_after_wait_max: wait, ..config() },
            Some(Duration::from_secs(3600)),
        ),
    ];
    for (config, deadline) in rows {
        let mut fixture = QueryFixture::running_with(config).await;
        let (_, token) = fixture.log_purchase("u1", NEW_YEAR).await;
        let mut request = Request::new(request("u1", &token.encode(fixture.key())));
        deadline.into_iter().for_each(|deadline| request.set_timeout(deadline));
        let late =
            timeout(PATIENCE, read(&fixture, request)).await.expect("a response").expect_err("not applied");
        assert_eq!((late.code(), reason(&late)), (Code::DeadlineExceeded, ErrorReason::ReadAfterTimeout));
    }
}

#[tokio::test]
async fn a_read_waits_only_for_the_partitions_it_reads() {
    let mut fixture = QueryFixture::running().await;
    let users = [fixture.users_of(0, 1), fixture.users_of(1, 1)].concat();
    fixture.buy(&users[0], NEW_YEAR).await;
    let (_, token) = fixture.log_purchase(&users[1], NEW_YEAR).await;
    let profile = timeout(PATIENCE, read(&fixture, request(&users[0], &token.encode(fixture.key())))).await;
    assert_eq!(profile.expect("no wait").expect("a profile").user_id, users[0]);
    let mut both = Request::new(BatchGetProfilesRequest {
        user_ids: users,
        read_after: token.encode(fixture.key()),
        ..Default::default()
    });
    both.set_timeout(Duration::from_millis(20));
    let late = fixture.client().batch_get_profiles(both).await.expect_err("one is not applied");
    assert_eq!(reason(&late), ErrorReason::ReadAfterTimeout);
}

#[tokio::test]
async fn an_expired_or_invalid_token_is_refused() {
    let mut fixture = QueryFixture::running().await;
    let (record, token) = fixture.log_purchase("u1", NEW_YEAR).await;
    fixture.apply(&record, &token).await;
    let key = fixture.key();
    let changed = |change: fn(&mut ConsistencyToken)| {
        let mut token = token.clone();
        change(&mut token);
        token.encode(key)
    };
    let rows = [
        (changed(|_| ()), None),
        (changed(|token| token.entries[0].seq += 1), Some((Code::OutOfRange, ErrorReason::TokenExpired))),
        (
            changed(|token| token.entries[0].generation ^= 1),
            Some((Code::OutOfRange, ErrorReason::TokenExpired)),
        ),
        (
            changed(|token| token.entries[0].partition = 999),
            Some((Code::InvalidArgument, ErrorReason::BadToken)),
        ),
        (b"made up".to_vec(), Some((Code::InvalidArgument, ErrorReason::BadToken))),
    ];
    for (token, expected) in rows {
        let refused = read(&fixture, request("u1", &token)).await.err();
        assert_eq!(refused.map(|status| (status.code(), reason(&status))), expected, "{token:?}");
    }
}
