//! Commits: atomic, fenced, counted; and the data they write.

use super::fixture::{
    NOW, SharedStore, TEST_TIMEOUT, TestOwner, WINDOW, append, partition, records, seen_at,
};
use crate::{
    Commit, CommitNo, Counters, DeadLetter, Error, FeedSeq, LeaseToken, LogSeq, Nonce, ProfileKey, SeenQuery,
};
use bytes::Bytes;
use portrait_profile::{PartitionId, Pseudonym, TimeDelta};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

fn key(name: &str) -> ProfileKey {
    ProfileKey(Bytes::copy_from_slice(name.as_bytes()))
}

fn profile(name: &str, value: &str) -> (ProfileKey, Option<Bytes>) {
    (key(name), Some(Bytes::copy_from_slice(value.as_bytes())))
}

fn tombstone(number: u8, value: &str) -> (Pseudonym, Option<Bytes>) {
    (Pseudonym::new([number; 16]), Some(Bytes::copy_from_slice(value.as_bytes())))
}

/// Returns all tombstones of a partition by pseudonym.
async fn tombstones(store: &SharedStore, partition: PartitionId) -> BTreeMap<Pseudonym, Bytes> {
    let mut found = BTreeMap::new();
    let mut cursor = None;
    // Seven at a time, so that 200 tombstones take many pages.
    loop {
        let page = store.scan_tombstones(partition, cursor, 7).await.expect("there");
        found.extend(page.tombstones);
        match page.next {
            Some(next) => cursor = Some(next),
            None => return found,
        }
    }
}

fn seen(number: u64) -> SeenQuery {
    seen_at(number, TimeDelta::ZERO)
}

fn letter(seq: u64) -> DeadLetter {
    DeadLetter {
        seq: LogSeq::new(seq),
        reason: format!("reason {seq}"),
        record: Bytes::from_static(b"record"),
    }
}

fn full(owner: &TestOwner) -> Commit {
    Commit {
        applied_through: LogSeq::new(2),
        clock: NOW.plus(TimeDelta::from_secs(5)),
        profiles: vec![profile("a", "1"), profile("b", "2")],
        tombstones: vec![tombstone(1, "t1"), tombstone(2, "t2")],
        seen: vec![seen(1), seen(2)],
        changes: vec![Bytes::from_static(b"change 1")],
        dead_letters: vec![letter(2)],
        counted: Counters { applied: 1, duplicates: 2, dead_letters: 1, late: 3, blocked: 4, sourced: 5 },
        ..owner.draft()
    }
}

pub(super) async fn everything_in_a_commit_happens(store: SharedStore) {
    let mut owner = TestOwner::of(&store, 1).await;
    append(&store, owner.partition, records(1, 2)).await;
    let commit = full(&owner);
    let committed = owner.commit(commit).await;
    assert_eq!((committed.commit_no, committed.feed_end), (CommitNo::new(1), FeedSeq::new(1)));
    let meta = store.meta(owner.partition).await.expect("there");
    assert_eq!(
        (meta.commit_no, meta.applied_through, meta.feed_end),
        (CommitNo::new(1), LogSeq::new(2), FeedSeq::new(1))
    );
    assert_eq!(meta.clock, NOW.plus(TimeDelta::from_secs(5)));
    assert_eq!(
        meta.counters,
        Counters { applied: 1, duplicates: 2, dead_letters: 1, late: 3, blocked: 4, sourced: 5 }
    );
    let profiles = store.profiles(owner.partition, &[key("b"), key("none"), key("a")]).await.expect("there");
    assert_eq!(profiles, [Some(Bytes::from_static(b"2")), None, Some(Bytes::from_static(b"1"))]);
    let values: Vec<Bytes> = tombstones(&store, owner.partition).await.into_values().collect();
    assert_eq!(values, ["t1", "t2"]);
    assert_eq!(store.seen(owner.partition, &[seen(3), seen(2)]).await.expect("there"), [false, true]);
    assert_eq!(store.dead_letters(owner.partition, LogSeq::ZERO, 10).await.expect("there"), [letter(2)]);
    let deleted = Commit { profiles: vec![(key("a"), None), profile("b", "3")], ..owner.draft() };
    owner.commit(deleted).await;
    let profiles = store.profiles(owner.partition, &[key("a"), key("b")]).await.expect("there");
    assert_eq!(profiles, [None, Some(Bytes::from_static(b"3"))]);
}

