//! The world changes, and what is served with it: a server notices that shoppers come for other things and trains for it, and one
//! that was given another schema replaces the model of the old.

use super::segments::{node, segments, swept, train};
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
use portrait_store::{Nonce, PartName, PublishedModel, RegistryChange, RegistryStore};
use portrait_store_embedded::{Embedded, EmbeddedOptions};
use portrait_tests::{connect, until};
use std::time::Duration;

/// Low prices begin on day 8 of 24.
const SHOP: SimulateConfig = SimulateConfig { users: 2_500, days: 24, items: 300, steady: false };

/// Sends what happens until the evening before `day`, and waits until it is in the profiles.
async fn tell(channel: &RoleRouter, shop: &mut std::iter::Peekable<ShopSimulator>, day: Day) {
    let mut ingest = IngestServiceClient::new(channel.clone());
    let mut batch: Vec<Event> = Vec::new();
    loop {
        let next = shop.next_if(|happening| happening.at < day.begins());
        let ended = next.is_none();
        batch.extend(next.and_then(ShopEvent::into_event));
        if batch.len() == 1_000 || (ended && !batch.is_empty()) {
            let request = TrackRequest { events: std::mem::take(&mut batch), ..Default::default() };
            let answer = ingest.track(request).await.expect("taken").into_inner();
            assert_eq!(answer.rejected, [], "the shop's events are good");
        }
        if ended {
            break;
        }
    }
    portrait_client::wait_until_applied(channel.clone()).await.expect("it is applied");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_notices_what_shoppers_come_for_and_trains_when_it_lasts() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = node(folder.path(), |model| {
        (model.rows_min, model.retrain_after_records, model.drift_consecutive_checks) = (1_000, 0, 2);
        // Looks when it is told to, and only at what shoppers come for and do.
        (model.drift_interval, model.drift_rows_min) = (DurationSetting::from_hours(24), 1_000_000);
    })
    .await;
    let channel = connect(&node.grpc_url()).await;
    let mut models = ModelServiceClient::new(channel.clone());
    let mut look = async || -> CheckDriftResponse {
        models.check_drift(CheckDriftRequest {}).await.expect("a look").into_inner()
    };
    let shop = ShopSimulator::new(11, SHOP);
    let promotion = *shop.promotion().expect("a week of low prices");
    let mut shop = shop.peekable();
    tell(&channel, &mut shop, promotion.from).await;
    let first = train(&channel, TrainModelRequest { force: true, ..Default::default() }).await;
    assert!(first.published, "{}", first.refusal);
    let before = look().await.drift.expect("what was found");
    assert_eq!((before.consecutive_checks, before.categories.len()), (0, 0), "{before:?}");

    let mut day = promotion.from;
    let noticed = loop {
        day = day.next();
        assert!(day <= promotion.until, "a week has passed");
        tell(&channel, &mut shop, day).await;
        let found = look().await;
        assert!(found.training.is_none(), "it must last: {found:?}");
        let drift = found.drift.expect("what was found");
        if drift.consecutive_checks > 0 {
            break drift;
        }
    };
    let named: Vec<&str> = noticed.categories.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(named, [promotion.category], "{noticed:?}");
    assert!(noticed.categories[0].now > 1.5 * noticed.categories[0].before, "{noticed:?}");

    let lasting = look().await;
    assert_eq!(lasting.drift.expect("what was found").consecutive_checks, 2);
    let trained = lasting.training.expect("it has lasted");
    assert!(trained.published, "{}", trained.refusal);
    let cause = trained.manifest.as_ref().map(ModelManifest::cause);
    assert_eq!((trained.version, cause), (first.version + 1, Some(TrainingCause::Drift)));
    let after = look().await.drift.expect("what was found");
    assert_eq!(after.consecutive_checks, 0, "the new model was made from them: {after:?}");
    node.stop().await.expect("it stops");
}

