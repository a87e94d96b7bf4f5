//! Acceptance and refusal of models: a nack has the reason, and the previous model stays in service.

use super::*;
use portrait_learning::testing::by_views;
use portrait_profile::{ModelVersion, PartitionCount, TimeDelta, Timestamp};
use portrait_proto::v1::{ModelManifest, ModelPart};
use portrait_runtime::health::Health;
use portrait_runtime::telemetry::Instruments;
use portrait_store::{LeaseClaim, Nonce, PublishedModel, RegistryChange, RegistryStore};
use portrait_store_embedded::{Embedded, EmbeddedOptions};
use prost::Message;
use tonic::transport::Endpoint;

/// Follower over a store of its own, without a reachable model service.
struct Sandbox {
    _folder: tempfile::TempDir,
    store: Arc<Embedded>,
    follower: ModelFollower,
    served: watch::Receiver<ServedModel>,
    health: Health,
}

impl Sandbox {
    async fn new(kept_bytes: u64) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let options = EmbeddedOptions {
            partitions: PartitionCount::new(1),
            reserve_bytes: 0,
            ..EmbeddedOptions::default()
        };
        let store = Arc::new(Embedded::open(folder.path(), options).expect("a new store"));
        let nowhere = Endpoint::from_static("http://127.0.0.1:9").connect_lazy();
        let health = Health::default();
        let status = ModelStatus::new(&Instruments::disabled().meter, health.clone());
        let peer = nowhere.into();
        let (follower, served) = ModelFollower::start(
            Arc::clone(&store) as Arc<dyn Store>,
            peer,
            "node".to_owned(),
            kept_bytes,
            status,
        )
        .await;
        Self { _folder: folder, store, follower, served, health }
    }

    /// Stores `part` as the segments of `version`; returns the announcement.
    async fn announcement(&self, version: u64, part: Vec<u8>) -> Announcement {
        let size = part.len() as u64;
        let name = self.store.put_part(part.into()).await.expect("stored").get().to_be_bytes().to_vec();
        announcement(version, vec![ModelPart { name, kind: "segments".to_owned(), size }])
    }

    /// Delivers an announcement to the follower; returns its reply.
    async fn deliver(&mut self, announcement: Announcement) -> Result<Option<Reply>> {
        let kind = Some(Kind::Announcement(announcement));
        self.follower.handle_message(WatchModelsResponse { kind }).await
    }

    fn version(&self) -> Option<u64> {
        self.served.borrow().as_ref().map(|model| model.version.get())
    }

    /// Removes a part, as a later publication does.
    async fn forget(&self, announcement: &Announcement) {
        let manifest = ModelManifest::decode(&announcement.manifest[..]).expect("a manifest");
        let names =
            manifest.parts.iter().filter_map(|part| portrait_model::manifest::name_of_wire(&part.name));
        let no = self.store.registry(None, Duration::ZERO).await.expect("there").registry_no;
        let change = RegistryChange { forget_parts: names.collect(), ..RegistryChange::of(no) };
        self.store.change_registry(change).await.expect("removed");
    }
}

fn announcement(version: u64, parts: Vec<ModelPart>) -> Announcement {
    let manifest = ModelManifest { version, parts, ..Default::default() }.encode_to_vec();
    Announcement { version, checksum: xxh64(&manifest, 0), manifest }
}

fn model(version: u64) -> Model {
    let version = ModelVersion::new(version).expect("not 0");
    by_views(version, [1, 2], Timestamp::from_millis(7))
}

fn ack(version: u64) -> Option<Reply> {
    Some(Reply::Ack(Ack { version }))
}

#[tokio::test]
async fn an_announced_model_is_read_from_the_store_served_and_acknowledged() {
    let mut node = Sandbox::new(0).await;
    assert_eq!(node.version(), None);
    for version in [1, 2, 1] {
        let announced = node.announcement(version, model(version).encode()).await;
        assert_eq!(node.deliver(announced).await.expect("a reply"), ack(version));
        assert_eq!(node.version(), Some(version));
    }
}

