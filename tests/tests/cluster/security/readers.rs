//! What a reader may call changes nothing: no record, no profile, no model.

use super::pressure::{answered, frame};
use super::tokens::{Tokens, connect_with, track};
use super::{SecuredServer, nodes};
use axum::body::Body;
use portrait_proto::methods;
use portrait_proto::v1::feature_service_client::FeatureServiceClient;
use portrait_proto::v1::model_service_client::ModelServiceClient;
use portrait_proto::v1::{ListModelsRequest, ListPartitionsRequest};
use portrait_runtime::peer::Peer;
use portrait_tests::wait_until;
use std::time::Duration;
use tokio::time::timeout;
use tonic::Code;

/// Logged and applied records and the swept model of each partition, and the models.
#[derive(Debug, PartialEq)]
struct ServerState {
    partitions: Vec<(u64, u64, u64)>,
    models: Vec<u64>,
    active_model: u64,
}

async fn state(peer: &Peer) -> ServerState {
    let mut features = FeatureServiceClient::new(peer.clone());
    let partitions = features.list_partitions(ListPartitionsRequest::default()).await.expect("a reader");
    let partitions = partitions.into_inner().partitions;
    let mut models = ModelServiceClient::new(peer.clone());
    let models = models.list_models(ListModelsRequest::default()).await.expect("a reader").into_inner();
    ServerState {
        partitions: partitions
            .iter()
            .map(|partition| (partition.log_end, partition.applied_total, partition.swept_model_version))
            .collect(),
        models: models.models.iter().map(|manifest| manifest.version).collect(),
        active_model: models.active_version,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_reader_may_call_changes_the_server() {
    let tokens = Tokens::of(&[("read", ""), ("write", "")]);
    let server = SecuredServer::start(&tokens.settings());
    let reader = connect_with(&server, Some("read-secret")).await;
    let writer = connect_with(&server, Some("write-secret")).await;
    track(&writer, 1000).await.expect("a writer");
    // The first model is trained without a request.
    wait_until("all profiles are assigned by the first model", async || {
        let state = state(&reader).await;
        let applied: u64 = state.partitions.iter().map(|partition| partition.1).sum();
        let is_swept = state.partitions.iter().all(|partition| partition.2 == 1);
        applied == 1000 && is_swept && nodes(&reader).await == 1
    })
    .await;
    let before = state(&reader).await;
    let mut permitted = 0;
    for path in methods::all().into_iter().map(|method| method.path) {
        let mut codes = Vec::new();
        // An empty request, and one whose first field is the id of a user.
        for content in [&b""[..], b"\x0a\x02u1"] {
            for _ in 0..3 {
                let body = Body::from(frame(false, content.len(), content));
                // A stream that stays open has begun by then.
                let call = answered(&reader, &path, &[], body);
                let status = timeout(Duration::from_millis(200), call).await;
                codes.push(status.map_or(Code::Ok, |status| status.code()));
            }
        }
        assert!(!codes.contains(&Code::Unauthenticated), "{path}: {codes:?}");
        permitted += usize::from(!codes.contains(&Code::PermissionDenied));
    }
    assert!(permitted >= 18, "{permitted} methods are open to readers");
    assert_eq!(state(&reader).await, before);
}
