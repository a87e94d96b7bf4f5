//! One user does not stop others: the time from an acknowledged event to its profile, for users of all partitions, while half of all
//! events are of one user and one item, beside an even load of the same rate.

use super::super::figure::Figure;
use super::super::freshness::{self, LoadPace};
use super::super::predictions::quantile_ms;
use super::load::{Kind, ScaleLoad, Users, event};
use super::run::{MEASURED_EVENTS, ScaleRun};
use super::server::ServerProcess;
use anyhow::Result;
use portrait_client as client;
use portrait_proto::v1::{Action, Event};
use std::time::{Duration, Instant};

/// Users of the shop.
const USERS: Users = Users { count: 100_000, items: 20_000 };
/// Events of the one user before the measurement.
const HEAVY_EVENTS: usize = 1_000_000;
/// Number of the first of these events.
const HEAVY_FIRST: usize = 100_000_000;
/// Load, as a share of the throughput with an even load.
const LOAD_SHARE: f64 = 0.3;

pub(super) async fn measure(run: &ScaleRun<'_>, figures: &mut Vec<Figure>) -> Result<()> {
    run.bar.set_message("one user with half of all events");
    let store = run.env.new_store().await?;
    let server = ServerProcess::start(&store).await?;
    let router = client::connect(server.grpc_url()).await?;
    let mut load = ScaleLoad::new(USERS);
    load.send(&router, Kind::New, USERS.count).await?;
    let rate = load.timed(&router, Kind::Known, MEASURED_EVENTS).await? * LOAD_SHARE;
    let even = load.events(Kind::Known, MEASURED_EVENTS);
    let before = p99_ms(&server, &even, rate, run.seconds).await?;
    // Event numbers beyond those of the load; the time of an event follows from its number.
    let heavy = |number: usize| event(HEAVY_FIRST + number, 0, 0, Action::View);
    for first in (0..HEAVY_EVENTS).step_by(MEASURED_EVENTS) {
        let events: Vec<Event> = (first..first + MEASURED_EVENTS).map(heavy).collect();
        client::send_all(router.clone(), &events).await?;
    }
    client::wait_until_applied(router.clone()).await?;
    let mut skewed = even;
    for (number, event) in skewed.iter_mut().enumerate().filter(|(number, _)| number % 2 == 0) {
        *event = heavy(HEAVY_EVENTS + number);
    }
    let after = p99_ms(&server, &skewed, rate, run.seconds).await?;
    server.stop().await?;
    let ratio = after / before;
    figures.push(Figure {
        path: format!(
            "accepted to queryable of others, half of {rate:.0} events/s of one user with 1,000,000 events, {}",
            run.env.describe()
        ),
        measured: format!("p99 {after:.1} ms"),
        baseline: format!("even load: p99 {before:.1} ms"),
        ratio: Some(ratio),
        values: [("p99_ms", after), ("even_p99_ms", before)].into(),
        target: "<= 2",
        met: ratio <= 2.0,
    });
    Ok(())
}

async fn p99_ms(server: &ServerProcess, events: &[Event], rate: f64, seconds: u64) -> Result<f64> {
    let pace = LoadPace { events_per_second: rate, until: Instant::now() + Duration::from_secs(seconds) };
    let (histogram, _) = freshness::under_load(server.grpc_url(), events, pace).await?;
    Ok(quantile_ms(&histogram, 0.99))
}
