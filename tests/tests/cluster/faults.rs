//! The fault matrix at the level of whole processes: a deployment on real servers of Redis is harmed in one way again and again
//! under load, and after each time every profile must be what was acknowledged, to the last event. One row is one test.

mod erasures;
mod self_check;
mod failpoints;
mod poison;
mod replicas;
mod servers;
mod subscribers;
mod combined;
mod workers;

use portrait_store_redis::testing::Server as Redis;
use rand::RngExt;
use rand::rngs::StdRng;
use std::time::Duration;

/// A server that has on disk what it acknowledged.
const ON_DISK: [(&str, &str); 2] = [("appendonly", "yes"), ("appendfsync", "always")];

fn redis_on_disk() -> Redis {
    tokio::task::block_in_place(|| Redis::start(&ON_DISK))
}

/// Lets the load run up to so many milliseconds: harm comes at any moment.
async fn pause(chance: &mut StdRng, up_to_ms: u64) {
    tokio::time::sleep(Duration::from_millis(chance.random_range(0..up_to_ms))).await;
}
