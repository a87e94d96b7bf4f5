//! Fault matrix on whole processes: one kind of fault is injected repeatedly into a deployment with real Redis servers under load. After
//! each cycle every profile must contain exactly the acknowledged events. One row is one test.

mod combined;
mod erasures;
mod failpoints;
mod poison;
mod replicas;
mod self_check;
mod servers;
mod subscribers;
mod workers;

use portrait_store_redis::testing::Server as Redis;
use rand::RngExt;
use rand::rngs::StdRng;
use std::time::Duration;

/// Settings of a Redis that acknowledges a write only after it is on disk.
const ON_DISK: [(&str, &str); 2] = [("appendonly", "yes"), ("appendfsync", "always")];

fn redis_on_disk() -> Redis {
    tokio::task::block_in_place(|| Redis::start(&ON_DISK))
}

/// Lets the load run for a random time up to `up_to_ms`, so that faults hit at arbitrary moments.
async fn random_pause(rng: &mut StdRng, up_to_ms: u64) {
    tokio::time::sleep(Duration::from_millis(rng.random_range(0..up_to_ms))).await;
}
