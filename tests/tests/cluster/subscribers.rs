//! Convergence of a subscriber that is disconnected repeatedly during an import and resumes each time.

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

/// Number of disconnections.
const DISCONNECTIONS: usize = 100;

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_disconnected_a_hundred_times_converges_to_the_profiles() {
    check_cut_subscriber(&prepared::REES46).await;
}

/// Disconnects a subscriber repeatedly while a log is imported.
pub(super) async fn check_cut_subscriber(log: &Log) {
    let data = tempfile::tempdir().expect("a temporary folder");
    // A model that is trained at the end of the import would change profiles after they are compared.
    let settings = ["--set", "query.progress_interval=50ms", "--set", "model.automatic=false"];
    let server = Server::start(data.path(), &settings);
    let to = ServerArgs::at(server.grpc_url());
    let args = ImportArgs::new(log.path(), log.format, to);
    let importing = tokio::spawn(async move {
        let mut report = ImportReport::default();
        import::import(&args, &mut report).await.expect("the log imports");
    });
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let mut subscriber = Subscriber::default();
    for _ in 0..DISCONNECTIONS {
        let mut left: u32 = rng.random_range(0..60);
        let enough = |_: &Subscriber| {
            left = left.saturating_sub(1);
            left == 0
        };
        subscriber.listen(connect(server.grpc_url()).await, enough).await;
    }
    importing.await.expect("the import ends");
    subscriber.caught_up_count = 0;
    subscriber.listen(connect(server.grpc_url()).await, |subscriber| subscriber.caught_up_count >= 3).await;
    let expected: Census = census(connect(server.grpc_url()).await).await;
    let known: Census =
        subscriber.known.iter().map(|(user, state)| (user.clone(), (state.1, state.2))).collect();
    assert!(known == expected, "{} users are known, {} exist", known.len(), expected.len());
    assert_eq!(
        versions(&server).await,
        subscriber.known.iter().map(|(user, state)| (user.clone(), state.0)).collect()
    );
}

async fn versions(server: &Server) -> BTreeMap<String, u64> {
    let mut subscriber = Subscriber::default();
    subscriber.listen(connect(server.grpc_url()).await, |subscriber| subscriber.caught_up_count >= 2).await;
    subscriber.known.into_iter().map(|(user, state)| (user, state.0)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_token_is_refused() {
    let data = tempfile::tempdir().expect("a temporary folder");
    let server = Server::start(data.path(), &[]);
    let mut subscriber = Subscriber::default();
    let mut responses = 0;
    let enough = |_: &Subscriber| {
        responses += 1;
        responses > 3
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
