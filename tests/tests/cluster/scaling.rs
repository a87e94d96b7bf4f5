//! Scaling under load behind a balancer of connections, as a Service of Kubernetes is one: new processes get calls once connections
//! are renewed (`server.connection_age`), and neither scaling down nor kills fail a call or lose an event.

use super::steady_load::SteadyLoad;
use super::store_failures::DURABLE;
use portrait_store_redis::testing::Server as Redis;
use portrait_tests::{Cluster, Server, wait_until};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

/// The production preset of the chart with an age of 2 s instead of a minute.
const SETTINGS: [&str; 5] = [
    "server.drain_delay=1500ms",
    "server.connection_age=2s",
    "server.connection_grace=5s",
    "model.automatic=false",
    "log.filter=warn",
];
/// Ports of a balancer, each with one connection of the client.
const PORTS: usize = 8;
/// Roles that clients call, with the metric of their calls.
const CALLED: [(&str, &str); 2] =
    [("ingest", "portrait_ingest_accepted_total"), ("query", "portrait_query_reads_total")];

/// Balancer that passes each new connection to the next backend.
struct Balancer {
    addresses: String,
    backends: Arc<Mutex<Vec<String>>>,
}

impl Balancer {
    async fn start() -> Self {
        let backends = Arc::new(Mutex::new(Vec::<String>::new()));
        let next = Arc::new(AtomicUsize::new(0));
        let mut addresses = Vec::new();
        for _ in 0..PORTS {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            addresses.push(listener.local_addr().expect("it is bound").to_string());
            let (backends, next) = (Arc::clone(&backends), Arc::clone(&next));
            tokio::spawn(async move {
                while let Ok((mut client, _)) = listener.accept().await {
                    let backend = {
                        let backends = backends.lock().unwrap_or_else(PoisonError::into_inner);
                        backends[next.fetch_add(1, Ordering::Relaxed) % backends.len()].clone()
                    };
                    tokio::spawn(async move {
                        // A backend that is being killed refuses: the client sees a closed connection and opens another.
                        if let Ok(mut server) = TcpStream::connect(backend).await {
                            let _ = copy_bidirectional(&mut client, &mut server).await;
                        }
                    });
                }
            });
        }
        Self { addresses: addresses.join(","), backends }
    }

    /// Passes new connections to the processes of a role but the first `without`.
    fn serve(&self, cluster: &Cluster, role: &str, without: usize) {
        let address = |server: &Server| server.grpc_url().trim_start_matches("http://").to_owned();
        let backends = cluster.servers_of(role).skip(without).map(address).collect();
        *self.backends.lock().unwrap_or_else(PoisonError::into_inner) = backends;
    }
}

/// Calls of each process of a role so far, in start order.
fn calls(cluster: &Cluster, role: &str, metric: &str) -> Vec<f64> {
    cluster.servers_of(role).map(|server| server.metric_total(metric)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn three_processes_become_six_and_three_again_and_new_ones_get_calls() {
    let redis = Redis::start(&DURABLE);
    let mut cluster = Cluster::start(&redis.url(), &SETTINGS);
    for role in ["feature", "ingest", "query"] {
        (0..2).for_each(|_| cluster.add(role));
    }
    let balancers = [Balancer::start().await, Balancer::start().await];
    let serve = |cluster: &Cluster, without: usize| {
        for ((role, _), balancer) in CALLED.iter().zip(&balancers) {
            balancer.serve(cluster, role, without);
        }
    };
    serve(&cluster, 0);
    let load = SteadyLoad::start(&balancers[0].addresses, &balancers[1].addresses);

    for role in ["feature", "ingest", "query"] {
        (0..3).for_each(|_| cluster.add(role));
    }
    serve(&cluster, 0);
    for (role, metric) in CALLED {
        let before = calls(&cluster, role, metric);
        wait_until("the new processes get a quarter of the calls", async || {
            let now = calls(&cluster, role, metric);
            let since: Vec<f64> = now.iter().zip(&before).map(|(now, before)| now - before).collect();
            let (all, new): (f64, f64) = (since.iter().sum(), since[3..].iter().sum());
            all > 500.0 && new / all >= 0.25
        })
        .await;
    }

    // Down again: the balancer learns of it first, as an endpoint that is not ready is removed.
    serve(&cluster, 3);
    for role in ["query", "ingest", "feature"] {
        for _ in 0..3 {
            let server = cluster.take(role);
            let exit = tokio::task::spawn_blocking(|| server.stop()).await.expect("the wait does not panic");
            assert!(exit.success(), "{role} exited with {exit}");
        }
    }
    // Each role in turn is killed without a warning.
    for role in ["feature", "model", "query", "ingest"] {
        cluster.kill_and_restart(role).await;
        serve(&cluster, 0);
    }
    load.end(&cluster).await;
}
