//! Drift and schema changes: a server detects that users buy other categories and retrains, and a server with another feature schema
//! replaces the model of the old schema.

use super::segments::{node, segments, train, wait_for_sweep};
use portrait_client::RoleRouter;
use portrait_lab::simulate::{Day, ShopEvent, ShopSimulator, SimulateConfig};
use portrait_learning::Model;
use portrait_profile::{FeatureSchema, TimeDelta, Timestamp};
use portrait_proto::v1::ingest_service_client::IngestServiceClient;
use portrait_proto::v1::model_service_client::ModelServiceClient;
use portrait_proto::v1::{
    CheckDriftRequest, CheckDriftResponse, Event, GetModelRequest, ListModelsRequest, ModelManifest,
    TrackRequest, TrainModelRequest, TrainingCause,
};
use portrait_runtime::config::DurationSetting;
use portrait_store::{LeaseClaim, Nonce, PartName, PublishedModel, RegistryChange, RegistryStore};
use portrait_store_embedded::{Embedded, EmbeddedOptions};
use portrait_tests::{connect, wait_until};
use std::time::Duration;

/// The promotion begins on day 8 of 24.
const SHOP: SimulateConfig = SimulateConfig { users: 2_500, days: 24, items: 300, steady: false };

/// Sends the events before the midnight at which `day` begins, and waits until they are applied.
async fn send_until(channel: &RoleRouter, shop: &mut std::iter::Peekable<ShopSimulator>, day: Day) {
    let mut ingest = IngestServiceClient::new(channel.clone());
    let mut batch: Vec<Event> = Vec::new();
    loop {
        let next = shop.next_if(|event| event.at < day.midnight());
        let ended = next.is_none();
        batch.extend(next.and_then(ShopEvent::into_event));
        if batch.len() == 1_000 || (ended && !batch.is_empty()) {
            let request = TrackRequest { events: std::mem::take(&mut batch), ..Default::default() };
            let response = ingest.track(request).await.expect("accepted").into_inner();
            assert_eq!(response.rejected, [], "simulated events are valid");
        }
        if ended {
            break;
        }
    }
    portrait_client::wait_until_applied(channel.clone()).await.expect("the log is applied");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_detects_category_drift_and_trains_when_it_persists() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let node = node(folder.path(), |model| {
        (model.rows_min, model.retrain_after_records, model.drift_consecutive_checks) = (1_000, 0, 2);
        // Checks on request only, and never enough rows for the feature check: categories and actions decide alone.
        (model.drift_interval, model.drift_rows_min) = (DurationSetting::from_hours(24), 1_000_000);
    })
    .await;
    let channel = connect(&node.grpc_url()).await;
    let mut models = ModelServiceClient::new(channel.clone());
    let mut check = async || -> CheckDriftResponse {
        models.check_drift(CheckDriftRequest {}).await.expect("a drift check").into_inner()
    };
    let shop = ShopSimulator::new(11, SHOP);
    let promotion = *shop.promotion().expect("a week of promotion");
    let mut shop = shop.peekable();
    send_until(&channel, &mut shop, promotion.from).await;
    let first = train(&channel, TrainModelRequest { force: true, ..Default::default() }).await;
    assert!(first.published, "{}", first.refusal);
    let before = check().await.drift.expect("a drift status");
    assert_eq!((before.consecutive_checks, before.categories.len()), (0, 0), "{before:?}");

    let mut day = promotion.from;
    let detected = loop {
        day = day.next();
        assert!(day <= promotion.until, "a week has passed");
        send_until(&channel, &mut shop, day).await;
        let found = check().await;
        assert!(found.training.is_none(), "drift must persist before a training: {found:?}");
        let drift = found.drift.expect("a drift status");
        if drift.consecutive_checks > 0 {
            break drift;
        }
    };
    let named: Vec<&str> = detected.categories.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(named, [promotion.category], "{detected:?}");
    assert!(detected.categories[0].now > 1.5 * detected.categories[0].before, "{detected:?}");

    let persistent = check().await;
    assert_eq!(persistent.drift.expect("a drift status").consecutive_checks, 2);
    let trained = persistent.training.expect("the drift has persisted");
    assert!(trained.published, "{}", trained.refusal);
    let cause = trained.manifest.as_ref().map(ModelManifest::cause);
    assert_eq!((trained.version, cause), (first.version + 1, Some(TrainingCause::Drift)));
    let after = check().await.drift.expect("a drift status");
    assert_eq!(after.consecutive_checks, 0, "the new model was trained on the drifted users: {after:?}");
    node.stop().await.expect("the node stops");
}

