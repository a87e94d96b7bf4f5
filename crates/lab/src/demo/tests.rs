//! Tests of the demo: profiles folded from the simulated shop's events show what was planted, and a server that loses
//! or duplicates a single event is detected.

mod naive;

use super::facts::ProfileFacts;
use super::personas;
use super::summary::DemoSummary;
use super::{DemoReport, DemoScript, Narrator, run_against};
use crate::replay;
use crate::simulate::{ShopEvent, ShopEventKind, ShopSimulator, SimulateConfig, UserTruth, UserType};
use anyhow::Result;
use naive::{Fault, Naive};
use portrait_profile::{Profile, Record, Timestamp};
use portrait_proto::v1;
use portrait_proto::v1::feature_service_server::FeatureServiceServer;
use portrait_proto::v1::ingest_service_server::IngestServiceServer;
use portrait_proto::v1::model_service_server::ModelServiceServer;
use portrait_proto::v1::query_service_server::QueryServiceServer;
use portrait_runtime::ManualClock;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

/// Record that ingest makes of an event.
fn record(event: &v1::Event) -> Record {
    replay::record(event).expect("an event of the simulated shop")
}

struct FoldedShop {
    truths: Vec<UserTruth>,
    profiles: BTreeMap<String, Profile>,
    shop: ShopSimulator,
}

fn fold_shop() -> FoldedShop {
    let config = SimulateConfig { users: 400, days: 60, items: 300, ..Default::default() };
    let mut shop = ShopSimulator::new(7, config);
    let truths = shop.truths().to_vec();
    let mut profiles: BTreeMap<String, Profile> = BTreeMap::new();
    for event in shop.by_ref().filter_map(ShopEvent::into_event) {
        let record = record(&event);
        let new = || Profile::new(record.user_id.clone());
        profiles.entry(event.user_id).or_insert_with(new).apply(&record);
    }
    FoldedShop { truths, profiles, shop }
}

fn read(profile: &Profile, at: Timestamp) -> v1::Profile {
    profile.view_at(at).into()
}

#[test]
fn profiles_recover_what_was_planted() {
    let folded = fold_shop();
    let mut summary = DemoSummary::default();
    let ends = folded.shop.end();
    for truth in &folded.truths {
        if let Some(profile) = folded.profiles.get(&truth.user_id) {
            summary.take(truth, &ProfileFacts::of(&read(profile, ends.midnight())), ends);
        }
    }
    let rows = [
        ("favourite", summary.favourite(), 0.9),
        ("rhythm", summary.rhythm(), 0.9),
        ("changed", summary.changed(), 0.6),
    ];
    for (name, share, min) in rows {
        assert!(share.of > 20, "{name}: {share:?}");
        assert!(share.ratio() >= min, "{name}: {share:?}");
    }
    let table = summary.table().to_string();
    for kind in UserType::ALL {
        assert!(table.contains(kind.name()), "no {kind} in\n{table}");
    }
}

#[test]
fn personas_are_introduced_with_their_current_habits() {
    let folded = fold_shop();
    let ends = folded.shop.end();
    for persona in personas::choose(&folded.truths, folded.shop.promotion()) {
        let facts = folded
            .profiles
            .get(&persona.truth.user_id)
            .map(|profile| ProfileFacts::of(&read(profile, ends.midnight())));
        let line = persona.line(facts.as_ref());
        assert!(line.contains(&persona.truth.user_id), "{line}");
        assert!(!line.contains("no profile yet"), "{line}");
        match persona.truth.change {
            Some(change) => {
                assert!(persona.introduction().contains(change.category), "{}", persona.introduction());
            }
            None => {
                assert!(
                    persona.introduction().contains(persona.truth.category),
                    "{}",
                    persona.introduction()
                );
            }
        }
    }
    assert_eq!(personas::choose(&[], None).len(), 0);
    assert_eq!(personas::choose(&folded.truths, folded.shop.promotion()).len(), 3);
}

/// Narrator that collects the lines.
#[derive(Default)]
struct Lines(Vec<String>);

impl Narrator for Lines {
    fn line(&mut self, text: &str) {
        self.0.push(text.to_owned());
    }

    fn progress(&mut self, done: u64, total: u64, _: &str) {
        assert!(done <= total + 1, "day {done} of {total}");
    }
}

/// Result of a demo against the naive server, and the number of changes that models alone caused.
struct DemoRun {
    report: Result<DemoReport>,
    story: String,
    moved_by_models: u64,
}

