//! Subscribers that do harm, or come to it: one takes nothing, one is slow, one makes tokens up. Each is told what the documentation
//! says, ends with what reads give, and takes nothing from those who listen as they should.

use super::redis_on_disk;
use portrait_proto::status::reason_of;
use portrait_proto::v1::watch_profile_changes_response::Kind;
use portrait_proto::v1::{ErrorReason, ResyncPhase, ResyncReason};
use portrait_tests::faults::{Follower, Forged, PARTITIONS, Trial, eventually, narrow_line};
use portrait_tests::{TEST_TIMEOUT, Server, Subscriber};
use rand::RngExt;
use rand::rngs::StdRng;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::task::block_in_place;
use tonic::{Code, Status};

/// Little waits for one who takes nothing, and not for long; who is behind reads from the store.
const SETTINGS: [&str; 3] = ["query.stall_timeout=1s", "query.queue_bytes=64KiB", "query.ring_changes=256"];
/// How long the slow one rests after each answer: it takes a tenth of what comes, or less.
const REST: Duration = Duration::from_millis(10);
/// Tokens with a wrong bit, in one cycle.
const DAMAGED: usize = 20;
/// By how much the memory of the query role may grow after its first cycle.
const GROWTH_BYTES: u64 = 64 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn subscribers_that_are_stuck_slow_or_forge_tokens_are_told_so_and_miss_nothing() {
    let redis = redis_on_disk();
    let mut trial = Trial::begin("subscribers", &redis.url(), &SETTINGS, &["feature"]);
    let url = query(&trial).grpc_url().to_owned();
    let slow = trial.followers.len();
    trial.followers.push(Follower::start(url.clone()));
    let (mut stuck, mut forger) = (Subscriber::default(), Subscriber::default());
    let (mut first_bytes, mut most_bytes) = (None, 0);
    while let Some(mut chance) = trial.next() {
        trial.followers[slow].rest(REST);
        tokio::join!(take_nothing(query(&trial), &mut stuck), forge(&url, &mut forger, &mut chance));
        trial.followers[slow].rest(Duration::ZERO);
        // From now on both listen as they should.
        for subscriber in [stuck, forger] {
            trial.followers.push(Follower::resume(url.clone(), subscriber));
        }
        trial.compare().await;
        let mut stopped = Vec::new();
        for follower in trial.followers.drain(slow + 1..) {
            stopped.push(follower.stop().await);
        }
        [stuck, forger] = stopped.try_into().expect("two were added");
        let now_bytes = query(&trial).memory_bytes();
        let first_bytes = *first_bytes.get_or_insert(now_bytes);
        most_bytes = now_bytes.max(most_bytes);
        assert!(now_bytes <= first_bytes + GROWTH_BYTES, "from {first_bytes} to {now_bytes} bytes");
    }
    let mebibytes = |bytes: u64| bytes >> 20;
    println!(
        "the query role: {} MiB after its first cycle, {} MiB at most",
        mebibytes(first_bytes.unwrap_or_default()),
        mebibytes(most_bytes)
    );
    trial.end().await;
}

fn query(trial: &Trial) -> &Server {
    trial.cluster.of("query").next().expect("there is one")
}

/// Subscribes, takes nothing until it is cut, and then what was under way.
async fn take_nothing(server: &Server, stuck: &mut Subscriber) {
    let cuts = || block_in_place(|| server.counted("portrait_query_stalled_subscriptions_total"));
    let before = cuts();
    let line = narrow_line(server.grpc_url()).await.expect("a line");
    let mut answers = stuck.subscribe(line).await.expect("a subscription");
    eventually("who takes nothing is cut", async || {
        // To ask for all metrics is work too.
        tokio::time::sleep(Duration::from_millis(50)).await;
        cuts() > before
    })
    .await;
    let last_word = loop {
        match answers.message().await {
            Ok(answer) => stuck.handle(answer.expect("a subscription never ends without a word")),
            Err(status) => break status,
        }
    };
    check_status(&last_word, Code::Aborted, ErrorReason::SubscriberStalled);
}

/// Resumes with tokens that nobody was given, and with those of places that are not there.
async fn forge(url: &str, forger: &mut Subscriber, chance: &mut StdRng) {
    let read = |forger: &Subscriber| Forged::read(&forger.token);
    let whole = |forger: &Subscriber| read(forger).is_some_and(|given| given.needs_no_resync());
    forger.listen(narrow_line(url).await.expect("a line"), whole).await;
    let given = || read(forger).expect("it was given");
    for _ in 0..DAMAGED {
        let mut token = forger.token.clone();
        let bit = chance.random_range(0..token.len() * 8);
        token[bit / 8] ^= 1 << (bit % 8);
        refused(url, forger, token).await;
    }
    refused(url, forger, forger.token[..chance.random_range(1..forger.token.len())].to_vec()).await;
    refused(url, forger, given().with_one_partition_more().token()).await;

    let foreign = chance.random_range(0..PARTITIONS);
    let beyond = (foreign + chance.random_range(1..PARTITIONS)) % PARTITIONS;
    forger.token = given().in_a_foreign_feed(foreign).later_by(1 << 40, beyond).token();
    let owed = [(foreign, ResyncReason::UnknownGeneration), (beyond, ResyncReason::BeyondEnd)];
    told_anew(url, forger, owed.into()).await;
}

/// Resumes with the token that it has, and checks that these partitions and no others are told anew, before anything else of them.
async fn told_anew(url: &str, forger: &mut Subscriber, mut owed: BTreeMap<u32, ResyncReason>) {
    let line = narrow_line(url).await.expect("a line");
    let mut answers = forger.subscribe(line).await.expect("a subscription");
    while !owed.is_empty() {
        let answer = tokio::time::timeout(TEST_TIMEOUT, answers.message()).await.expect("it goes on");
        let answer = answer.expect("it goes on").expect("a subscription never ends without a word");
        match &answer.kind {
            Some(Kind::Resync(resync)) if resync.phase() == ResyncPhase::Begin => {
                assert_eq!(owed.remove(&resync.partition), Some(resync.reason()), "{resync:?}");
            }
            Some(Kind::Change(change)) => {
                assert!(!owed.contains_key(&change.partition), "a silent gap in {}", change.partition);
            }
            Some(Kind::Resync(_) | Kind::Progress(_)) | None => {}
        }
        forger.handle(answer);
    }
}

async fn refused(url: &str, forger: &Subscriber, resume_token: Vec<u8>) {
    let mut request = forger.request();
    request.resume_token = resume_token;
    let line = narrow_line(url).await.expect("a line");
    let status = Subscriber::request_stream(line, request).await.expect_err("nobody was given that token");
    check_status(&status, Code::InvalidArgument, ErrorReason::BadToken);
}

fn check_status(status: &Status, code: Code, reason: ErrorReason) {
    assert_eq!((status.code(), reason_of(status)), (code, Some(reason)), "{status:?}");
}
