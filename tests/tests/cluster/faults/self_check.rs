//! Self-check of the oracle: it must detect a deployment that counts events twice and one that loses everything.

use super::redis_on_disk;
use portrait_tests::faults::{Trial, eventually};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_oracle_detects_duplicated_and_lost_events() {
    let mut redis = redis_on_disk();
    // The de-duplication window is so short that deliberate duplicates count again.
    let trial = Trial::start("oracle-self-check", &redis.url(), &["store.dedup_window=1s"], &[]);
    eventually("enough duplicates are sent", async || trial.load.oracle().counts.acknowledged > 1500).await;
    let paused = trial.load.pause().await;
    let found = trial.profiles().await;
    let difference = paused.oracle().compare(&found);
    assert!(difference.duplicated > 0 && difference.lost == 0, "{difference:?}");
    trial.await_subscribers(&found).await;

    let acknowledged = paused.oracle().counts.acknowledged;
    redis.command::<()>("FLUSHALL");
    redis.kill();
    tokio::task::block_in_place(|| redis.restart());
    let found = trial.profiles().await;
    let difference = paused.oracle().compare(&found);
    assert_eq!((difference.lost, difference.duplicated), (acknowledged, 0), "{difference:?}");
    trial.await_subscribers(&found).await;
}
