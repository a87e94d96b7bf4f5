//! The judge of every row is shown a deployment that counts twice, and one that forgets everything: it has to see both.

use super::redis_on_disk;
use portrait_tests::faults::{Trial, eventually};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_judge_sees_what_counts_twice_and_what_is_lost() {
    let mut redis = redis_on_disk();
    // Ids are remembered for so short a time that what is sent again counts again.
    let trial = Trial::begin("judge", &redis.url(), &["store.dedup_window=1s"], &[]);
    eventually("enough is sent again", async || trial.load.oracle().counts.acknowledged > 1500).await;
    let quiet = trial.load.pause().await;
    let found = trial.profiles().await;
    let difference = quiet.oracle().compare(&found);
    assert!(difference.duplicated > 0 && difference.lost == 0, "{difference:?}");
    trial.describe(&found).await;

    let acknowledged = quiet.oracle().counts.acknowledged;
    redis.command::<()>("FLUSHALL");
    redis.kill();
    tokio::task::block_in_place(|| redis.restart());
    let found = trial.profiles().await;
    let difference = quiet.oracle().compare(&found);
    assert_eq!((difference.lost, difference.duplicated), (acknowledged, 0), "{difference:?}");
    trial.describe(&found).await;
}
