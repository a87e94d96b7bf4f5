//! Shops of few or equal users, through the commands: they cost segments and no other answer, and what is missing is said.

use super::segments::{segments, wait_for_sweep};
use portrait_client::RoleRouter;
use portrait_proto::v1::ListSegmentsResponse;
use portrait_tests::{Server, census, connect, portrait_command, wait_until};
use serde_json::json;
use std::fmt::Write;

/// Server without automatic trainings, with segments from 20 users on.
struct SmallShop {
    server: Server,
    channel: RoleRouter,
    folder: tempfile::TempDir,
}

impl SmallShop {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let settings = ["model.automatic=false", "model.rows_min=20", "profiles.clock=events"];
        let flags: Vec<&str> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
        let server = Server::start(&folder.path().join("data"), &flags);
        let channel = connect(server.grpc_url()).await;
        Self { server, channel, folder }
    }

    /// Runs a command that must succeed, and returns its output.
    fn run(&self, arguments: &[&str]) -> String {
        let (success, output) = self.try_run(arguments);
        assert!(success, "{arguments:?}: {output}");
        output
    }

    /// Runs a command; returns its success and its output.
    fn try_run(&self, arguments: &[&str]) -> (bool, String) {
        let mut command = portrait_command();
        command.args(arguments).args(["--to", self.server.grpc_url()]);
        let output = command.output().expect("the binary under test is built");
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&text).into_owned())
    }

    /// Imports events, and waits until there are as many users, with as many events in all.
    async fn import(&self, events: &[serde_json::Value], users: usize, applied: u64) {
        let mut lines = String::new();
        for event in events {
            writeln!(lines, "{event}").expect("a string can be written to");
        }
        let file = self.folder.path().join("log.jsonl");
        std::fs::write(&file, lines).expect("the folder is there");
        self.run(&["import", file.to_str().expect("a path"), "--format", "jsonl"]);
        wait_until("all events are applied", async || {
            let census = census(self.channel.clone()).await;
            census.len() == users && census.values().map(|(applied, _)| applied).sum::<u64>() == applied
        })
        .await;
    }

    async fn segments(&self) -> ListSegmentsResponse {
        segments(&self.channel).await.expect("there is a model")
    }
}

fn event(user: &str, action: &str, minute: usize, item: &str) -> serde_json::Value {
    json!({
        "event_id": format!("{user}-{minute}"), "user_id": user, "action": action,
        "occurred_at": format!("2026-11-20T00:{minute:02}:00Z"), "item_id": item, "category": "c", "price": 5,
    })
}

/// Users of two kinds: one views, fills the cart and buys, the other only views.
fn two_kinds(users: usize) -> Vec<serde_json::Value> {
    let mut events = Vec::new();
    for number in 0..users {
        let user = format!("s{number}");
        for (minute, action) in ["view", "add_to_cart", "purchase"].into_iter().enumerate() {
            events.push(event(&user, if number % 2 == 0 { action } else { "view" }, minute, "only"));
        }
    }
    events
}

#[tokio::test(flavor = "multi_thread")]
async fn users_who_are_all_alike_are_recommended_what_others_had() {
    let shop = SmallShop::start().await;
    let alike: Vec<_> =
        (0..40).map(|number| event(&format!("a{number}"), "view", 0, &format!("i{}", number % 7))).collect();
    shop.import(&alike, 40, 40).await;
    let trained = shop.run(&["train", "--choose"]);
    assert!(trained.contains("model 1: no segments, learned from 40 users"), "{trained}");
    assert!(trained.contains("no segments: 40 users cannot be distinguished by how they shop"), "{trained}");
    let recommended = shop.run(&["recommend", "nobody"]);
    assert!((0..7).all(|item| recommended.contains(&format!("i{item}"))), "{recommended}");
    let similar = shop.run(&["similar", "a0"]);
    assert!((1..40).any(|other| similar.contains(&format!("a{other}"))), "{similar}");
    let (success, next) = shop.try_run(&["next", "a0"]);
    assert!(!success && next.contains("without transitions"), "its own reason, not that of segments: {next}");
    let listed = shop.run(&["segments"]);
    assert!(
        listed.contains("model 1 has no segments") && listed.contains("cannot be distinguished"),
        "{listed}"
    );
    let (success, explained) = shop.try_run(&["segments", "--explain", "a0"]);
    assert!(!success && explained.contains("it has no segments"), "{explained}");

    // Others come, who differ: the next training has segments.
    shop.import(&two_kinds(40), 80, 160).await;
    let trained = shop.run(&["train"]);
    assert!(trained.contains("model 2: 3 segments of 80 users"), "{trained}");
    let swept = wait_for_sweep(&shop.channel, 2, 80).await;
    let mut sizes: Vec<u64> = swept.segments.iter().map(|segment| segment.size).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [20, 20, 40]);
    assert!(shop.run(&["next", "s0"]).contains("view"));
}

#[tokio::test(flavor = "multi_thread")]
async fn users_of_two_kinds_are_in_two_segments() {
    let shop = SmallShop::start().await;
    shop.import(&two_kinds(40), 40, 120).await;
    for (version, wanted, reason) in [
        (1, &["train", "--choose"][..], "only 2 segments could be distinguished"),
        (2, &["train", "--segments", "12"], "of 12 segments only 2 could be distinguished"),
        (3, &["train"], ""),
    ] {
        let trained = shop.run(wanted);
        assert!(trained.contains(&format!("model {version}: 2 segments of 40 users")), "{trained}");
        assert!(trained.contains(reason), "{trained}");
        assert_eq!(trained.contains("distinguished"), !reason.is_empty(), "{trained}");
        let listed = wait_for_sweep(&shop.channel, version, 40).await;
        let found: Vec<(&str, u64)> =
            listed.segments.iter().map(|one| (one.segment_id.as_str(), one.size)).collect();
        assert!(found.contains(&("s1", 20)) && found.contains(&("s2", 20)) && found.len() == 2, "{found:?}");
        for segment in &listed.segments {
            assert!(!segment.name.ends_with(|last: char| last.is_ascii_digit()), "{}", segment.name);
            assert!(!segment.name.starts_with("everyday"), "{}", segment.name);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn too_few_users_for_segments_get_a_model_and_segments_when_they_are_more() {
    let shop = SmallShop::start().await;
    shop.import(&two_kinds(10), 10, 30).await;
    let trained = shop.run(&["train"]);
    assert!(trained.contains("no segments: there are 10 users, and segments need 20"), "{trained}");
    assert!(shop.segments().await.segments.is_empty());
    assert!(shop.run(&["recommend", "nobody"]).contains("only"));
    assert!(shop.run(&["next", "s0"]).contains("purchase"));
    shop.import(&two_kinds(24), 24, 72).await;
    let trained = shop.run(&["train"]);
    assert!(trained.contains("model 2: 2 segments of 24 users"), "{trained}");
    wait_for_sweep(&shop.channel, 2, 24).await;
    assert!(shop.run(&["segments", "--explain", "s0"]).contains("distance"));
}
