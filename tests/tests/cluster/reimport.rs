//! Importing again changes nothing, ever: the same file, one that has grown, one that was exported again in other spellings, and one
//! whose import was killed, all after the de-duplication window has ended. The profiles equal those of one clean import.

use portrait::import::{self, ImportArgs, ImportReport};
use portrait_client::ServerArgs;
use portrait_connect::files::Format;
use portrait_proto::v1::feature_service_client::FeatureServiceClient;
use portrait_proto::v1::ingest_service_client::IngestServiceClient;
use portrait_proto::v1::{Action, Event, ListPartitionsRequest, PartitionStatus, TrackRequest};
use portrait_tests::faults::cycles;
use portrait_tests::{Census, Server, census, connect, wait_until};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use std::fmt::Write;
use std::path::Path;
use std::time::SystemTime;

/// The shortest window there is: an id is remembered for one to two of them.
const WINDOW: &[&str] = &["--set", "store.dedup_window=1s", "--set", "model.automatic=false"];
/// User whose events tell when a window has ended.
const PROBE: &str = "probe";

/// Row of a log of REES46.
#[derive(Clone)]
struct Row {
    second: u32,
    action: &'static str,
    item: u32,
    price: Option<f64>,
    user: u32,
}

/// Spelling of a file: the published one, or that of another export.
#[derive(Clone, Copy)]
enum Spelling {
    Published,
    Other,
}

/// Returns rows of five days, of which some are equal.
fn rows(seed: u64, count: u32) -> Vec<Row> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut rows: Vec<Row> = (0..count)
        .map(|number| Row {
            second: number * (5 * 86_400 / count),
            action: ["view", "cart", "purchase"][rng.random_range(0..3)],
            item: rng.random_range(1..40),
            price: rng.random_bool(0.9).then(|| f64::from(rng.random_range(100..9_999)) / 100.0),
            user: rng.random_range(1..60),
        })
        .collect();
    let equal: Vec<Row> = rows.iter().step_by(7).cloned().collect();
    rows.extend(equal);
    rows
}

/// Writes a file of rows.
fn write(path: &Path, rows: &[Row], spelling: Spelling) {
    let mut text = String::new();
    let header = match spelling {
        Spelling::Published => {
            "event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session"
        }
        Spelling::Other => {
            "row,user_id,event_type,price,product_id,event_time,brand,category_code,category_id,user_session"
        }
    };
    writeln!(text, "{header}").expect("a string");
    for (number, Row { second, action, item, price, user }) in rows.iter().enumerate() {
        let (day, hour) = (1 + second / 86_400, second / 3600 % 24);
        let (minute, second) = (second / 60 % 60, second % 60);
        let price = price.map(|price| format!("{price:.2}")).unwrap_or_default();
        match spelling {
            Spelling::Published => writeln!(
                text,
                "2019-10-{day:02} {hour:02}:{minute:02}:{second:02} UTC,{action},{item},7,shoes,acme,{price},{user},s{user}"
            ),
            // Numbers as floats, the same moments an hour east, columns in another order, and everything in quotes.
            Spelling::Other => writeln!(
                text,
                "{number},\"{user}.0\",\"{action}\",\"{}\",\"{item}.0\",\"2019-10-{day:02}T{hour:02}:{minute:02}:{second:02}.000+00:00\",\"acme\",\"shoes\",\"7.0\",\"s{user}\"",
                if price.is_empty() { "NaN".to_owned() } else { format!("{price}0") },
            ),
        }
        .expect("a string");
    }
    std::fs::write(path, text).expect("written");
}

async fn import_into(server: &Server, path: &Path) -> ImportReport {
    let format = Format::named("rees46").expect("it ships");
    let args = ImportArgs::new(path, format, ServerArgs::at(server.grpc_url()));
    let mut report = ImportReport::default();
    import::import(&args, &mut report).await.expect("the file is imported");
    assert_eq!(report.rejected.rows(), 0);
    report
}

async fn profiles(server: &Server) -> Census {
    let mut census = census(connect(server.grpc_url()).await).await;
    census.remove(PROBE);
    census
}

pub(super) async fn partitions(server: &Server) -> Vec<PartitionStatus> {
    let mut feature = FeatureServiceClient::new(connect(server.grpc_url()).await);
    feature.list_partitions(ListPartitionsRequest {}).await.expect("they are listed").into_inner().partitions
}

