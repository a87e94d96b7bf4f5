//! Acceptance and refusal of models: a nack has the reason, and the previous model stays in service.

use super::*;
use portrait_learning::testing::by_views;
use portrait_profile::{ModelVersion, PartitionCount, Timestamp};
use portrait_proto::v1::{Complete, ModelManifest, ModelPart};
use portrait_store_embedded::{Embedded, EmbeddedOptions};
use prost::Message;
use tonic::transport::Endpoint;

/// Creates a follower over an empty store, without a reachable model service.
async fn node() -> (tempfile::TempDir, ModelFollower, watch::Receiver<ServedModel>) {
    let folder = tempfile::tempdir().expect("a folder");
    let options = EmbeddedOptions {
        partitions: PartitionCount::new(1),
        reserve_bytes: 0,
        ..EmbeddedOptions::default()
    };
    let store = Arc::new(Embedded::open(folder.path(), options).expect("a new store"));
    let nowhere = Endpoint::from_static("http://127.0.0.1:9").connect_lazy();
    let (follower, served) = ModelFollower::start(store, nowhere.into(), "node".to_owned()).await;
    (folder, follower, served)
}

fn model(version: u64) -> Model {
    let version = ModelVersion::new(version).expect("not 0");
    by_views(version, [1, 2], Timestamp::from_millis(7))
}

/// Messages of a model with one part: announcement, chunks of 100 bytes, and completion.
fn messages(version: u64, part: &[u8]) -> Vec<Kind> {
    let name = PartName::of(part).get().to_be_bytes().to_vec();
    let parts = vec![ModelPart { name: name.clone(), kind: "segments".to_owned(), size: part.len() as u64 }];
    let manifest = ModelManifest { version, parts, ..Default::default() }.encode_to_vec();
    let checksum = xxh64(&manifest, 0);
    let mut sequence = vec![Kind::Announcement(Announcement { version, manifest, checksum })];
    sequence.extend(part.chunks(100).enumerate().map(|(index, data)| {
        Kind::Chunk(PartChunk { name: name.clone(), offset: index as u64 * 100, data: data.to_vec() })
    }));
    sequence.push(Kind::Complete(Complete { version }));
    sequence
}

/// Passes messages to a follower; returns its first reply.
fn deliver(follower: &mut ModelFollower, messages: Vec<Kind>) -> Option<Reply> {
    let mut incoming = None;
    messages
        .into_iter()
        .find_map(|kind| follower.handle_message(WatchModelsResponse { kind: Some(kind) }, &mut incoming))
}

fn served_version(served: &watch::Receiver<ServedModel>) -> Option<u64> {
    served.borrow().as_ref().map(|model| model.version.get())
}

#[tokio::test]
async fn a_complete_model_is_served_and_acknowledged() {
    let (_folder, mut follower, served) = node().await;
    assert_eq!(served_version(&served), None);
    for version in [1, 2, 1] {
        let reply = deliver(&mut follower, messages(version, &model(version).encode()));
        assert_eq!(reply, Some(Reply::Ack(Ack { version })));
        assert_eq!(served_version(&served), Some(version));
    }
    // Known parts need not be sent again.
    let part = model(1).encode();
    let without_chunks =
        messages(1, &part).into_iter().filter(|kind| !matches!(kind, Kind::Chunk(_))).collect();
    assert_eq!(deliver(&mut follower, without_chunks), Some(Reply::Ack(Ack { version: 1 })));
}

#[tokio::test]
async fn an_invalid_model_is_refused_with_the_reason_and_the_previous_one_stays() {
    let (_folder, mut follower, served) = node().await;
    deliver(&mut follower, messages(1, &model(1).encode()));
    let good = model(2).encode();
    let mut other_schema = model(2);
    other_schema.schema_hash ^= 1;
    let mut damaged = good.clone();
    let half = damaged.len() / 2;
    damaged[half] ^= 0xff;

    let mut bad_manifest = messages(2, &good);
    if let Kind::Announcement(announcement) = &mut bad_manifest[0] {
        announcement.manifest[0] ^= 1;
    }
    // The bytes do not match the hash in the manifest.
    let mut bad_part = messages(2, &good);
    if let Kind::Chunk(chunk) = &mut bad_part[1] {
        chunk.data[0] ^= 1;
    }
    let mut missing: Vec<Kind> = messages(2, &good);
    missing.remove(2);
    let mut too_large = messages(2, &good);
    if let Kind::Chunk(chunk) = &mut too_large[1] {
        chunk.data = vec![0; good.len() + 1];
    }
    let mut not_finite = model(2).encode();
    // The centroids are at the end of an encoded model.
    let end = not_finite.len();
    not_finite[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    let rows = [
        (bad_manifest, "checksum differs"),
        (bad_part, "checksum differs"),
        (missing, "a chunk starts at"),
        (too_large, "larger than the manifest says"),
        (messages(2, &other_schema.encode()), "made for feature schema"),
        (messages(2, &not_finite), "not finite"),
        (messages(3, &good), "the manifest has version 3 and the part version 2"),
        (messages(2, &good[..good.len() - 1]), "damaged"),
    ];
    for (sequence, reason) in rows {
        let reply = deliver(&mut follower, sequence);
        let Some(Reply::Nack(nack)) = &reply else { panic!("{reply:?} is not a nack: {reason}") };
        assert!(nack.message.contains(reason), "{reason:?} is not in {:?}", nack.message);
        assert_eq!(served_version(&served), Some(1), "{reason}");
    }
    assert_eq!(deliver(&mut follower, messages(2, &good)), Some(Reply::Ack(Ack { version: 2 })));
}

#[tokio::test]
async fn a_node_without_a_model_service_serves_the_stored_model() {
    let (_folder, mut follower, served) = node().await;
    let now = Timestamp::from_millis(7);
    let bytes = Bytes::from(model(5).encode());
    let name = follower.store.put_part(bytes).await.expect("stored");
    let parts =
        vec![ModelPart { name: name.get().to_be_bytes().to_vec(), kind: "segments".to_owned(), size: 1 }];
    let manifest = ModelManifest { version: 5, parts, ..Default::default() }.encode_to_vec();
    let ttl = portrait_profile::TimeDelta::from_secs(10);
    let claim = portrait_store::LeaseClaim::new(portrait_store::Nonce::new(1), "trainer");
    let lease = follower.store.acquire_training(&claim, ttl, now).await;
    let token = lease.expect("there").token().expect("no training is running");
    let version = ModelVersion::new(5).expect("not 0");
    let published = portrait_store::PublishedModel { version, at: now, manifest: manifest.into() };
    let change = portrait_store::RegistryChange {
        expected: portrait_store::RegistryNo::ZERO,
        publish: Some((token, published)),
        activate: Some(version),
        forget: Vec::new(),
        forget_parts: Vec::new(),
    };
    follower.store.change_registry(change).await.expect("published");
    follower.read_store().await;
    assert_eq!(served_version(&served), Some(5));
}
