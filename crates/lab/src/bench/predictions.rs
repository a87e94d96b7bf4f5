//! Latency of model predictions over gRPC at a constant rate: recommendations from a catalogue of 100,000 items, next
//! action and scores, beside `GetProfile` of the same users, in turns.

use super::env::BenchEnv;
use super::figure::Figure;
use super::load;
use anyhow::{Result, bail};
use futures::future::try_join_all;
use hdrhistogram::Histogram;
use portrait_client::{self as client, RoleRouter};
use portrait_node::{Node, NodeRole};
use portrait_proto::v1::query_service_client::QueryServiceClient;
use portrait_proto::v1::{
    GetProfileRequest, PredictNextActionRequest, RecommendRequest, ScoreRequest, ScoreTarget,
    TrainModelRequest,
};
use std::time::{Duration, Instant};

/// Items of the catalogue.
const ITEMS: usize = 100_000;
/// Users of the shop.
const USERS: usize = 20_000;
/// Interactions of each user.
const CALLS_EACH: usize = 40;
/// Calls per second, open loop: a slow call does not delay the next.
pub(super) const CALLS_PER_SECOND: f64 = 200.0;
/// Turns in which the calls alternate, so that load from elsewhere hits all of them.
const TURNS: u32 = 4;

/// Calls of the query service that are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PredictionCall {
    Profile,
    NextAction,
    Score,
    Recommend,
}

impl PredictionCall {
    const ALL: [Self; 4] = [Self::Profile, Self::NextAction, Self::Score, Self::Recommend];

    fn name(self) -> &'static str {
        match self {
            Self::Profile => "GetProfile",
            Self::NextAction => "PredictNextAction",
            Self::Score => "Score",
            Self::Recommend => "Recommend",
        }
    }

    async fn send(self, mut query: QueryServiceClient<RoleRouter>, user_id: String) -> Result<()> {
        match self {
            Self::Profile => {
                query.get_profile(GetProfileRequest { user_id, ..Default::default() }).await?;
            }
            Self::NextAction => {
                let request = PredictNextActionRequest { user_id, ..Default::default() };
                query.predict_next_action(request).await?;
            }
            Self::Score => {
                let target = ScoreTarget::Propensity.into();
                query.score(ScoreRequest { user_id, target, ..Default::default() }).await?;
            }
            Self::Recommend => {
                let request = RecommendRequest { user_id, count: 20, ..Default::default() };
                // A short list would be a cheaper call than the one under measurement.
                if query.recommend(request).await?.into_inner().items.len() != 20 {
                    bail!("fewer items were recommended than requested");
                }
            }
        }
        Ok(())
    }
}

/// Measures the calls on a model trained from a generated shop.
pub(super) async fn measure(seconds: u64, env: &BenchEnv, figures: &mut Vec<Figure>) -> Result<()> {
    let store = env.new_store().await?;
    let node = Node::start(NodeRole::All, store.config()).await?;
    let channel = client::connect(&node.grpc_url()).await?;
    client::send_all(channel.clone(), &load::wide_shop(USERS, ITEMS, CALLS_EACH, 7)).await?;
    client::wait_until_applied(channel.clone()).await?;
    let outcome = client::train(channel.clone(), TrainModelRequest::default(), |_, _| {}).await?;
    if !outcome.published {
        bail!("no model to query: {}", outcome.refusal);
    }
    client::wait_until_swept(channel.clone(), outcome.version).await?;
    let query = QueryServiceClient::new(channel);
    let mut latencies = Vec::new();
    for call in PredictionCall::ALL {
        latencies.push((call, Histogram::new(3)?));
    }
    // The first turn warms caches and is not counted.
    for turn in 0..=TURNS {
        for (call, histogram) in &mut latencies {
            let micros = measure_call(*call, &query, Duration::from_secs(seconds) / TURNS).await?;
            if turn > 0 {
                histogram.add(micros)?;
            }
        }
    }
    node.stop().await?;
    push_figures(&latencies, figures);
    Ok(())
}

async fn measure_call(
    call: PredictionCall,
    query: &QueryServiceClient<RoleRouter>,
    duration: Duration,
) -> Result<Histogram<u64>> {
    // A stride that is coprime with the number of users visits every user.
    at_constant_rate(duration, |index| call.send(query.clone(), format!("wide-{}", index * 7_919 % USERS)))
        .await
}

/// Calls at a constant rate for `duration`; returns microseconds from the time a call was due to its response, so
/// that waiting behind other calls counts (no coordinated omission).
pub(super) async fn at_constant_rate(
    duration: Duration,
    send: impl AsyncFn(usize) -> Result<()>,
) -> Result<Histogram<u64>> {
    let count = (duration.as_secs_f64() * CALLS_PER_SECOND) as usize;
    let started = Instant::now();
    let send = &send;
    let calls = (0..count).map(|index| async move {
        let due = started + Duration::from_secs_f64(index as f64 / CALLS_PER_SECOND);
        // All calls are scheduled up front: the schedule does not slip with the server.
        tokio::time::sleep_until(due.into()).await;
        send(index).await?;
        Ok::<_, anyhow::Error>(due.elapsed())
    });
    let mut histogram = Histogram::new(3)?;
    for elapsed in try_join_all(calls).await? {
        histogram.record(u64::try_from(elapsed.as_micros())?)?;
    }
    Ok(histogram)
}

fn push_figures(latencies: &[(PredictionCall, Histogram<u64>)], figures: &mut Vec<Figure>) {
    let profile = latencies
        .iter()
        .find(|(call, _)| *call == PredictionCall::Profile)
        .map_or(0.0, |(_, histogram)| quantile_ms(histogram, 0.99));
    for (call, histogram) in latencies.iter().filter(|(call, _)| *call != PredictionCall::Profile) {
        let p50 = quantile_ms(histogram, 0.5);
        let p99 = quantile_ms(histogram, 0.99);
        let recommends = *call == PredictionCall::Recommend;
        let over = if recommends { format!(" of {ITEMS} items") } else { String::new() };
        figures.push(Figure {
            path: format!("`{}`{over}, {CALLS_PER_SECOND} calls/s", call.name()),
            measured: format!("p50 {p50:.1} ms, p99 {p99:.1} ms"),
            baseline: format!("`GetProfile` p99 {profile:.1} ms"),
            ratio: Some(p99 / profile),
            values: [("p50_ms", p50), ("p99_ms", p99), ("profile_p99_ms", profile)].into(),
            // Recommend scores the whole catalogue, so that a multiple of a profile read would mean little.
            target: if recommends { "p99 < 10 ms" } else { "p99 < 2 x" },
            met: if recommends { p99 < 10.0 } else { p99 < 2.0 * profile },
        });
    }
}

/// Quantile of a histogram of microseconds, in milliseconds.
pub(super) fn quantile_ms(histogram: &Histogram<u64>, quantile: f64) -> f64 {
    histogram.value_at_quantile(quantile) as f64 / 1000.0
}