pub(super) async fn a_commit_of_another_token_or_number_changes_nothing(store: SharedStore) {
    let mut owner = TestOwner::of(&store, 1).await;
    append(&store, owner.partition, records(1, 2)).await;
    owner.commit(owner.draft()).await;
    let before = store.meta(owner.partition).await.expect("there");
    let epoch = owner.token.epoch;
    let wrong = [
        Commit { expected: CommitNo::ZERO, ..full(&owner) },
        Commit { expected: owner.commit_no.next(), ..full(&owner) },
        Commit { token: LeaseToken { nonce: Nonce::new(5), ..owner.token }, ..full(&owner) },
        Commit { token: LeaseToken { epoch: epoch.next(), ..owner.token }, ..full(&owner) },
    ];
    for commit in wrong {
        // Each row differs from a valid commit in one part of the fence.
        let refused = store.commit(owner.partition, commit).await;
        assert!(matches!(refused, Err(Error::Fenced { .. })), "{refused:?}");
    }
    assert_eq!(store.meta(owner.partition).await.expect("there"), before);
    assert_eq!(store.profiles(owner.partition, &[key("a")]).await.expect("there"), [None]);
    // Nothing of the refused commits is visible, in any of the places that a commit writes.
    assert_eq!(store.seen(owner.partition, &[seen(1)]).await.expect("there"), [false]);
    assert!(tombstones(&store, owner.partition).await.is_empty());
    assert!(store.dead_letters(owner.partition, LogSeq::ZERO, 10).await.expect("there").is_empty());
    let commit = full(&owner);
    owner.commit(commit).await;
}

pub(super) async fn an_empty_commit_counts_and_wakes_waiting_readers(store: SharedStore) {
    let mut owner = TestOwner::of(&store, 2).await;
    append(&store, owner.partition, records(1, 3)).await;
    let waiter = Arc::clone(&store);
    let partition = owner.partition;
    // The wait begins before the commit, so it must be woken rather than find the record applied.
    let waiting =
        tokio::spawn(async move { waiter.wait_applied(partition, LogSeq::new(3), TEST_TIMEOUT).await });
    tokio::task::yield_now().await;
    owner.commit(Commit { applied_through: LogSeq::new(3), ..owner.draft() }).await;
    let meta = waiting.await.expect("no panic").expect("there");
    assert_eq!((meta.applied_through, meta.commit_no), (LogSeq::new(3), CommitNo::new(1)));
    let timed_out =
        store.wait_applied(partition, LogSeq::new(4), Duration::from_millis(1)).await.expect("there");
    assert_eq!(timed_out.applied_through, LogSeq::new(3));
}

/// State after a fail-over that lost the newer lease: two owners have the same epoch and different nonces.
pub(super) async fn of_two_owners_with_one_epoch_only_the_newer_commits(store: SharedStore) {
    let mut owner = TestOwner::of(&store, 0).await;
    let mut twin = TestOwner::of(&store, 1).await;
    twin.partition = owner.partition;
    assert_eq!(twin.token.epoch, owner.token.epoch);
    let refused = twin.try_commit(twin.draft()).await;
    assert!(matches!(refused, Err(Error::Fenced { .. })), "{refused:?}");
    owner.commit(owner.draft()).await;
}

