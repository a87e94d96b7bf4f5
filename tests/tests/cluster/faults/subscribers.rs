//! Misbehaving subscribers: one reads nothing, one is slow, one forges tokens. Each gets the documented status, converges to the profiles
//! in the end, and does not affect other subscribers.

use super::redis_on_disk;
use portrait_profile::PseudonymKey;
use portrait_proto::status::reason_of;
use portrait_proto::v1::watch_profile_changes_response::Kind;
use portrait_proto::v1::{ErrorReason, ResyncPhase, ResyncReason};
use portrait_tests::faults::{Follower, Forged, PARTITIONS, Trial, eventually, narrow_connection};
use portrait_tests::{Server, Subscriber, TEST_TIMEOUT};
use rand::RngExt;
use rand::rngs::StdRng;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::task::block_in_place;
use tonic::{Code, Status};

/// Small queue and ring and a short stall timeout, so that a slow subscriber soon reads from the store.
const SETTINGS: [&str; 3] = ["query.stall_timeout=1s", "query.queue_bytes=64KiB", "query.ring_changes=256"];
/// Pause of the slow subscriber after each response: it reads at most a tenth of the changes.
const SLOW_DELAY: Duration = Duration::from_millis(10);
/// Tokens with a flipped bit per cycle.
const DAMAGED: usize = 20;
/// Maximum growth of the query role's memory after the first cycle.
const GROWTH_BYTES: u64 = 64 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn stalled_slow_and_forging_subscribers_get_a_status_and_miss_nothing() {
    let redis = redis_on_disk();
    let mut trial = Trial::start("subscribers", &redis.url(), &SETTINGS, &["feature"]);
    let url = query(&trial).grpc_url().to_owned();
    let key = key_of_store(&redis.url()).await;
    let slow = trial.followers.len();
    trial.followers.push(Follower::start(url.clone()));
    let mut stalled = Subscriber::default();
    let mut forger = Subscriber::default();
    let mut first_bytes = None;
    let mut max_bytes = 0;
    while let Some(mut rng) = trial.next() {
        trial.followers[slow].set_delay(SLOW_DELAY);
        tokio::join!(
            stall(query(&trial), &mut stalled),
            resume_with_forged_tokens(&url, key, &mut forger, &mut rng)
        );
        trial.followers[slow].set_delay(Duration::ZERO);
        // Both resume as well-behaved subscribers.
        for subscriber in [stalled, forger] {
            trial.followers.push(Follower::resume(url.clone(), subscriber));
        }
        trial.compare().await;
        let mut stopped = Vec::new();
        for follower in trial.followers.drain(slow + 1..) {
            stopped.push(follower.stop().await);
        }
        [stalled, forger] = stopped.try_into().expect("two were added");
        let now_bytes = query(&trial).memory_bytes();
        let first_bytes = *first_bytes.get_or_insert(now_bytes);
        max_bytes = now_bytes.max(max_bytes);
        assert!(now_bytes <= first_bytes + GROWTH_BYTES, "from {first_bytes} to {now_bytes} bytes");
    }
    let mebibytes = |bytes: u64| bytes >> 20;
    println!(
        "the query role: {} MiB after its first cycle, {} MiB at most",
        mebibytes(first_bytes.unwrap_or_default()),
        mebibytes(max_bytes)
    );
    trial.finish().await;
}

fn query(trial: &Trial) -> &Server {
    trial.cluster.servers_of("query").next().expect("a running process")
}

/// Reads the key that seals the tokens of a store.
async fn key_of_store(url: &str) -> PseudonymKey {
    let mut config = portrait_node::Config::default();
    config.store.url = url.to_owned();
    let store = portrait_node::look_at_redis(&config).await.expect("the servers answer");
    store.expect("the store of the servers").layout().pseudonym_key
}

