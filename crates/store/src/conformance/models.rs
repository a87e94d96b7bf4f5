//! Model registry: atomic changes fenced by the training lease, and parts.

use super::fixture::{NOW, SharedStore, TEST_TIMEOUT, TTL, claim};
use crate::{
    Acquisition, Error, LeaseClaim, LeaseToken, Nonce, PartName, PublishedModel, Registry, RegistryChange,
    RegistryNo,
};
use bytes::Bytes;
use portrait_profile::ModelVersion;
use std::sync::Arc;
use std::time::Duration;

fn version(number: u64) -> ModelVersion {
    ModelVersion::new(number).expect("not 0")
}

fn change(expected: RegistryNo) -> RegistryChange {
    RegistryChange::of(expected)
}

fn publish(expected: RegistryNo, token: LeaseToken, number: u64) -> RegistryChange {
    let manifest = Bytes::from(format!("manifest {number}"));
    let model = PublishedModel { version: version(number), at: NOW, manifest };
    RegistryChange {
        trainer: Some(token),
        publish: Some(model),
        activate: Some(version(number)),
        ..change(expected)
    }
}

async fn registry(store: &SharedStore) -> Registry {
    store.registry(None, Duration::ZERO).await.expect("there")
}

async fn trainer(store: &SharedStore, nonce: u128) -> LeaseToken {
    let lease = store.acquire_training(&claim(Nonce::new(nonce)), TTL, NOW).await;
    lease.expect("there").token().expect("the training lease is free")
}

pub(super) async fn a_model_is_published_activated_and_read_back(store: SharedStore) {
    assert_eq!(registry(&store).await, Registry::default());
    let token = trainer(&store, 1).await;
    let first = store.change_registry(publish(RegistryNo::ZERO, token, 1)).await.expect("published");
    let second = store.change_registry(publish(first, token, 2)).await.expect("published");
    let known = registry(&store).await;
    assert_eq!((known.active, known.newest, known.registry_no), (Some(version(2)), Some(version(2)), second));
    assert_eq!(known.active_model().expect("it is kept").manifest, Bytes::from_static(b"manifest 2"));
    // Back to the previous model, without publishing one.
    let back = RegistryChange { activate: Some(version(1)), ..change(second) };
    let third = store.change_registry(back).await.expect("activated");
    let known = registry(&store).await;
    assert_eq!((known.active, known.newest, known.models.len()), (Some(version(1)), Some(version(2)), 2));
    let forget = RegistryChange { forget: vec![version(2)], ..change(third) };
    store.change_registry(forget).await.expect("removed");
    let known = registry(&store).await;
    assert_eq!((known.models.len(), known.newest), (1, Some(version(2))), "versions never restart");
}

pub(super) async fn a_change_from_a_stale_registry_is_refused(store: SharedStore) {
    let token = trainer(&store, 1).await;
    let no = store.change_registry(publish(RegistryNo::ZERO, token, 5)).await.expect("published");
    let before = registry(&store).await;
    let foreign = LeaseToken { nonce: Nonce::new(9), ..token };
    let part = store.put_part(Bytes::from_static(b"of the holder of the lease")).await.expect("kept");
    let cleanup = RegistryChange { trainer: Some(foreign), forget_parts: vec![part], ..change(no) };
    let without_token = RegistryChange { trainer: None, ..publish(no, token, 6) };
    for change in [publish(no, foreign, 6), cleanup, without_token] {
        let refused = store.change_registry(change).await;
        assert!(matches!(refused, Err(Error::TrainerFenced)), "{refused:?}");
    }
    assert!(store.part(part).await.expect("there").is_some());
    // An outdated number, and two versions that are not above the newest.
    for stale in [publish(RegistryNo::ZERO, token, 6), publish(no, token, 5), publish(no, token, 4)] {
        let refused = store.change_registry(stale).await;
        assert!(matches!(refused, Err(Error::RegistryMoved { .. })), "{refused:?}");
    }
    let unknown = RegistryChange { activate: Some(version(7)), ..change(no) };
    let active = RegistryChange { forget: vec![version(5)], ..change(no) };
    for impossible in [unknown, active] {
        let refused = store.change_registry(impossible).await;
        assert!(matches!(refused, Err(Error::NoSuchModel { .. })), "{refused:?}");
    }
    assert_eq!(registry(&store).await, before);
}

