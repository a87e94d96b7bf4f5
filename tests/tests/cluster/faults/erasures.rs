//! Users are erased under load while workers are killed, at random moments and at failpoints between two steps of the protocol. Events
//! from before the erasure never return however late they arrive, nothing else is lost, and a rebuild from the log gives the same profiles.

use super::{random_pause, redis_on_disk};
use portrait_proto::v1::query_service_client::QueryServiceClient;
use portrait_proto::v1::{
    Action, BatchGetProfilesRequest, EraseRequest, ErasureState, Event, GetErasureRequest, RelateRequest,
    Relation, RelationKind,
};
use portrait_store_redis::testing::{FaultMoment, FaultPoint, Proxy};
use portrait_tests::faults::{Follower, Load, LoadHandle, Trial, eventually};
use portrait_tests::{TEST_TIMEOUT, next_millisecond};
use rand::RngExt;
use rand::rngs::StdRng;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Instant, SystemTime};

type IngestClient = portrait_proto::v1::ingest_service_client::IngestServiceClient<tonic::transport::Channel>;

/// Maximum number of users erased per cycle.
const VICTIMS_MAX: u32 = 5;
/// Friends of each erased user.
const FRIENDS: usize = 3;

/// Users to erase in a cycle, and their edges.
struct Cycle {
    name: String,
    victims: BTreeSet<String>,
    /// Friends by erased user.
    friends: BTreeMap<String, Vec<String>>,
}

impl Cycle {
    fn draw(number: u64, rng: &mut StdRng) -> Self {
        let victims: BTreeSet<String> =
            (0..rng.random_range(1..=VICTIMS_MAX)).map(|_| Load::any_user(rng)).collect();
        let mut friends = BTreeMap::new();
        for victim in &victims {
            let candidates = std::iter::repeat_with(|| Load::any_user(rng));
            let of_victim = candidates.filter(|friend| !victims.contains(friend)).take(FRIENDS).collect();
            friends.insert(victim.clone(), of_victim);
        }
        Self { name: format!("erased-{number}-{}", rng.random::<u32>()), victims, friends }
    }

    /// Edge from each friend to each erased user.
    fn edges(&self, kind: &str, at: SystemTime) -> Vec<Relation> {
        let pairs =
            self.friends.iter().flat_map(|(victim, friends)| friends.iter().map(move |from| (from, victim)));
        let edge = |(number, (from, victim)): (usize, (&String, &String))| Relation {
            source: String::new(),
            event_id: format!("{}-{kind}-{number}", self.name),
            user_id: from.clone(),
            other_user_id: victim.clone(),
            kind: RelationKind::Friend.into(),
            weight: 1.0,
            occurred_at: Some(at.into()),
        };
        pairs.enumerate().map(edge).collect()
    }

    /// Event of each user to erase at the given time.
    fn events(&self, kind: &str, at: SystemTime) -> Vec<Event> {
        let event = |victim: &String| Event {
            event_id: format!("{}-{kind}-{victim}", self.name),
            user_id: victim.clone(),
            action: Action::View.into(),
            occurred_at: Some(at.into()),
            ..Default::default()
        };
        self.victims.iter().map(event).collect()
    }

    /// Erases the users, some of them twice with one id, and returns the receipts.
    async fn erase(&self, hand: &LoadHandle, rng: &mut StdRng) -> Vec<Vec<u8>> {
        let mut receipts = Vec::new();
        for victim in &self.victims {
            for _ in 0..rng.random_range(1..=2) {
                let event_id = format!("{}-{victim}", self.name);
                let request = EraseRequest { user_id: victim.clone(), event_id };
                let erase = async |mut client: IngestClient| client.erase(request.clone()).await;
                receipts.push(hand.call_until_answered(erase).await.into_inner().receipt);
            }
        }
        receipts
    }
}

/// Sends edges until all are acknowledged and records them in the oracle, which counts an edge like an event.
async fn relate(hand: &LoadHandle, relations: Vec<Relation>) {
    let request = RelateRequest { relations };
    hand.oracle().counts.sent += request.relations.len() as u64;
    loop {
        let response = hand
            .call_until_answered(async |mut client| client.relate(request.clone()).await)
            .await
            .into_inner();
        if response.rejected.is_empty() {
            break;
        }
    }
    for relation in request.relations {
        let Relation { event_id, user_id, occurred_at, .. } = relation;
        let action = Action::View.into();
        hand.oracle().acknowledged(Event { event_id, user_id, action, occurred_at, ..Default::default() });
    }
}

