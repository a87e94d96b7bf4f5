//! Subscription against a server that ends its streams early: each change is handled once, and each connection resumes.

use super::*;
use anyhow::{Result as Handled, anyhow};
use portrait_proto::status::CallFailure;
use portrait_proto::v1;
use portrait_proto::v1::query_service_server::{QueryService, QueryServiceServer};
use portrait_proto::v1::watch_profile_changes_response::Kind;
use portrait_proto::v1::{
    BatchGetProfilesRequest, BatchGetProfilesResponse, GetProfileRequest, GetProfileResponse, ProfileChange,
};
use std::sync::{Arc, Mutex};
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response};

/// Responses of one connection before it ends.
const RESPONSES: u8 = 3;

/// Server that counts up from the token, a few numbers per connection, and records each token it receives.
#[derive(Clone, Default)]
struct EarlyEndServer {
    received_tokens: Arc<Mutex<Vec<Vec<u8>>>>,
    /// Start of each request.
    starts: Arc<Mutex<Vec<WatchStart>>>,
    /// Refuses this token as one of another store.
    foreign_token: Option<u8>,
}

#[tonic::async_trait]
impl QueryService for EarlyEndServer {
    type ExportSegmentStream = tokio_stream::Empty<Result<v1::ExportSegmentResponse, Status>>;
    type WatchProfileChangesStream =
        tokio_stream::Iter<std::vec::IntoIter<Result<WatchProfileChangesResponse, Status>>>;

    async fn get_profile(
        &self,
        _: Request<GetProfileRequest>,
    ) -> Result<Response<GetProfileResponse>, Status> {
        Err(Status::unimplemented("only watches are served"))
    }

    async fn batch_get_profiles(
        &self,
        _: Request<BatchGetProfilesRequest>,
    ) -> Result<Response<BatchGetProfilesResponse>, Status> {
        Err(Status::unimplemented("only watches are served"))
    }

    async fn watch_profile_changes(
        &self,
        request: Request<WatchProfileChangesRequest>,
    ) -> Result<Response<Self::WatchProfileChangesStream>, Status> {
        let WatchProfileChangesRequest { resume_token: token, start, .. } = request.into_inner();
        self.received_tokens.lock().expect("no test panics while it holds the list").push(token.clone());
        let start = WatchStart::try_from(start).expect("a start");
        self.starts.lock().expect("no test panics while it holds the list").push(start);
        let begin = token.first().copied().unwrap_or(0);
        if begin == u8::MAX {
            return Err(Status::invalid_argument("not a token"));
        }
        if begin > 0 && self.foreign_token == Some(begin) {
            return Err(CallFailure::new(ErrorReason::BadToken, "not a token").into_status());
        }
        let response = |number: u8| {
            let change = ProfileChange { version: u64::from(number), ..Default::default() };
            Ok(WatchProfileChangesResponse { kind: Some(Kind::Change(change)), resume_token: vec![number] })
        };
        let mut responses: Vec<_> = (begin + 1..=begin + RESPONSES).map(response).collect();
        // Every second connection ends with an error, the others without.
        responses.extend(begin.is_multiple_of(2).then(|| Err(Status::unavailable("shutting down"))));
        Ok(Response::new(tokio_stream::iter(responses)))
    }

    async fn list_segments(
        &self,
        _: Request<v1::ListSegmentsRequest>,
    ) -> Result<Response<v1::ListSegmentsResponse>, Status> {
        Err(Status::unimplemented("only watches are served"))
    }

    async fn get_segment(
        &self,
        _: Request<v1::GetSegmentRequest>,
    ) -> Result<Response<v1::GetSegmentResponse>, Status> {
        Err(Status::unimplemented("only watches are served"))
    }

    async fn explain_segment(
        &self,
        _: Request<v1::ExplainSegmentRequest>,
    ) -> Result<Response<v1::ExplainSegmentResponse>, Status> {
        Err(Status::unimplemented("only watches are served"))
    }

    async fn recommend(
        &self,
        _: Request<v1::RecommendRequest>,
    ) -> Result<Response<v1::RecommendResponse>, Status> {
        Err(Status::unimplemented("only watches are served"))
    }

    async fn predict_next_action(
        &self,
        _: Request<v1::PredictNextActionRequest>,
    ) -> Result<Response<v1::PredictNextActionResponse>, Status> {
        Err(Status::unimplemented("only watches are served"))
    }

    async fn score(&self, _: Request<v1::ScoreRequest>) -> Result<Response<v1::ScoreResponse>, Status> {
        Err(Status::unimplemented("only watches are served"))
    }

    async fn find_similar_users(
        &self,
        _: Request<v1::FindSimilarUsersRequest>,
    ) -> Result<Response<v1::FindSimilarUsersResponse>, Status> {
        Err(Status::unimplemented("only watches are served"))
    }

