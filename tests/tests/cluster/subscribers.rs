//! A subscriber that is cut again and again while a log is imported, and resumes each time, ends with exactly what reads give.

use portrait::import::{self, ImportArgs, ImportReport};
use portrait_client::ServerArgs;
use portrait_proto::status::reason_of;
use portrait_proto::v1::ErrorReason;
use portrait_proto::v1::query_service_client::QueryServiceClient;
use portrait_tests::logs::prepared;
use portrait_tests::{Census, Log, Server, Subscriber, census, connect};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeMap;
use tonic::Code;

const CUTS: usize = 100;

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_that_is_cut_a_hundred_times_ends_with_what_reads_give() {
    check_cut_subscriber(&prepared::REES46).await;
}

/// Cuts a subscriber again and again while a log is imported.
pub(super) async fn check_cut_subscriber(log: &Log) {
    let data = tempfile::tempdir().expect("a folder");
    let server = Server::start(data.path(), &["--set", "query.progress_interval=50ms"]);
    let to = ServerArgs::at(server.grpc_url());
    let args = ImportArgs { file: log.path(), format: log.format, server: to, event_id: None };
    let importing = tokio::spawn(async move {
        let mut report = ImportReport::default();
        import::import(&args, &mut report).await.expect("the log imports");
    });
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut chance = StdRng::seed_from_u64(seed);
    let mut subscriber = Subscriber::default();
    for _ in 0..CUTS {
        let mut left: u32 = chance.random_range(0..60);
        let enough = |_: &Subscriber| {
            left = left.saturating_sub(1);
            left == 0
        };
        subscriber.listen(connect(server.grpc_url()).await, enough).await;
    }
    importing.await.expect("the import ends");
    subscriber.lags_of_none = 0;
    subscriber.listen(connect(server.grpc_url()).await, |subscriber| subscriber.lags_of_none >= 3).await;
    let expected: Census = census(connect(server.grpc_url()).await).await;
    let known: Census =
        subscriber.known.iter().map(|(user, state)| (user.clone(), (state.1, state.2))).collect();
    assert!(known == expected, "{} users are known, {} are there", known.len(), expected.len());
    assert_eq!(
        versions(&server).await,
        subscriber.known.iter().map(|(user, state)| (user.clone(), state.0)).collect()
    );
}

async fn versions(server: &Server) -> BTreeMap<String, u64> {
    let mut subscriber = Subscriber::default();
    subscriber.listen(connect(server.grpc_url()).await, |subscriber| subscriber.lags_of_none >= 2).await;
    subscriber.known.into_iter().map(|(user, state)| (user, state.0)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_token_is_refused() {
    let data = tempfile::tempdir().expect("a folder");
    let server = Server::start(data.path(), &[]);
    let mut subscriber = Subscriber::default();
    let mut answers = 0;
    let enough = |_: &Subscriber| {
        answers += 1;
        answers > 3
    };
    subscriber.listen(connect(server.grpc_url()).await, enough).await;
    let mut client = QueryServiceClient::new(connect(server.grpc_url()).await);
    for index in 0..subscriber.token.len() {
        let mut request = subscriber.request();
        request.resume_token[index] ^= 0x10;
        let status = client.watch_profile_changes(request).await.expect_err("a forged token");
        assert_eq!((status.code(), reason_of(&status)), (Code::InvalidArgument, Some(ErrorReason::BadToken)));
    }
}