pub(super) async fn counters_add_up(store: SharedStore) {
    let mut owner = TestOwner::of(&store, 3).await;
    for _ in 0..10 {
        let counted =
            Counters { applied: 1, duplicates: 2, dead_letters: 0, late: 4, blocked: 0, sourced: 3 };
        owner.commit(Commit { counted, ..owner.draft() }).await;
    }
    let meta = store.meta(owner.partition).await.expect("there");
    assert_eq!(
        meta.counters,
        Counters { applied: 10, duplicates: 20, dead_letters: 0, late: 40, blocked: 0, sourced: 30 }
    );
}

pub(super) async fn an_id_is_remembered_for_the_window_in_its_partition(store: SharedStore) {
    let mut owner = TestOwner::of(&store, 1).await;
    owner.commit(Commit { seen: (0..90).map(seen).collect(), ..owner.draft() }).await;
    for later in [TimeDelta::ZERO, TimeDelta::from_hours(1), WINDOW] {
        let queries: Vec<SeenQuery> = (0..100).map(|number| seen_at(number, later)).collect();
        let found = store.seen(owner.partition, &queries).await.expect("there");
        assert!(found.iter().enumerate().all(|(number, seen)| *seen == (number < 90)), "{later:?}");
    }
    // A backend may remember an id for two windows, but not for three.
    let three_windows = TimeDelta::from_millis(WINDOW.millis() * 3);
    assert_eq!(store.seen(owner.partition, &[seen_at(1, three_windows)]).await.expect("there"), [false]);
    assert_eq!(store.seen(partition(&store, 2), &[seen(1)]).await.expect("there"), [false]);
}

pub(super) async fn dead_letters_are_kept_in_order_and_bounded(store: SharedStore) {
    let mut owner = TestOwner::of(&store, 1).await;
    append(&store, owner.partition, records(1, 200)).await;
    let most = store.limits().dead_letters as u64;
    for batch in 0..20_u64 {
        let letters = (batch * 10 + 1..=batch * 10 + 10).map(letter).collect();
        owner
            .commit(Commit {
                dead_letters: letters,
                applied_through: LogSeq::new(batch * 10 + 10),
                ..owner.draft()
            })
            .await;
    }
    let kept = store.dead_letters(owner.partition, LogSeq::ZERO, 100).await.expect("there");
    let seqs: Vec<u64> = kept.iter().map(|letter| letter.seq.get()).collect();
    assert!(seqs.is_sorted() && seqs.last() == Some(&200), "{seqs:?}");
    // Dropping may be lazy by one commit, which has ten letters here.
    assert!(seqs.len() as u64 >= most && seqs.len() as u64 <= most + 10, "{} are kept", seqs.len());
    let page = store.dead_letters(owner.partition, LogSeq::new(197), 2).await.expect("there");
    assert_eq!(page, [letter(198), letter(199)]);
}

