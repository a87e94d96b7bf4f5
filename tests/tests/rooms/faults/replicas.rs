//! A primary of a cluster is lost, or hangs for so long that its replica takes over with what it has.

use super::pause;
use portrait_store::redis::testing::{Cluster as Servers, Server as Redis};
use portrait_tests::faults::{Trial, eventually};
use rand::RngExt;
use std::time::Instant;

fn is_primary(server: &Redis) -> bool {
    server.info("role").as_deref() == Some("master")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_killed_or_hanging_primary_loses_nothing_that_its_replica_acknowledged_and_doubles_nothing() {
    let mut servers = tokio::task::block_in_place(|| Servers::start(&[("appendonly", "yes")]));
    let mut trial = Trial::begin("primary-killed", &servers.url(), &[], &["feature"]);
    while let Some(mut chance) = trial.next() {
        pause(&mut chance, 1000).await;
        let primaries: Vec<usize> =
            (0..servers.servers.len()).filter(|index| is_primary(&servers.servers[*index])).collect();
        let victim = primaries[chance.random_range(0..primaries.len())];
        // A server and the one that has the other half of its shard are three apart.
        let heir = (victim + 3) % 6;
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
            tokio::task::block_in_place(|| servers.servers[victim].start_again());
        }
        let (heir, victim) = (&servers.servers[heir], &servers.servers[victim]);
        eventually("it follows", async || heir.is_followed_by(victim)).await;
        let took = trial.everything_moves(begun).await;
        trial.plan.took(took);
        trial.judge().await;
    }
}
