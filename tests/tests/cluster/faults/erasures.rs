//! Shoppers are erased under load while workers are killed, at random and exactly between two steps of the protocol: nothing of them
//! comes back, whatever is sent of their past, by whom and however late, nothing else is lost, and the log alone gives the same.

use super::{pause, redis_on_disk};
use portrait_proto::v1::query_service_client::QueryServiceClient;
use portrait_proto::v1::{
    Action, BatchGetProfilesRequest, EraseRequest, ErasureState, Event, GetErasureRequest, RelateRequest,
    Relation, RelationKind,
};
use portrait_store_redis::testing::{FaultMoment, Proxy, FaultPoint};
use portrait_tests::faults::{Follower, LoadHandle, Load, Trial, eventually};
use portrait_tests::{TEST_TIMEOUT, next_millisecond};
use rand::RngExt;
use rand::rngs::StdRng;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Instant, SystemTime};

type IngestClient = portrait_proto::v1::ingest_service_client::IngestServiceClient<tonic::transport::Channel>;

/// Shoppers erased in one cycle, at most.
const VICTIMS_MAX: u32 = 5;
/// Friends of each of them.
const FRIENDS: usize = 3;

/// What one cycle erases, and who was connected to whom.
struct Cycle {
    name: String,
    victims: BTreeSet<String>,
    /// Friends by victim.
    friends: BTreeMap<String, Vec<String>>,
}

impl Cycle {
    fn draw(number: u64, chance: &mut StdRng) -> Self {
        let victims: BTreeSet<String> =
            (0..chance.random_range(1..=VICTIMS_MAX)).map(|_| Load::any_user(chance)).collect();
        let mut friends = BTreeMap::new();
        for victim in &victims {
            let anybody = std::iter::repeat_with(|| Load::any_user(chance));
            let of_victim = anybody.filter(|friend| !victims.contains(friend)).take(FRIENDS).collect();
            friends.insert(victim.clone(), of_victim);
        }
        Self { name: format!("erased-{number}-{}", chance.random::<u32>()), victims, friends }
    }

    /// An edge from each friend to each victim.
    fn edges(&self, kind: &str, at: SystemTime) -> Vec<Relation> {
        let pairs =
            self.friends.iter().flat_map(|(victim, friends)| friends.iter().map(move |from| (from, victim)));
        let edge = |(number, (from, victim)): (usize, (&String, &String))| Relation {
            event_id: format!("{}-{kind}-{number}", self.name),
            user_id: from.clone(),
            other_user_id: victim.clone(),
            kind: RelationKind::Friend.into(),
            weight: 1.0,
            occurred_at: Some(at.into()),
        };
        pairs.enumerate().map(edge).collect()
    }

    /// Something that each victim did then.
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

    /// Erases the victims, some of them twice with one id, and gives the receipts.
    async fn erase(&self, hand: &LoadHandle, chance: &mut StdRng) -> Vec<Vec<u8>> {
        let mut receipts = Vec::new();
        for victim in &self.victims {
            for _ in 0..chance.random_range(1..=2) {
                let event_id = format!("{}-{victim}", self.name);
                let request = EraseRequest { user_id: victim.clone(), event_id };
                let erase = async |mut door: IngestClient| door.erase(request.clone()).await;
                receipts.push(hand.send_batch(erase).await.into_inner().receipt);
            }
        }
        receipts
    }
}

/// States edges until all are acknowledged, and tells the oracle, to which they are what was done on that day.
async fn relate(hand: &LoadHandle, relations: Vec<Relation>) {
    let request = RelateRequest { relations };
    hand.oracle().counts.sent += request.relations.len() as u64;
    loop {
        let answer = hand.send_batch(async |mut door| door.relate(request.clone()).await).await.into_inner();
        if answer.rejected.is_empty() {
            break;
        }
    }
    for relation in request.relations {
        let Relation { event_id, user_id, occurred_at, .. } = relation;
        let action = Action::View.into();
        hand.oracle().acknowledged(Event { event_id, user_id, action, occurred_at, ..Default::default() });
    }
}

/// Waits until all erasures are applied.
async fn applied(hand: &LoadHandle, receipts: Vec<Vec<u8>>) {
    for receipt in receipts {
        let request = GetErasureRequest { receipt };
        eventually("an erasure is applied", async || {
            let state = hand.send_batch(async |mut door| door.get_erasure(request.clone()).await).await.into_inner();
            state.state() == ErasureState::Applied
        })
        .await;
    }
}

