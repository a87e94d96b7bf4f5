//! Models of the naive server: two segments, those who come at night and the others, whatever it is trained on.

use super::super::super::facts::ProfileFacts;
use super::{Naive, Responses, State};
use portrait_profile::{Profile, Timestamp};
use portrait_proto::v1;
use portrait_proto::v1::model_service_server::ModelService;
use portrait_proto::v1::train_model_response::Kind;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

const SEGMENTS: [(&str, &str); 2] = [("s1", "day people"), ("s2", "night people")];
const COMPONENT: &str = "behavior.night";

/// Segment of a profile by the model.
pub(super) fn segment_of(profile: &Profile) -> &'static str {
    let facts = ProfileFacts::of(&profile.view_at(Timestamp::EPOCH).into());
    SEGMENTS[usize::from(facts.night_share() > 0.25)].0
}

pub(super) fn explanation() -> v1::ExplainSegmentResponse {
    let contribution = v1::SegmentContribution {
        description: "share of activity at night".to_owned(),
        unit: "share".to_owned(),
        value: 0.5,
        z: 2.0,
        contribution: 1.0,
        ..Default::default()
    };
    v1::ExplainSegmentResponse { contributions: vec![contribution], ..Default::default() }
}

pub(super) fn schema() -> v1::GetFeatureSchemaResponse {
    let (name, description) = (COMPONENT.to_owned(), "share of activity at night".to_owned());
    let component = v1::FeatureComponent { name, description, ..Default::default() };
    v1::GetFeatureSchemaResponse { components: vec![component], ..Default::default() }
}

impl State {
    pub(super) fn listed(&self) -> Result<v1::ListSegmentsResponse, Status> {
        if self.model == 0 {
            return Err(Status::failed_precondition("no model"));
        }
        let origin = if self.model == 1 { v1::SegmentOrigin::New } else { v1::SegmentOrigin::Kept };
        let segments = SEGMENTS.map(|(segment_id, name)| v1::Segment {
            segment_id: segment_id.to_owned(),
            name: name.to_owned(),
            size: self.segments.values().filter(|assigned| **assigned == segment_id).count() as u64,
            lineage: Some(v1::Lineage { origin: origin.into(), ..Default::default() }),
            ..Default::default()
        });
        Ok(v1::ListSegmentsResponse {
            model_version: self.model,
            segments: segments.to_vec(),
            assigned_users: self.segments.len() as u64,
            ..Default::default()
        })
    }

    /// Assigns all users by the new model.
    fn train(&mut self) -> v1::TrainOutcome {
        self.model += 1;
        let moved = self.profiles.iter().filter(|(user_id, profile)| {
            self.segments.get(*user_id).is_none_or(|assigned| *assigned != segment_of(profile))
        });
        let moved: Vec<String> = moved.map(|(user_id, _)| user_id.clone()).collect();
        self.moved_by_models += moved.len() as u64;
        moved.iter().for_each(|user_id| self.assign_and_publish(user_id));
        v1::TrainOutcome { published: true, version: self.model, ..Default::default() }
    }
}

#[tonic::async_trait]
impl ModelService for Naive {
    type WatchModelsStream = Responses<v1::WatchModelsResponse>;
    type TrainModelStream = Responses<v1::TrainModelResponse>;

    async fn watch_models(
        &self,
        _: Request<Streaming<v1::WatchModelsRequest>>,
    ) -> Result<Response<Self::WatchModelsStream>, Status> {
        Err(Status::unimplemented("the demo does not call this"))
    }

    async fn get_model(
        &self,
        _: Request<v1::GetModelRequest>,
    ) -> Result<Response<v1::GetModelResponse>, Status> {
        Err(Status::unimplemented("the demo does not call this"))
    }

    async fn list_models(
        &self,
        _: Request<v1::ListModelsRequest>,
    ) -> Result<Response<v1::ListModelsResponse>, Status> {
        let active_version = self.state.lock().expect("no holder panics").model;
        Ok(Response::new(v1::ListModelsResponse { active_version, ..Default::default() }))
    }

    /// Reports drift at every check, and trains at every third.
    async fn check_drift(
        &self,
        _: Request<v1::CheckDriftRequest>,
    ) -> Result<Response<v1::CheckDriftResponse>, Status> {
        let mut state = self.state.lock().expect("no holder panics");
        state.drift_checks += 1;
        let drift = v1::DriftStatus {
            components: vec![v1::ComponentDrift { name: COMPONENT.to_owned(), ..Default::default() }],
            consecutive_checks: (state.drift_checks - 1) % 3 + 1,
            ..Default::default()
        };
        let training = (drift.consecutive_checks == 3).then(|| state.train());
        Ok(Response::new(v1::CheckDriftResponse { drift: Some(drift), training }))
    }

    async fn train_model(
        &self,
        _: Request<v1::TrainModelRequest>,
    ) -> Result<Response<Self::TrainModelStream>, Status> {
        let outcome = self.state.lock().expect("no holder panics").train();
        let (responses, receiver) = mpsc::channel(1);
        let response = v1::TrainModelResponse { kind: Some(Kind::Outcome(outcome)) };
        responses.try_send(Ok(response)).expect("the channel has capacity for one");
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn activate_model(
        &self,
        _: Request<v1::ActivateModelRequest>,
    ) -> Result<Response<v1::ActivateModelResponse>, Status> {
        Err(Status::unimplemented("the demo does not call this"))
    }
}
