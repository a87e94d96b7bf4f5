//! A primary of a Redis Cluster is killed or suspended until its replica takes over.

use super::random_pause;
use portrait_store_redis::testing::{Cluster as Servers, Server as Redis};
use portrait_tests::faults::{Trial, eventually};
use rand::RngExt;
use rand::rngs::StdRng;
use std::time::Instant;

fn is_primary(server: &Redis) -> bool {
    server.info("role").as_deref() == Some("master")
}

/// Indexes of a random primary and its replica.
fn random_primary_and_replica(servers: &Servers, rng: &mut StdRng) -> (usize, usize) {
    let count = servers.servers.len();
    let primaries: Vec<usize> = (0..count).filter(|index| is_primary(&servers.servers[*index])).collect();
    let primary = primaries[rng.random_range(0..primaries.len())];
    // The test cluster lists all primaries first, so primary and replica of a shard are half the list apart.
    (primary, (primary + count / 2) % count)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_failed_primary_loses_nothing_that_its_replica_acknowledged_and_duplicates_nothing() {
    let mut servers = tokio::task::block_in_place(|| Servers::start(&[("appendonly", "yes")]));
    let mut trial = Trial::start("primary-killed", &servers.url(), &[], &["feature"]);
    while let Some(mut rng) = trial.next() {
        random_pause(&mut rng, 1000).await;
        let (victim, replica) = random_primary_and_replica(&servers, &mut rng);
        let started = Instant::now();
        let suspends = rng.random_bool(0.5);
        if suspends {
            servers.servers[victim].hang();
        } else {
            servers.servers[victim].kill();
        }
        eventually("the replica takes over", async || is_primary(&servers.servers[replica])).await;
        random_pause(&mut rng, 500).await;
        if suspends {
            servers.servers[victim].wake();
        } else {
            tokio::task::block_in_place(|| servers.servers[victim].restart());
        }
        let (replica, victim) = (&servers.servers[replica], &servers.servers[victim]);
        eventually("the old primary replicates", async || replica.is_followed_by(victim)).await;
        let took = trial.await_progress(started).await;
        trial.plan.record_duration(took);
        trial.compare().await;
    }
    trial.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_acknowledged_without_the_replica_that_takes_over_later() {
    let mut servers = tokio::task::block_in_place(|| Servers::start(&[("appendonly", "yes")]));
    let mut trial = Trial::start("replica-disconnected", &servers.url(), &[], &["feature"]);
    let ran = trial.plan.next().is_some();
    while let Some(mut rng) = trial.next() {
        random_pause(&mut rng, 500).await;
        let (victim, replica) = random_primary_and_replica(&servers, &mut rng);
        let started = Instant::now();
        // A suspended replica cannot reconnect after the kill, so later writes never reach it.
        servers.servers[replica].hang();
        servers.servers[victim].command::<u32>("CLIENT KILL TYPE replica");
        // The primary accepts writes, workers apply them, subscribers receive them: all of that is lost in the fail-over.
        let unknown = trial.load.oracle().counts.unknown;
        eventually("nothing is acknowledged", async || trial.load.oracle().counts.unknown > unknown).await;
        random_pause(&mut rng, 1000).await;
        servers.servers[victim].kill();
        servers.servers[replica].wake();
        eventually("the replica takes over", async || is_primary(&servers.servers[replica])).await;
        random_pause(&mut rng, 500).await;
        tokio::task::block_in_place(|| servers.servers[victim].restart());
        let (replica, victim) = (&servers.servers[replica], &servers.servers[victim]);
        eventually("the old primary replicates", async || replica.is_followed_by(victim)).await;
        let took = trial.await_progress(started).await;
        trial.plan.record_duration(took);
        trial.compare().await;
    }
    assert!(!ran || trial.resyncs() > 0, "subscribers received lost changes but no resync");
    trial.finish().await;
}
