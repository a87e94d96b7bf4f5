//! Segments: sizes counted by the partition owners, descriptions and explanations from the model, exports with
//! k-anonymity, and subscriptions to segment changes.

use super::fixture::{NEW_YEAR, QueryFixture, config};
use super::reader::{Reader, from, reason};
use portrait_learning::testing::{by_views, without_segments};
use portrait_profile::{ModelVersion, Timestamp};
use portrait_proto::v1::{
    ErrorReason, ExplainSegmentRequest, ExportSegmentRequest, GetProfileRequest, GetSegmentRequest,
    ListSegmentsRequest, WatchProfileChangesRequest, WatchStart,
};
use portrait_query::Config;
use std::collections::BTreeSet;
use std::sync::Arc;
use tonic::Code;

async fn with_model() -> QueryFixture {
    let fixture = QueryFixture::running_with(Config { export_users_min: 3, ..config() }).await;
    let model = by_views(ModelVersion::FIRST, [1, 2], Timestamp::from_millis(NEW_YEAR));
    fixture.model.send_replace(Some(Arc::new(model)));
    fixture
}

/// Four users in segment 1, two in segment 2, one in a retired segment.
async fn with_users() -> QueryFixture {
    let mut fixture = with_model().await;
    for (user, segment) in [("a", 1), ("b", 1), ("c", 1), ("d", 1), ("e", 2), ("f", 2), ("g", 9)] {
        fixture.buy(user, NEW_YEAR).await;
        fixture.move_to(user, segment).await;
    }
    fixture
}

#[tokio::test]
async fn without_a_model_there_are_no_segments() {
    let mut fixture = QueryFixture::running().await;
    fixture.buy("a", NEW_YEAR).await;
    let mut client = fixture.client();
    let explain = ExplainSegmentRequest { user_id: "a".to_owned(), ..Default::default() };
    let refused = [
        client.list_segments(ListSegmentsRequest {}).await.expect_err("no model"),
        client.get_segment(GetSegmentRequest { segment_id: "s1".to_owned() }).await.expect_err("no model"),
        client.explain_segment(explain).await.expect_err("no model"),
        client
            .export_segment(ExportSegmentRequest { segment_id: "s1".to_owned() })
            .await
            .expect_err("no model"),
    ];
    for status in refused {
        assert_eq!((status.code(), reason(&status)), (Code::FailedPrecondition, ErrorReason::NoModel));
    }
}

#[tokio::test]
async fn a_model_without_segments_lists_none_and_says_where_the_reason_is() {
    let fixture = with_users().await;
    let model = without_segments(ModelVersion::FIRST, [1, 2], Timestamp::from_millis(NEW_YEAR));
    fixture.model.send_replace(Some(Arc::new(model)));
    let mut client = fixture.client();
    let listed = client.list_segments(ListSegmentsRequest {}).await.expect("a response").into_inner();
    assert_eq!((listed.model_version, listed.segments, listed.assigned_users), (1, Vec::new(), 0));
    assert_eq!(listed.retired_users, 7, "the sweep has not taken their segments yet");
    let retired: Vec<(&str, usize)> =
        listed.retired.iter().map(|one| (one.segment_id.as_str(), one.to_segment_ids.len())).collect();
    assert_eq!(retired, [("s1", 0), ("s2", 0)]);
    let explain = ExplainSegmentRequest { user_id: "a".to_owned(), ..Default::default() };
    let refused = [
        client.get_segment(GetSegmentRequest { segment_id: "s1".to_owned() }).await.expect_err("none"),
        client.explain_segment(explain).await.expect_err("none"),
        client.export_segment(ExportSegmentRequest { segment_id: "s1".to_owned() }).await.expect_err("none"),
    ];
    for status in refused {
        assert_eq!((status.code(), reason(&status)), (Code::FailedPrecondition, ErrorReason::NotTrained));
        assert!(status.message().contains("ModelManifest.shortfalls"), "{}", status.message());
    }
}

#[tokio::test]
async fn segments_are_listed_with_size_description_and_origin() {
    let fixture = with_users().await;
    let response =
        fixture.client().list_segments(ListSegmentsRequest {}).await.expect("a response").into_inner();
    assert_eq!((response.model_version, response.assigned_users, response.retired_users), (1, 6, 1));
    let listed: Vec<_> =
        response.segments.iter().map(|one| (one.segment_id.as_str(), one.name.as_str(), one.size)).collect();
    assert_eq!(listed, [("s1", "few views", 4), ("s2", "many views", 2)]);
    let first = &response.segments[0];
    assert!((first.share - 4.0 / 6.0).abs() < 1e-9 && (first.trend - (4.0 / 6.0 - 0.5)).abs() < 1e-9);
    assert_eq!((first.defining_features[0].z, first.categories[0].name.as_str()), (1.0, "shoes"));
    assert!(
        !first.defining_features[0].description.is_empty() && !first.defining_features[0].unit.is_empty()
    );
    let request = GetSegmentRequest { segment_id: "s2".to_owned() };
    let one = fixture.client().get_segment(request).await.expect("a response").into_inner();
    assert_eq!(one.segment.as_ref(), Some(&response.segments[1]));
    for (segment_id, expected) in
        [("s9", Code::NotFound), ("nine", Code::NotFound), ("", Code::InvalidArgument)]
    {
        let request = GetSegmentRequest { segment_id: segment_id.to_owned() };
        let status = fixture.client().get_segment(request).await.expect_err("there is none");
        assert_eq!(status.code(), expected, "{segment_id:?}");
    }
    let request = GetProfileRequest { user_id: "e".to_owned(), ..Default::default() };
    let profile = fixture.client().get_profile(request).await.expect("a response").into_inner().profile;
    let segment = profile.and_then(|profile| profile.segment).expect("it is in one");
    assert_eq!((segment.segment_id.as_str(), segment.name.as_str()), ("s2", "many views"));
}