/// Puts a model in the place of the served one that is the same, but for other components.
async fn give_other_schema(folder: &std::path::Path) {
    let folder = folder.to_owned();
    let opened = tokio::task::spawn_blocking(move || Embedded::open(&folder, EmbeddedOptions::default()));
    let store = opened.await.expect("no panic").expect("the store");
    let registry = store.registry(None, Duration::ZERO).await.expect("models");
    let served = registry.active_model().expect("a model");
    let mut manifest = <ModelManifest as prost::Message>::decode(&*served.manifest).expect("a manifest");
    let part = &mut manifest.parts[0];
    let name = PartName::new(u128::from_be_bytes(part.name[..].try_into().expect("16 bytes")));
    let bytes = store.part(name).await.expect("answered").expect("a part");
    let mut model = Model::decode(&bytes, FeatureSchema::current()).expect("a model");
    model.version = model.version.next();
    model.schema_hash ^= 1;
    let other = store.put_part(model.encode().into()).await.expect("kept");
    (part.name, part.size) = (other.get().to_be_bytes().to_vec(), model.encode().len() as u64);
    (manifest.version, manifest.schema_hash) = (model.version.get(), model.schema_hash);
    let lease = store.acquire_training(Nonce::random(), TimeDelta::from_secs(60), Timestamp::EPOCH);
    let token = lease.await.expect("answered").expect("nobody else trains");
    let manifest = prost::Message::encode_to_vec(&manifest).into();
    let published = PublishedModel { version: model.version, at: served.at, manifest };
    let change = RegistryChange {
        expected: registry.registry_no,
        publish: Some((token, published)),
        activate: Some(model.version),
        forget: Vec::new(),
        forget_parts: Vec::new(),
    };
    store.change_registry(change).await.expect("published");
    store.close().await.expect("closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_for_other_components_is_never_served_and_its_segments_never_mistaken_for_new_ones() {
    let folder = tempfile::tempdir().expect("a folder");
    let by_hand = |model: &mut portrait_model::Config| model.automatic = false;
    let first = node(folder.path(), by_hand).await;
    let channel = connect(&first.grpc_url()).await;
    let mut shop = ShopSimulator::new(12, SimulateConfig { users: 600, ..SHOP }).peekable();
    tell(&channel, &mut shop, Day::numbered(3)).await;
    let trained = train(&channel, TrainModelRequest { segments: 4, ..Default::default() }).await;
    assert_eq!((trained.published, trained.version), (true, 1), "{}", trained.refusal);
    let shoppers = portrait_tests::census(channel.clone()).await.len() as u64;
    let old = swept(&channel, 1, shoppers).await;
    first.stop().await.expect("it stops");
    give_other_schema(folder.path()).await;

    let second = node(folder.path(), by_hand).await;
    let channel = connect(&second.grpc_url()).await;
    let mut models = ModelServiceClient::new(channel.clone());
    until("the node says why it does not serve that model", async || {
        let told = models.list_models(ListModelsRequest {}).await.expect("models");
        let nodes = told.into_inner().nodes;
        nodes.iter().any(|node| node.refused_version == 2 && node.refusal.contains("feature schema"))
    })
    .await;
    assert_eq!(segments(&channel).await, None, "there is none to serve");
    let trained = train(&channel, TrainModelRequest { segments: 4, ..Default::default() }).await;
    assert_eq!((trained.published, trained.version), (true, 3), "{}", trained.refusal);
    let new = swept(&channel, 3, shoppers).await;
    for segment in &new.segments {
        let known = old.segments.iter().any(|old| old.segment_id == segment.segment_id);
        assert!(!known, "{} was another segment", segment.segment_id);
    }
    let manifest = models.get_model(GetModelRequest { version: 3 }).await.expect("a model").into_inner();
    assert_eq!(manifest.manifest.map(|manifest| manifest.schema_hash), Some(FeatureSchema::current().hash()));
    second.stop().await.expect("it stops");
}
