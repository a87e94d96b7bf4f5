//! Simulation of a large deployment on virtual time: the real membership, assignment and lease loops of many workers over a store
//! in memory. It prints hand-over times and skew, and checks after each phase that of all tokens ever given only the newest of
//! each partition can commit.

#![allow(clippy::disallowed_methods, reason = "a test owns its tasks")]

mod fleet;
mod link;
mod report;
mod store;

use fleet::Fleet;
use report::{HEADER, PhaseFigures};
use std::time::Duration;
use tokio::time::Instant;

/// Time to live of leases and members by default.
const LEASE_TTL: Duration = Duration::from_secs(10);
/// Longest interval between heartbeats: the time until a worker learns of another one's end.
const HEARTBEAT: Duration = Duration::from_millis(500);
/// Time of the retry after a refused claim, and of the calls themselves.
const RETRY: Duration = Duration::from_millis(60);

/// Size and seed of a simulation.
struct Scenario {
    workers: usize,
    partitions: u16,
    seed: u64,
}

/// Figures of a running simulation.
struct Simulation {
    fleet: Fleet,
    phases: Vec<PhaseFigures>,
    phase_began: Instant,
}

impl Simulation {
    /// Waits until every partition is owned, checks the fencing and notes the figures of the phase.
    async fn end_phase(&mut self, phase: &'static str, longest: Duration) {
        self.fleet.settled().await;
        let elapsed = self.phase_began.elapsed();
        let (handovers, calls) = self.fleet.store.take_figures();
        let fenced = self.fleet.store.check_fencing();
        let figures = PhaseFigures { phase, handovers, loads: self.fleet.loads(), calls, elapsed, fenced };
        println!("{figures}");
        assert!(figures.longest() <= longest, "{phase}: {:?} without an owner", figures.longest());
        let holders = self.fleet.store.partitions_by_holder();
        assert!(holders.keys().all(|holder| self.fleet.names().iter().any(|name| **name == **holder)));
        self.phases.push(figures);
        self.phase_began = Instant::now();
    }
}

/// Runs every phase and prints a row for each.
async fn simulate(scenario: Scenario) -> Vec<PhaseFigures> {
    let Scenario { workers, partitions, seed } = scenario;
    println!("{workers} workers, {partitions} partitions, seed {seed}\n{HEADER}");
    let tenth = workers / 10;
    let takeover = LEASE_TTL + HEARTBEAT + RETRY;
    let names: Vec<String> = (0..workers).map(|number| format!("http://features-{number}:50051")).collect();
    let fleet = Fleet::new(partitions, seed);
    let mut simulation = Simulation { fleet, phases: Vec::new(), phase_began: Instant::now() };
    simulation.fleet.start(&names).await;
    simulation.end_phase("all start within 1 s", takeover).await;

    let killed = simulation.fleet.draw(tenth);
    simulation.fleet.kill(&killed);
    simulation.end_phase("10% are killed", takeover).await;

    let joining: Vec<String> =
        (workers..workers + tenth).map(|number| format!("http://features-{number}:50051")).collect();
    simulation.fleet.start(&joining).await;
    simulation.end_phase("10% join", takeover).await;

    let restarted = simulation.fleet.draw(tenth);
    simulation.fleet.kill(&restarted);
    tokio::time::sleep(Duration::from_secs(1)).await;
    simulation.fleet.start(&restarted).await;
    // A second until the start, a second in which all start, and the calls.
    simulation.end_phase("10% are killed and restart after 1 s", Duration::from_secs(2) + RETRY).await;

    let all = simulation.fleet.names();
    for batch in all.chunks(workers.div_ceil(20)) {
        simulation.fleet.stop(batch).await;
        simulation.fleet.start(batch).await;
        simulation.fleet.settled().await;
    }
    simulation.end_phase("rolling restart, 5% at a time", takeover).await;

    simulation.fleet.store.set_paused(true);
    tokio::time::sleep(Duration::from_secs(5)).await;
    simulation.fleet.store.set_paused(false);
    simulation.end_phase("the store pauses for 5 s", takeover).await;
    simulation.phases
}

/// Scenario of the environment, for `make assignment-simulation`; else one that takes seconds.
fn scenario() -> Scenario {
    let number = |name: &str| Some(std::env::var(name).ok()?.parse().expect("a number"));
    Scenario {
        workers: number("PORTRAIT_SIMULATION_WORKERS").unwrap_or(200),
        partitions: number("PORTRAIT_SIMULATION_PARTITIONS").map_or(1_024, |partitions| partitions as u16),
        seed: 1,
    }
}

#[tokio::test(start_paused = true)]
async fn partitions_have_one_owner_through_kills_joins_and_restarts_of_workers() {
    let scenario = scenario();
    let partitions = usize::from(scenario.partitions);
    let phases = simulate(scenario).await;
    let handovers = |phase: usize| phases[phase].handovers.len();
    // More than one each: the first workers own all partitions until the others have started.
    assert!(handovers(0) >= partitions, "{}", handovers(0));
    // A restart moves only the partitions of the restarted: about a tenth of all.
    assert!((partitions / 20..partitions / 5).contains(&handovers(3)), "{}", handovers(3));
    assert_eq!(handovers(5), 0, "a pause below the time to live moves nothing");
}
