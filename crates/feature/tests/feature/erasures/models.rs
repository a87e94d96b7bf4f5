//! Models that name users: an erasure is cleared only once every kept one was sampled after the erasure was applied.

use super::super::fixture::{FeatureFixture, NEW_YEAR};
use super::{DAY, ERASED, HOUR, at, view_at};
use portrait_learning::prediction::LOOKALIKES;
use portrait_profile::{ModelVersion, TimeDelta};
use portrait_proto::token::{ConsistencyToken, TokenEntry};
use portrait_proto::v1::{ModelManifest, ModelPart};
use portrait_store::{LeaseClaim, Nonce, PublishedModel, RegistryChange, RegistryStore};
use prost::Message;
use std::time::Duration;

impl FeatureFixture {
    /// Returns the applied positions of all logs, as a training notes them before it reads vectors.
    async fn applied_positions(&self) -> Vec<u8> {
        let mut token = ConsistencyToken::default();
        for partition in self.partitions() {
            let meta = self.meta(partition).await;
            token.cover(TokenEntry {
                partition: partition.get(),
                generation: meta.log_generations.newest().nonce().get(),
                seq: meta.applied_through.get(),
            });
        }
        token.to_stored()
    }

    /// Publishes a model with a part of `kind` that was sampled at these positions, and removes all others.
    async fn keep_model(&self, number: u64, millis: i64, kind: &str, sampled_positions: Vec<u8>) {
        let registry = self.store.registry(None, Duration::ZERO).await.expect("there");
        let part = ModelPart { kind: kind.to_owned(), ..Default::default() };
        let manifest = ModelManifest { parts: vec![part], sampled_positions, ..Default::default() };
        let manifest = manifest.encode_to_vec().into();
        let version = ModelVersion::new(number).expect("not 0");
        let claim = LeaseClaim::new(Nonce::new(7), "trainer");
        let lease = self.store.acquire_training(&claim, TimeDelta::from_days(100), at(millis)).await;
        let token = lease.expect("there").token().expect("no other trainer");
        let change = RegistryChange {
            expected: registry.registry_no,
            trainer: Some(token),
            publish: Some(PublishedModel { version, at: at(millis), manifest }),
            activate: Some(version),
            forget: registry.models.iter().map(|model| model.version).collect(),
            forget_parts: Vec::new(),
        };
        self.store.change_registry(change).await.expect("published");
        self.store.release_training(token).await.expect("there");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_is_not_cleared_while_a_model_sampled_before_it_names_users() {
    let fixture = FeatureFixture::start(2).await;
    fixture.apply(view_at("lena", "a", NEW_YEAR)).await;
    let before = fixture.applied_positions().await;
    fixture.keep_model(1, NEW_YEAR, LOOKALIKES, before).await;
    let first = fixture.erase_between("lena", "", ERASED, Vec::new(), Vec::new()).await;
    fixture.settled().await;
    let between = fixture.applied_positions().await;
    let second = fixture.erase_between("lena", "", ERASED + 2 * HOUR, Vec::new(), Vec::new()).await;
    fixture.settled().await;
    fixture.swept(&second).await;
    fixture.clock.advance(20 * DAY);
    fixture.cleaned_up().await;
    // The first is held back too, although the tombstone is that of the second.
    assert!(!fixture.is_cleared(&first).await);
    // Published days after the second erasure, and sampled before it.
    fixture.keep_model(2, ERASED + 10 * DAY, LOOKALIKES, between).await;
    fixture.cleaned_up().await;
    assert!(!fixture.is_cleared(&second).await);
    // A model of an earlier release does not say when it was sampled.
    fixture.keep_model(3, ERASED + 11 * DAY, LOOKALIKES, Vec::new()).await;
    fixture.cleaned_up().await;
    assert!(!fixture.is_cleared(&second).await);
    fixture.keep_model(4, NEW_YEAR, "segments", Vec::new()).await;
    fixture.cleared(&second).await;
    let third = fixture.erase_between("omar", "", ERASED + HOUR, Vec::new(), Vec::new()).await;
    fixture.settled().await;
    fixture.keep_model(5, ERASED, LOOKALIKES, fixture.applied_positions().await).await;
    fixture.clock.advance(20 * DAY);
    fixture.cleared(&third).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_that_a_model_did_not_see_applied_is_not_cleared() {
    let fixture = FeatureFixture::start(1).await;
    fixture.apply(view_at("lena", "a", NEW_YEAR)).await;
    fixture.faulty.hold_commits(true);
    let erased = fixture.erase_between("lena", "", ERASED, Vec::new(), Vec::new()).await;
    // Accepted and logged, and the vectors are still those of before.
    let sampled = fixture.applied_positions().await;
    fixture.faulty.hold_commits(false);
    fixture.settled().await;
    fixture.swept(&erased).await;
    fixture.keep_model(1, ERASED + 10 * DAY, LOOKALIKES, sampled).await;
    fixture.clock.advance(20 * DAY);
    fixture.cleaned_up().await;
    assert!(!fixture.is_cleared(&erased).await);
    fixture.keep_model(2, ERASED + 10 * DAY, LOOKALIKES, fixture.applied_positions().await).await;
    fixture.cleared(&erased).await;
}
