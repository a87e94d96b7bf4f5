//! `GetProfile` beside a bare tonic echo of the same bytes, in the same process, over the same loopback, in turns.
//! The echo is the bound that gRPC itself sets.

use super::env::BenchEnv;
use super::figure::Figure;
use anyhow::{Context, Result};
use futures::future::try_join_all;
use hdrhistogram::Histogram;
use portrait_client::{self as client, RoleRouter};
use portrait_node::{Node, NodeRole};
use portrait_proto::v1::query_service_client::QueryServiceClient;
use portrait_proto::v1::query_service_server::{QueryService, QueryServiceServer};
use portrait_proto::v1::{self, Event, GetProfileRequest, GetProfileResponse};
use prost::Message;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use tonic::transport::{Server, server::TcpIncoming};
use tonic::{Request, Response, Status};

/// Calls in flight on each side.
const IN_FLIGHT: usize = 64;
/// Turns in which both sides alternate, so that load from elsewhere hits both.
const TURNS: u32 = 4;

/// Service that responds to every read with the same profile.
struct EchoService(GetProfileResponse);

#[tonic::async_trait]
impl QueryService for EchoService {
    type WatchProfileChangesStream = tokio_stream::Empty<Result<v1::WatchProfileChangesResponse, Status>>;
    type ExportSegmentStream = tokio_stream::Empty<Result<v1::ExportSegmentResponse, Status>>;

    async fn get_profile(
        &self,
        _: Request<GetProfileRequest>,
    ) -> Result<Response<GetProfileResponse>, Status> {
        Ok(Response::new(self.0.clone()))
    }

    async fn batch_get_profiles(
        &self,
        _: Request<v1::BatchGetProfilesRequest>,
    ) -> Result<Response<v1::BatchGetProfilesResponse>, Status> {
        Err(Status::unimplemented("an echo has one profile"))
    }

    async fn watch_profile_changes(
        &self,
        _: Request<v1::WatchProfileChangesRequest>,
    ) -> Result<Response<Self::WatchProfileChangesStream>, Status> {
        Err(Status::unimplemented("an echo does not change"))
    }

    async fn list_segments(
        &self,
        _: Request<v1::ListSegmentsRequest>,
    ) -> Result<Response<v1::ListSegmentsResponse>, Status> {
        Err(Status::unimplemented("an echo has no segments"))
    }

    async fn get_segment(
        &self,
        _: Request<v1::GetSegmentRequest>,
    ) -> Result<Response<v1::GetSegmentResponse>, Status> {
        Err(Status::unimplemented("an echo has no segments"))
    }

    async fn explain_segment(
        &self,
        _: Request<v1::ExplainSegmentRequest>,
    ) -> Result<Response<v1::ExplainSegmentResponse>, Status> {
        Err(Status::unimplemented("an echo has no segments"))
    }

    async fn recommend(
        &self,
        _: Request<v1::RecommendRequest>,
    ) -> Result<Response<v1::RecommendResponse>, Status> {
        Err(Status::unimplemented("an echo recommends nothing"))
    }

    async fn predict_next_action(
        &self,
        _: Request<v1::PredictNextActionRequest>,
    ) -> Result<Response<v1::PredictNextActionResponse>, Status> {
        Err(Status::unimplemented("an echo predicts nothing"))
    }

    async fn score(&self, _: Request<v1::ScoreRequest>) -> Result<Response<v1::ScoreResponse>, Status> {
        Err(Status::unimplemented("an echo predicts nothing"))
    }

    async fn find_similar_users(
        &self,
        _: Request<v1::FindSimilarUsersRequest>,
    ) -> Result<Response<v1::FindSimilarUsersResponse>, Status> {
        Err(Status::unimplemented("an echo predicts nothing"))
    }

    async fn export_segment(
        &self,
        _: Request<v1::ExportSegmentRequest>,
    ) -> Result<Response<Self::ExportSegmentStream>, Status> {
        Err(Status::unimplemented("an echo has no segments"))
    }
}

/// Results of one side over all turns.
struct ReadSide {
    channel: RoleRouter,
    calls: u64,
    elapsed: Duration,
    micros: Histogram<u64>,
}