#[tokio::test]
async fn a_kept_model_is_served_again_without_its_parts() {
    let mut node = Sandbox::new(1 << 20).await;
    let first = node.announcement(1, model(1).encode()).await;
    let second = node.announcement(2, model(2).encode()).await;
    for announced in [&first, &second] {
        node.deliver(announced.clone()).await.expect("a reply");
        node.forget(announced).await;
    }
    assert_eq!(node.deliver(first.clone()).await.expect("a reply"), ack(1));
    assert_eq!(node.version(), Some(1));

    // With nothing kept beside the served model, the parts of an earlier one are missing.
    let mut forgetful = Sandbox::new(0).await;
    for version in [1, 2] {
        let announced = forgetful.announcement(version, model(version).encode()).await;
        forgetful.deliver(announced.clone()).await.expect("a reply");
        forgetful.forget(&announced).await;
    }
    let reply = forgetful.deliver(first).await.expect("a reply");
    assert!(matches!(&reply, Some(Reply::Nack(nack)) if nack.message.contains("is missing")), "{reply:?}");
}

#[tokio::test]
async fn an_invalid_model_is_refused_with_the_reason_and_the_previous_one_stays() {
    let mut node = Sandbox::new(0).await;
    let first = node.announcement(1, model(1).encode()).await;
    node.deliver(first).await.expect("a reply");
    let good = model(2).encode();
    let mut other_schema = model(2);
    other_schema.schema_hash ^= 1;
    let mut not_finite = model(2).encode();
    // The centroids are at the end of an encoded model.
    let end = not_finite.len();
    not_finite[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());

    let mut bad_manifest = node.announcement(2, good.clone()).await;
    bad_manifest.manifest[0] ^= 1;
    let missing = ModelPart { name: vec![7; 16], kind: "segments".to_owned(), size: 1 };
    let too_large = ModelPart { size: 2 << 30, ..missing.clone() };
    let rows = [
        (bad_manifest, "checksum differs"),
        (announcement(2, vec![missing]), "is missing"),
        (announcement(2, vec![too_large]), "at most 1073741824 are allowed"),
        (announcement(2, Vec::new()), "is missing"),
        (node.announcement(2, other_schema.encode()).await, "made for feature schema"),
        (node.announcement(2, not_finite).await, "not finite"),
        (node.announcement(3, good.clone()).await, "the manifest has version 3 and the part version 2"),
        (node.announcement(2, good[..good.len() - 1].to_vec()).await, "damaged"),
    ];
    for (announced, reason) in rows {
        let reply = node.deliver(announced).await.expect("a reply");
        let Some(Reply::Nack(nack)) = &reply else { panic!("{reply:?} is not a nack: {reason}") };
        assert!(nack.message.contains(reason), "{reason:?} is not in {:?}", nack.message);
        assert_eq!(node.version(), Some(1), "{reason}");
        // Still ready, because it answers; the refusal is listed until another version is served.
        let problems = node.health.problems();
        assert!(problems.len() == 1 && problems[0].1.contains(reason), "{problems:?}");
        assert!(problems[0].1.contains("model 1 is served") && node.health.is_ready(), "{problems:?}");
    }
    let announced = node.announcement(2, good).await;
    assert_eq!(node.deliver(announced).await.expect("a reply"), ack(2));
    assert_eq!(node.health.problems(), []);
}

#[tokio::test]
async fn a_node_without_a_model_service_serves_the_stored_model() {
    let mut node = Sandbox::new(0).await;
    let now = Timestamp::from_millis(7);
    let claim = LeaseClaim::new(Nonce::new(1), "trainer");
    let lease = node.store.acquire_training(&claim, TimeDelta::from_secs(10), now).await;
    let trainer = lease.expect("there").token().expect("no training is running");
    let manifest = node.announcement(5, model(5).encode()).await.manifest;
    let version = ModelVersion::new(5).expect("not 0");
    let no = node.store.registry(None, Duration::ZERO).await.expect("there").registry_no;
    let change = RegistryChange {
        trainer: Some(trainer),
        publish: Some(PublishedModel { version, at: now, manifest: manifest.into() }),
        activate: Some(version),
        ..RegistryChange::of(no)
    };
    node.store.change_registry(change).await.expect("published");
    // A connected model service gets the ack.
    assert_eq!(node.follower.read_store().await, ack(5));
    assert_eq!(node.version(), Some(5));
    assert_eq!(node.follower.read_store().await, None, "nothing has changed");
}