pub(super) async fn a_scan_finds_every_existing_profile(store: SharedStore) {
    let mut owner = TestOwner::of(&store, 1).await;
    for batch in 0..5 {
        let profiles = (0..200).map(|number| profile(&format!("{batch}-{number}"), "x")).collect();
        owner.commit(Commit { profiles, ..owner.draft() }).await;
    }
    let mut found = BTreeSet::new();
    let mut cursor = None;
    let mut pages = 0;
    loop {
        let page = store.scan(owner.partition, cursor, 90).await.expect("there");
        assert!(page.profiles.len() <= 90);
        found.extend(page.profiles.into_iter().map(|(key, _)| key));
        // Other profiles are written and deleted during the scan.
        let profiles = vec![profile(&format!("new {pages}"), "y"), (key(&format!("0-{pages}")), None)];
        owner.commit(Commit { profiles, ..owner.draft() }).await;
        pages += 1;
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    for (batch, number) in (1..5).flat_map(|batch| (0..200).map(move |number| (batch, number))) {
        assert!(found.contains(&key(&format!("{batch}-{number}"))), "{batch}-{number}");
    }
    assert!(store.scan(partition(&store, 2), None, 90).await.expect("there").profiles.is_empty());
}

pub(super) async fn a_note_stays_until_the_next(store: SharedStore) {
    let mut owner = TestOwner::of(&store, 1).await;
    assert!(store.meta(owner.partition).await.expect("there").note.is_empty());
    for note in [Some("first"), None, Some("second")] {
        let note = note.map(|note| Bytes::from_static(note.as_bytes()));
        owner.commit(Commit { note, ..owner.draft() }).await;
        // The second commit has no note and keeps the first one.
        let expected: &[u8] = if owner.commit_no == CommitNo::new(3) { b"second" } else { b"first" };
        assert_eq!(store.meta(owner.partition).await.expect("there").note, expected);
    }
}

pub(super) async fn tombstones_stay_in_their_partition_until_they_are_deleted(store: SharedStore) {
    let mut owner = TestOwner::of(&store, 1).await;
    let many: Vec<_> = (0..200).map(|number| tombstone(number, &number.to_string())).collect();
    owner.commit(Commit { tombstones: many, ..owner.draft() }).await;
    assert_eq!(tombstones(&store, owner.partition).await.len(), 200);
    assert!(tombstones(&store, partition(&store, 2)).await.is_empty());
    let changed = vec![tombstone(0, "another"), (Pseudonym::new([1; 16]), None)];
    owner.commit(Commit { tombstones: changed, ..owner.draft() }).await;
    let kept = tombstones(&store, owner.partition).await;
    assert_eq!((kept.len(), &kept[&Pseudonym::new([0; 16])][..]), (199, &b"another"[..]));
    assert!(!kept.contains_key(&Pseudonym::new([1; 16])));
}

pub(super) async fn tombstones_are_found_in_the_requested_order(store: SharedStore) {
    let mut owner = TestOwner::of(&store, 1).await;
    let written = vec![tombstone(1, "t1"), tombstone(2, "t2")];
    owner.commit(Commit { tombstones: written, ..owner.draft() }).await;
    let pseudonyms = [2, 3, 1].map(|number| Pseudonym::new([number; 16]));
    let found = store.tombstones(owner.partition, &pseudonyms).await.expect("there");
    let expected = [Some("t2"), None, Some("t1")].map(|value| value.map(Bytes::from));
    assert_eq!(found, expected);
    assert_eq!(
        store.tombstones(partition(&store, 2), &pseudonyms).await.expect("there"),
        [const { None }; 3]
    );
    assert!(store.tombstones(owner.partition, &[]).await.expect("there").is_empty());
    let many = vec![pseudonyms[0]; store.limits().page_items + 1];
    let refused = store.tombstones(owner.partition, &many).await.expect_err("too many");
    assert!(matches!(refused, Error::TooBig { .. }), "{refused:?}");
    owner.commit(Commit { tombstones: vec![(pseudonyms[0], None)], ..owner.draft() }).await;
    assert_eq!(store.tombstones(owner.partition, &pseudonyms[..1]).await.expect("there"), [None]);
}

pub(super) async fn files_are_rewritten_while_the_store_is_in_use(store: SharedStore) {
    let mut owner = TestOwner::of(&store, 1).await;
    append(&store, owner.partition, records(1, 10)).await;
    let commit = full(&owner);
    owner.commit(commit).await;
    owner.commit(Commit { profiles: vec![(key("a"), None)], ..owner.draft() }).await;
    // Two callers at once: the second one may share a run.
    let (one, other) = tokio::join!(store.rewrite_files(), store.rewrite_files());
    one.and(other).expect("the files can be rewritten");
    let profiles = store.profiles(owner.partition, &[key("a"), key("b")]).await.expect("there");
    assert_eq!(profiles, [None, Some(Bytes::from_static(b"2"))]);
    let meta = store.meta(owner.partition).await.expect("there");
    assert_eq!((meta.log_end, meta.commit_no), (LogSeq::new(10), owner.commit_no));
    owner.commit(owner.draft()).await;
}