/// Measures throughput and latency of both sides.
pub(super) async fn measure(
    events: &[Event],
    seconds: u64,
    env: &BenchEnv,
    figures: &mut Vec<Figure>,
) -> Result<()> {
    let store = env.new_store().await?;
    let node = Node::start(NodeRole::All, store.config()).await?;
    let channel = client::connect(&node.grpc_url()).await?;
    let events = &events[..events.len().min(200_000)];
    client::send_all(channel.clone(), events).await?;
    client::wait_until_applied(channel.clone()).await?;
    // In the order of ids, so that runs read the same profiles.
    let user_ids: BTreeSet<&str> = events.iter().map(|event| event.user_id.as_str()).collect();
    let user_ids: Vec<String> = user_ids.into_iter().take(10_000).map(str::to_owned).collect();
    let (response, bytes) = typical(channel.clone(), &user_ids).await?;
    let echo = echo(response).await?;

    let mut portrait = ReadSide::new(channel)?;
    let mut bare = ReadSide::new(client::connect(&echo).await?)?;
    let turn = Duration::from_secs(seconds) / TURNS;
    for _ in 0..TURNS {
        // In turns, so that a busy moment of the machine slows down both sides.
        bare.turn(&user_ids, turn).await?;
        portrait.turn(&user_ids, turn).await?;
    }
    node.stop().await?;
    push_figures(&portrait, &bare, bytes, figures);
    Ok(())
}

/// Profile of median size among the first 501 users, and its size in bytes.
async fn typical(channel: RoleRouter, user_ids: &[String]) -> Result<(GetProfileResponse, usize)> {
    let mut client = QueryServiceClient::new(channel);
    let mut responses = Vec::new();
    for user_id in user_ids.iter().take(501) {
        let request = GetProfileRequest { user_id: user_id.clone(), ..Default::default() };
        responses.push(client.get_profile(request).await?.into_inner());
    }
    // The echo responds with a typical size: the bound is the cost of gRPC for that many bytes.
    responses.sort_by_key(Message::encoded_len);
    let median = responses.swap_remove(responses.len() / 2);
    let bytes = median.encoded_len();
    Ok((median, bytes))
}

async fn echo(response: GetProfileResponse) -> Result<String> {
    let incoming = TcpIncoming::bind("127.0.0.1:0".parse()?)
        .context("no free port for the echo")?
        // As the server does: Nagle's algorithm would slow down the bound.
        .with_nodelay(Some(true));
    let url = format!("http://{}", incoming.local_addr()?);
    let server = Server::builder().add_service(QueryServiceServer::new(EchoService(response)));
    tokio::spawn(server.serve_with_incoming(incoming));
    Ok(url)
}

impl ReadSide {
    fn new(channel: RoleRouter) -> Result<Self> {
        Ok(Self { channel, calls: 0, elapsed: Duration::ZERO, micros: Histogram::new(3)? })
    }

    async fn turn(&mut self, user_ids: &[String], duration: Duration) -> Result<()> {
        let started = Instant::now();
        let callers =
            (0..IN_FLIGHT).map(|index| calls(self.channel.clone(), user_ids, index, started + duration));
        for histogram in try_join_all(callers).await? {
            self.calls += histogram.len();
            self.micros.add(histogram)?;
        }
        self.elapsed += started.elapsed();
        Ok(())
    }

    fn per_second(&self) -> f64 {
        self.calls as f64 / self.elapsed.as_secs_f64()
    }

    fn p99_ms(&self) -> f64 {
        self.micros.value_at_quantile(0.99) as f64 / 1000.0
    }
}

async fn calls(
    channel: RoleRouter,
    user_ids: &[String],
    first: usize,
    until: Instant,
) -> Result<Histogram<u64>> {
    let mut client = QueryServiceClient::new(channel);
    let mut histogram = Histogram::new(3)?;
    let mut next = first;
    while Instant::now() < until {
        let user_id = user_ids[next % user_ids.len()].clone();
        // Callers stride over the users, so that no two of them read the same profile at once.
        next += IN_FLIGHT;
        let started = Instant::now();
        client.get_profile(GetProfileRequest { user_id, ..Default::default() }).await?;
        histogram.record(u64::try_from(started.elapsed().as_micros())?)?;
    }
    Ok(histogram)
}

fn push_figures(portrait: &ReadSide, bare: &ReadSide, bytes: usize, figures: &mut Vec<Figure>) {
    let ratio = portrait.per_second() / bare.per_second();
    figures.push(Figure {
        path: format!("`GetProfile`, {IN_FLIGHT} in flight"),
        measured: format!("{:.0} calls/s", portrait.per_second()),
        baseline: format!("tonic echo of {bytes} bytes: {:.0} calls/s", bare.per_second()),
        ratio: Some(ratio),
        values: [("calls_per_second", portrait.per_second()), ("echo_calls_per_second", bare.per_second())]
            .into(),
        target: ">= 0.6",
        met: ratio >= 0.6,
    });
    let p99_ratio = portrait.p99_ms() / bare.p99_ms();
    figures.push(Figure {
        path: format!("`GetProfile` p99, {IN_FLIGHT} in flight"),
        measured: format!("{:.1} ms", portrait.p99_ms()),
        baseline: format!("tonic echo {:.1} ms", bare.p99_ms()),
        ratio: Some(p99_ratio),
        values: [("p99_ms", portrait.p99_ms()), ("echo_p99_ms", bare.p99_ms())].into(),
        target: "<= 2",
        met: p99_ratio <= 2.0,
    });
}
