//! Following of tables that grow.

use crate::keys;
use mysql_async::prelude::Queryable;
use portrait_connect::databases::{FollowOptions, SourceError, TableFollower, TableName, TableOptions};
use portrait_connect::testing::{MariaDb, Postgres};
use std::time::Duration;

const INTERVAL: Duration = Duration::from_millis(50);
const OVERLAP: Duration = Duration::from_secs(60);

fn orders(updated_at: Option<&str>) -> TableOptions {
    TableOptions::new(TableName::new(None, "orders"), updated_at, "id")
}

/// Reads until `count` rows came.
async fn take(follower: &mut TableFollower, count: usize) -> Vec<String> {
    let mut found = Vec::new();
    while found.len() < count {
        let rows = tokio::time::timeout(portrait_connect::testing::PATIENCE, follower.next())
            .await
            .expect("rows come")
            .unwrap();
        found.extend(keys(&rows).iter().map(|&key| key.to_owned()));
    }
    found
}

#[tokio::test]
async fn rows_of_a_transaction_that_begins_first_and_commits_last_are_not_missed() {
    let server = Postgres::start().await;
    let (late, early) = (server.admin().await, server.admin().await);
    early
        .run("CREATE TABLE orders (id int8 PRIMARY KEY, updated_at timestamptz NOT NULL DEFAULT now())")
        .await;
    early.run("INSERT INTO orders VALUES (1)").await;
    late.run("BEGIN; INSERT INTO orders VALUES (2)").await;
    early.run("INSERT INTO orders VALUES (3)").await;
    let pages = server.database().await.pages(orders(Some("updated_at")), None).await.unwrap();
    let mut follower = pages.follow(FollowOptions::new(INTERVAL, OVERLAP)).unwrap();
    assert_eq!(take(&mut follower, 2).await, ["1", "3"]);
    late.run("COMMIT").await;
    assert_eq!(take(&mut follower, 1).await, ["2"]);
    early.run("UPDATE orders SET updated_at = clock_timestamp() WHERE id = 1").await;
    assert_eq!(take(&mut follower, 1).await, ["1"]);
}

#[tokio::test]
async fn rows_that_committed_late_while_the_reader_was_down_are_not_missed() {
    let server = Postgres::start().await;
    let (late, early) = (server.admin().await, server.admin().await);
    early
        .run("CREATE TABLE orders (id int8 PRIMARY KEY, updated_at timestamptz NOT NULL DEFAULT now())")
        .await;
    late.run("BEGIN; INSERT INTO orders VALUES (2)").await;
    early.run("INSERT INTO orders VALUES (3)").await;
    let mut pages = server.database().await.pages(orders(Some("updated_at")), None).await.unwrap();
    assert_eq!(keys(&pages.next().await.unwrap()), ["3"]);
    let position = pages.position().cloned();
    drop(pages);
    late.run("COMMIT").await;
    let pages = server.database().await.pages(orders(Some("updated_at")), position).await.unwrap();
    let mut follower = pages.follow(FollowOptions::new(INTERVAL, OVERLAP)).unwrap();
    assert_eq!(take(&mut follower, 2).await, ["2", "3"]);
}

#[tokio::test]
async fn a_row_from_the_future_hides_no_others() {
    let server = Postgres::start().await;
    let admin = server.admin().await;
    admin.run("CREATE TABLE orders (id int8 PRIMARY KEY, updated_at timestamp NOT NULL)").await;
    admin.run("INSERT INTO orders VALUES (1, '2099-01-01'), (2, 'infinity')").await;
    let options = TableOptions { time_zone: "Asia/Tokyo".to_owned(), ..orders(Some("updated_at")) };
    let pages = server.database().await.pages(options, None).await.unwrap();
    let mut follower = pages.follow(FollowOptions::new(INTERVAL, OVERLAP)).unwrap();
    assert_eq!(take(&mut follower, 2).await, ["1", "2"]);
    admin.run("INSERT INTO orders VALUES (3, now() AT TIME ZONE 'Asia/Tokyo')").await;
    assert_eq!(take(&mut follower, 1).await, ["3"]);
}

#[tokio::test]
async fn a_late_commit_of_mariadb_is_not_missed_and_new_rows_come_within_a_second() {
    let server = MariaDb::start().await;
    let (mut late, mut early) = (server.admin().await, server.admin().await);
    early
        .query_drop(
            "CREATE TABLE orders (id BIGINT PRIMARY KEY, updated_at TIMESTAMP(6) NOT NULL DEFAULT NOW(6))",
        )
        .await
        .unwrap();
    late.query_drop("BEGIN").await.unwrap();
    late.query_drop("INSERT INTO orders (id) VALUES (2)").await.unwrap();
    early.query_drop("INSERT INTO orders (id) VALUES (3)").await.unwrap();
    let pages = server.database().await.pages(orders(Some("updated_at")), None).await.unwrap();
    let mut follower = pages.follow(FollowOptions::new(INTERVAL, OVERLAP)).unwrap();
    assert_eq!(take(&mut follower, 1).await, ["3"]);
    late.query_drop("COMMIT").await.unwrap();
    assert_eq!(take(&mut follower, 1).await, ["2"]);
    let written = tokio::time::Instant::now();
    early.query_drop("INSERT INTO orders (id) VALUES (4)").await.unwrap();
    assert_eq!(take(&mut follower, 1).await, ["4"]);
    assert!(written.elapsed() < Duration::from_secs(1), "{:?}", written.elapsed());
}

#[tokio::test]
async fn a_table_without_times_is_not_followed() {
    let server = Postgres::start().await;
    server.admin().await.run("CREATE TABLE orders (id int8 PRIMARY KEY, version int8 NOT NULL)").await;
    for updated_at in [None, Some("version")] {
        let pages = server.database().await.pages(orders(updated_at), None).await.unwrap();
        let error = pages.follow(FollowOptions::new(INTERVAL, OVERLAP)).unwrap_err();
        assert!(matches!(error, SourceError::Follow { .. }), "{error}");
    }
}
