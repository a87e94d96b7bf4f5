//! Changes from the binary log of MariaDB.

use mysql_async::prelude::Queryable;
use portrait_connect::databases::{
    BinlogBatch, BinlogChange, BinlogChanges, BinlogOptions, BinlogPosition, ChangeKind, ChangedTable,
    SourceError, TableName,
};
use portrait_connect::testing::MariaDb;
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

const TABLE: &str = "CREATE TABLE orders (id BIGINT PRIMARY KEY, note TEXT, price DECIMAL(10,2), paid BOOLEAN, \
    at TIMESTAMP(3) NULL, local DATETIME, state ENUM('new','it''s'), tags SET('a','b','c'), day DATE, score FLOAT, flags BIT(10), \
    c CHAR(4), h TIME, u BIGINT UNSIGNED, old VARCHAR(9) CHARACTER SET latin1) CHARACTER SET utf8mb4";

fn options() -> BinlogOptions {
    let orders = ChangedTable { name: TableName::new(None, "orders"), columns: None };
    BinlogOptions { time_zone: "Europe/Berlin".to_owned(), ..BinlogOptions::new(7001, vec![orders]) }
}

async fn server() -> MariaDb {
    let settings = ["--log-bin=bin", "--server-id=1", "--binlog-format=ROW", "--binlog-row-metadata=FULL"];
    let server = MariaDb::start_with(&settings.map(str::to_owned)).await;
    server.admin().await.query_drop(TABLE).await.unwrap();
    server
}

async fn open(server: &MariaDb, position: Option<BinlogPosition>) -> BinlogChanges {
    server.database().await.binlog(options(), position).await.unwrap()
}

async fn next(changes: &mut BinlogChanges) -> BinlogBatch {
    tokio::time::timeout(portrait_connect::testing::PATIENCE, changes.next())
        .await
        .expect("changes come")
        .unwrap()
}

/// Reads until `count` changes came.
async fn take(changes: &mut BinlogChanges, count: usize) -> (Vec<BinlogChange>, Option<BinlogPosition>) {
    let (mut found, mut position) = (Vec::new(), None);
    while found.len() < count || position.is_none() {
        let batch = next(changes).await;
        found.extend(batch.changes);
        position = batch.position;
    }
    (found, position)
}

fn ids(changes: &[BinlogChange]) -> Vec<u32> {
    changes.iter().map(|change| change.value("id").unwrap().parse().unwrap()).collect()
}

#[tokio::test]
async fn changes_of_mariadb_come_within_a_second_in_the_spelling_of_pages() {
    let server = server().await;
    let mut admin = server.admin().await;
    let mut changes = open(&server, None).await;
    admin.query_drop("SET time_zone = '+00:00'").await.unwrap();
    admin.query_drop("CREATE TABLE other (id INT)").await.unwrap();
    admin.query_drop("INSERT INTO other VALUES (1)").await.unwrap();
    let written = tokio::time::Instant::now();
    admin
        .query_drop(
            "INSERT INTO orders VALUES (1, 'Mül''ler', 1.50, TRUE, '2024-05-06 07:08:09.120', '2024-05-06 07:08:09', 'it''s', \
             'a,c', '2024-05-06', 0.1, b'1000000001', 'ab', '-30:01:02', 18446744073709551615, 'ü€')",
        )
        .await
        .unwrap();
    let (found, _) = take(&mut changes, 1).await;
    assert!(written.elapsed() < Duration::from_secs(1), "{:?}", written.elapsed());
    let expected = [
        ("id", "1"),
        ("note", "Mül'ler"),
        ("price", "1.5"),
        ("paid", "true"),
        ("at", "2024-05-06T07:08:09.12+00:00"),
        ("local", "2024-05-06T07:08:09+02:00"),
        ("state", "it's"),
        ("tags", "a,c"),
        ("day", "2024-05-06"),
        ("score", "0.1"),
        ("flags", "513"),
        ("c", "ab"),
        ("h", "-30:01:02"),
        ("u", "18446744073709551615"),
        ("old", "ü€"),
    ];
    for (column, value) in expected {
        assert_eq!(found[0].value(column), Some(value), "{column}");
    }
    let mut table =
        portrait_connect::databases::TableOptions::new(TableName::new(None, "orders"), None, "id");
    table.time_zone = "Europe/Berlin".to_owned();
    let rows = crate::read_all(server.database().await, table, None).await.unwrap();
    for (column, value) in expected {
        assert_eq!(rows[0].value(column), Some(value), "{column} of the page");
    }
    admin.query_drop("UPDATE orders SET id = 2, note = NULL").await.unwrap();
    admin.query_drop("DELETE FROM orders").await.unwrap();
    let (found, _) = take(&mut changes, 2).await;
    assert_eq!((found[0].kind, found[1].kind), (ChangeKind::Update, ChangeKind::Delete));
    assert_eq!(
        (found[0].old[0].value.as_deref(), found[0].value("id"), found[0].value("note")),
        (Some("1"), Some("2"), None)
    );
    assert_eq!(*found[1].table, TableName::new(Some("shop"), "orders"));
    assert_eq!(ids(&found), [2, 2]);
}

