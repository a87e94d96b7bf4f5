//! A subscriber that is cut again and again while a log is imported, and resumes each time, ends with exactly what reads give.

use portrait::client::Line;
use portrait::import::{self, Format, ImportArgs, Report};
use portrait_proto::status::reason_of;
use portrait_proto::v1::query_service_client::QueryServiceClient;
use portrait_proto::v1::watch_profile_changes_response::Kind;
use portrait_proto::v1::{
    ErrorReason, ResyncPhase, WatchProfileChangesRequest, WatchProfileChangesResponse, WatchStart,
};
use portrait_tests::{Census, Log, Server, census, connect, log_file};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::{BTreeMap, BTreeSet};
use tonic::Code;

const LOG: Log =
    Log { format: Format::Rees46, file: "rees46_2019-10-01_0000-0250.csv.gz", read: 17_434, rejected: 0 };
const CUTS: usize = 100;

/// What a subscriber knows.
#[derive(Default)]
struct Subscriber {
    token: Vec<u8>,
    /// User to (version, applied events, fingerprint, partition).
    known: BTreeMap<String, (u64, u64, u64, u32)>,
    /// Who was named since the begin of a partition's resync.
    named: BTreeMap<u32, BTreeSet<String>>,
    lags_of_none: usize,
}

impl Subscriber {
    fn request(&self) -> WatchProfileChangesRequest {
        WatchProfileChangesRequest {
            resume_token: self.token.clone(),
            start: WatchStart::Snapshot.into(),
            include_profile: true,
            ..Default::default()
        }
    }

    fn handle(&mut self, answer: WatchProfileChangesResponse) {
        self.token = answer.resume_token;
        match answer.kind.expect("a kind that is known") {
            Kind::Change(change) => {
                self.lags_of_none = 0;
                if let Some(named) = self.named.get_mut(&change.partition) {
                    named.insert(change.user_id.clone());
                }
                match change.profile {
                    Some(profile) => {
                        let state =
                            (profile.version, profile.applied_events, profile.fingerprint, change.partition);
                        self.known.insert(change.user_id, state);
                    }
                    None => drop(self.known.remove(&change.user_id)),
                }
            }
            Kind::Progress(progress) => self.lags_of_none += usize::from(progress.lag == 0),
            Kind::Resync(resync) if resync.phase() == ResyncPhase::Begin => {
                self.named.insert(resync.partition, BTreeSet::new());
            }
            Kind::Resync(resync) => {
                let named = self.named.remove(&resync.partition).unwrap_or_default();
                self.known.retain(|user, state| state.3 != resync.partition || named.contains(user));
            }
        }
    }

    /// Takes answers until `enough` says so, and then is cut.
    async fn listen(&mut self, channel: Line, mut enough: impl FnMut(&Self) -> bool) {
        self.named.clear();
        let mut client = QueryServiceClient::new(channel);
        let mut answers =
            client.watch_profile_changes(self.request()).await.expect("a subscription").into_inner();
        while !enough(self) {
            let answer = answers.message().await.expect("the subscription goes on");
            self.handle(answer.expect("a subscription never ends without a word"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_that_is_cut_a_hundred_times_ends_with_what_reads_give() {
    let data = tempfile::tempdir().expect("a folder");
    let server = Server::start(data.path(), &["--set", "query.progress_interval=50ms"]);
    let to = server.grpc_url().to_owned();
    let importing = tokio::spawn(async move {
        let args = ImportArgs { file: log_file(&LOG), format: LOG.format, to, event_id: None };
        let mut report = Report::default();
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
