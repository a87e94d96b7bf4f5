//! Forms of stored data: ids in strings, profiles in pages, generations in a bounded list.

use super::fixture::{NOW, append, commit, meta, open, own, partition};
use bytes::Bytes;
use portrait_profile::SeenId;
use portrait_store::{
    AckLevel, Commit, LogSeq, OwnerStore, Position, PositionFate, ProfileKey, ProfileStore, SeenQuery,
};
use portrait_store_redis::testing::Server;
use std::collections::BTreeSet;

/// Returns the `number`-th id, spread as hashes are.
fn id(number: u64) -> SeenQuery {
    SeenQuery {
        id: SeenId::from_bits(number.wrapping_mul(0x9E37_79B9_7F4A_7C15)),
        arrived_at: NOW,
        source_day: None,
    }
}

#[tokio::test]
async fn many_ids_are_stored_compactly_and_found_exactly() {
    let server = Server::start(&[]);
    let store = open(&server.url(), AckLevel::Memory).await;
    let other_process = open(&server.url(), AckLevel::Memory).await;
    let token = own(&store, 0).await;
    for batch in 0..100 {
        let state = meta(&store, 0).await;
        let seen = (batch * 1000..(batch + 1) * 1000).map(id).collect();
        let step = Commit { seen, ..commit(&state, token, LogSeq::ZERO) };
        store.commit(partition(&store, 0), step).await.expect("the owner commits");
    }
    for begin in (0..200_000).step_by(1000) {
        let queries: Vec<SeenQuery> = (begin..begin + 1000).map(id).collect();
        for store in [&store, &other_process] {
            let found = store.seen(partition(store, 0), &queries).await.expect("it is there");
            assert!(found.iter().all(|found| *found == (begin < 100_000)), "from {begin}");
        }
    }
    let keys: Vec<String> = server.command("KEYS {portrait:0}:seen:*");
    let bytes: u64 = server.command(&format!("MEMORY USAGE {} SAMPLES 0", keys[0]));
    assert!(keys.len() == 1 && bytes < 100_000 * 12, "{bytes} bytes for 100,000 ids");
}

#[tokio::test]
async fn a_scan_of_few_small_profiles_respects_its_pages_during_deletions() {
    let server = Server::start(&[]);
    let store = open(&server.url(), AckLevel::Memory).await;
    let token = own(&store, 0).await;
    let key = |number: usize| ProfileKey(Bytes::from(format!("{number}")));
    let state = meta(&store, 0).await;
    let profiles = (0..100).map(|number| (key(number), Some(Bytes::from_static(b"p")))).collect();
    let step = Commit { profiles, ..commit(&state, token, LogSeq::ZERO) };
    store.commit(partition(&store, 0), step).await.expect("the owner commits");
    let mut found = BTreeSet::new();
    let mut cursor = None;
    for page in 0.. {
        let profiles = store.scan(partition(&store, 0), cursor, 7).await.expect("it is there");
        assert!(profiles.profiles.len() <= 7);
        found.extend(profiles.profiles.into_iter().map(|(key, _)| key));
        let state = meta(&store, 0).await;
        let step = Commit { profiles: vec![(key(90 + page), None)], ..commit(&state, token, LogSeq::ZERO) };
        store.commit(partition(&store, 0), step).await.expect("the owner commits");
        cursor = profiles.next;
        if cursor.is_none() {
            break;
        }
    }
    assert!((0..90).all(|number| found.contains(&key(number))), "{} are found", found.len());
}

#[tokio::test]
async fn only_the_newest_generations_are_retained() {
    let server = Server::start(&[]);
    let store = open(&server.url(), AckLevel::Memory).await;
    let first = meta(&store, 0).await.log_generations.newest();
    for incarnation in 0..100 {
        // As if another incarnation of the server had written last; `home` is the stored name of its field.
        server.command::<()>(&format!("HSET {{portrait:0}}:meta home {incarnation}"));
        append(&store, 0, "record", AckLevel::Memory).await.expect("there is space");
    }
    let state = meta(&store, 0).await;
    assert_eq!((state.log_end, state.log_generations.iter().count()), (LogSeq::new(100), 64));
    let oldest = Position { generation: first, seq: LogSeq::new(0) };
    let end = state.log_end;
    assert_eq!(state.log_generations.fate(oldest, end), PositionFate::UnknownGeneration);
    let firsts: Vec<u64> = state.log_generations.iter().map(|generation| generation.first.get()).collect();
    assert_eq!(firsts, (37..=100).collect::<Vec<_>>());
}
