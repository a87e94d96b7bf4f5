//! Identity of a store: another one or an empty one is refused at the start, and noticed once under a running process.

use super::fixture::{PATIENCE, append, commit, eventually, log, meta, open, options, own, partition};
use super::openings::refused;
use portrait_store::{AckLevel, Error, LogSeq, LogStore, OwnerStore, StoreId, StoreInfo};
use portrait_store_redis::testing::{Cluster, Server, until};
use portrait_store_redis::{RedisOptions, RedisStore};
use std::time::{Duration, Instant};

/// Opens the store on `url`, which must have its id from now on.
async fn open_required(url: &str) -> RedisStore {
    let id = open(url, AckLevel::Memory).await.layout().id;
    RedisStore::open(required(url, id)).await.expect("it has its id")
}

fn required(url: &str, id: StoreId) -> RedisOptions {
    RedisOptions { id: Some(id), ping_interval: Duration::from_millis(100), ..options(url, AckLevel::Memory) }
}

/// Waits until the store has found `losses` losses.
async fn lost(store: &RedisStore, losses: u64) {
    let begun = Instant::now();
    while store.health().losses() < losses {
        assert!(begun.elapsed() < PATIENCE, "the loss is not noticed");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Returns the number of scripts that the server has run, one for each comparison of an idle store.
fn comparisons(server: &Server) -> u64 {
    let calls = server.info("cmdstat_evalsha").unwrap_or_default();
    calls.strip_prefix("calls=").and_then(|rest| rest.split(',').next()?.parse().ok()).unwrap_or_default()
}

#[tokio::test]
async fn a_store_keeps_its_id_and_another_or_an_empty_one_is_refused() {
    let server = Server::start(&[]);
    let id = open(&server.url(), AckLevel::Memory).await.layout().id;
    assert_eq!(open(&server.url(), AckLevel::Memory).await.layout().id, id);
    assert_eq!(refused(required(&server.url(), id)).await, None);
    let other = StoreId::random();
    let empty = Server::start(&[]);
    let another = Server::start(&[]);
    drop(open(&another.url(), AckLevel::Memory).await);
    let rows = [
        ("another id", required(&server.url(), other), vec![id.to_string(), other.to_string()]),
        ("an empty server", required(&empty.url(), id), vec![id.to_string(), "no store".to_owned()]),
        (
            "another prefix",
            RedisOptions { prefix: "another".to_owned(), ..required(&server.url(), id) },
            vec!["no store under another".to_owned(), "store.prefix".to_owned()],
        ),
        ("another server", required(&another.url(), id), vec![id.to_string(), "has the id".to_owned()]),
    ];
    for (what, options, parts) in rows {
        let said = refused(options).await.expect(what);
        assert!(said.contains("store.id"), "{what}: {said}");
        for part in parts {
            assert!(said.contains(&part), "{what}: {said}");
        }
    }
    assert_eq!(server.command::<u32>("EXISTS {another:layout}"), 0, "nothing was created");
}

#[tokio::test]
async fn a_store_of_a_release_before_ids_gets_one() {
    let server = Server::start(&[]);
    let first = open(&server.url(), AckLevel::Memory).await.layout();
    server.command::<()>("HDEL {portrait:layout} id");
    let second = open(&server.url(), AckLevel::Memory).await.layout();
    assert_ne!(second.id, first.id);
    assert_eq!((second.partitions, second.pseudonym_key), (first.partitions, first.pseudonym_key));
    assert_eq!(open(&server.url(), AckLevel::Memory).await.layout().id, second.id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_required_id_nothing_begins_in_place_of_a_lost_store() {
    for loss in ["restart", "FLUSHALL", "FLUSHDB"] {
        let mut server = Server::start(&[]);
        let store = open_required(&server.url()).await;
        let token = own(&store, 0).await;
        append(&store, 0, "record", AckLevel::Memory).await.expect("there is space");
        let before = meta(&store, 0).await;
        if loss == "restart" {
            server.kill();
            server.restart();
        } else {
            server.command::<()>(loss);
        }
        let step = commit(&before, token, LogSeq::new(1));
        assert!(store.commit(partition(&store, 0), step).await.is_err(), "{loss}");
        // Partition 1 had no data, so that only the id of the store tells that it is not a new one.
        for number in [0, 1] {
            let refused = append(&store, number, "refused", AckLevel::Memory).await;
            assert!(matches!(refused, Err(Error::Unavailable(_))), "{loss}: {refused:?}");
            assert!(store.meta(partition(&store, number)).await.is_err(), "{loss}");
        }
        lost(&store, 1).await;
        let keys: Vec<String> = server.command("KEYS *");
        assert_eq!(keys, Vec::<String>::new(), "{loss}: nothing was written");
        let problems = store.health().problems();
        assert!(
            problems.iter().any(|problem| problem.blocks_calls && problem.text.contains("store.id")),
            "{problems:?}"
        );
        // The upkeep compares again and again, and the loss counts once.
        let before = comparisons(&server);
        until("the id is compared again", || comparisons(&server) > before + 3);
        assert_eq!(store.health().losses(), 1, "{loss}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_whose_data_comes_back_is_used_again() {
    let mut server = Server::start(&[]);
    let store = open_required(&server.url()).await;
    append(&store, 0, "record", AckLevel::Memory).await.expect("there is space");
    server.command::<()>("SAVE");
    let snapshot = server.folder().join("dump.rdb");
    let kept = server.folder().join("kept");
    std::fs::rename(&snapshot, &kept).expect("it was saved");
    server.kill();
    server.restart();
    lost(&store, 1).await;
    server.kill();
    std::fs::rename(&kept, &snapshot).expect("it was kept");
    server.restart();
    eventually("the store is back", async || append(&store, 0, "later", AckLevel::Memory).await).await;
    assert_eq!(log(&store, 0).await, ["record", "later"]);
    assert!(store.health().problems().is_empty());
}

#[tokio::test]
async fn without_a_required_id_a_lost_store_begins_anew_and_every_process_counts_it_once() {
    let mut server = Server::start(&[]);
    let frequent = || RedisOptions {
        ping_interval: Duration::from_millis(100),
        ..options(&server.url(), AckLevel::Memory)
    };
    let one = RedisStore::open(frequent()).await.expect("a store");
    let idle = RedisStore::open(frequent()).await.expect("a store");
    for number in 0..4 {
        append(&one, number, "lost", AckLevel::Memory).await.expect("there is space");
        meta(&idle, number).await;
    }
    server.kill();
    server.restart();
    eventually("it begins anew", async || append(&one, 0, "new", AckLevel::Memory).await).await;
    for store in [&one, &idle] {
        lost(store, 1).await;
        for number in 0..4 {
            meta(store, number).await;
        }
        assert_eq!(store.health().losses(), 1, "one loss, not one for each partition");
        let problems = store.health().problems();
        assert!(
            problems.iter().any(|problem| problem.text.contains("lost") && !problem.blocks_calls),
            "{problems:?}"
        );
    }
    assert_eq!(log(&one, 0).await, ["new"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_loses_one_server_is_noticed_by_its_partitions() {
    let mut cluster = Cluster::start(&[]);
    let store = open_required(&cluster.url()).await;
    let layout = cluster.shard_of("{portrait:layout}").0;
    // A partition that is not on the server of the layout, whose id is still there.
    let number = (0..4).find(|number| cluster.shard_of(&format!("{{portrait:{number}}}")).0 != layout);
    let number = number.expect("partitions on several servers");
    append(&store, number, "record", AckLevel::Memory).await.expect("there is space");
    let (primary, replica) = cluster.shard_of(&format!("{{portrait:{number}}}"));
    cluster.servers[replica].kill();
    cluster.servers[primary].command::<()>("FLUSHALL");
    until("the server is empty", || cluster.servers[primary].command::<u64>("DBSIZE") == 0);
    let refused = append(&store, number, "refused", AckLevel::Memory).await;
    assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
    assert_eq!(store.health().losses(), 1);
    assert_eq!(cluster.servers[primary].command::<u64>("DBSIZE"), 0, "nothing was written");
}
