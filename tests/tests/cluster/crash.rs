//! The server is killed with SIGKILL at random moments of an import, restarted, and the same file is imported again: the profiles equal
//! those of an uninterrupted run. `PORTRAIT_FAULT_CYCLES` sets the number of kills; the seed is printed.

use portrait::import::{self, ImportArgs, ImportReport};
use portrait_client::ServerArgs;
use portrait_tests::faults::cycles;
use portrait_tests::logs::prepared;
use portrait_tests::{Census, Log, Server, census, connect};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::path::Path;
use std::time::Duration;

/// Kills of a short run.
const CYCLES: u64 = 20;

fn args(log: &Log, server: &Server) -> ImportArgs {
    ImportArgs::new(log.path(), log.format, ServerArgs::at(server.grpc_url()))
}

/// Imports the whole log; returns the census and the duration.
async fn import_all(log: &Log, server: &Server) -> (Census, Duration) {
    let mut report = ImportReport::default();
    import::import(&args(log, server), &mut report).await.expect("the log imports");
    assert_eq!((report.read, report.accepted), (log.read, log.read));
    (census(connect(server.grpc_url()).await).await, report.elapsed)
}

/// Number of records applied to the profiles of a server, once its log is applied.
async fn applied(server: &Server) -> u64 {
    let channel = connect(server.grpc_url()).await;
    portrait_client::wait_until_applied(channel.clone()).await.expect("the log is applied");
    census(channel).await.values().map(|(applied, _)| applied).sum()
}

/// Kills a server during an import, `after` its start; returns the number of acknowledged rows.
async fn kill_during_import(log: &Log, data: &Path, after: Duration) -> u64 {
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
async fn a_killed_server_loses_and_duplicates_nothing() {
    check_killed_imports(&prepared::TMALL).await;
}

/// Kills a server repeatedly during the import of a log whose rows all have unique ids.
pub(super) async fn check_killed_imports(log: &Log) {
    let data = tempfile::tempdir().expect("a temporary folder");
    let server = Server::start(data.path(), &[]);
    let (expected, took) = import_all(log, &server).await;
    assert!(server.stop().success());
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let mut interrupted = 0;
    for cycle in 0..cycles(CYCLES) {
        let data = tempfile::tempdir().expect("a temporary folder");
        let after = took.mul_f64(rng.random_range(0.0..1.2));
        let acknowledged = kill_during_import(log, data.path(), after).await;
        interrupted += u64::from(acknowledged > 0 && acknowledged < log.read);
        let server = Server::start(data.path(), &[]);
        let kept = applied(&server).await;
        // Every row has a unique id, so each acknowledged row is one applied record.
        assert!(
            kept >= acknowledged,
            "cycle {cycle}, killed after {after:?}: {acknowledged} rows were acknowledged, {kept} are applied"
        );
        let (census, _) = import_all(log, &server).await;
        assert!(census == expected, "cycle {cycle}, killed after {after:?}: profiles differ");
        server.kill();
    }
    println!("{interrupted} of {} kills hit a running import", cycles(CYCLES));
    assert!(interrupted > 0, "no kill hit a running import");
}
