//! Trial of a fault row: a deployment under load with repeated faults, compared with the oracle after each cycle. Panics as soon as an
//! event is lost or duplicated, or a subscriber does not converge to the profiles.

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

/// Lease time of a trial.
pub const LEASE: Duration = Duration::from_millis(1500);
/// Number of partitions of a trial's store.
pub const PARTITIONS: u32 = 16;
/// Time limit after the end of a lease for another worker to apply pending records.
pub const TAKEOVER: Duration = Duration::from_secs(2);
/// Number of subscribers, each to all profiles.
const FOLLOWERS: usize = 3;
/// Settings of every trial.
const SETTINGS: [&str; 6] = [
    "feature.lease_ttl=1500ms",
    "feature.lease_renewal=400ms",
    "store.partitions=16",
    "model.automatic=false",
    "query.progress_interval=50ms",
    "log.filter=warn",
];

/// Deployment under load.
pub struct Trial {
    /// Address of the store.
    store: String,
    /// Server processes.
    pub cluster: Cluster,
    /// Background load.
    pub load: Load,
    /// Background subscribers; a row may add more.
    pub followers: Vec<Follower>,
    /// Cycles and seed of the row.
    pub plan: Plan,
}

impl Trial {
    /// Starts a deployment with the store at `store` for a row: one process of each role plus one of each role in `more`.
    pub fn start(row: &str, store: &str, settings: &[&str], more: &[&str]) -> Self {
        let plan = Plan::for_row(row);
        let mut cluster = Cluster::start(store, &[&SETTINGS[..], settings].concat());
        more.iter().for_each(|role| cluster.add(role));
        let load = Load::start(&plan.name(), plan.seed(), endpoints(&cluster));
        let query = cluster.servers_of("query").next().expect("a running process").grpc_url().to_owned();
        let followers = (0..FOLLOWERS).map(|_| Follower::start(query.clone())).collect();
        Self { store: store.to_owned(), cluster, load, followers, plan }
    }

    /// Random generator of the next cycle, see [`Plan::next`].
    pub fn next(&self) -> Option<StdRng> {
        self.plan.next()
    }

    /// Starts one more process of a role.
    pub fn add(&mut self, role: &str) {
        tokio::task::block_in_place(|| self.cluster.add(role));
        self.load.set_endpoints(endpoints(&self.cluster));
    }

    /// Starts one more process of a role that reaches the store at another address.
    pub fn add_over(&mut self, role: &str, store: &str) {
        tokio::task::block_in_place(|| self.cluster.add_over(role, store));
        self.load.set_endpoints(endpoints(&self.cluster));
    }

    /// Removes a process from the deployment, see [`Cluster::take_at`].
    pub fn take(&mut self, role: &str, index: usize) -> Server {
        let server = self.cluster.take_at(role, index);
        self.load.set_endpoints(endpoints(&self.cluster));
        server
    }

    /// Adds a running process that [`Self::take`] removed.
    pub fn put_back(&mut self, role: &str, server: Server) {
        self.cluster.insert(role, server);
        self.load.set_endpoints(endpoints(&self.cluster));
    }

    /// Waits until every partition has applied records that were appended after the call; returns the time elapsed since `since`.
    pub async fn await_progress(&self, since: Instant) -> Duration {
        let mut before = None;
        eventually("every partition applies new records", async || {
            let Ok(now) = self.partitions().await else { return false };
            let before = before.get_or_insert_with(|| now.clone());
            now.iter().zip(before.iter()).all(|(now, before)| now.applied_through > before.log_end)
        })
        .await;
        since.elapsed()
    }

    /// Status of all partitions, from any worker.
    ///
    /// # Errors
    /// If the server does not respond.
    pub async fn partitions(&self) -> Result<Vec<PartitionStatus>, Status> {
        let worker = self.cluster.servers_of("feature").next().expect("a running process");
        let channel = portrait_client::connect(worker.grpc_url())
            .await
            .map_err(|error| Status::unavailable(error.to_string()))?;
        let response = FeatureServiceClient::new(channel).list_partitions(ListPartitionsRequest {}).await?;
        Ok(response.into_inner().partitions)
    }

    /// All profiles, once the whole log is applied.
    pub async fn profiles(&self) -> Census {
        eventually("the whole log is applied", async || {
            let applied =
                |all: Vec<PartitionStatus>| all.iter().all(|one| one.applied_through == one.log_end);
            self.partitions().await.is_ok_and(applied)
        })
        .await;
        census(self.cluster.connect().await).await
    }

    /// Ends a cycle: pauses the load and compares profiles and subscribers with the oracle.
    ///
    /// # Panics
    /// If an event is lost or duplicated, or a subscriber does not converge.
    pub async fn compare(&mut self) {
        let paused = self.load.pause().await;
        let found = self.profiles().await;
        let difference = paused.oracle().compare(&found);
        let counts = paused.oracle().counts;
        paused.oracle().forget_events();
        self.plan.record_cycle(counts, &difference);
        check(&difference);
        assert_eq!(counts.sent, counts.acknowledged + counts.refused, "some outcomes are unknown");
        self.await_subscribers(&found).await;
    }

    /// Ends a row: compares all profiles with a rebuild from the log.
    ///
    /// # Panics
    /// If a profile differs.
    pub async fn finish(self) {
        let _quiet = self.load.pause().await;
        let found = self.profiles().await;
        let options = RedisOptions {
            level: AckLevel::Memory,
            ..RedisOptions::new(RedisTarget::parse(&self.store).expect("the deployment uses it"))
        };
        let store = RedisStore::open(options).await.expect("the deployment uses it");
        let (differing, count) = differing_from_log(&store).await;
        assert!(differing.is_empty(), "{} of {count} differ from the log: {differing:?}", differing.len());
        assert_eq!(count, found.len(), "a profile has no records in the log");
        println!("{}: {count} profiles equal the rebuild from the log", self.plan.row());
    }

    /// Waits until every subscriber has the state `found`.
    pub async fn await_subscribers(&self, found: &Census) {
        for follower in &self.followers {
            eventually("a subscriber converges to the profiles", async || follower.known() == *found).await;
        }
    }

    /// Minimum over the subscribers of the number of partition resyncs.
    pub fn resyncs(&self) -> u64 {
        self.followers.iter().map(Follower::resyncs).min().unwrap_or_default()
    }
}

/// Checks that no event is lost or duplicated.
///
/// # Panics
/// If one is.
pub fn check(difference: &Difference) {
    let clean = difference.lost == 0 && difference.duplicated == 0;
    assert!(clean, "profiles differ from the acknowledged events: {difference:?}");
}

fn endpoints(cluster: &Cluster) -> Vec<String> {
    cluster.servers_of("ingest").map(|server| server.grpc_url().to_owned()).collect()
}
