//! Rights that are missing: each is named once, nothing storms the server, and what can do without it goes on.

use super::fixture::{NOW, ON_DISK, WRITTEN, append, commit, eventually, log, meta, options, own, partition};
use super::openings::refused;
use portrait_profile::{TimeDelta, Timestamp};
use portrait_store::{
    AckLevel, CatalogueStore, Error, FeedSeq, FeedStore, LogSeq, LogStore, Member, MembershipStore,
    OwnerStore, RegistryStore, StoreInfo, Trim,
};
use portrait_store_redis::testing::{Cluster, Pair, Server};
use portrait_store_redis::{CommandClass, RedisOptions, RedisStore};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Rights of the user that docs/operate/redis.md lists.
const DOCUMENTED: &str = include_str!("../../../../docs/operate/redis.md");

/// Adds a user `pw` with these rights, and returns the URL with it.
fn url_of_user(server: &Server, rights: &str) -> String {
    server.command::<()>(&format!("ACL SETUSER pw on >pw {rights}"));
    server.url().replace("redis://", "redis://pw:pw@")
}

/// Returns the rights after `ACL SETUSER portrait on >PASSWORD` in the documentation.
fn documented_rights() -> &'static str {
    let begin = "ACL SETUSER portrait on >PASSWORD ";
    DOCUMENTED.lines().find_map(|line| line.strip_prefix(begin)).expect("the page lists the rights")
}

fn connections(server: &Server) -> u64 {
    server.info("total_connections_received").and_then(|count| count.parse().ok()).expect("a number")
}

fn refusals(store: &RedisStore, class: CommandClass) -> u64 {
    store.health().refusals().find(|(known, _)| *known == class).map_or(0, |(_, count)| count)
}