    async fn export_segment(
        &self,
        _: Request<v1::ExportSegmentRequest>,
    ) -> Result<Response<Self::ExportSegmentStream>, Status> {
        Err(Status::unimplemented("only watches are served"))
    }
}

async fn serve(server: EarlyEndServer) -> (String, CancellationToken) {
    let incoming = TcpIncoming::bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
    let url = format!("http://{}", incoming.local_addr().expect("it is bound"));
    let stop = CancellationToken::new();
    let stopped = stop.clone().cancelled_owned();
    let grpc = Server::builder().add_service(QueryServiceServer::new(server));
    tokio::spawn(grpc.serve_with_incoming_shutdown(incoming, stopped));
    (url, stop)
}

fn subscription(url: &str, token: &[u8]) -> Subscription {
    let request = WatchProfileChangesRequest { resume_token: token.to_vec(), ..Default::default() };
    Subscription { server: ServerArgs::at(url), request }
}

#[tokio::test]
async fn a_subscription_resumes_after_a_disconnect() {
    let server = EarlyEndServer::default();
    let (url, stop) = serve(server.clone()).await;
    let mut versions = Vec::new();
    let mut notices = 0;
    let mut handle = |response: &WatchProfileChangesResponse| -> Handled<()> {
        let Some(Kind::Change(change)) = &response.kind else { return Err(anyhow!("not a change")) };
        versions.push(change.version);
        if versions.len() == 10 { Err(anyhow!("enough")) } else { Ok(()) }
    };
    let result = follow(subscription(&url, b""), &mut handle, &mut |_| notices += 1).await;
    assert_eq!(result.expect_err("it never ends by itself").to_string(), "enough");
    assert_eq!(versions, (1..=10).collect::<Vec<u64>>());
    let received_tokens =
        server.received_tokens.lock().expect("no test panics while it holds the list").clone();
    assert_eq!(received_tokens, [vec![], vec![3], vec![6], vec![9]]);
    assert_eq!(notices, 3);
    stop.cancel();
}

#[tokio::test]
async fn a_subscription_starts_with_all_profiles_once_the_store_is_another() {
    let server = EarlyEndServer { foreign_token: Some(6), ..EarlyEndServer::default() };
    let (url, stop) = serve(server.clone()).await;
    let mut handled = 0;
    let mut handle = |_: &WatchProfileChangesResponse| -> Handled<()> {
        handled += 1;
        if handled == 8 { Err(anyhow!("enough")) } else { Ok(()) }
    };
    let mut notices = Vec::new();
    let mut notice = |text: &str| notices.push(text.to_owned());
    let result = follow(subscription(&url, b""), &mut handle, &mut notice).await;
    assert_eq!(result.expect_err("it never ends by itself").to_string(), "enough");
    assert!(notices.iter().any(|notice| notice.contains("its store was replaced")), "{notices:?}");
    let tokens = server.received_tokens.lock().expect("no test panics while it holds the list").clone();
    assert_eq!(tokens, [vec![], vec![3], vec![6], vec![]]);
    let starts = server.starts.lock().expect("no test panics while it holds the list").clone();
    assert_eq!(starts.last(), Some(&WatchStart::Snapshot));
    stop.cancel();
}

#[tokio::test]
async fn an_unhandled_response_is_requested_again() {
    let server = EarlyEndServer::default();
    let (url, stop) = serve(server.clone()).await;
    let mut handled = 0;
    let mut handle = |_: &WatchProfileChangesResponse| -> Handled<()> {
        handled += 1;
        if handled == 2 { Err(anyhow!("the disk is full")) } else { Ok(()) }
    };
    let mut first = subscription(&url, b"");
    let Disconnect::Permanent(error) = receive(&mut first, b"", &mut handle).await else {
        panic!("a failed handler is permanent")
    };
    assert_eq!(error.to_string(), "the disk is full");
    assert_eq!(first.request.resume_token, [1], "the second response was not handled");
    stop.cancel();
}

#[tokio::test]
async fn a_refused_token_and_a_wrong_address_end_the_subscription() {
    let (url, stop) = serve(EarlyEndServer::default()).await;
    let mut handle = |_: &WatchProfileChangesResponse| -> Handled<()> { Ok(()) };
    let refused = follow(subscription(&url, &[u8::MAX]), &mut handle, &mut |_| ()).await;
    assert_eq!(refused.expect_err("it is no token").to_string(), "the server refused: not a token");
    stop.cancel();
    let unreachable = follow(subscription("http://127.0.0.1:1", b""), &mut handle, &mut |_| ()).await;
    assert!(unreachable.expect_err("no server listens there").to_string().contains("portrait serve"));
}
