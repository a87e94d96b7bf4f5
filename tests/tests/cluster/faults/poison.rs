//! Records that nobody can read get into the log past ingest, as a fault of another release would write them.

use super::{pause, redis_on_disk};
use bytes::Bytes;
use portrait_profile::{PartitionCount, Timestamp};
use portrait_store::{LogSeq, LogStore, OwnerStore, StoreInfo};
use portrait_store_redis::{RedisOptions, RedisStore, RedisTarget};
use portrait_tests::faults::Trial;
use rand::RngExt;
use std::collections::BTreeSet;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Records of one cycle.
const RECORDS: u32 = 50;
/// How long a partition may take to come past one.
const STALL: Duration = Duration::from_secs(1);

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than 1970");
    Timestamp::from_millis(i64::try_from(since.as_millis()).expect("it is not that late"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn records_that_nobody_can_read_are_set_aside_once_and_hold_nothing_up() {
    let redis = redis_on_disk();
    let mut trial = Trial::begin("poison", &redis.url(), &[], &["feature"]);
    let target = RedisTarget::parse(&redis.url()).expect("a URL");
    let options = RedisOptions { partitions: PartitionCount::new(16), ..RedisOptions::new(target) };
    let level = options.level;
    let store = RedisStore::open(options).await.expect("the store is there");
    let mut written = BTreeSet::new();
    while let Some(mut chance) = trial.next() {
        for _ in 0..RECORDS {
            let partition =
                store.layout().partitions.partition(chance.random_range(0..16)).expect("there are 16");
            let mut garbage: Vec<u8> = (0..chance.random_range(1..300)).map(|_| chance.random()).collect();
            // What a release to come may have written would be waited for.
            garbage[0] |= 0x80;
            let begun = Instant::now();
            let place = store.append(partition, vec![Bytes::from(garbage)], now(), level).await;
            let place = place.expect("there is room").last.seq;
            written.insert((partition.get(), place));
            let meta = store.wait_applied(partition, place, STALL * 10).await.expect("the store is there");
            trial.plan.took(begun.elapsed());
            assert!(meta.applied_through >= place, "partition {partition} stands still");
            assert!(begun.elapsed() < STALL, "partition {partition} stood still for {:?}", begun.elapsed());
            pause(&mut chance, 20).await;
        }
        trial.compare().await;
        let mut found = BTreeSet::new();
        for partition in store.layout().partitions.all() {
            for letter in store.dead_letters(partition, LogSeq::ZERO, 1000).await.expect("the store is there")
            {
                assert!(found.insert((partition.get(), letter.seq)), "{} is there twice", letter.seq);
            }
        }
        assert_eq!(found, written, "what was set aside is what could not be read");
        let counted: u64 =
            trial.partitions().await.expect("a worker").iter().map(|one| one.dead_letters_total).sum();
        assert_eq!(counted, written.len() as u64);
    }
    trial.end().await;
}