/// Checks which of a cycle's friends have an edge to the victims.
async fn check_edges(trial: &Trial, cycle: &Cycle, come_back: bool) {
    let mut query = QueryServiceClient::new(trial.cluster.connect().await);
    for (victim, friends) in &cycle.friends {
        let user_ids: BTreeSet<String> = friends.iter().cloned().collect();
        let request =
            BatchGetProfilesRequest { user_ids: user_ids.into_iter().collect(), ..Default::default() };
        let answer = query.batch_get_profiles(request).await.expect("profiles can be read").into_inner();
        for profile in answer.profiles {
            let edges = profile.social.map(|social| social.edges).unwrap_or_default();
            let has = edges.iter().any(|edge| edge.user_id == *victim);
            assert_eq!(has, come_back, "{} and {victim}", profile.user_id);
        }
    }
}

/// Waits until every subscriber has heard of the victims: only who knows of somebody is told of a deletion.
async fn known_to_followers(trial: &Trial, cycle: &Cycle) {
    for follower in &trial.followers {
        eventually("a subscriber knows who is to be erased", async || {
            let known = follower.known();
            cycle.victims.iter().all(|victim| known.contains_key(victim))
        })
        .await;
    }
}

/// Kills a worker, at any moment or at a named point, waits until another has taken over, and brings a new one. How long that may
/// take is the matter of other rows.
async fn kill_worker(trial: &mut Trial, proxy: &Proxy, chance: &mut StdRng) {
    let point = [None, Some(FaultMoment::Sent), Some(FaultMoment::Done)][chance.random_range(0..3)];
    match point {
        Some(moment) => proxy.hold(FaultPoint::Commit, moment).reached().await,
        None => pause(chance, 300).await,
    }
    let killed = Instant::now();
    trial.take("feature", 1).kill();
    trial.plan.took(trial.everything_moves(killed).await);
    trial.add_over("feature", &proxy.url());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_of_an_erased_shopper_comes_back_whoever_is_killed_and_whatever_is_sent_again() {
    let redis = redis_on_disk();
    let proxy = Proxy::to(redis.port()).await;
    let mut trial = Trial::begin("erased", &redis.url(), &[], &[]);
    // The second one is the one that is killed.
    trial.add_over("feature", &proxy.url());
    let hand = trial.load.hand();
    let mut erased = 0;
    while let Some(mut chance) = trial.next() {
        let cycle = Cycle::draw(trial.plan.cycle(), &mut chance);
        pause(&mut chance, 300).await;
        let before = SystemTime::now();
        hand.send(cycle.events("before", before)).await;
        relate(&hand, cycle.edges("before", before)).await;
        known_to_followers(&trial, &cycle).await;
        // Whoever is erased does nothing meanwhile; what was done before may still be under way.
        trial.load.rest(cycle.victims.clone());
        let mut chance_of_erasure: StdRng = rand::SeedableRng::seed_from_u64(chance.random());
        let erasing = cycle.erase(&hand, &mut chance_of_erasure);
        let (receipts, ()) = tokio::join!(erasing, kill_worker(&mut trial, &proxy, &mut chance));
        next_millisecond().await;
        let until = SystemTime::now();
        cycle.victims.iter().for_each(|victim| trial.load.oracle().erased(victim, until));
        next_millisecond().await;
        trial.load.rest(BTreeSet::new());
        // What was done before and comes only now, new to everybody, and edges of that time.
        hand.send(cycle.events("late", before)).await;
        relate(&hand, cycle.edges("late", before)).await;
        tokio::time::timeout(TEST_TIMEOUT, applied(&hand, receipts)).await.expect("they are applied");
        check_edges(&trial, &cycle, false).await;
        let comes_back = chance.random_bool(0.5);
        if comes_back {
            hand.send(cycle.events("since", SystemTime::now())).await;
            relate(&hand, cycle.edges("since", SystemTime::now())).await;
        }
        let quiet = trial.load.pause().await;
        quiet.resend().await;
        drop(quiet);
        trial.compare().await;
        check_edges(&trial, &cycle, comes_back).await;
        erased += cycle.victims.len();
        let told: Vec<(u64, u64)> =
            trial.followers.iter().map(Follower::versions_back_and_deletions).collect();
        assert!(told.iter().all(|(back, deletions)| *back == 0 && *deletions > 0), "{told:?}");
    }
    println!("erased: {erased} shoppers");
    trial.end().await;
}
