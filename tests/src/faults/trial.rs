//! A deployment that is harmed again and again under load, and judged after each time. In comes the plan of a row; out goes a panic as
//! soon as an event is lost or doubled, or a subscriber does not end with what reads give.

use super::oracle::Difference;
use super::rebuild::differing_from_log;
use super::{Follower, Load, Plan, eventually};
use crate::{Census, Cluster, Server, census};
use portrait_proto::v1::feature_service_client::FeatureServiceClient;
use portrait_proto::v1::{ListPartitionsRequest, PartitionStatus};
use portrait_store::AckLevel;
use portrait_store_redis::{RedisOptions, RedisStore, RedisTarget};
use rand::rngs::StdRng;
use std::time::{Duration, Instant};
use tonic::Status;

/// How long a lease lasts in a trial.
pub const LEASE: Duration = Duration::from_millis(1500);
/// How many partitions the store of a trial has.
pub const PARTITIONS: u32 = 16;
/// How long after a lease another worker may take to apply what waits.
pub const TAKEOVER: Duration = Duration::from_secs(2);
/// Subscribers, each to everybody's profile.
const FOLLOWERS: usize = 3;
/// How every trial is set.
const SETTINGS: [&str; 6] = [
    "feature.lease_ttl=1500ms",
    "feature.lease_renewal=400ms",
    "store.partitions=16",
    "model.automatic=false",
    "query.progress_interval=50ms",
    "log.filter=warn",
];

/// A deployment under load.
pub struct Trial {
    /// The address of the store.
    store: String,
    /// Its processes.
    pub cluster: Cluster,
    /// What is sent to it.
    pub load: Load,
    /// Who listens to it; whoever else does may be added.
    pub followers: Vec<Follower>,
    /// How often, and by which seed.
    pub plan: Plan,
}

impl Trial {
    /// Starts a deployment over the store at `store` for a row: one process of each role and one more of those in `more`.
    pub fn begin(row: &str, store: &str, settings: &[&str], more: &[&str]) -> Self {
        let plan = Plan::of(row);
        let mut cluster = Cluster::start(store, &[&SETTINGS[..], settings].concat());
        more.iter().for_each(|role| cluster.add(role));
        let load = Load::start(&plan.name(), plan.seed(), endpoints(&cluster));
        let query = cluster.of("query").next().expect("there is one").grpc_url().to_owned();
        let followers = (0..FOLLOWERS).map(|_| Follower::start(query.clone())).collect();
        Self { store: store.to_owned(), cluster, load, followers, plan }
    }

    /// The chance of the next cycle, as [`Plan::next`].
    pub fn next(&self) -> Option<StdRng> {
        self.plan.next()
    }

    /// Starts one more process of a role.
    pub fn add(&mut self, role: &str) {
        tokio::task::block_in_place(|| self.cluster.add(role));
        self.load.set_endpoints(endpoints(&self.cluster));
    }

    /// As [`Self::add`], where that process finds the store at another address.
    pub fn add_over(&mut self, role: &str, store: &str) {
        tokio::task::block_in_place(|| self.cluster.add_over(role, store));
        self.load.set_endpoints(endpoints(&self.cluster));
    }

    /// Takes a process out of the deployment, as [`Cluster::take_at`].
    pub fn take(&mut self, role: &str, earlier: usize) -> Server {
        let server = self.cluster.take_at(role, earlier);
        self.load.set_endpoints(endpoints(&self.cluster));
        server
    }

    /// Takes a process in again that was taken out and lives on.
    pub fn put_back(&mut self, role: &str, server: Server) {
        self.cluster.put_back(role, server);
        self.load.set_endpoints(endpoints(&self.cluster));
    }

    /// Waits until every partition has applied more than its log had at the call, and gives how long ago `since` then is.
    pub async fn everything_moves(&self, since: Instant) -> Duration {
        let mut before = None;
        eventually("every partition applies what comes", async || {
            let Ok(now) = self.partitions().await else { return false };
            let before = before.get_or_insert_with(|| now.clone());
            now.iter().zip(before.iter()).all(|(now, before)| now.applied_through > before.log_end)
        })
        .await;
        since.elapsed()
    }

    /// How far every partition is, by any worker.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn partitions(&self) -> Result<Vec<PartitionStatus>, Status> {
        let worker = self.cluster.of("feature").next().expect("there is one");
        let line = portrait_client::connect(worker.grpc_url())
            .await
            .map_err(|error| Status::unavailable(error.to_string()))?;
        let answer = FeatureServiceClient::new(line).list_partitions(ListPartitionsRequest {}).await?;
        Ok(answer.into_inner().partitions)
    }

    /// Everybody's profile, once all that is in the log is applied.
    pub async fn profiles(&self) -> Census {
        eventually("everything is applied", async || {
            let applied =
                |all: Vec<PartitionStatus>| all.iter().all(|one| one.applied_through == one.log_end);
            self.partitions().await.is_ok_and(applied)
        })
        .await;
        census(self.cluster.connect().await).await
    }

    /// Ends a cycle: lets everything settle, and judges it.
    ///
    /// # Panics
    /// If an event is lost or doubled, or a subscriber does not come to know what reads give.
    pub async fn compare(&mut self) {
        let quiet = self.load.pause().await;
        let found = self.profiles().await;
        let difference = quiet.oracle().compare(&found);
        let tally = quiet.oracle().counts;
        quiet.oracle().forget_events();
        self.plan.cycle_done(tally, &difference);
        check(&difference);
        assert_eq!(tally.sent, tally.acknowledged + tally.refused, "it is not known what became of some");
        self.describe(&found).await;
    }

    /// Ends a row: what a long life of harm has made of the profiles is what the log alone gives.
    ///
    /// # Panics
    /// If somebody has another profile.
    pub async fn end(self) {
        let _quiet = self.load.pause().await;
        let found = self.profiles().await;
        let options = RedisOptions {
            level: AckLevel::Memory,
            ..RedisOptions::new(RedisTarget::parse(&self.store).expect("a deployment runs on it"))
        };
        let store = RedisStore::open(options).await.expect("a deployment runs on it");
        let (differing, count) = differing_from_log(&store).await;
        assert!(differing.is_empty(), "{} of {count} differ from the log: {differing:?}", differing.len());
        assert_eq!(count, found.len(), "somebody has a profile and nothing in the log");
        println!("{}: {count} profiles are what the log gives", self.plan.row());
    }

    /// Waits until each subscriber knows of everybody what was `found`.
    pub async fn describe(&self, found: &Census) {
        for follower in &self.followers {
            eventually("a subscriber knows what reads give", async || follower.known() == *found).await;
        }
    }

    /// How many partitions every subscriber was told anew, at the least, because what it knew was lost.
    pub fn resyncs(&self) -> u64 {
        self.followers.iter().map(Follower::resyncs).min().unwrap_or_default()
    }
}

/// Checks that nothing is lost and nothing is there twice.
///
/// # Panics
/// If something is.
pub fn check(difference: &Difference) {
    let clean = difference.lost == 0 && difference.duplicated == 0;
    assert!(clean, "profiles are not what was acknowledged: {difference:?}");
}

fn endpoints(cluster: &Cluster) -> Vec<String> {
    cluster.of("ingest").map(|server| server.grpc_url().to_owned()).collect()
}