/// Publishes a copy of the active model with another schema hash.
async fn publish_other_schema(folder: &std::path::Path) {
    let folder = folder.to_owned();
    let opened = tokio::task::spawn_blocking(move || Embedded::open(&folder, EmbeddedOptions::default()));
    let store = opened.await.expect("no panic").expect("the store");
    let registry = store.registry(None, Duration::ZERO).await.expect("models");
    let served = registry.active_model().expect("a model");
    let mut manifest = <ModelManifest as prost::Message>::decode(&*served.manifest).expect("a manifest");
    let part = &mut manifest.parts[0];
    let name = PartName::new(u128::from_be_bytes(part.name[..].try_into().expect("16 bytes")));
    let bytes = store.part(name).await.expect("a response").expect("a part");
    let mut model = Model::decode(&bytes, FeatureSchema::current()).expect("a model");
    model.version = model.version.next();
    model.schema_hash ^= 1;
    let other = store.put_part(model.encode().into()).await.expect("kept");
    (part.name, part.size) = (other.get().to_be_bytes().to_vec(), model.encode().len() as u64);
    (manifest.version, manifest.schema_hash) = (model.version.get(), model.schema_hash);
    let claim = LeaseClaim::new(Nonce::random(), "trainer");
    let lease = store.acquire_training(&claim, TimeDelta::from_secs(60), Timestamp::EPOCH);
    let token = lease.await.expect("a response").token().expect("the training lease is free");
    let manifest = prost::Message::encode_to_vec(&manifest).into();
    let published = PublishedModel { version: model.version, at: served.at, manifest };
    let change = RegistryChange {
        expected: registry.registry_no,
        trainer: Some(token),
        publish: Some(published),
        activate: Some(model.version),
        forget: Vec::new(),
        forget_parts: Vec::new(),
    };
    store.change_registry(change).await.expect("published");
    store.close().await.expect("closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_of_another_schema_is_never_served_and_its_segment_ids_are_not_reused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let manual = |model: &mut portrait_model::Config| model.automatic = false;
    let first = node(folder.path(), manual).await;
    let channel = connect(&first.grpc_url()).await;
    let mut shop = ShopSimulator::new(12, SimulateConfig { users: 600, ..SHOP }).peekable();
    send_until(&channel, &mut shop, Day::numbered(3)).await;
    let trained = train(&channel, TrainModelRequest { segments: 4, ..Default::default() }).await;
    assert_eq!((trained.published, trained.version), (true, 1), "{}", trained.refusal);
    let users = portrait_tests::census(channel.clone()).await.len() as u64;
    let old = wait_for_sweep(&channel, 1, users).await;
    first.stop().await.expect("the node stops");
    publish_other_schema(folder.path()).await;

    let second = node(folder.path(), manual).await;
    let channel = connect(&second.grpc_url()).await;
    let mut models = ModelServiceClient::new(channel.clone());
    wait_until("the node reports why it refuses the model", async || {
        let listed = models.list_models(ListModelsRequest {}).await.expect("models");
        let nodes = listed.into_inner().nodes;
        nodes.iter().any(|node| node.refused_version == 2 && node.refusal.contains("feature schema"))
    })
    .await;
    assert_eq!(segments(&channel).await, None, "no model can be served");
    let trained = train(&channel, TrainModelRequest { segments: 4, ..Default::default() }).await;
    assert_eq!((trained.published, trained.version), (true, 3), "{}", trained.refusal);
    let new = wait_for_sweep(&channel, 3, users).await;
    for segment in &new.segments {
        let known = old.segments.iter().any(|old| old.segment_id == segment.segment_id);
        assert!(!known, "{} was an old segment", segment.segment_id);
    }
    let manifest = models.get_model(GetModelRequest { version: 3 }).await.expect("a model").into_inner();
    assert_eq!(manifest.manifest.map(|manifest| manifest.schema_hash), Some(FeatureSchema::current().hash()));
    second.stop().await.expect("the node stops");
}