/// Waits until all erasures are applied to all partitions.
async fn applied(hand: &LoadHandle, receipts: Vec<Vec<u8>>) {
    for receipt in receipts {
        let request = GetErasureRequest { receipt };
        eventually("an erasure is applied", async || {
            let state = hand
                .call_until_answered(async |mut client| client.get_erasure(request.clone()).await)
                .await
                .into_inner();
            state.state() == ErasureState::Applied
        })
        .await;
    }
}

/// Checks that exactly if `come_back`, the friends have edges to the erased users.
async fn check_edges(trial: &Trial, cycle: &Cycle, come_back: bool) {
    let mut query = QueryServiceClient::new(trial.cluster.connect().await);
    for (victim, friends) in &cycle.friends {
        let user_ids: BTreeSet<String> = friends.iter().cloned().collect();
        let request =
            BatchGetProfilesRequest { user_ids: user_ids.into_iter().collect(), ..Default::default() };
        let response = query.batch_get_profiles(request).await.expect("profiles are readable").into_inner();
        for profile in response.profiles {
            let edges = profile.social.map(|social| social.edges).unwrap_or_default();
            let has = edges.iter().any(|edge| edge.user_id == *victim);
            assert_eq!(has, come_back, "{} and {victim}", profile.user_id);
        }
    }
}

/// Waits until every subscriber knows the users to erase, because a deletion is sent only for known users.
async fn known_to_followers(trial: &Trial, cycle: &Cycle) {
    for follower in &trial.followers {
        eventually("a subscriber knows the users to erase", async || {
            let known = follower.known();
            cycle.victims.iter().all(|victim| known.contains_key(victim))
        })
        .await;
    }
}

/// Kills a worker at a random moment or at a failpoint, waits for the takeover and starts a replacement. Other rows limit the duration
/// of a takeover.
async fn kill_worker(trial: &mut Trial, proxy: &Proxy, rng: &mut StdRng) {
    let point = [None, Some(FaultMoment::Sent), Some(FaultMoment::Done)][rng.random_range(0..3)];
    match point {
        Some(moment) => proxy.hold(FaultPoint::Commit, moment).reached().await,
        None => random_pause(rng, 300).await,
    }
    let killed = Instant::now();
    trial.take("feature", 1).kill();
    trial.plan.record_duration(trial.await_progress(killed).await);
    trial.add_over("feature", &proxy.url());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn erased_data_never_returns_after_kills_late_events_and_duplicates() {
    let redis = redis_on_disk();
    let proxy = Proxy::to(redis.port()).await;
    let mut trial = Trial::start("erasure", &redis.url(), &[], &[]);
    // The second worker is the one that is killed; its connection goes through the proxy.
    trial.add_over("feature", &proxy.url());
    let hand = trial.load.handle();
    let mut erased = 0;
    while let Some(mut rng) = trial.next() {
        let cycle = Cycle::draw(trial.plan.cycle(), &mut rng);
        random_pause(&mut rng, 300).await;
        let before = SystemTime::now();
        hand.send(cycle.events("before", before)).await;
        relate(&hand, cycle.edges("before", before)).await;
        known_to_followers(&trial, &cycle).await;
        // Users under erasure get no new events; earlier events may still be in flight.
        trial.load.exclude_users(cycle.victims.clone());
        let mut erasure_rng: StdRng = rand::SeedableRng::seed_from_u64(rng.random());
        let erasing = cycle.erase(&hand, &mut erasure_rng);
        let (receipts, ()) = tokio::join!(erasing, kill_worker(&mut trial, &proxy, &mut rng));
        next_millisecond().await;
        let until = SystemTime::now();
        cycle.victims.iter().for_each(|victim| trial.load.oracle().erased(victim, until));
        next_millisecond().await;
        trial.load.exclude_users(BTreeSet::new());
        // Events and edges from before the erasure with ids that were never sent before.
        hand.send(cycle.events("late", before)).await;
        relate(&hand, cycle.edges("late", before)).await;
        tokio::time::timeout(TEST_TIMEOUT, applied(&hand, receipts)).await.expect("the erasures are applied");
        check_edges(&trial, &cycle, false).await;
        let comes_back = rng.random_bool(0.5);
        if comes_back {
            hand.send(cycle.events("since", SystemTime::now())).await;
            relate(&hand, cycle.edges("since", SystemTime::now())).await;
        }
        let paused = trial.load.pause().await;
        paused.resend().await;
        drop(paused);
        trial.compare().await;
        check_edges(&trial, &cycle, comes_back).await;
        erased += cycle.victims.len();
        let received: Vec<(u64, u64)> =
            trial.followers.iter().map(Follower::version_regressions_and_deletions).collect();
        assert!(
            received.iter().all(|(regressions, deletions)| *regressions == 0 && *deletions > 0),
            "{received:?}"
        );
    }
    println!("erased: {erased} users");
    trial.finish().await;
}