/// Waits for the next record and the next change of every partition, as the workers and feeds of a process do, and returns the
/// longest time until they were read.
async fn readers_see_what_is_written(store: &Arc<RedisStore>) -> Duration {
    let mut readers = tokio::task::JoinSet::new();
    for number in 0..4 {
        let (logs, feeds) = (Arc::clone(store), Arc::clone(store));
        let wait = Duration::from_secs(20);
        readers.spawn(async move {
            let page = logs.read_log(partition(&logs, number), LogSeq::ZERO, 1, 1000, wait).await;
            page.expect("the log is read").records.len()
        });
        readers.spawn(async move {
            let page = feeds.read_feed(partition(&feeds, number), FeedSeq::ZERO, 1, wait).await;
            page.expect("the feed is read").changes.len()
        });
    }
    tokio::task::yield_now().await;
    let begun = Instant::now();
    for number in 0..4 {
        append(store, number, "record", AckLevel::Memory).await.expect("there is space");
        let token = own(store, number).await;
        let step = commit(&meta(store, number).await, token, LogSeq::new(1));
        store.commit(partition(store, number), step).await.expect("the owner commits");
    }
    while let Some(read) = readers.join_next().await {
        assert_eq!(read.expect("no panic"), 1);
    }
    begun.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_without_channels_is_served_by_polling_and_opens_few_connections() {
    let rights = [
        ("~{portrait:* +@all", "&{portrait:*"),
        ("~{portrait:* &{portrait:* +@all -ssubscribe", "+ssubscribe"),
        ("~{portrait:* &{portrait:* +@all -spublish", "+spublish"),
        ("~{portrait:* &other:* +@all", "&{portrait:*"),
    ];
    for (rights, missing) in rights {
        let server = Server::start(&[]);
        let store = RedisStore::open(options(&url_of_user(&server, rights), AckLevel::Memory)).await;
        let store = Arc::new(store.expect("it polls"));
        let warnings = store.warnings();
        assert!(
            warnings.iter().any(|text| text.contains(missing) && text.contains("polling")),
            "{warnings:?}"
        );
        let before = connections(&server);
        let delay = readers_see_what_is_written(&store).await;
        assert!(delay < Duration::from_secs(2), "{rights}: {delay:?}");
        // The subscribing connection of the listener, and those of this test's own commands.
        assert!(
            connections(&server) - before <= 3,
            "{rights}: {} connections",
            connections(&server) - before
        );
        assert!(refusals(&store, CommandClass::Channel) <= 3, "asked again and again");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_sharded_channels_is_served_by_polling() {
    let server = Server::start(&[("rename-command", "SSUBSCRIBE NOTHING")]);
    let store = RedisStore::open(options(&server.url(), AckLevel::Memory)).await;
    let store = Arc::new(store.expect("it polls"));
    let warnings = store.warnings();
    assert!(warnings.iter().any(|text| text.contains("SSUBSCRIBE")), "{warnings:?}");
    let before = connections(&server);
    readers_see_what_is_written(&store).await;
    assert!(connections(&server) - before <= 3);
}

#[tokio::test]
async fn a_right_without_which_nothing_works_is_named_at_the_start() {
    let rows = [
        ("&* +@all ~other:*", AckLevel::Memory, "~{portrait:*"),
        ("~* &* +@all -evalsha", AckLevel::Memory, "+evalsha"),
        ("~* &* +@all -script", AckLevel::Memory, "+script"),
        ("~* &* +@all -info", AckLevel::Memory, "+info"),
        ("~* &* +@all -hmget", AckLevel::Memory, "docs/operate/redis.md"),
        ("~* &* +@all -config", AckLevel::Disk, "CONFIG GET"),
    ];
    for (rights, level, missing) in rows {
        let server = Server::start(&ON_DISK);
        let said = refused(options(&url_of_user(&server, rights), level)).await.expect(rights);
        assert!(said.contains(missing), "{rights}: {said}");
    }
    let pair = Pair::start(&WRITTEN);
    let url = url_of_user(&pair.primary, "~* &* +@all -wait");
    let said = refused(options(&url, AckLevel::Replica)).await.expect("no write would be acknowledged");
    assert!(said.contains("+wait"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_that_changes_makes_no_storm_and_is_named_once() {
    let server = Server::start(&[]);
    let url = url_of_user(&server, "~* &* +@all");
    let options =
        RedisOptions { retry_timeout: Duration::from_millis(50), ..options(&url, AckLevel::Memory) };
    let store = Arc::new(RedisStore::open(options).await.expect("a store"));
    append(&store, 0, "before", AckLevel::Memory).await.expect("there is space");
    server.command::<()>("ACL SETUSER pw resetpass >other");
    server.command::<()>("CLIENT KILL USER pw");
    let before = connections(&server);
    let begun = Instant::now();
    let mut appending = tokio::task::JoinSet::new();
    for number in 0..8 {
        let store = Arc::clone(&store);
        appending.spawn(async move {
            let mut attempts = 0;
            while begun.elapsed() < Duration::from_secs(4) {
                let refused = append(&store, number % 4, "refused", AckLevel::Memory).await;
                assert!(matches!(refused, Err(Error::Unavailable(_))), "a right may come back: {refused:?}");
                attempts += 1;
            }
            attempts
        });
    }
    let mut attempts = 0;
    while let Some(count) = appending.join_next().await {
        attempts += count.expect("no panic");
    }
    let opened = connections(&server) - before;
    assert!(attempts > 20 && opened <= 3 * 5, "{opened} connections for {attempts} appends");
    let problems = store.health().problems();
    let named = problems.iter().filter(|problem| problem.text.contains("store.url")).count();
    assert_eq!(named, 1, "{problems:?}");
    server.command::<()>("ACL SETUSER pw resetpass >pw");
    eventually("the password is right again", async || append(&store, 0, "after", AckLevel::Memory).await)
        .await;
}

#[tokio::test]
async fn a_right_that_is_taken_away_is_named_and_comes_back() {
    let server = Server::start(&[]);
    let url = url_of_user(&server, "~* &* +@all");
    let store = RedisStore::open(options(&url, AckLevel::Memory)).await.expect("a store");
    append(&store, 0, "before", AckLevel::Memory).await.expect("there is space");
    let before = connections(&server);
    server.command::<()>("ACL SETUSER pw -evalsha");
    for _ in 0..10 {
        assert!(append(&store, 0, "refused", AckLevel::Memory).await.is_err());
    }
    assert_eq!(refusals(&store, CommandClass::Script), 10);
    let problems = store.health().problems();
    assert!(problems.len() == 1 && problems[0].text.contains("+evalsha"), "{problems:?}");
    assert!(connections(&server) - before <= 2, "a refusal is no reason to connect anew");
    server.command::<()>("ACL SETUSER pw +evalsha");
    append(&store, 0, "after", AckLevel::Memory).await.expect("it is allowed again");
    assert_eq!(log(&store, 0).await, ["before", "after"]);
}

/// Uses every role of the store.
async fn use_everything(store: &RedisStore, level: AckLevel) {
    append(store, 0, "record", level).await.expect("logs");
    let token = own(store, 0).await;
    let state = meta(store, 0).await;
    store.commit(partition(store, 0), commit(&state, token, LogSeq::new(1))).await.expect("commits");
    let items = vec![(bytes::Bytes::from_static(b"i"), bytes::Bytes::from_static(b"item"))];
    store.put_items(items, level).await.expect("the catalogue");
    store.put_part(bytes::Bytes::from_static(b"part")).await.expect("parts");
    store.parts().await.expect("parts");
    store.registry(None, Duration::ZERO).await.expect("models");
    store.heartbeat(&Member::named("worker"), TimeDelta::from_days(1), NOW).await.expect("members");
    store.deregister(Member::named("worker").id).await.expect("members");
    let trim =
        Trim { now: NOW, log_before: Timestamp::EPOCH, log_bytes_max: None, feed_before: Timestamp::EPOCH };
    store.trim(partition(store, 0), trim).await.expect("trims");
    store.space().await.expect("memory");
    store.rewrite_files().await.expect("rewrites");
}

#[tokio::test]
async fn the_documented_rights_suffice_on_one_server_with_replicas_and_on_a_cluster() {
    let rights = documented_rights();
    assert!(rights.contains("-@dangerous") && rights.contains("~{portrait:*"), "{rights}");
    let server = Server::start(&ON_DISK);
    let store = RedisStore::open(options(&url_of_user(&server, rights), AckLevel::Disk)).await.expect(rights);
    use_everything(&store, AckLevel::Disk).await;
    assert_eq!(store.warnings(), Vec::<String>::new());
    for command in ["FLUSHALL", "KEYS *", "CONFIG SET maxmemory 1", "SAVE", "SHUTDOWN", "GET other"] {
        let mut connection = redis::Client::open(url_of_user(&server, ""))
            .expect("a URL")
            .get_connection()
            .expect("it may connect");
        let mut words = redis::Cmd::new();
        words.arg(command.split(' ').collect::<Vec<_>>());
        let refused = words.query::<redis::Value>(&mut connection).expect_err(command);
        assert_eq!(refused.code(), Some("NOPERM"), "{command}");
    }
    let pair = Pair::start(&WRITTEN);
    // The replica's files are rewritten by the same user.
    url_of_user(&pair.replica, rights);
    let store = RedisStore::open(options(&url_of_user(&pair.primary, rights), AckLevel::Replica))
        .await
        .expect(rights);
    use_everything(&store, AckLevel::Replica).await;
    let cluster = Cluster::start(&WRITTEN);
    cluster.servers.iter().for_each(|server| drop(url_of_user(server, rights)));
    let url = cluster.url().replace("redis-cluster://", "redis-cluster://pw:pw@");
    let store = RedisStore::open(options(&url, AckLevel::Replica)).await.expect(rights);
    use_everything(&store, AckLevel::Replica).await;
    assert_eq!(store.warnings(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rewrite_that_is_forbidden_waits_for_somebody_else_to_do_it() {
    for missing in ["-bgrewriteaof", "-bgsave"] {
        let server = Server::start(&ON_DISK);
        let url = url_of_user(&server, &format!("~* &* +@all {missing}"));
        let store = Arc::new(RedisStore::open(options(&url, AckLevel::Disk)).await.expect("a store"));
        append(&store, 0, "record", AckLevel::Disk).await.expect("there is space");
        let rewriting = tokio::spawn({
            let store = Arc::clone(&store);
            async move { store.rewrite_files().await }
        });
        let command = missing.trim_start_matches('-').to_uppercase();
        let begun = Instant::now();
        let problem = loop {
            if let Some(problem) = store.health().problems().into_iter().next() {
                break problem.text;
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "nothing says what it waits for");
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        for part in ["erasures wait", &command, "as an administrator", missing.trim_start_matches('-')] {
            assert!(problem.contains(part), "{problem}");
        }
        assert!(!rewriting.is_finished(), "the files still hold what was deleted");
        server.command::<redis::Value>(&command);
        rewriting.await.expect("no panic").expect("somebody else has rewritten the file");
        assert!(store.health().problems().is_empty(), "{:?}", store.health().problems());
    }
}
