//! Source of vectors: a `FeatureService` on a free port with scripted responses, which records its requests.

use portrait_profile::{Action, FeatureSchema, Timestamp};
use portrait_proto::v1::feature_service_server::{FeatureService, FeatureServiceServer};
use portrait_proto::v1::{
    FeatureVector, GetFeatureSchemaRequest, GetFeatureSchemaResponse, GetFeaturesRequest,
    GetFeaturesResponse, ItemTouch, ListPartitionsRequest, ListPartitionsResponse, StreamFeaturesRequest,
    StreamFeaturesResponse, Transition,
};
use portrait_proto::{action, time};
use portrait_runtime::peer::Peer;
use portrait_runtime::{Clock, ManualClock};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Endpoint, Server};
use tonic::{Request, Response, Status};

/// Vectors of one page, few enough that every sample takes several pages.
const PAGE: usize = 64;

/// Handle of the service.
#[derive(Clone)]
pub(super) struct Features(Arc<State>);

struct State {
    clock: ManualClock,
    script: Mutex<Script>,
    held: watch::Sender<bool>,
}

/// Responses to send, and the requests so far.
struct Script {
    vectors: Vec<FeatureVector>,
    schema_hash: u64,
    failure: Option<Status>,
    requests: Vec<StreamFeaturesRequest>,
}

impl Features {
    /// Serves on a free port until `shutdown`, and returns the handle with a connection.
    pub(super) async fn serve(clock: ManualClock, shutdown: CancellationToken) -> (Self, Peer) {
        let script = Script {
            vectors: Vec::new(),
            schema_hash: FeatureSchema::current().hash(),
            failure: None,
            requests: Vec::new(),
        };
        let state = State { clock, script: Mutex::new(script), held: watch::Sender::new(false) };
        let features = Self(Arc::new(state));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let server = Server::builder().add_service(FeatureServiceServer::new(features.clone()));
        tokio::spawn(async move {
            let incoming = TcpListenerStream::new(listener);
            let served = server.serve_with_incoming_shutdown(incoming, shutdown.cancelled_owned()).await;
            served.expect("the port stays open");
        });
        let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
        (features, Peer::from(endpoint.connect_lazy()))
    }

    /// Sends these vectors from now on.
    pub(super) fn send(&self, vectors: Vec<FeatureVector>) {
        self.script().vectors = vectors;
    }

    /// Changes the vectors that are sent.
    pub(super) fn change(&self, change: impl FnMut(&mut FeatureVector)) {
        self.script().vectors.iter_mut().for_each(change);
    }

    /// Names another schema in every page.
    pub(super) fn set_schema(&self, hash: u64) {
        self.script().schema_hash = hash;
    }

    /// Fails every request from now on.
    pub(super) fn fail(&self, failure: Status) {
        self.script().failure = Some(failure);
    }

    /// Holds requests back, or lets them go.
    pub(super) fn hold(&self, hold: bool) {
        self.0.held.send_replace(hold);
    }

    /// Requests so far.
    pub(super) fn requests(&self) -> Vec<StreamFeaturesRequest> {
        self.script().requests.clone()
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.0.script.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[tonic::async_trait]
impl FeatureService for Features {
    type StreamFeaturesStream = futures::stream::BoxStream<'static, Result<StreamFeaturesResponse, Status>>;

    async fn stream_features(
        &self,
        request: Request<StreamFeaturesRequest>,
    ) -> Result<Response<Self::StreamFeaturesStream>, Status> {
        self.script().requests.push(request.into_inner());
        let mut held = self.0.held.subscribe();
        held.wait_for(|held| !held).await.map_err(|_| Status::aborted("the test is over"))?;
        let script = self.script();
        if let Some(failure) = &script.failure {
            return Err(failure.clone());
        }
        let as_of = Some(time::to_wire(Timestamp::from_millis(self.0.clock.now_ms())));
        let page = |vectors: &[FeatureVector]| {
            Ok(StreamFeaturesResponse { schema_hash: script.schema_hash, as_of, vectors: vectors.to_vec() })
        };
        let pages: Vec<_> = script.vectors.chunks(PAGE).map(page).collect();
        Ok(Response::new(Box::pin(futures::stream::iter(pages))))
    }

    async fn get_features(
        &self,
        _: Request<GetFeaturesRequest>,
    ) -> Result<Response<GetFeaturesResponse>, Status> {
        Err(Status::unimplemented("vectors are streamed"))
    }

    async fn get_feature_schema(
        &self,
        _: Request<GetFeatureSchemaRequest>,
    ) -> Result<Response<GetFeatureSchemaResponse>, Status> {
        Err(Status::unimplemented("vectors are streamed"))
    }

    async fn list_partitions(
        &self,
        _: Request<ListPartitionsRequest>,
    ) -> Result<Response<ListPartitionsResponse>, Status> {
        Err(Status::unimplemented("vectors are streamed"))
    }
}

/// Sets a component of a vector by its name.
pub(super) fn set(vector: &mut FeatureVector, name: &str, value: f32) {
    vector.values[FeatureSchema::current().position(name).expect("a component")] = value;
}

/// Vector of a user of one of four groups, far from the other groups and a little different from those of its own.
pub(super) fn user(number: usize, group: usize) -> FeatureVector {
    let mut vector = FeatureVector {
        user_id: format!("u{number}"),
        values: vec![0.0; FeatureSchema::current().components().len()],
        top_category: format!("liked-in-{group}"),
        latest_category: format!("c{}", number % 4),
        ..Default::default()
    };
    let little = 1.0 + (number * 37 % 10) as f32 / 50.0;
    let groups: [&[(&str, f32)]; 4] = [
        &[("behavior.view.7d", 40.0), ("behavior.view.90d", 160.0), ("behavior.night_share", 0.8)],
        &[("behavior.purchase.7d", 4.0), ("behavior.purchase.90d", 15.0), ("behavior.money.90d", 900.0)],
        &[("behavior.morning_share", 0.8), ("preference.brand_count", 9.0)],
        &[("behavior.refund.90d", 9.0), ("behavior.evening_share", 0.8), ("behavior.mean_basket", 700.0)],
    ];
    for (name, value) in groups[group] {
        set(&mut vector, name, value * little);
    }
    set(&mut vector, "behavior.recency", 1.0);
    vector
}

/// Vectors of `count` users of the first `groups` groups, as many in each.
pub(super) fn users(count: usize, groups: usize) -> Vec<FeatureVector> {
    (0..count).map(|number| user(number, number % groups)).collect()
}

/// Vectors of `count` users of three groups with the items and the steps of each.
pub(super) fn users_with_histories(count: usize) -> Vec<FeatureVector> {
    let mut vectors = users(count, 3);
    for (number, vector) in vectors.iter_mut().enumerate() {
        let touch = |newer: usize| ItemTouch {
            item_id: format!("item-{}-{}", number % 3, (number + newer) % 7),
            at: Some(time::to_wire(Timestamp::from_millis(1_000_000 - newer as i64 * 1000))),
            count: 1,
            ..Default::default()
        };
        vector.recent_items = (0..3).map(touch).collect();
        let kind = |action: &Action| i32::from(action::to_wire(action).0);
        let (from, to) = (kind(&Action::View), kind(&Action::Purchase));
        vector.transitions = vec![Transition { from, to, weight: 2.0, probability: 1.0 }];
    }
    vectors
}
