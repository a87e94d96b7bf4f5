//! Losses: of replies, memory, scripts, connections, and of all or a part of a server's data.

use super::fixture::{
    NOW, ON_DISK, PATIENCE, append, check_written, commit, cycles, eventually, log, meta, open, options, own,
    partition, write,
};
use bytes::Bytes;
use portrait_profile::{TimeDelta, Timestamp};
use portrait_store::{
    AckLevel, CatalogueStore, Error, LeaseClaim, LogSeq, LogStore, Nonce, OwnerStore, PositionFate,
    RegistryChange, RegistryNo, RegistryStore, StoreInfo, Trim,
};
use portrait_store_redis::testing::{FaultMoment, FaultPoint, Proxy, Server, until};
use portrait_store_redis::{RedisOptions, RedisStore};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

#[tokio::test]
async fn a_full_server_accepts_commits_and_trims_and_refuses_appends() {
    let server = Server::start(&[("maxmemory", "8mb")]);
    let store = open(&server.url(), AckLevel::Memory).await;
    let large = vec![Bytes::from(vec![b'x'; 100_000])];
    let append = async || store.append(partition(&store, 0), large.clone(), NOW, AckLevel::Memory).await;
    let full = loop {
        match append().await {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(full, Error::Full { .. }) && full.is_retryable(), "{full:?}");
    let token = own(&store, 0).await;
    assert!(
        store.renew(partition(&store, 0), token, TimeDelta::from_days(1), NOW).await.expect("it is there")
    );
    let before = meta(&store, 0).await;
    let step = commit(&before, token, before.log_end);
    store.commit(partition(&store, 0), step).await.expect("what was accepted can still be applied");
    let later = NOW.plus(TimeDelta::from_days(1));
    let what = Trim { now: later, log_before: later, log_bytes_max: None, feed_before: later };
    let trimmed = store.trim(partition(&store, 0), what).await.expect("it can be forgotten");
    assert_eq!((trimmed.log_records, trimmed.changes), (before.log_end.get(), 1));
    eventually("space was freed", append).await;
    // Accepted records can be applied on a full server, and nothing new is accepted.
    server.command::<()>("CONFIG SET maxmemory 1mb");
    let items = vec![(Bytes::from_static(b"i"), Bytes::from_static(b"item"))];
    assert!(matches!(store.put_items(items, AckLevel::Memory).await, Err(Error::Full { .. })));
    assert!(matches!(store.put_part(Bytes::from_static(b"part")).await, Err(Error::Full { .. })));
    assert!(matches!(append().await, Err(Error::Full { .. })));
    let before = meta(&store, 0).await;
    let step = commit(&before, token, before.log_end);
    store.commit(partition(&store, 0), step).await.expect("what was accepted can still be applied");
    own(&store, 1).await;
    let forget = store.change_registry(nothing()).await;
    assert_eq!(forget.expect("models can be forgotten"), RegistryNo::new(1));
    drop(open(&server.url(), AckLevel::Memory).await);
    server.command::<()>("CONFIG SET maxmemory 0");
    append().await.expect("there is space again");
}

/// Returns an empty change of the models.
fn nothing() -> RegistryChange {
    RegistryChange {
        expected: RegistryNo::ZERO,
        trainer: None,
        publish: None,
        activate: None,
        forget: Vec::new(),
        forget_parts: Vec::new(),
    }
}

#[tokio::test]
async fn a_server_that_restarts_empty_is_the_same_store_without_data() {
    let mut server = Server::start(&[]);
    let store = open(&server.url(), AckLevel::Memory).await;
    let token = own(&store, 0).await;
    let lost = append(&store, 0, "lost", AckLevel::Memory).await.expect("there is space").last;
    let before = meta(&store, 0).await;
    server.kill();
    server.restart();
    let after = meta(&store, 0).await;
    assert_eq!((after.log_end, after.token), (LogSeq::ZERO, None));
    assert_eq!(after.log_generations.fate(lost, after.log_end), PositionFate::UnknownGeneration);
    let refused = store.commit(partition(&store, 0), commit(&before, token, LogSeq::new(1))).await;
    assert!(matches!(refused, Err(Error::Fenced { .. })), "{refused:?}");
    let options = RedisOptions { partitions: None, ..options(&server.url(), AckLevel::Memory) };
    let another = RedisStore::open(options).await.expect("it is there").layout();
    let known = store.layout();
    assert_eq!(another.partitions, known.partitions, "a later process opens the same layout");
    assert_eq!((another.dedup_window, another.pseudonym_key), (known.dedup_window, known.pseudonym_key));
    assert_ne!(another.id, known.id, "a store that was lost is another one");
}

#[tokio::test]
async fn a_lease_runs_by_the_servers_clock() {
    let server = Server::start(&[]);
    let store = open(&server.url(), AckLevel::Memory).await;
    let ttl = TimeDelta::from_millis(200);
    let acquire = async |nonce: u128, now: Timestamp| {
        let claim = LeaseClaim::new(Nonce::new(nonce), format!("worker {nonce}"));
        store.acquire(partition(&store, 0), &claim, ttl, now).await.expect("it is there").token()
    };
    let first = acquire(1, NOW).await.expect("it is free");
    let begun = Instant::now();
    // A caller with a wrong clock takes no lease.
    assert_eq!(acquire(2, NOW.plus(TimeDelta::from_days(1000))).await, None);
    let second = loop {
        if let Some(token) = acquire(2, NOW).await {
            break token;
        }
        assert!(begun.elapsed() < PATIENCE, "the lease does not end");
    };
    assert!(begun.elapsed() > Duration::from_millis(100) && second.epoch == first.epoch.next());
}

#[tokio::test]
async fn a_lost_reply_is_resolved_from_the_state() {
    let server = Server::start(&[]);
    let proxy = Proxy::to(server.port()).await;
    let store = open(&proxy.url(), AckLevel::Memory).await;
    let token = own(&store, 0).await;
    for round in 1..=100 {
        proxy.lose_reply();
        let appended = append(&store, 0, &format!("record {round}"), AckLevel::Memory).await;
        assert!(matches!(appended, Err(Error::Unavailable(_))), "{appended:?}");
        let before = meta(&store, 0).await;
        assert_eq!(before.log_end, LogSeq::new(round), "it was done, once");
        proxy.lose_reply();
        let committed = store.commit(partition(&store, 0), commit(&before, token, before.log_end)).await;
        assert!(matches!(committed, Err(Error::Unavailable(_))), "{committed:?}");
        let after = meta(&store, 0).await;
        assert_eq!(
            (after.commit_no, after.token),
            (before.commit_no.next(), Some(token)),
            "it was done, once"
        );
        assert_eq!(after.counters.applied, round);
        let again = store.commit(partition(&store, 0), commit(&before, token, before.log_end)).await;
        assert!(matches!(again, Err(Error::Fenced { .. })), "{again:?}");
    }
    assert_eq!(proxy.replies_to_lose(), 0);
    // A read is repeated.
    proxy.lose_reply();
    assert_eq!(log(&store, 0).await.len(), 100);
}

#[tokio::test]
async fn a_held_request_is_done_or_not_by_the_moment_of_the_hold() {
    let server = Server::start(&[]);
    let proxy = Proxy::to(server.port()).await;
    let direct = open(&server.url(), AckLevel::Memory).await;
    let token = own(&direct, 0).await;
    append(&direct, 0, "record", AckLevel::Memory).await.expect("there is space");
    for (moment, done) in [(FaultMoment::Sent, false), (FaultMoment::Done, true)] {
        // A connection stays held as long as its store lives, so each hold has a store of its own.
        let store = open(&proxy.url(), AckLevel::Memory).await;
        let before = meta(&direct, 0).await;
        let held = proxy.hold(FaultPoint::Commit, moment);
        let step = commit(&before, token, before.log_end);
        let committing = store.commit(partition(&store, 0), step);
        tokio::select! {
            committed = committing => panic!("it was not held: {committed:?}"),
            () = held.reached() => {}
        }
        assert_eq!(meta(&direct, 0).await.commit_no != before.commit_no, done, "{moment:?}");

        let store = open(&proxy.url(), AckLevel::Memory).await;
        let before = meta(&direct, 0).await;
        let held = proxy.hold(FaultPoint::Append, moment);
        tokio::select! {
            appended = append(&store, 0, "another", AckLevel::Memory) => panic!("it was not held: {appended:?}"),
            () = held.reached() => {}
        }
        assert_eq!(meta(&direct, 0).await.log_end != before.log_end, done, "{moment:?}");

        let store = open(&proxy.url(), AckLevel::Memory).await;
        let free = u32::from(done) + 1;
        let held = proxy.hold(FaultPoint::TakeLease, moment);
        tokio::select! {
            token = own(&store, free) => panic!("it was not held: {token:?}"),
            () = held.reached() => {}
        }
        assert_eq!(meta(&direct, free).await.token.is_some(), done, "{moment:?}");
    }
}

#[tokio::test]
async fn of_two_tokens_with_one_epoch_only_the_stored_one_may_act() {
    let server = Server::start(&[]);
    let store = open(&server.url(), AckLevel::Memory).await;
    append(&store, 0, "record", AckLevel::Memory).await.expect("there is space");
    let token = own(&store, 0).await;
    // As after a fail-over to a replica that missed the lease, and assigned the same epoch to another owner.
    server.command::<()>(&format!("HSET {{portrait:0}}:meta token {}:{:032x}", token.epoch, 77));
    let before = meta(&store, 0).await;
    assert_eq!(before.token.map(|token| (token.epoch, token.nonce)), Some((token.epoch, Nonce::new(77))));
    let refused = store.commit(partition(&store, 0), commit(&before, token, LogSeq::new(1))).await;
    assert!(matches!(refused, Err(Error::Fenced { .. })), "{refused:?}");
    assert!(
        !store.renew(partition(&store, 0), token, TimeDelta::from_days(1), NOW).await.expect("it is there")
    );
    store.release(partition(&store, 0), token).await.expect("a foreign token is ignored");
    assert_eq!(meta(&store, 0).await, before, "nothing was written");
}

#[tokio::test]
async fn scripts_that_the_server_lost_are_loaded_again() {
    let server = Server::start(&[]);
    let store = open(&server.url(), AckLevel::Memory).await;
    append(&store, 0, "one", AckLevel::Memory).await.expect("there is space");
    server.command::<()>("SCRIPT FLUSH");
    append(&store, 0, "two", AckLevel::Memory).await.expect("there is space");
    assert_eq!(log(&store, 0).await, ["one", "two"]);
}

#[tokio::test]
async fn a_killed_server_comes_back_with_everything_and_new_generations() {
    let mut server = Server::start(&ON_DISK);
    let store = open(&server.url(), AckLevel::Disk).await;
    let token = own(&store, 0).await;
    let old = append(&store, 0, "one", AckLevel::Disk).await.expect("there is space").last;
    let before = meta(&store, 0).await;
    store
        .commit(partition(&store, 0), commit(&before, token, LogSeq::new(1)))
        .await
        .expect("the owner commits");
    for round in 2..5 {
        server.kill();
        let away = append(&store, 0, "never", AckLevel::Disk).await;
        assert!(matches!(away, Err(Error::Unavailable(_))), "{away:?}");
        server.restart();
        // The loss of the connection is known, so nothing is sent on it.
        let new = append(&store, 0, "more", AckLevel::Disk).await.expect("it is there again").last;
        assert_eq!(new.seq, LogSeq::new(round));
        let after = meta(&store, 0).await;
        assert_eq!(
            (after.applied_through, after.feed_end.get(), after.counters.applied),
            (LogSeq::new(1), 1, 1)
        );
        assert_ne!(after.token, Some(token), "leases end with a generation");
        assert_eq!(after.log_generations.iter().count() as u64, round, "one for each incarnation");
        assert_eq!(after.log_generations.newest(), new.generation);
        assert_eq!(after.log_generations.fate(old, after.log_end), PositionFate::Valid);
    }
}

#[tokio::test]
async fn a_lost_position_is_an_error_and_never_another_record() {
    let mut server = Server::start(&[]);
    let store = open(&server.url(), AckLevel::Memory).await;
    let kept = append(&store, 0, "kept", AckLevel::Memory).await.expect("there is space").last;
    server.command::<()>("SAVE");
    let lost = append(&store, 0, "lost", AckLevel::Memory).await.expect("there is space").last;
    server.kill();
    server.restart();
    let state = meta(&store, 0).await;
    assert_eq!(state.log_generations.fate(lost, state.log_end), PositionFate::BeyondEnd);
    let new = append(&store, 0, "new", AckLevel::Memory).await.expect("there is space").last;
    assert_eq!((new.seq, new.generation != lost.generation), (lost.seq, true));
    let state = meta(&store, 0).await;
    for (position, fate) in
        [(kept, PositionFate::Valid), (lost, PositionFate::BeyondEnd), (new, PositionFate::Valid)]
    {
        assert_eq!(state.log_generations.fate(position, state.log_end), fate);
    }
    assert_eq!(log(&store, 0).await, ["kept", "new"]);
}

#[tokio::test]
async fn an_owner_that_read_a_lost_record_cannot_commit_it() {
    let mut server = Server::start(&[]);
    let store = open(&server.url(), AckLevel::Memory).await;
    let token = own(&store, 0).await;
    server.command::<()>("SAVE");
    append(&store, 0, "lost", AckLevel::Memory).await.expect("there is space");
    let read = meta(&store, 0).await;
    assert_eq!(log(&store, 0).await, ["lost"]);
    server.kill();
    server.restart();
    let replacement = async || append(&store, 0, "in its place", AckLevel::Memory).await;
    assert_eq!(eventually("it is there again", replacement).await.first, LogSeq::new(1));
    let step = commit(&read, token, LogSeq::new(1));
    let refused = store.commit(partition(&store, 0), step).await;
    assert!(matches!(refused, Err(Error::Fenced { .. })), "{refused:?}");
    assert!(
        !store.renew(partition(&store, 0), token, TimeDelta::from_days(1), NOW).await.expect("it is there")
    );
    let next = own(&store, 0).await;
    assert!(next.epoch > token.epoch);
    let state = meta(&store, 0).await;
    assert_eq!((state.commit_no, state.applied_through), (read.commit_no, LogSeq::ZERO));
    let step = commit(&state, next, LogSeq::new(1));
    store.commit(partition(&store, 0), step).await.expect("the owner commits");
}

#[tokio::test]
async fn a_server_that_hangs_blocks_no_caller_and_resumes_afterwards() {
    let server = Server::start(&[]);
    let store = Arc::new(open(&server.url(), AckLevel::Memory).await);
    append(&store, 0, "one", AckLevel::Memory).await.expect("there is space");
    server.hang();
    let begun = Instant::now();
    // At first the replies are missing, then the connection.
    for level in [AckLevel::Memory, AckLevel::Memory, AckLevel::Replica] {
        let mut appending = tokio::task::JoinSet::new();
        for _ in 0..200 {
            let store = Arc::clone(&store);
            appending.spawn(async move { append(&store, 0, "two", level).await });
        }
        while let Some(hung) = appending.join_next().await {
            let hung = hung.expect("no panic");
            assert!(matches!(hung, Err(Error::Unavailable(_))), "{hung:?}");
        }
    }
    assert!(begun.elapsed() < Duration::from_secs(20), "they waited in turn: {:?}", begun.elapsed());
    server.wake();
    eventually("it goes on", async || append(&store, 0, "three", AckLevel::Memory).await).await;
    let records = log(&store, 0).await;
    let (first, last) = (records.first().map(String::as_str), records.last().map(String::as_str));
    assert_eq!((first, last), (Some("one"), Some("three")));
    assert!(records.len() <= 202, "only what was sent can be there: {}", records.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiting_reader_is_woken_by_the_server_and_after_its_restart() {
    let mut server = Server::start(&ON_DISK);
    let store = Arc::new(open(&server.url(), AckLevel::Disk).await);
    let wait = |after: u64| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            let partition = partition(&store, 0);
            let begun = Instant::now();
            loop {
                // A reader repeats a read that the loss of the server ended.
                let read = store.read_log(partition, LogSeq::new(after), 1, 1000, PATIENCE).await;
                assert!(begun.elapsed() < PATIENCE, "no record comes: {read:?}");
                if let Ok(page) = read {
                    return page.records.len();
                }
            }
        })
    };
    let waiting = wait(0);
    append(&store, 0, "first", AckLevel::Disk).await.expect("there is space");
    assert_eq!(waiting.await.expect("no panic"), 1);
    let begun = Instant::now();
    for round in 1..=20 {
        let waiting = wait(round);
        tokio::task::yield_now().await;
        append(&store, 0, "next", AckLevel::Disk).await.expect("there is space");
        assert_eq!(waiting.await.expect("no panic"), 1);
    }
    // Without notifications each reader waits for the next poll, half a second.
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    let waiting = wait(21);
    server.kill();
    server.restart();
    eventually("it is there again", async || append(&store, 0, "later", AckLevel::Disk).await).await;
    assert_eq!(waiting.await.expect("no panic"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_neither_loses_nor_duplicates_durable_records() {
    let mut server = Server::start(&ON_DISK);
    let store = Arc::new(open(&server.url(), AckLevel::Disk).await);
    let ended = Arc::new(AtomicBool::new(false));
    let writers = write(&store, AckLevel::Disk, &ended);
    for _ in 0..cycles() {
        let before = meta(&store, 0).await.log_end;
        until("records come in", || meta_now(&server) > before.get() + 20);
        server.kill();
        server.restart();
    }
    ended.store(true, Ordering::SeqCst);
    check_written(&store, writers).await;
    let generations = meta(&store, 0).await.log_generations.iter().count();
    assert_eq!(generations, 64.min(cycles() + 1));
}

/// Returns the newest position of partition 0, read without the store. The field is there from the
/// first append on.
fn meta_now(server: &Server) -> u64 {
    server.command::<Option<u64>>("HGET {portrait:0}:meta log_end").unwrap_or(0)
}
