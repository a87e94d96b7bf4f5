//! Naive server with the API of the real one: every record is folded at once, under one lock. It can be configured to
//! lose an event, to count one twice or to hide a segment change, so that the demo's own check can be tested.

mod models;

use portrait_profile::{Body, Profile, Record, RecordId, Relation, Timestamp, TraitValue, UserId};
use portrait_proto::v1::feature_service_server::FeatureService;
use portrait_proto::v1::ingest_service_server::IngestService;
use portrait_proto::v1::query_service_server::QueryService;
use portrait_proto::v1::watch_profile_changes_response::Kind;
use portrait_proto::v1::{self, WatchProfileChangesResponse};
use portrait_proto::{action, time};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

type Responses<T> = ReceiverStream<Result<T, Status>>;

/// Capacity of a subscription; more changes than any test makes.
const CHANGES_MAX: usize = 200_000;

/// Fault of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    LosesTheHundredthEvent,
    DuplicatesTheHundredthEvent,
    RejectsTheHundredthEvent,
    HidesASegmentChange,
}

/// Server whose clones share one state.
#[derive(Clone)]
pub(super) struct Naive {
    fault: Fault,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    events: u64,
    profiles: BTreeMap<String, Profile>,
    /// Category and brand of each item, by item id.
    catalogue: HashMap<String, (String, String)>,
    subscribers: Vec<Subscriber>,
    /// Version of the newest model; 0 for none.
    model: u64,
    /// Segment of each user, once there is a model.
    segments: BTreeMap<String, &'static str>,
    /// Number of segment changes by a model instead of an event.
    moved_by_models: u64,
    /// Number of drift checks requested.
    drift_checks: u32,
    /// True to hide the next segment change from subscribers to segment changes.
    hides: bool,
}

struct Subscriber {
    user_ids: Vec<String>,
    include_profile: bool,
    segment_changes_only: bool,
    changes: mpsc::Sender<Result<WatchProfileChangesResponse, Status>>,
}

impl Naive {
    pub(super) fn new(fault: Fault) -> Self {
        let state = State { hides: fault == Fault::HidesASegmentChange, ..State::default() };
        Self { fault, state: Arc::new(Mutex::new(state)) }
    }

    /// Number of changes by models alone.
    pub(super) fn moved_by_models(&self) -> u64 {
        self.state.lock().expect("no holder panics").moved_by_models
    }

    /// Folds an event; returns whether it was accepted.
    fn take(&self, mut event: v1::Event) -> bool {
        let mut state = self.state.lock().expect("no holder panics");
        state.events += 1;
        let count = match (self.fault, state.events) {
            (Fault::LosesTheHundredthEvent, 100) => 0,
            (Fault::DuplicatesTheHundredthEvent, 100) => 2,
            (Fault::RejectsTheHundredthEvent, 100) => return false,
            _ => 1,
        };
        if let Some((category, brand)) = state.catalogue.get(&event.item_id) {
            event.category.clone_from(category);
            event.brand.clone_from(brand);
        }
        let record = super::record(&event);
        (0..count).for_each(|_| state.fold(&record));
        true
    }
}

impl State {
    fn fold(&mut self, record: &Record) {
        let user_id = record.user_id.as_str();
        let profile =
            self.profiles.entry(user_id.to_owned()).or_insert_with(|| Profile::new(record.user_id.clone()));
        profile.apply(record);
        self.assign_and_publish(user_id);
    }

    /// Assigns a user by the model, and sends the change to the subscribers that match.
    fn assign_and_publish(&mut self, user_id: &str) {
        let profile = self.profiles.get_mut(user_id).expect("it was made before");
        profile.advance_version();
        let profile = self.profiles[user_id].clone();
        let before = self.segments.get(user_id).copied().unwrap_or_default();
        let after = if self.model == 0 { "" } else { models::segment_of(&profile) };
        if before != after {
            self.segments.insert(user_id.to_owned(), after);
        }
        let hidden = before != after && std::mem::take(&mut self.hides);
        for subscriber in self.subscribers.iter().filter(|one| one.wants(user_id, before != after, hidden)) {
            let change = v1::ProfileChange {
                user_id: user_id.to_owned(),
                version: profile.version().get(),
                segment_id_before: before.to_owned(),
                segment_id_after: after.to_owned(),
                profile: subscriber.include_profile.then(|| profile.view_at(Timestamp::EPOCH).into()),
                ..Default::default()
            };
            let response =
                WatchProfileChangesResponse { kind: Some(Kind::Change(change)), ..Default::default() };
            subscriber.changes.try_send(Ok(response)).expect("a subscriber that keeps up");
        }
    }

    /// Profile as readers receive it.
    fn to_wire(&self, profile: &Profile, read_at: Timestamp) -> v1::Profile {
        let segment = self.segments.get(profile.user_id().as_str());
        let membership = segment.map(|segment_id| v1::SegmentMembership {
            segment_id: (*segment_id).to_owned(),
            ..Default::default()
        });
        v1::Profile { segment: membership, ..profile.view_at(read_at).into() }
    }
}