#[tokio::test]
async fn truncations_come_as_such_and_writes_that_are_logged_as_statements_are_errors() {
    let server = server().await;
    let mut admin = server.admin().await;
    let mut changes = open(&server, None).await;
    admin.query_drop("TRUNCATE TABLE shop.`orders`").await.unwrap();
    let (found, _) = take(&mut changes, 1).await;
    assert_eq!(found[0].kind, ChangeKind::Truncate);
    admin.query_drop("SET SESSION binlog_format = 'STATEMENT'").await.unwrap();
    admin.query_drop("INSERT INTO orders (id) VALUES (9)").await.unwrap();
    let error =
        tokio::time::timeout(portrait_connect::testing::PATIENCE, changes.next()).await.unwrap().unwrap_err();
    assert!(error.to_string().contains("binlog_format = ROW"), "{error}");
    assert!(
        changes.next().await.unwrap_err().to_string().contains("connect again"),
        "no event is passed over"
    );
}

#[tokio::test]
async fn a_reader_of_mariadb_resumes_from_its_position_and_loses_nothing() {
    let server = server().await;
    let mut admin = server.admin().await;
    let mut changes = open(&server, None).await;
    admin.query_drop("INSERT INTO orders (id) SELECT seq FROM seq_1_to_3").await.unwrap();
    let (first, stored) = take(&mut changes, 3).await;
    let stored: Option<BinlogPosition> =
        stored.map(|position| serde_json::from_str(&serde_json::to_string(&position).unwrap()).unwrap());
    admin.query_drop("INSERT INTO orders (id) SELECT seq FROM seq_4_to_6").await.unwrap();
    let (unacknowledged, _) = take(&mut changes, 3).await;
    drop(changes);
    admin.query_drop("FLUSH BINARY LOGS").await.unwrap();
    // Columns move, but their names in the log say which is which.
    admin.query_drop("ALTER TABLE orders ADD extra INT FIRST").await.unwrap();
    admin.query_drop("INSERT INTO orders (id) VALUES (7)").await.unwrap();
    let mut options = options();
    options.tables[0].columns = Some(vec!["id".to_owned()]);
    let mut changes = server.database().await.binlog(options, stored).await.unwrap();
    let (again, _) = take(&mut changes, 4).await;
    assert_eq!((ids(&first), ids(&again)), (vec![1, 2, 3], vec![4, 5, 6, 7]));
    let versions =
        |changes: &[BinlogChange]| changes.iter().map(|change| change.version.clone()).collect::<Vec<_>>();
    assert_eq!(versions(&again[..3]), versions(&unacknowledged));
}

#[tokio::test]
async fn a_large_transaction_of_mariadb_comes_in_batches_and_dropped_calls_lose_nothing() {
    let server = server().await;
    let mut admin = server.admin().await;
    let options = BinlogOptions { batch_changes: 1_000, ..options() };
    let mut changes = server.database().await.binlog(options, None).await.unwrap();
    admin.query_drop("INSERT INTO orders (id) SELECT seq FROM seq_1_to_20000").await.unwrap();
    let (mut found, mut batches) = (Vec::new(), 0);
    for patience_us in (0_u64..).map(|turn| turn % 20 * 100) {
        let Ok(batch) = tokio::time::timeout(Duration::from_micros(patience_us), changes.next()).await else {
            continue;
        };
        let batch = batch.unwrap();
        batches += 1;
        found.extend(ids(&batch.changes));
        if batch.position.is_some() {
            break;
        }
    }
    assert_eq!(found, (1..=20_000).collect::<Vec<_>>());
    assert!(batches >= 10, "{batches}");
}

#[tokio::test]
async fn servers_and_columns_that_the_log_cannot_serve_are_refused_with_the_remedy() {
    let server = server().await;
    let mut admin = server.admin().await;
    admin.query_drop("ALTER TABLE orders ADD name VARCHAR(9) CHARACTER SET latin2").await.unwrap();
    let error = server.database().await.binlog(options(), None).await.unwrap_err();
    assert!(matches!(&error, SourceError::BinaryColumn { column, .. } if column == "name"), "{error}");
    admin.query_drop("ALTER TABLE orders DROP name").await.unwrap();
    admin.query_drop("SET GLOBAL binlog_row_metadata = MINIMAL").await.unwrap();
    let error = server.database().await.binlog(options(), None).await.unwrap_err();
    assert!(error.to_string().contains("set binlog_row_metadata = FULL"), "{error}");
}

#[tokio::test]
async fn readers_of_mariadb_that_are_killed_at_twenty_moments_lose_nothing_and_repeat_the_same_changes() {
    let server = server().await;
    let mut admin = server.admin().await;
    let mut stored = open(&server, None).await.position().cloned();
    let mut seen = HashMap::new();
    for turn in 0..20_u64 {
        let ids = format!("seq_{}_to_{}", turn * 200 + 1, (turn + 1) * 200);
        admin.query_drop(format!("INSERT INTO orders (id) SELECT seq FROM {ids}")).await.unwrap();
        let options = BinlogOptions { batch_changes: 150, ..options() };
        let mut changes = server.database().await.binlog(options, stored.clone()).await.unwrap();
        let read = async {
            loop {
                let batch = changes.next().await.unwrap();
                for change in batch.changes {
                    let id: u64 = change.value("id").unwrap().parse().unwrap();
                    let first = seen.entry(id).or_insert(change.version.clone());
                    assert_eq!(*first, change.version, "a repeated change is the same");
                }
                stored = batch.position.or(stored.take());
            }
        };
        let patience = if turn == 19 { Duration::from_secs(3) } else { Duration::from_millis(turn * 2) };
        let _ = tokio::time::timeout(patience, read).await;
    }
    assert_eq!(seen.into_keys().collect::<BTreeSet<_>>(), (1..=4000).collect::<BTreeSet<_>>());
}
