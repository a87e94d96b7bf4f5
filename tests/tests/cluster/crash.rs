//! The server is killed with SIGKILL at random moments of an import, started again and sent the same file again: what the
//! profiles then say equals an uninterrupted run. `PORTRAIT_FAULT_CYCLES` sets how many kills; the seed is printed.

use portrait::import::{self, ImportArgs, ImportReport};
use portrait_client::ServerArgs;
use portrait_tests::faults::cycles;
use portrait_tests::logs::prepared;
use portrait_tests::{Census, Log, Server, census, connect};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::path::Path;
use std::time::Duration;

/// Kills in the short run.
const CYCLES: u64 = 20;

fn args(log: &Log, server: &Server) -> ImportArgs {
    ImportArgs { file: log.path(), format: log.format, server: ServerArgs::at(server.grpc_url()), event_id: None }
}

/// Imports everything, and says what the profiles then are and how long it took.
async fn whole(log: &Log, server: &Server) -> (Census, Duration) {
    let mut report = ImportReport::default();
    import::import(&args(log, server), &mut report).await.expect("the log imports");
    assert_eq!((report.read, report.accepted), (log.read, log.read));
    (census(connect(server.grpc_url()).await).await, report.took)
}

/// How many records the profiles of a server were made from, once its log is applied.
async fn applied(server: &Server) -> u64 {
    let channel = connect(server.grpc_url()).await;
    portrait_client::wait_until_applied(channel.clone()).await.expect("the log is applied");
    census(channel).await.values().map(|(applied, _)| applied).sum()
}

/// Kills a server `after` so long of an import, and says how much it had acknowledged.
async fn killed(log: &Log, data: &Path, after: Duration) -> u64 {
    let server = Server::start(data, &[]);
    let args = args(log, &server);
    let importing = tokio::spawn(async move {
        let mut report = ImportReport::default();
        let outcome = import::import(&args, &mut report).await;
        (report.accepted, outcome.is_ok())
    });
    tokio::time::sleep(after).await;
    server.kill();
    importing.await.expect("an import never panics").0
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_loses_nothing_and_doubles_nothing() {
    check_killed_imports(&prepared::TMALL).await;
}

/// Kills a server again and again in the middle of the import of a log whose rows all have an id of their own.
pub(super) async fn check_killed_imports(log: &Log) {
    let data = tempfile::tempdir().expect("a folder");
    let server = Server::start(data.path(), &[]);
    let (expected, took) = whole(log, &server).await;
    assert!(server.stop().success());
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut chance = StdRng::seed_from_u64(seed);
    let mut halfway = 0;
    for cycle in 0..cycles(CYCLES) {
        let data = tempfile::tempdir().expect("a folder");
        let after = took.mul_f64(chance.random_range(0.0..1.2));
        let acknowledged = killed(log, data.path(), after).await;
        halfway += u64::from(acknowledged > 0 && acknowledged < log.read);
        let server = Server::start(data.path(), &[]);
        let kept = applied(&server).await;
        // Every row of this log has an id of its own: what was acknowledged is counted, row by row.
        assert!(
            kept >= acknowledged,
            "cycle {cycle}, killed after {after:?}: {acknowledged} rows were acknowledged, {kept} are there"
        );
        let (census, _) = whole(log, &server).await;
        assert!(census == expected, "cycle {cycle}, killed after {after:?}: profiles differ");
        server.kill();
    }
    println!("{halfway} of {} kills fell into the middle of an import", cycles(CYCLES));
    assert!(halfway > 0, "no kill fell into the middle of an import");
}
