//! Undecodable records are appended to the log without ingest, as a defect of another release would write them.

use super::{random_pause, redis_on_disk};
use bytes::Bytes;
use portrait_profile::{PartitionCount, Timestamp};
use portrait_store::{LogSeq, LogStore, OwnerStore, StoreInfo};
use portrait_store_redis::{RedisOptions, RedisStore, RedisTarget};
use portrait_tests::faults::Trial;
use rand::RngExt;
use std::collections::BTreeSet;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Records per cycle.
const RECORDS: u32 = 50;
/// Time limit for a partition to pass an undecodable record.
const STALL: Duration = Duration::from_secs(1);

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    Timestamp::from_millis(i64::try_from(since.as_millis()).expect("in range"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn undecodable_records_become_dead_letters_once_and_block_nothing() {
    let redis = redis_on_disk();
    let mut trial = Trial::start("poison-records", &redis.url(), &[], &["feature"]);
    let target = RedisTarget::parse(&redis.url()).expect("a URL");
    let options = RedisOptions { partitions: PartitionCount::new(16), ..RedisOptions::new(target) };
    let level = options.level;
    let store = RedisStore::open(options).await.expect("the store responds");
    let mut written = BTreeSet::new();
    while let Some(mut rng) = trial.next() {
        for _ in 0..RECORDS {
            let partition =
                store.layout().partitions.partition(rng.random_range(0..16)).expect("there are 16");
            let mut garbage: Vec<u8> = (0..rng.random_range(1..300)).map(|_| rng.random()).collect();
            // An unknown high format version would stall the partition until an upgrade; this byte makes the record plain garbage.
            garbage[0] |= 0x80;
            let started = Instant::now();
            let appended = store.append(partition, vec![Bytes::from(garbage)], now(), level).await;
            let seq = appended.expect("the store accepts appends").last.seq;
            written.insert((partition.get(), seq));
            let meta = store.wait_applied(partition, seq, STALL * 10).await.expect("the store responds");
            trial.plan.record_duration(started.elapsed());
            assert!(meta.applied_through >= seq, "partition {partition} is stalled");
            assert!(
                started.elapsed() < STALL,
                "partition {partition} was stalled for {:?}",
                started.elapsed()
            );
            random_pause(&mut rng, 20).await;
        }
        trial.compare().await;
        let mut found = BTreeSet::new();
        for partition in store.layout().partitions.all() {
            for letter in store.dead_letters(partition, LogSeq::ZERO, 1000).await.expect("the store responds")
            {
                assert!(found.insert((partition.get(), letter.seq)), "{} is a dead letter twice", letter.seq);
            }
        }
        assert_eq!(found, written, "the dead letters are the undecodable records");
        let counted: u64 =
            trial.partitions().await.expect("a worker").iter().map(|one| one.dead_letters_total).sum();
        assert_eq!(counted, written.len() as u64);
    }
    trial.finish().await;
}
