//! Freshness at half of the maximum load: single events are tracked, their profiles are read with `read_after`, and
//! the time from acknowledgement to response is recorded.

use super::env::BenchEnv;
use super::figure::Figure;
use anyhow::{Context, Result};
use futures::future::try_join_all;
use hdrhistogram::Histogram;
use portrait_client::{self as client, RoleRouter};
use portrait_node::{Node, NodeRole};
use portrait_proto::v1::ingest_service_client::IngestServiceClient;
use portrait_proto::v1::query_service_client::QueryServiceClient;
use portrait_proto::v1::{Event, GetProfileRequest, TrackRequest};
use std::time::{Duration, Instant};

/// Interval of the probes.
const PROBE_EVERY: Duration = Duration::from_millis(5);
/// Events of one request of the load.
const BURST: usize = 500;
/// Concurrent callers of the load, each with one request in flight.
const CALLERS: usize = 4;

/// Rate of the load and its end.
#[derive(Clone, Copy)]
pub(super) struct LoadPace {
    pub(super) events_per_second: f64,
    pub(super) until: Instant,
}

/// Measures freshness for `seconds` under a load of `events_per_second`.
pub(super) async fn measure(
    events_per_second: f64,
    events: &[Event],
    seconds: u64,
    env: &BenchEnv,
    figures: &mut Vec<Figure>,
) -> Result<()> {
    let store = env.new_store().await?;
    let node = Node::start(NodeRole::All, store.config()).await?;
    let pace = LoadPace { events_per_second, until: Instant::now() + Duration::from_secs(seconds) };
    let (histogram, sent) = under_load(&node.grpc_url(), events, pace).await?;
    node.stop().await?;
    let p50 = histogram.value_at_quantile(0.5) as f64 / 1000.0;
    let p99 = histogram.value_at_quantile(0.99) as f64 / 1000.0;
    let count = histogram.len();
    let load_per_second = sent as f64 / seconds as f64;
    figures.push(Figure {
        path: format!("accepted to queryable, {}, {count} probes", env.describe()),
        measured: format!("p50 {p50:.1} ms, p99 {p99:.1} ms"),
        baseline: format!("{load_per_second:.0} events/s of load"),
        ratio: None,
        values: [("p50_ms", p50), ("p99_ms", p99), ("load_events_per_second", load_per_second)].into(),
        target: "p50 <= 10 ms, p99 <= 50 ms",
        met: p50 <= 10.0 && p99 <= 50.0,
    });
    Ok(())
}

/// Runs load and probes until `pace.until`; returns microseconds from acknowledgement to a profile that contains the
/// event, and the number of events of the load.
pub(super) async fn under_load(
    url: &str,
    events: &[Event],
    pace: LoadPace,
) -> Result<(Histogram<u64>, usize)> {
    let per_caller = pace.events_per_second / CALLERS as f64;
    let channel = client::connect(url).await?;
    let callers = events.chunks(events.len().div_ceil(CALLERS));
    let callers = callers.map(|events| load(channel.clone(), events.to_vec(), per_caller, pace.until));
    // Load and probes have connections of their own: a probe must not queue behind a burst on the client side.
    let load = tokio::spawn(try_join_all(callers.collect::<Vec<_>>()));
    let histogram = probe(client::connect(url).await?, pace.until).await?;
    let sent = load.await??.into_iter().sum();
    Ok((histogram, sent))
}

/// Sends requests at a constant rate; returns the number of events sent.
async fn load(
    channel: RoleRouter,
    events: Vec<Event>,
    events_per_second: f64,
    until: Instant,
) -> Result<usize> {
    let mut client = IngestServiceClient::new(channel);
    // Requests are due at fixed times: a slow one is followed by the next at once, so that the rate holds on average.
    let mut ticks = tokio::time::interval(Duration::from_secs_f64(BURST as f64 / events_per_second));
    let mut sent = 0;
    let mut bursts = events.chunks(BURST).cycle();
    let run: u64 = rand::random();
    let mut round = 0_u64;
    while Instant::now() < until {
        ticks.tick().await;
        let mut burst = bursts.next().context("the load is empty")?.to_vec();
        round += 1;
        // New ids for each pass over the log and each run: repeated events would be dropped as duplicates.
        let mark = format!("-{run:x}-{round}");
        burst.iter_mut().for_each(|event| event.event_id.push_str(&mark));
        sent += burst.len();
        client.track(TrackRequest { events: burst, backfill: true }).await?;
    }
    Ok(sent)
}

/// Probes until `until`; returns microseconds from acknowledgement to a profile that contains the event.
async fn probe(channel: RoleRouter, until: Instant) -> Result<Histogram<u64>> {
    let mut ingest = IngestServiceClient::new(channel.clone());
    let mut query = QueryServiceClient::new(channel);
    let mut histogram = Histogram::new(3)?;
    let mut ticks = tokio::time::interval(PROBE_EVERY);
    let run: u64 = rand::random();
    for index in 0_u64.. {
        ticks.tick().await;
        if Instant::now() >= until {
            break;
        }
        // Few users are probed again and again: their profiles are cached, as those of active users are.
        let user_id = format!("probe-{}", index % 64);
        let mut event = super::load::distinct_users(1).remove(0);
        event.event_id = format!("probe-{run:x}-{index}");
        event.user_id.clone_from(&user_id);
        let response = ingest.track(TrackRequest { events: vec![event], backfill: true }).await?.into_inner();
        // Freshness starts with the acknowledgement: the time before it is latency of ingest.
        let accepted_at = Instant::now();
        let read_after = response.consistency_token;
        query.get_profile(GetProfileRequest { user_id, read_after, read_at: None }).await?;
        histogram.record(u64::try_from(accepted_at.elapsed().as_micros())?)?;
    }
    Ok(histogram)
}