/// Returns the profiles of one import of a file.
async fn clean_import(path: &Path) -> Census {
    let data = tempfile::tempdir().expect("a folder");
    let server = Server::start(data.path(), WINDOW);
    import_into(&server, path).await;
    profiles(&server).await
}

/// Waits until no window remembers an id that was sent before: until an event that has no source counts again.
async fn until_the_window_has_ended(server: &Server, id: &str) {
    let event = Event {
        event_id: id.to_owned(),
        user_id: PROBE.to_owned(),
        action: Action::View.into(),
        occurred_at: Some(SystemTime::now().into()),
        ..Event::default()
    };
    let before = applied_of_probe(server).await;
    wait_until("the window has ended", async || {
        let mut ingest = IngestServiceClient::new(connect(server.grpc_url()).await);
        let request = TrackRequest { events: vec![event.clone()], backfill: true };
        ingest.track(request).await.expect("accepted");
        applied_of_probe(server).await >= before + 2
    })
    .await;
}

async fn applied_of_probe(server: &Server) -> u64 {
    let channel = connect(server.grpc_url()).await;
    portrait_client::wait_until_applied(channel.clone()).await.expect("applied");
    census(channel).await.get(PROBE).map_or(0, |(applied, _)| *applied)
}

#[tokio::test(flavor = "multi_thread")]
async fn importing_again_changes_nothing_however_late_and_in_whatever_spelling() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("log.csv");
    let all = rows(1, 700);
    // The first export begins later and ends earlier than the last one.
    let middle = &all[100..500];
    write(&file, middle, Spelling::Published);
    let expected_of_middle = clean_import(&file).await;
    write(&file, &all, Spelling::Published);
    let expected = clean_import(&file).await;
    assert_ne!(expected, expected_of_middle);

    let data = tempfile::tempdir().expect("a folder");
    let server = Server::start(data.path(), WINDOW);
    write(&file, middle, Spelling::Published);
    import_into(&server, &file).await;
    assert_eq!(profiles(&server).await, expected_of_middle);
    until_the_window_has_ended(&server, "first").await;
    let again = import_into(&server, &file).await;
    assert_eq!(again.duplicates, again.accepted, "the same file");
    write(&file, middle, Spelling::Other);
    let again = import_into(&server, &file).await;
    assert_eq!(again.duplicates, again.accepted, "another spelling");
    assert_eq!(profiles(&server).await, expected_of_middle);
    // Grown at both ends, in no order.
    let mut grown = all.clone();
    grown.shuffle(&mut StdRng::seed_from_u64(2));
    write(&file, &grown, Spelling::Other);
    import_into(&server, &file).await;
    assert_eq!(profiles(&server).await, expected);
    until_the_window_has_ended(&server, "second").await;
    write(&file, &all, Spelling::Published);
    let again = import_into(&server, &file).await;
    assert_eq!(again.duplicates, again.accepted);
    assert_eq!(profiles(&server).await, expected);
    let kept: u64 = partitions(&server).await.iter().map(|partition| partition.sourced_total).sum();
    let applied: u64 = expected.values().map(|(applied, _)| applied).sum();
    assert_eq!(kept, applied, "one id of each row that counts");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_is_killed_again_and_again_counts_every_row_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("log.csv");
    write(&file, &rows(3, 20_000), Spelling::Published);
    let expected = clean_import(&file).await;
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let data = tempfile::tempdir().expect("a folder");
    for _ in 0..cycles(20) {
        let server = Server::start(data.path(), WINDOW);
        let logged =
            async || partitions(&server).await.iter().map(|partition| partition.log_end).sum::<u64>();
        let enough = logged().await + rng.random_range(1..15_000);
        let path = file.clone();
        let args = ImportArgs::new(
            path,
            Format::named("rees46").expect("it ships"),
            ServerArgs::at(server.grpc_url()),
        );
        let importing =
            tokio::spawn(async move { import::import(&args, &mut ImportReport::default()).await });
        wait_until("rows are logged", async || logged().await >= enough).await;
        server.kill();
        importing.abort();
        let _ = importing.await;
    }
    let server = Server::start(data.path(), WINDOW);
    until_the_window_has_ended(&server, "killed").await;
    import_into(&server, &file).await;
    assert_eq!(profiles(&server).await, expected);
}