pub(super) async fn one_owner_trains_until_its_lease_ends(store: SharedStore) {
    let token = trainer(&store, 1).await;
    let held = Acquisition::Held { by: Some(claim(Nonce::new(1)).name) };
    assert_eq!(store.acquire_training(&claim(Nonce::new(2)), TTL, NOW).await.expect("there"), held);
    assert!(store.renew_training(token, TTL, NOW.plus(TTL)).await.expect("there"));
    let later = NOW.plus(TTL).plus(TTL);
    let next = store.acquire_training(&claim(Nonce::new(2)), TTL, later).await;
    let next = next.expect("there").token().expect("it has ended");
    assert!(next.epoch > token.epoch);
    // The former trainer can neither extend nor end the lease of the next one, nor publish.
    assert!(!store.renew_training(token, TTL, later).await.expect("there"));
    store.release_training(token).await.expect("ignored");
    let third = store.acquire_training(&claim(Nonce::new(3)), TTL, later).await.expect("there");
    assert_eq!(third.token(), None);
    let refused = store.change_registry(publish(RegistryNo::ZERO, token, 1)).await;
    assert!(matches!(refused, Err(Error::TrainerFenced)), "{refused:?}");
    store.change_registry(publish(RegistryNo::ZERO, next, 1)).await.expect("the owner publishes");
}

pub(super) async fn a_restarted_trainer_takes_back_its_lease(store: SharedStore) {
    let claim = |nonce| LeaseClaim::new(Nonce::new(nonce), "http://model-1");
    let before = store.acquire_training(&claim(1), TTL, NOW).await.expect("there").token().expect("free");
    let restarted = LeaseClaim { takes_back: true, ..claim(2) };
    let after = store.acquire_training(&restarted, TTL, NOW).await.expect("there").token();
    let after = after.expect("the lease of its name ends");
    assert!(after.epoch > before.epoch);
    let refused = store.change_registry(publish(RegistryNo::ZERO, before, 1)).await;
    assert!(matches!(refused, Err(Error::TrainerFenced)), "{refused:?}");
    store.change_registry(publish(RegistryNo::ZERO, after, 1)).await.expect("the owner publishes");
    let held = Acquisition::Held { by: Some("http://model-1".into()) };
    assert_eq!(store.acquire_training(&claim(1), TTL, NOW).await.expect("there"), held);
}

pub(super) async fn parts_are_kept_by_the_name_of_their_bytes(store: SharedStore) {
    let parts = [Bytes::from_static(b"one"), Bytes::from(vec![7; 300_000])];
    for part in &parts {
        let name = store.put_part(part.clone()).await.expect("kept");
        assert_eq!(name, PartName::of(part));
        // Stored again under the same name, as by a trainer that starts over after a crash.
        assert_eq!(store.put_part(part.clone()).await.expect("kept once"), name);
        assert_eq!(store.part(name).await.expect("there").as_ref(), Some(part));
    }
    let first = PartName::of(&parts[0]);
    let second = PartName::of(&parts[1]);
    let mut names = store.parts().await.expect("there");
    names.sort_unstable();
    let mut expected = vec![first, second];
    expected.sort_unstable();
    assert_eq!(names, expected);
    let forget = RegistryChange { forget_parts: vec![first], ..change(RegistryNo::ZERO) };
    store.change_registry(forget).await.expect("removed");
    assert_eq!(store.part(first).await.expect("there"), None);
    assert_eq!(store.parts().await.expect("there"), [second]);
    assert!(store.part(second).await.expect("there").is_some());
    // Another byte than the limit allows.
    let too_big = Bytes::from(vec![0; store.limits().part_bytes + 1]);
    assert!(matches!(store.put_part(too_big).await, Err(Error::TooBig { .. })));
}

pub(super) async fn a_waiting_reader_is_notified_of_a_model_change(store: SharedStore) {
    let waiter = Arc::clone(&store);
    let waiting = tokio::spawn(async move { waiter.registry(Some(RegistryNo::ZERO), TEST_TIMEOUT).await });
    tokio::task::yield_now().await;
    let token = trainer(&store, 1).await;
    store.change_registry(publish(RegistryNo::ZERO, token, 1)).await.expect("published");
    let notified = waiting.await.expect("no panic").expect("there");
    assert_eq!(notified.active, Some(version(1)));
}
