//! How soon an accepted event can be queried while half of the greatest load goes on: single events are tracked and their
//! profiles read with `read_after`, and the time from acknowledgement to answer is kept.

use super::figure::Figure;
use super::ground::Ground;
use anyhow::{Context, Result};
use futures::future::try_join_all;
use hdrhistogram::Histogram;
use portrait_client::{self as client, Line};
use portrait_node::{Node, Role};
use portrait_proto::v1::ingest_service_client::IngestServiceClient;
use portrait_proto::v1::query_service_client::QueryServiceClient;
use portrait_proto::v1::{Event, GetProfileRequest, TrackRequest};
use std::time::{Duration, Instant};

/// How often a single event is tracked.
const PROBE_EVERY: Duration = Duration::from_millis(5);
/// Events of one burst of the load.
const BURST: usize = 500;
/// Callers that share the load, each with one burst under way.
const CALLERS: usize = 4;

/// How much load, and until when.
#[derive(Clone, Copy)]
pub(super) struct Pace {
    pub(super) events_per_second: f64,
    pub(super) until: Instant,
}

/// Measures under `events_per_second` for `seconds`.
pub(super) async fn measure(
    events_per_second: f64,
    events: &[Event],
    seconds: u64,
    ground: &Ground,
    figures: &mut Vec<Figure>,
) -> Result<()> {
    let fresh = ground.fresh().await?;
    let node = Node::start(Role::All, fresh.config()).await?;
    let pace = Pace { events_per_second, until: Instant::now() + Duration::from_secs(seconds) };
    let (histogram, sent) = under_load(&node.grpc_url(), events, pace).await?;
    node.stop().await?;
    let at = |quantile: f64| histogram.value_at_quantile(quantile) as f64 / 1000.0;
    let (p50, p99) = (at(0.5), at(0.99));
    let count = histogram.len();
    let load_per_second = sent as f64 / seconds as f64;
    figures.push(Figure {
        path: format!("accepted to queryable, {}, {count} probes", ground.told()),
        measured: format!("p50 {p50:.1} ms, p99 {p99:.1} ms"),
        beside: format!("{load_per_second:.0} events/s of load"),
        ratio: None,
        values: [("p50_ms", p50), ("p99_ms", p99), ("load_events_per_second", load_per_second)].into(),
        target: "p50 <= 10 ms, p99 <= 50 ms",
        met: p50 <= 10.0 && p99 <= 50.0,
    });
    Ok(())
}

/// Microseconds from acknowledgement to a profile that has the event, and how many events of load went.
pub(super) async fn under_load(url: &str, events: &[Event], pace: Pace) -> Result<(Histogram<u64>, usize)> {
    let each = pace.events_per_second / CALLERS as f64;
    let channel = client::connect(url).await?;
    let callers = events.chunks(events.len().div_ceil(CALLERS));
    let callers = callers.map(|events| load(channel.clone(), events.to_vec(), each, pace.until));
    let load = tokio::spawn(try_join_all(callers.collect::<Vec<_>>()));
    let histogram = probe(client::connect(url).await?, pace.until).await?;
    let sent = load.await??.into_iter().sum();
    Ok((histogram, sent))
}

/// Sends bursts at an even pace, and says how many events went.
async fn load(channel: Line, events: Vec<Event>, events_per_second: f64, until: Instant) -> Result<usize> {
    let mut client = IngestServiceClient::new(channel);
    let mut ticks = tokio::time::interval(Duration::from_secs_f64(BURST as f64 / events_per_second));
    let mut sent = 0;
    let mut bursts = events.chunks(BURST).cycle();
    let (run, mut round): (u64, u64) = (rand::random(), 0);
    while Instant::now() < until {
        ticks.tick().await;
        let mut burst = bursts.next().context("there is a load")?.to_vec();
        round += 1;
        // Every burst counts: repeats of the log are other events, in another run too.
        let mark = format!("-{run:x}-{round}");
        burst.iter_mut().for_each(|event| event.event_id.push_str(&mark));
        sent += burst.len();
        client.track(TrackRequest { events: burst, backfill: true }).await?;
    }
    Ok(sent)
}

/// Microseconds from acknowledgement to a profile that has the event.
async fn probe(channel: Line, until: Instant) -> Result<Histogram<u64>> {
    let mut ingest = IngestServiceClient::new(channel.clone());
    let mut query = QueryServiceClient::new(channel);
    let mut histogram = Histogram::new(3)?;
    let mut ticks = tokio::time::interval(PROBE_EVERY);
    let run: u64 = rand::random();
    for number in 0_u64.. {
        ticks.tick().await;
        if Instant::now() >= until {
            break;
        }
        let user_id = format!("probe-{}", number % 64);
        let mut event = super::load::distinct_users(1).remove(0);
        event.event_id = format!("probe-{run:x}-{number}");
        event.user_id.clone_from(&user_id);
        let answer = ingest.track(TrackRequest { events: vec![event], backfill: true }).await?.into_inner();
        let accepted_at = Instant::now();
        let read_after = answer.consistency_token;
        query.get_profile(GetProfileRequest { user_id, read_after, read_at: None }).await?;
        histogram.record(u64::try_from(accepted_at.elapsed().as_micros())?)?;
    }
    Ok(histogram)
}
