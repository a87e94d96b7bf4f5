//! Limits of a subscriber, final statuses, and a real connection.

use super::fixture::{NEW_YEAR, PATIENCE, QueryFixture, config};
use super::reader::{Reader, from, reason};
use portrait_proto::v1::query_service_client::QueryServiceClient;
use portrait_proto::v1::{ErrorReason, GetProfileRequest, WatchProfileChangesRequest, WatchStart};
use portrait_query::Config;
use tokio::time::timeout;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::Code;
use tonic::codec::CompressionEncoding;
use tonic_types::StatusExt;

#[tokio::test]
async fn a_stalled_subscriber_is_disconnected_and_the_others_continue() {
    let stall_timeout = "200ms".parse().expect("an interval");
    let mut fixture =
        QueryFixture::running_with(Config { stall_timeout, queue_responses: 4, ..config() }).await;
    let mut stalled = Reader::begin(&fixture, from(WatchStart::Now)).await;
    let mut other = Reader::begin(&fixture, from(WatchStart::Now)).await;
    // Progress alone fills the queue of a subscriber that reads nothing. The other one reads all the time, until the
    // stall timeout must have passed.
    for number in 0..60 {
        fixture.buy(&format!("u{number}"), NEW_YEAR).await;
        let seen = other.lags.len();
        other.until(|reader| reader.lags.len() > seen).await;
    }
    let status = stalled.end().await;
    assert_eq!((status.code(), reason(&status)), (Code::Aborted, ErrorReason::SubscriberStalled));
    assert!(stalled.changes.len() + stalled.lags.len() <= 4, "its queue was bounded");
    other.until_current().await;
    assert_eq!(other.known, fixture.stored_versions().await);
    stalled.resume(&fixture).await;
    stalled.until_current().await;
    assert_eq!(stalled.known, fixture.stored_versions().await, "its last token leads to the rest");
}

#[tokio::test]
async fn queued_responses_of_a_subscriber_are_bounded_in_bytes() {
    let stall_timeout = "200ms".parse().expect("an interval");
    let queue_bytes = "64KiB".parse().expect("a size");
    let config = Config { stall_timeout, queue_bytes, queue_responses: 60_000, ..config() };
    let mut fixture = QueryFixture::running_with(config).await;
    let users: Vec<String> = (0..4000).map(|number| format!("{number:0>100}")).collect();
    fixture.touch(&users).await;
    let mut stalled = Reader::begin(&fixture, from(WatchStart::Snapshot)).await;
    // The progress of another subscriber measures time: the stall timeout is much shorter than that many intervals.
    let mut other = Reader::begin(&fixture, from(WatchStart::Now)).await;
    other.until(|reader| reader.lags.len() > 20).await;
    let status = stalled.end().await;
    assert_eq!(reason(&status), ErrorReason::SubscriberStalled);
    let taken = stalled.changes.len();
    assert!((100..64 * 1024 / 100).contains(&taken), "{taken} changes of more than 100 bytes");
}

#[tokio::test]
async fn subscriptions_beyond_the_limit_are_refused() {
    let fixture = QueryFixture::running_with(Config { max_subscribers: 2, ..config() }).await;
    let _first = Reader::begin(&fixture, from(WatchStart::Now)).await;
    let second = Reader::begin(&fixture, from(WatchStart::Now)).await;
    let refused = Reader::try_begin(&fixture, from(WatchStart::Now)).await.err().expect("no permit");
    assert_eq!((refused.code(), reason(&refused)), (Code::ResourceExhausted, ErrorReason::Overloaded));
    assert!(refused.get_error_details().retry_info().is_some());
    drop(second);
    Reader::begin(&fixture, from(WatchStart::Now)).await;
}

#[tokio::test]
async fn a_drain_ends_subscriptions_with_a_status_and_refuses_new_ones() {
    let mut fixture = QueryFixture::open(config(), portrait_store::ProfileClock::Wall).await;
    let running = fixture.run();
    fixture.buy("u1", NEW_YEAR).await;
    let mut reader = Reader::begin(&fixture, from(WatchStart::Earliest)).await;
    reader.until(|reader| reader.known.contains_key("u1")).await;
    let idle = Reader::begin(&fixture, from(WatchStart::Now)).await;
    fixture.shutdown.cancel();
    timeout(PATIENCE, running)
        .await
        .expect("the drain ends although one subscriber reads nothing")
        .expect("no panic");
    for mut reader in [reader, idle] {
        let status = reader.end().await;
        assert_eq!((status.code(), reason(&status)), (Code::Unavailable, ErrorReason::ShuttingDown));
    }
    let refused = Reader::try_begin(&fixture, from(WatchStart::Now)).await.err().expect("too late");
    assert_eq!(reason(&refused), ErrorReason::ShuttingDown);
}

#[tokio::test]
async fn reads_and_subscriptions_work_over_a_connection_compressed() {
    let mut fixture = QueryFixture::running().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let server = tonic::transport::Server::builder().add_service(fixture.service.grpc());
    let serving = tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    let client = QueryServiceClient::connect(format!("http://{address}")).await.expect("a connection");
    let mut client =
        client.send_compressed(CompressionEncoding::Gzip).accept_compressed(CompressionEncoding::Gzip);
    let request = WatchProfileChangesRequest { include_profile: true, ..from(WatchStart::Now) };
    let mut reader =
        Reader::of(client.watch_profile_changes(request).await.expect("a response").into_inner());
    fixture.buy("u1", NEW_YEAR).await;
    reader.until(|reader| reader.known.contains_key("u1")).await;
    let request = GetProfileRequest { user_id: "u1".to_owned(), ..Default::default() };
    let profile = client.get_profile(request).await.expect("a response").into_inner().profile;
    assert_eq!(profile, reader.changes[0].profile);
    serving.abort();
}