async fn run_demo(fault: Fault, min: usize) -> DemoRun {
    let incoming = TcpIncoming::bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
    let url = format!("http://{}", incoming.local_addr().expect("it is bound"));
    let stop = CancellationToken::new();
    let naive = Naive::new(fault);
    let server = Server::builder()
        .add_service(IngestServiceServer::new(naive.clone()))
        .add_service(QueryServiceServer::new(naive.clone()))
        .add_service(ModelServiceServer::new(naive.clone()))
        .add_service(FeatureServiceServer::new(naive.clone()));
    tokio::spawn(server.serve_with_incoming_shutdown(incoming, stop.clone().cancelled_owned()));
    let script = DemoScript {
        seed: 7,
        shop: SimulateConfig { users: 80, days: 30, items: 60, ..Default::default() },
        users_min: min,
    };
    let mut lines = Lines::default();
    let report = run_against(&url, &script, Arc::new(ManualClock::new(0)), &mut lines).await;
    stop.cancel();
    DemoRun { report, story: lines.0.join("\n"), moved_by_models: naive.moved_by_models() }
}

#[tokio::test]
async fn the_demo_narrates_every_part_and_accounts_for_every_record() {
    let DemoRun { report, story, moved_by_models } = run_demo(Fault::None, 10).await;
    let report = report.expect("nothing is wrong with that server");
    let expected =
        ShopSimulator::new(7, SimulateConfig { users: 80, days: 30, items: 60, ..Default::default() });
    let (users, expected) = (expected.truths().len() as u64, expected.collect::<Vec<_>>());
    let events = expected.iter().cloned().filter_map(ShopEvent::into_event).count() as u64;
    let items = expected.iter().filter(|event| matches!(event.kind, ShopEventKind::Item(_))).count() as u64;
    assert_eq!((report.events, report.profiles), (events, users));
    assert_eq!(
        report.changes,
        expected.len() as u64 - items + moved_by_models,
        "one for each record, as that server commits each alone, and one for each user moved by a model"
    );
    assert!(
        report.favourite.ratio() > 0.8,
        "{:?}: categories of the catalogue are missing",
        report.favourite
    );
    // The first, and one for every third of the 23 evenings after it.
    assert_eq!((report.model, report.purity.of), (8, users));
    assert!(report.segment_changes > users, "{report:?}: no user has moved");
    assert!((0.0..0.9).contains(&report.agreement), "{report:?}");
    for part in [
        "day 1 ",
        "day 30 ",
        "low prices on shoes begins",
        "low prices on shoes are over",
        "change their habits",
        "model 1: 2 segments of ",
        "day people (s1)",
        "drift detected: 1 component moved since model 1",
        "most of all share of activity at night",
        "the server trains model 2: 2 of 2 segments kept",
        "in another segment than before the change: ",
        ": day people (s1) -> night people (s2)",
        "share of activity at night: 50%, 2.0 standard deviations above the mean",
        "the server trains model 3: 2 of 2 segments kept",
        "segments of model 8",
        "adjusted Rand index",
    ] {
        assert!(story.contains(part), "{part:?} is missing in\n{story}");
    }
}

#[tokio::test]
async fn too_few_users_give_no_segments_and_the_demo_reports_it() {
    let DemoRun { report, story, .. } = run_demo(Fault::None, 81).await;
    let report = report.expect("nothing is wrong with that server");
    assert_eq!((report.model, report.segment_changes, report.purity.of), (0, 0, 0));
    assert!(story.contains("no segments yet: ") && story.contains("a model needs 81"), "{story}");
    assert!(!story.contains("adjusted Rand index"), "{story}");
}

#[tokio::test]
async fn a_server_that_loses_duplicates_rejects_or_hides_something_is_detected() {
    let rows = [
        (Fault::LosesTheHundredthEvent, "79 of 80 profiles contain exactly what was sent"),
        (Fault::DuplicatesTheHundredthEvent, "79 of 80 profiles contain exactly what was sent"),
        (Fault::RejectsTheHundredthEvent, "events[0].price was rejected"),
        (Fault::HidesASegmentChange, "no segment by changes, s1 by the profile"),
    ];
    for (fault, message) in rows {
        let error = run_demo(fault, 10).await.report.expect_err("something is wrong with that server");
        let error = error.to_string();
        assert!(error.contains(message), "{fault:?}: {error}");
    }
}