/// Subscribes, reads nothing until the server closes the subscription, then drains the responses in flight.
async fn stall(server: &Server, stalled: &mut Subscriber) {
    let closed = || block_in_place(|| server.metric_total("portrait_query_stalled_subscriptions_total"));
    let before = closed();
    let channel = narrow_connection(server.grpc_url()).await.expect("a connection");
    let mut responses = stalled.subscribe(channel).await.expect("a subscription");
    eventually("the stalled subscription is closed", async || {
        // Rendering all metrics has a cost, so it is polled slowly.
        tokio::time::sleep(Duration::from_millis(50)).await;
        closed() > before
    })
    .await;
    let final_status = loop {
        match responses.message().await {
            Ok(response) => stalled.handle(response.expect("a subscription ends with a status")),
            Err(status) => break status,
        }
    };
    check_status(&final_status, Code::Aborted, ErrorReason::SubscriberStalled);
}

/// Resumes with damaged and forged tokens, and with tokens of nonexistent positions.
async fn resume_with_forged_tokens(url: &str, key: PseudonymKey, forger: &mut Subscriber, rng: &mut StdRng) {
    let read = |forger: &Subscriber| Forged::read(&forger.token);
    let synced = |forger: &Subscriber| read(forger).is_some_and(|token| token.needs_no_resync());
    forger.listen(narrow_connection(url).await.expect("a connection"), synced).await;
    let valid = || read(forger).expect("a valid token");
    for _ in 0..DAMAGED {
        let mut token = forger.token.clone();
        let bit = rng.random_range(0..token.len() * 8);
        token[bit / 8] ^= 1 << (bit % 8);
        expect_refusal(url, forger, token).await;
    }
    expect_refusal(url, forger, forger.token[..rng.random_range(1..forger.token.len())].to_vec()).await;
    expect_refusal(url, forger, valid().with_extra_partition().token(key)).await;
    // A caller knows the format, but not the key.
    expect_refusal(url, forger, valid().token(PseudonymKey::new(rng.random()))).await;

    let foreign = rng.random_range(0..PARTITIONS);
    let beyond = (foreign + rng.random_range(1..PARTITIONS)) % PARTITIONS;
    forger.token = valid().with_unknown_generation(foreign).ahead_by(1 << 40, beyond).token(key);
    let expected = [(foreign, ResyncReason::UnknownGeneration), (beyond, ResyncReason::BeyondEnd)];
    expect_resyncs(url, forger, expected.into()).await;
}

/// Resumes and checks that exactly the expected partitions are resynced, before any change of them.
async fn expect_resyncs(url: &str, forger: &mut Subscriber, mut expected: BTreeMap<u32, ResyncReason>) {
    let channel = narrow_connection(url).await.expect("a connection");
    let mut responses = forger.subscribe(channel).await.expect("a subscription");
    while !expected.is_empty() {
        let response = tokio::time::timeout(TEST_TIMEOUT, responses.message())
            .await
            .expect("the subscription stays open");
        let response =
            response.expect("the subscription stays open").expect("a subscription ends with a status");
        match &response.kind {
            Some(Kind::Resync(resync)) if resync.phase() == ResyncPhase::Begin => {
                assert_eq!(expected.remove(&resync.partition), Some(resync.reason()), "{resync:?}");
            }
            Some(Kind::Change(change)) => {
                assert!(!expected.contains_key(&change.partition), "a silent gap in {}", change.partition);
            }
            Some(Kind::Resync(_) | Kind::Progress(_)) | None => {}
        }
        forger.handle(response);
    }
}

async fn expect_refusal(url: &str, forger: &Subscriber, resume_token: Vec<u8>) {
    let mut request = forger.request();
    request.resume_token = resume_token;
    let channel = narrow_connection(url).await.expect("a connection");
    let status = Subscriber::request_stream(channel, request).await.expect_err("an invalid token");
    check_status(&status, Code::InvalidArgument, ErrorReason::BadToken);
}

fn check_status(status: &Status, code: Code, reason: ErrorReason) {
    assert_eq!((status.code(), reason_of(status)), (code, Some(reason)), "{status:?}");
}
