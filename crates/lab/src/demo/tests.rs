//! The demo's figures and its proof: profiles folded from the simulated shop's events must show what was planted, and a server
//! that loses or doubles a single event must be found out.

mod naive;

use super::personas;
use super::facts::ProfileFacts;
use super::summary::DemoSummary;
use super::{Narrator, DemoReport, DemoScript, run_against};
use crate::replay;
use crate::simulate::{ShopEvent, ShopSimulator, UserTruth, UserType, SimulateConfig, ShopEventKind};
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

/// What ingest makes of an event of the simulated shop.
fn record(event: &v1::Event) -> Record {
    replay::record(event).expect("an event of the simulated shop")
}

struct Told {
    truths: Vec<UserTruth>,
    profiles: BTreeMap<String, Profile>,
    shop: ShopSimulator,
}

fn told() -> Told {
    let config = SimulateConfig { users: 400, days: 60, items: 300, ..Default::default() };
    let mut shop = ShopSimulator::new(7, config);
    let truths = shop.truths().to_vec();
    let mut profiles: BTreeMap<String, Profile> = BTreeMap::new();
    for event in shop.by_ref().filter_map(ShopEvent::into_event) {
        let record = record(&event);
        let new = || Profile::new(record.user_id.clone());
        profiles.entry(event.user_id).or_insert_with(new).apply(&record);
    }
    Told { truths, profiles, shop }
}

fn read(profile: &Profile, at: Timestamp) -> v1::Profile {
    profile.view_at(at).into()
}

#[test]
fn profiles_recover_what_was_planted() {
    let told = told();
    let mut summary = DemoSummary::default();
    let ends = told.shop.end();
    for truth in &told.truths {
        if let Some(profile) = told.profiles.get(&truth.user_id) {
            summary.take(truth, &ProfileFacts::of(&read(profile, ends.midnight())), ends);
        }
    }
    let rows = [
        ("favourite", summary.favourite(), 0.9),
        ("rhythm", summary.rhythm(), 0.9),
        ("changed", summary.changed(), 0.6),
    ];
    for (name, share, least) in rows {
        assert!(share.of > 20, "{name}: {share:?}");
        assert!(share.ratio() >= least, "{name}: {share:?}");
    }
    let table = summary.table().to_string();
    for kind in UserType::ALL {
        assert!(table.contains(kind.name()), "no {kind} in\n{table}");
    }
}

#[test]
fn a_change_of_habits_is_seen_and_its_absence_too() {
    let told = told();
    let ends = told.shop.end();
    for role in personas::choose(&told.truths, told.shop.promotion()) {
        let facts =
            told.profiles.get(&role.truth.user_id).map(|profile| ProfileFacts::of(&read(profile, ends.midnight())));
        let line = role.line(facts.as_ref());
        assert!(line.contains(&role.truth.user_id), "{line}");
        assert!(!line.contains("no profile yet"), "{line}");
        match role.truth.change {
            Some(change) => assert!(role.introduction().contains(change.category), "{}", role.introduction()),
            None => assert!(role.introduction().contains(role.truth.category), "{}", role.introduction()),
        }
    }
    assert_eq!(personas::choose(&[], None).len(), 0);
    assert_eq!(personas::choose(&told.truths, told.shop.promotion()).len(), 3);
}

/// Remembers what was said.
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

/// What came of telling the naive server, and how many changes it made for models alone.
struct Telling {
    outcome: Result<DemoReport>,
    story: String,
    moved_by_models: u64,
}

async fn told_to(fault: Fault, least: usize) -> Telling {
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
        users_min: least,
    };
    let mut lines = Lines::default();
    let outcome = run_against(&url, &script, Arc::new(ManualClock::new(0)), &mut lines).await;
    stop.cancel();
    Telling { outcome, story: lines.0.join("\n"), moved_by_models: naive.moved_by_models() }
}

#[tokio::test]
async fn the_whole_story_is_told_and_every_record_accounted_for() {
    let Telling { outcome, story, moved_by_models } = told_to(Fault::None, 10).await;
    let outcome = outcome.expect("nothing is wrong with that server");
    let expected = ShopSimulator::new(7, SimulateConfig { users: 80, days: 30, items: 60, ..Default::default() });
    let (shoppers, expected) = (expected.truths().len() as u64, expected.collect::<Vec<_>>());
    let events = expected.iter().cloned().filter_map(ShopEvent::into_event).count() as u64;
    let items = expected.iter().filter(|happening| matches!(happening.kind, ShopEventKind::Item(_))).count() as u64;
    assert_eq!((outcome.events, outcome.profiles), (events, shoppers));
    assert_eq!(
        outcome.changes,
        expected.len() as u64 - items + moved_by_models,
        "one for each record, as that server commits each alone, and for each whom a model has moved"
    );
    assert!(outcome.favourite.ratio() > 0.8, "{:?}: what the catalogue knows is missing", outcome.favourite);
    // The first, and one for every third of the 23 evenings after it.
    assert_eq!((outcome.model, outcome.purity.of), (8, shoppers));
    assert!(outcome.segment_changes > shoppers, "{outcome:?}: nobody has moved");
    assert!((0.0..0.9).contains(&outcome.agreement), "{outcome:?}");
    for part in [
        "day 1 ",
        "day 30 ",
        "low prices on shoes begins",
        "low prices on shoes are over",
        "change their habits",
        "model 1: 2 segments of ",
        "day people (s1)",
        "drift noticed: 1 component moved since model 1",
        "most of all how much is done at night",
        "the server trains model 2: 2 of 2 segments kept",
        "in another segment than before the change: ",
        ": day people (s1) -> night people (s2)",
        "how much is done at night: 50%, 2.0 standard deviations above the mean",
        "the server trains model 3: 2 of 2 segments kept",
        "the segments of model 8",
        "adjusted Rand index",
    ] {
        assert!(story.contains(part), "{part:?} is missing in\n{story}");
    }
}

#[tokio::test]
async fn too_few_shoppers_have_no_segments_and_the_story_says_so() {
    let Telling { outcome, story, .. } = told_to(Fault::None, 81).await;
    let outcome = outcome.expect("nothing is wrong with that server");
    assert_eq!((outcome.model, outcome.segment_changes, outcome.purity.of), (0, 0, 0));
    assert!(story.contains("no segments yet: ") && story.contains("a model needs 81"), "{story}");
    assert!(!story.contains("adjusted Rand index"), "{story}");
}

#[tokio::test]
async fn a_server_that_loses_doubles_refuses_or_hides_something_is_found_out() {
    let rows = [
        (Fault::LosesTheHundredthEvent, "79 of 80 profiles hold exactly what was sent"),
        (Fault::DoublesTheHundredthEvent, "79 of 80 profiles hold exactly what was sent"),
        (Fault::RejectsTheHundredthEvent, "events[0].price was rejected"),
        (Fault::HidesASegmentChange, "no segment was told, s1 is read"),
    ];
    for (fault, message) in rows {
        let error = told_to(fault, 10).await.outcome.expect_err("something is wrong with that server");
        let error = error.to_string();
        assert!(error.contains(message), "{fault:?}: {error}");
    }
}
