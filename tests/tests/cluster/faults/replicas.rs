//! A primary of a cluster is lost, or hangs for so long that its replica takes over with what it has.

use super::pause;
use portrait_store_redis::testing::{Cluster as Servers, Server as Redis};
use portrait_tests::faults::{Trial, eventually};
use rand::RngExt;
use rand::rngs::StdRng;
use std::time::Instant;

fn is_primary(server: &Redis) -> bool {
    server.info("role").as_deref() == Some("master")
}

/// Which servers are a primary now and its replica.
fn a_primary_and_its_replica(servers: &Servers, chance: &mut StdRng) -> (usize, usize) {
    let count = servers.servers.len();
    let primaries: Vec<usize> = (0..count).filter(|index| is_primary(&servers.servers[*index])).collect();
    let primary = primaries[chance.random_range(0..primaries.len())];
    // The two of a shard are half of all apart.
    (primary, (primary + count / 2) % count)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_killed_or_hanging_primary_loses_nothing_that_its_replica_acknowledged_and_doubles_nothing() {
    let mut servers = tokio::task::block_in_place(|| Servers::start(&[("appendonly", "yes")]));
    let mut trial = Trial::begin("primary-killed", &servers.url(), &[], &["feature"]);
    while let Some(mut chance) = trial.next() {
        pause(&mut chance, 1000).await;
        let (victim, heir) = a_primary_and_its_replica(&servers, &mut chance);
        let begun = Instant::now();
        let hangs = chance.random_bool(0.5);
        if hangs {
            servers.servers[victim].hang();
        } else {
            servers.servers[victim].kill();
        }
        eventually("its replica takes over", async || is_primary(&servers.servers[heir])).await;
        pause(&mut chance, 500).await;
        if hangs {
            servers.servers[victim].wake();
        } else {
            tokio::task::block_in_place(|| servers.servers[victim].restart());
        }
        let (heir, victim) = (&servers.servers[heir], &servers.servers[victim]);
        eventually("it follows", async || heir.is_followed_by(victim)).await;
        let took = trial.everything_moves(begun).await;
        trial.plan.took(took);
        trial.compare().await;
    }
    trial.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_replica_that_was_cut_off_takes_over_and_nothing_was_acknowledged_without_it() {
    let mut servers = tokio::task::block_in_place(|| Servers::start(&[("appendonly", "yes")]));
    let mut trial = Trial::begin("replica-cut", &servers.url(), &[], &["feature"]);
    let ran = trial.plan.next().is_some();
    while let Some(mut chance) = trial.next() {
        pause(&mut chance, 500).await;
        let (victim, heir) = a_primary_and_its_replica(&servers, &mut chance);
        let begun = Instant::now();
        // What is on its way to it would still arrive; what comes later does not, since it cannot connect again.
        servers.servers[heir].hang();
        servers.servers[victim].command::<u32>("CLIENT KILL TYPE replica");
        // The primary takes it, workers apply it, subscribers hear of it: and all of that will be lost.
        let unknown = trial.load.oracle().counts.unknown;
        eventually("nothing is acknowledged", async || trial.load.oracle().counts.unknown > unknown).await;
        pause(&mut chance, 1000).await;
        servers.servers[victim].kill();
        servers.servers[heir].wake();
        eventually("the replica takes over", async || is_primary(&servers.servers[heir])).await;
        pause(&mut chance, 500).await;
        tokio::task::block_in_place(|| servers.servers[victim].restart());
        let (heir, victim) = (&servers.servers[heir], &servers.servers[victim]);
        eventually("the old primary follows", async || heir.is_followed_by(victim)).await;
        let took = trial.everything_moves(begun).await;
        trial.plan.took(took);
        trial.compare().await;
    }
    assert!(!ran || trial.resyncs() > 0, "a subscriber heard of what is lost, and not that it is");
    trial.end().await;
}