impl Subscriber {
    fn wants(&self, user_id: &str, moved: bool, hidden: bool) -> bool {
        let is_requested = self.user_ids.is_empty() || self.user_ids.iter().any(|wanted| wanted == user_id);
        is_requested && (!self.segment_changes_only || (moved && !hidden))
    }
}

fn record(user_id: &str, record_id: &str, at: Option<&prost_types::Timestamp>, body: Body) -> Record {
    Record {
        user_id: UserId::parse(user_id).expect("an id"),
        record_id: RecordId::parse(record_id).ok(),
        occurred_at: time::from_wire(at.expect("a time")).expect("a timestamp"),
        accepted_at: Timestamp::EPOCH,
        trace: None,
        source: None,
        body,
    }
}

#[tonic::async_trait]
impl IngestService for Naive {
    type TrackStreamStream = Responses<v1::TrackStreamResponse>;

    async fn track(&self, _: Request<v1::TrackRequest>) -> Result<Response<v1::TrackResponse>, Status> {
        Err(Status::unimplemented("the demo streams"))
    }

    async fn track_stream(
        &self,
        requests: Request<Streaming<v1::TrackStreamRequest>>,
    ) -> Result<Response<Self::TrackStreamStream>, Status> {
        let (responses, receiver) = mpsc::channel(8);
        let server = self.clone();
        let mut requests = requests.into_inner();
        tokio::spawn(async move {
            while let Some(Ok(request)) = requests.next().await {
                let mut response =
                    v1::TrackStreamResponse { request_number: request.request_number, ..Default::default() };
                for event in request.events {
                    match server.take(event) {
                        true => response.accepted += 1,
                        false => response.rejected.push(v1::Rejection {
                            field: "events[0].price".to_owned(),
                            ..Default::default()
                        }),
                    }
                }
                if responses.send(Ok(response)).await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn identify(
        &self,
        request: Request<v1::IdentifyRequest>,
    ) -> Result<Response<v1::IdentifyResponse>, Status> {
        let mut state = self.state.lock().expect("no holder panics");
        for update in request.into_inner().updates {
            let values = update
                .traits
                .iter()
                .map(|(name, value)| TraitValue { name: name.as_str().into(), value: value.as_str().into() });
            let body = Body::Traits(values.collect());
            state.fold(&record(&update.user_id, &update.event_id, update.occurred_at.as_ref(), body));
        }
        Ok(Response::new(Default::default()))
    }

    async fn relate(
        &self,
        request: Request<v1::RelateRequest>,
    ) -> Result<Response<v1::RelateResponse>, Status> {
        let mut state = self.state.lock().expect("no holder panics");
        for message in request.into_inner().relations {
            let relation = Relation {
                other_user_id: UserId::parse(&message.other_user_id).expect("an id"),
                kind: action::relation_from_wire(message.kind).expect("a kind"),
                weight: message.weight,
            };
            let at = message.occurred_at.as_ref();
            state.fold(&record(&message.user_id, &message.event_id, at, Body::Relation(relation)));
        }
        Ok(Response::new(Default::default()))
    }

    async fn record_outcomes(
        &self,
        _: Request<v1::RecordOutcomesRequest>,
    ) -> Result<Response<v1::RecordOutcomesResponse>, Status> {
        Err(Status::unimplemented("the demo records none"))
    }

    async fn erase(&self, _: Request<v1::EraseRequest>) -> Result<Response<v1::EraseResponse>, Status> {
        Err(Status::unimplemented("the demo does not call this"))
    }

    async fn get_erasure(
        &self,
        _: Request<v1::GetErasureRequest>,
    ) -> Result<Response<v1::GetErasureResponse>, Status> {
        Err(Status::unimplemented("the demo does not call this"))
    }

    async fn upsert_items(
        &self,
        request: Request<v1::UpsertItemsRequest>,
    ) -> Result<Response<v1::UpsertItemsResponse>, Status> {
        let mut state = self.state.lock().expect("no holder panics");
        for item in request.into_inner().items {
            state.catalogue.insert(item.item_id, (item.category, item.brand));
        }
        Ok(Response::new(Default::default()))
    }
}

#[tonic::async_trait]
impl QueryService for Naive {
    type ExportSegmentStream = Responses<v1::ExportSegmentResponse>;
    type WatchProfileChangesStream = Responses<WatchProfileChangesResponse>;

    async fn get_profile(
        &self,
        request: Request<v1::GetProfileRequest>,
    ) -> Result<Response<v1::GetProfileResponse>, Status> {
        let state = self.state.lock().expect("no holder panics");
        let profile = state.profiles.get(&request.into_inner().user_id);
        let profile = profile.ok_or_else(|| Status::not_found("no profile"))?.view_at(Timestamp::EPOCH);
        Ok(Response::new(v1::GetProfileResponse { profile: Some(profile.into()) }))
    }

    async fn batch_get_profiles(
        &self,
        request: Request<v1::BatchGetProfilesRequest>,
    ) -> Result<Response<v1::BatchGetProfilesResponse>, Status> {
        let request = request.into_inner();
        let read_at = request.read_at.as_ref().and_then(|at| time::from_wire(at).ok()).unwrap_or_default();
        let state = self.state.lock().expect("no holder panics");
        let profiles = request.user_ids.iter().filter_map(|user_id| state.profiles.get(user_id));
        let profiles = profiles.map(|profile| state.to_wire(profile, read_at)).collect();
        Ok(Response::new(v1::BatchGetProfilesResponse { profiles, missing_user_ids: Vec::new() }))
    }

    async fn watch_profile_changes(
        &self,
        request: Request<v1::WatchProfileChangesRequest>,
    ) -> Result<Response<Self::WatchProfileChangesStream>, Status> {
        let v1::WatchProfileChangesRequest { user_ids, include_profile, segment_changes_only, .. } =
            request.into_inner();
        let (changes, receiver) = mpsc::channel(CHANGES_MAX);
        let kind = Some(Kind::Progress(v1::Progress::default()));
        let confirmation = WatchProfileChangesResponse { kind, ..Default::default() };
        changes.try_send(Ok(confirmation)).expect("the channel has capacity for the first");
        let subscriber = Subscriber { user_ids, include_profile, segment_changes_only, changes };
        self.state.lock().expect("no holder panics").subscribers.push(subscriber);
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn list_segments(
        &self,
        _: Request<v1::ListSegmentsRequest>,
    ) -> Result<Response<v1::ListSegmentsResponse>, Status> {
        self.state.lock().expect("no holder panics").listed().map(Response::new)
    }

    async fn get_segment(
        &self,
        _: Request<v1::GetSegmentRequest>,
    ) -> Result<Response<v1::GetSegmentResponse>, Status> {
        Err(Status::unimplemented("the demo does not call this"))
    }

    async fn explain_segment(
        &self,
        _: Request<v1::ExplainSegmentRequest>,
    ) -> Result<Response<v1::ExplainSegmentResponse>, Status> {
        Ok(Response::new(models::explanation()))
    }

    async fn recommend(
        &self,
        _: Request<v1::RecommendRequest>,
    ) -> Result<Response<v1::RecommendResponse>, Status> {
        Err(Status::unimplemented("the demo does not call this"))
    }

    async fn predict_next_action(
        &self,
        _: Request<v1::PredictNextActionRequest>,
    ) -> Result<Response<v1::PredictNextActionResponse>, Status> {
        Err(Status::unimplemented("the demo does not call this"))
    }

    async fn score(&self, _: Request<v1::ScoreRequest>) -> Result<Response<v1::ScoreResponse>, Status> {
        Err(Status::unimplemented("the demo does not call this"))
    }

    async fn find_similar_users(
        &self,
        _: Request<v1::FindSimilarUsersRequest>,
    ) -> Result<Response<v1::FindSimilarUsersResponse>, Status> {
        Err(Status::unimplemented("the demo does not call this"))
    }

    async fn export_segment(
        &self,
        _: Request<v1::ExportSegmentRequest>,
    ) -> Result<Response<Self::ExportSegmentStream>, Status> {
        Err(Status::unimplemented("the demo does not call this"))
    }
}

#[tonic::async_trait]
impl FeatureService for Naive {
    type StreamFeaturesStream = Responses<v1::StreamFeaturesResponse>;

    async fn get_features(
        &self,
        _: Request<v1::GetFeaturesRequest>,
    ) -> Result<Response<v1::GetFeaturesResponse>, Status> {
        Err(Status::unimplemented("the demo does not call this"))
    }

    async fn stream_features(
        &self,
        _: Request<v1::StreamFeaturesRequest>,
    ) -> Result<Response<Self::StreamFeaturesStream>, Status> {
        Err(Status::unimplemented("the demo does not call this"))
    }

    async fn get_feature_schema(
        &self,
        _: Request<v1::GetFeatureSchemaRequest>,
    ) -> Result<Response<v1::GetFeatureSchemaResponse>, Status> {
        Ok(Response::new(models::schema()))
    }

    async fn list_partitions(
        &self,
        _: Request<v1::ListPartitionsRequest>,
    ) -> Result<Response<v1::ListPartitionsResponse>, Status> {
        // All profiles are swept as soon as there is a model.
        let swept_for_model = self.state.lock().expect("no holder panics").model;
        let partition = v1::PartitionStatus { swept_model_version: swept_for_model, ..Default::default() };
        Ok(Response::new(v1::ListPartitionsResponse { partitions: vec![partition] }))
    }
}
