//! A server with the API of the real one and nothing else of it: every record is folded at once, under one lock. It can be told
//! to lose an event or to count one twice, so that the demo's own proof can be put to the test.

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

type Answers<T> = ReceiverStream<Result<T, Status>>;

/// Changes that a subscriber may be behind by; more than any test makes.
const CHANGES_MAX: usize = 200_000;

/// What the server does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    LosesTheHundredthEvent,
    DoublesTheHundredthEvent,
    RejectsTheHundredthEvent,
}

/// The server; its clones share everything.
#[derive(Clone)]
pub(super) struct Naive {
    fault: Fault,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    events: u64,
    profiles: BTreeMap<String, Profile>,
    /// Category and brand of each item.
    catalogue: HashMap<String, (String, String)>,
    subscribers: Vec<Subscriber>,
}

struct Subscriber {
    user_ids: Vec<String>,
    include_profile: bool,
    changes: mpsc::Sender<Result<WatchProfileChangesResponse, Status>>,
}

impl Naive {
    pub(super) fn new(fault: Fault) -> Self {
        Self { fault, state: Arc::default() }
    }

    /// Whether the event is taken.
    fn take(&self, mut event: v1::Event) -> bool {
        let mut state = self.state.lock().expect("no holder panics");
        state.events += 1;
        let times = match (self.fault, state.events) {
            (Fault::LosesTheHundredthEvent, 100) => 0,
            (Fault::DoublesTheHundredthEvent, 100) => 2,
            (Fault::RejectsTheHundredthEvent, 100) => return false,
            _ => 1,
        };
        if let Some((category, brand)) = state.catalogue.get(&event.item_id) {
            event.category.clone_from(category);
            event.brand.clone_from(brand);
        }
        let record = super::record(&event);
        (0..times).for_each(|_| state.fold(&record));
        true
    }
}

impl State {
    fn fold(&mut self, record: &Record) {
        let user_id = record.user_id.as_str();
        let profile =
            self.profiles.entry(user_id.to_owned()).or_insert_with(|| Profile::new(record.user_id.clone()));
        profile.apply(record);
        profile.advance_version();
        for subscriber in &self.subscribers {
            if subscriber.user_ids.is_empty() || subscriber.user_ids.iter().any(|wanted| wanted == user_id) {
                let change = v1::ProfileChange {
                    user_id: user_id.to_owned(),
                    version: profile.version().get(),
                    profile: subscriber.include_profile.then(|| profile.view_at(Timestamp::EPOCH).into()),
                    ..Default::default()
                };
                let answer =
                    WatchProfileChangesResponse { kind: Some(Kind::Change(change)), ..Default::default() };
                subscriber.changes.try_send(Ok(answer)).expect("a subscriber that keeps up");
            }
        }
    }
}

fn record(user_id: &str, record_id: &str, at: Option<&prost_types::Timestamp>, body: Body) -> Record {
    Record {
        user_id: UserId::parse(user_id).expect("an id"),
        record_id: RecordId::parse(record_id).ok(),
        occurred_at: time::from_wire(at.expect("a time")).expect("a moment"),
        accepted_at: Timestamp::EPOCH,
        body,
    }
}

#[tonic::async_trait]
impl IngestService for Naive {
    type TrackStreamStream = Answers<v1::TrackStreamResponse>;

    async fn track(&self, _: Request<v1::TrackRequest>) -> Result<Response<v1::TrackResponse>, Status> {
        Err(Status::unimplemented("the demo streams"))
    }

    async fn track_stream(
        &self,
        requests: Request<Streaming<v1::TrackStreamRequest>>,
    ) -> Result<Response<Self::TrackStreamStream>, Status> {
        let (answers, receiver) = mpsc::channel(8);
        let server = self.clone();
        let mut requests = requests.into_inner();
        tokio::spawn(async move {
            while let Some(Ok(request)) = requests.next().await {
                let mut answer =
                    v1::TrackStreamResponse { request_number: request.request_number, ..Default::default() };
                for event in request.events {
                    match server.take(event) {
                        true => answer.accepted += 1,
                        false => answer.rejected.push(v1::Rejection {
                            field: "events[0].price".to_owned(),
                            ..Default::default()
                        }),
                    }
                }
                if answers.send(Ok(answer)).await.is_err() {
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
        for stated in request.into_inner().relations {
            let relation = Relation {
                other_user_id: UserId::parse(&stated.other_user_id).expect("an id"),
                kind: action::relation_from_wire(stated.kind).expect("a kind"),
                weight: stated.weight,
            };
            let at = stated.occurred_at.as_ref();
            state.fold(&record(&stated.user_id, &stated.event_id, at, Body::Relation(relation)));
        }
        Ok(Response::new(Default::default()))
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
    type WatchProfileChangesStream = Answers<WatchProfileChangesResponse>;

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
        let profiles = profiles.map(|profile| profile.view_at(read_at).into()).collect();
        Ok(Response::new(v1::BatchGetProfilesResponse { profiles, missing_user_ids: Vec::new() }))
    }

    async fn watch_profile_changes(
        &self,
        request: Request<v1::WatchProfileChangesRequest>,
    ) -> Result<Response<Self::WatchProfileChangesStream>, Status> {
        let v1::WatchProfileChangesRequest { user_ids, include_profile, .. } = request.into_inner();
        let (changes, receiver) = mpsc::channel(CHANGES_MAX);
        let kind = Some(Kind::Progress(v1::Progress::default()));
        let confirmation = WatchProfileChangesResponse { kind, ..Default::default() };
        changes.try_send(Ok(confirmation)).expect("there is room for the first");
        let subscriber = Subscriber { user_ids, include_profile, changes };
        self.state.lock().expect("no holder panics").subscribers.push(subscriber);
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}

#[tonic::async_trait]
impl FeatureService for Naive {
    type StreamFeaturesStream = Answers<v1::StreamFeaturesResponse>;

    async fn get_features(
        &self,
        _: Request<v1::GetFeaturesRequest>,
    ) -> Result<Response<v1::GetFeaturesResponse>, Status> {
        Err(Status::unimplemented("the demo asks for none"))
    }

    async fn stream_features(
        &self,
        _: Request<v1::StreamFeaturesRequest>,
    ) -> Result<Response<Self::StreamFeaturesStream>, Status> {
        Err(Status::unimplemented("the demo asks for none"))
    }

    async fn get_feature_schema(
        &self,
        _: Request<v1::GetFeatureSchemaRequest>,
    ) -> Result<Response<v1::GetFeatureSchemaResponse>, Status> {
        Err(Status::unimplemented("the demo asks for none"))
    }

    async fn list_partitions(
        &self,
        _: Request<v1::ListPartitionsRequest>,
    ) -> Result<Response<v1::ListPartitionsResponse>, Status> {
        Ok(Response::new(v1::ListPartitionsResponse { partitions: vec![v1::PartitionStatus::default()] }))
    }
}