#[tokio::test]
async fn the_segment_of_a_user_is_explained() {
    let mut fixture = with_users().await;
    let explain = |user: &str| ExplainSegmentRequest { user_id: user.to_owned(), ..Default::default() };
    let response = fixture.client().explain_segment(explain("a")).await.expect("a response").into_inner();
    assert_eq!(response.segment.as_ref().map(|held| held.segment_id.as_str()), Some("s1"));
    assert_eq!(
        (response.runner_up_segment_id.as_str(), response.runner_up_name.as_str()),
        ("s2", "many views")
    );
    let sum: f64 = response.contributions.iter().map(|one| one.contribution).sum();
    let difference = response.runner_up_distance.powi(2) - response.distance.powi(2);
    assert!((sum - difference).abs() <= 1e-3 * difference.abs().max(1.0), "{sum} is not {difference}");
    assert!(response.contributions.is_sorted_by(|one, other| one.contribution >= other.contribution));
    assert_eq!((response.model_version, response.profile_version), (1, 2));
    fixture.buy("unassigned", NEW_YEAR).await;
    let rows = [
        ("unknown", Code::NotFound, ErrorReason::UserNotFound),
        ("unassigned", Code::FailedPrecondition, ErrorReason::NoModel),
        ("g", Code::FailedPrecondition, ErrorReason::NoModel),
        ("", Code::InvalidArgument, ErrorReason::EmptyId),
    ];
    for (user, code, expected) in rows {
        let status = fixture.client().explain_segment(explain(user)).await.expect_err("no explanation");
        assert_eq!((status.code(), reason(&status)), (code, expected), "{user:?}");
    }
}

#[tokio::test]
async fn a_segment_is_exported_whole_unless_it_has_too_few_users() {
    let fixture = with_users().await;
    let export = |segment: &str| ExportSegmentRequest { segment_id: segment.to_owned() };
    let mut pages = fixture.client().export_segment(export("s1")).await.expect("a response").into_inner();
    let mut users = BTreeSet::new();
    while let Some(page) = pages.message().await.expect("no page is an error") {
        assert_eq!(page.model_version, 1);
        users.extend(page.user_ids);
    }
    assert_eq!(users, ["a", "b", "c", "d"].map(str::to_owned).into());
    let status = fixture.client().export_segment(export("s2")).await.expect_err("two are too few");
    assert_eq!((status.code(), reason(&status)), (Code::FailedPrecondition, ErrorReason::TooFewUsers));
    let status = fixture.client().export_segment(export("s7")).await.expect_err("there is none");
    assert_eq!(reason(&status), ErrorReason::SegmentNotFound);
}

fn moves(reader: &Reader) -> Vec<(&str, &str, &str)> {
    reader
        .changes
        .iter()
        .map(|change| (&*change.user_id, &*change.segment_id_before, &*change.segment_id_after))
        .collect()
}

#[tokio::test]
async fn a_subscription_to_segment_changes_receives_only_those() {
    let mut fixture = with_users().await;
    let request = WatchProfileChangesRequest { segment_changes_only: true, ..from(WatchStart::Now) };
    let mut reader = Reader::begin(&fixture, request).await;
    let request = WatchProfileChangesRequest { segment_ids: vec!["s2".to_owned()], ..from(WatchStart::Now) };
    let mut of_second = Reader::begin(&fixture, request).await;
    fixture.buy("b", NEW_YEAR).await;
    fixture.move_to("a", 2).await;
    fixture.buy("e", NEW_YEAR).await;
    fixture.move_to("e", 1).await;
    fixture.move_to("a", 1).await;
    reader.until(|reader| reader.changes.iter().any(|change| change.user_id == "e")).await;
    of_second
        .until(|reader| {
            reader.changes.iter().any(|change| change.segment_id_after == "s1" && change.user_id == "e")
        })
        .await;
    assert!(moves(&reader).contains(&("e", "s2", "s1")));
    assert!(reader.changes.iter().all(|change| change.segment_id_before != change.segment_id_after));
    assert!(
        of_second
            .changes
            .iter()
            .all(|change| { change.segment_id_before == "s2" || change.segment_id_after == "s2" })
    );
    let status = Reader::try_begin(
        &fixture,
        WatchProfileChangesRequest { segment_ids: vec!["two".to_owned()], ..from(WatchStart::Now) },
    )
    .await
    .err()
    .expect("no segment");
    assert_eq!(reason(&status), ErrorReason::SegmentNotFound);
}

#[tokio::test]
async fn a_snapshot_of_a_segment_sends_its_users_only() {
    let fixture = with_users().await;
    let request = WatchProfileChangesRequest {
        segment_ids: vec!["s2".to_owned()],
        include_profile: true,
        ..from(WatchStart::Snapshot)
    };
    let mut reader = Reader::begin(&fixture, request).await;
    reader.until(|reader| reader.resyncs.len() == 8).await;
    let known: BTreeSet<&str> = reader.known.keys().map(String::as_str).collect();
    assert_eq!(known, ["e", "f"].into());
    assert!(reader.changes.iter().all(|change| change.segment_id_after == "s2"));
}
