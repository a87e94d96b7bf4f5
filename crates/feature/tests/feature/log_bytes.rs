//! Bound of the log's bytes: a flood of applied records stays within it without any time passing, records that are not applied
//! stay at any size, and an erasure completes.

use super::erasures::{DAY, ERASED};
use super::fixture::{FeatureFixture, NEW_YEAR, view};
use bytes::Bytes;
use portrait_feature::Config;
use portrait_profile::{PartitionId, Timestamp};
use portrait_runtime::Clock;
use portrait_runtime::config::ByteSize;
use portrait_store::{AckLevel, LogSeq, LogStore};

const PARTITIONS: u16 = 2;
/// Share of one partition of a bound of 1 MiB.
const SHARE: u64 = (1 << 20) / PARTITIONS as u64;
/// Records of one append.
const BLOCK_RECORDS: usize = 500;
/// Upper estimate of the bytes of one append.
const BLOCK_BYTES_MAX: u64 = 60_000;

async fn bounded() -> FeatureFixture {
    let config = Config { log_bytes: ByteSize::mebibytes(1), ..Config::default() };
    FeatureFixture::start_with(PARTITIONS, config).await
}

impl FeatureFixture {
    /// Appends `blocks` blocks to a partition without waiting for the workers.
    async fn flood(&self, partition: PartitionId, round: usize, blocks: usize) {
        for block in 0..blocks {
            let record = |number| {
                let id = format!("round {round} block {block} record {number}");
                Bytes::from(view(&format!("u{}", number % 50), Some(&id)).encode())
            };
            let records = (0..BLOCK_RECORDS).map(record).collect();
            let at = Timestamp::from_millis(NEW_YEAR);
            self.store.append(partition, records, at, AckLevel::Memory).await.expect("there is space");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_applied_records_stays_within_the_bytes_of_the_log() {
    let fixture = bounded().await;
    for round in 0..4 {
        for partition in fixture.partitions() {
            fixture.flood(partition, round, 15).await;
        }
        fixture.settled().await;
        for partition in fixture.partitions() {
            // An eighth between two trims, the page that is applied, and the last block.
            let most = SHARE + SHARE / 8 + 2 * BLOCK_BYTES_MAX;
            fixture
                .until("the log is within its bound", async || {
                    fixture.meta(partition).await.log_bytes <= most
                })
                .await;
        }
    }
    for partition in fixture.partitions() {
        let meta = fixture.meta(partition).await;
        let records = (4 * 15 * BLOCK_RECORDS) as u64;
        assert_eq!((meta.log_end, meta.counters.applied), (LogSeq::new(records), records));
        assert!(meta.log_bytes > SHARE / 2, "{} bytes: no more than necessary is trimmed", meta.log_bytes);
        assert!(meta.log_first > LogSeq::new(records / 4), "{}", meta.log_first);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_are_not_applied_stay_and_are_trimmed_after_it() {
    let fixture = bounded().await;
    let partition = fixture.partitions().next().expect("there are two");
    fixture.faulty.hold_commits(true);
    fixture.flood(partition, 0, 30).await;
    fixture.until("a commit is held back", async || fixture.faulty.held_commit_count() > 0).await;
    let held = fixture.meta(partition).await;
    assert!(held.log_bytes > SHARE + SHARE / 2 && held.log_first == LogSeq::new(1), "{held:?}");
    fixture.faulty.hold_commits(false);
    fixture.settled().await;
    fixture
        .until("the log is trimmed", async || {
            fixture.meta(partition).await.log_bytes <= SHARE + SHARE / 8 + 2 * BLOCK_BYTES_MAX
        })
        .await;
    assert_eq!(fixture.meta(partition).await.counters.applied, (30 * BLOCK_RECORDS) as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_completes_before_the_retention_once_the_bytes_are_trimmed() {
    let fixture = bounded().await;
    let positions = fixture.erase_between("lena", "", ERASED, Vec::new(), Vec::new()).await;
    for partition in fixture.partitions() {
        fixture.flood(partition, 0, 30).await;
    }
    fixture.settled().await;
    fixture.swept(&positions).await;
    assert!(!fixture.is_cleared(&positions).await, "the feed still has the deletion");
    // The retention of the feed is a day, and that of the log a week.
    fixture.clock.advance(DAY);
    fixture
        .until("the erasure is cleared within six days", async || {
            if fixture.clock.now_ms() < NEW_YEAR + 6 * DAY {
                fixture.clock.advance(1000);
            }
            fixture.is_cleared(&positions).await
        })
        .await;
}

#[test]
fn a_bound_below_a_mebibyte_is_refused_and_0_removes_it() {
    let check = |text: &str| {
        let log_bytes = text.parse().expect("a size");
        Config { log_bytes, ..Config::default() }.validate().err().map(|error| error.to_string())
    };
    assert_eq!(check("0"), None);
    assert_eq!(check("1MiB"), None);
    let refusal = check("16KiB").expect("it is too small");
    assert!(refusal.contains("feature.log_bytes") && refusal.contains("0 for no bound"), "{refusal}");
}
