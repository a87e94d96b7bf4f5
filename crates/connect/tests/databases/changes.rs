//! Changes through a replication slot.

use portrait_connect::databases::{
    ChangeKind, ChangedTable, SlotBatch, SlotChange, SlotChanges, SlotOptions, SourceError, TableName,
};
use portrait_connect::testing::Postgres;
use portrait_connect::testing::eventually;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

fn orders() -> SlotOptions {
    SlotOptions::new("shop", vec![ChangedTable { name: TableName::new(None, "orders"), columns: None }])
}

async fn open(server: &Postgres, options: SlotOptions) -> SlotChanges {
    server.database().await.changes(options).await.unwrap()
}

async fn next(changes: &mut SlotChanges) -> SlotBatch {
    tokio::time::timeout(portrait_connect::testing::PATIENCE, changes.next())
        .await
        .expect("changes come")
        .unwrap()
}

fn ids(changes: &[SlotChange]) -> Vec<&str> {
    changes.iter().map(|change| change.value("id").unwrap()).collect()
}

/// Server with a table and a slot that is open.
async fn server_with_orders() -> (Postgres, SlotChanges) {
    let server = Postgres::start().await;
    server.admin().await.run("CREATE TABLE orders (id int8 PRIMARY KEY, note text, at timestamptz)").await;
    let changes = open(&server, orders()).await;
    (server, changes)
}

#[tokio::test]
async fn inserts_updates_deletes_and_truncations_come_within_a_second_in_the_order_of_commits() {
    let (server, mut changes) = server_with_orders().await;
    let admin = server.admin().await;
    admin.run("CREATE TABLE other (id int8 PRIMARY KEY); INSERT INTO other VALUES (1)").await;
    let writes = [
        ("INSERT INTO orders VALUES (1, 'it''s [new]: ''', '2024-05-06 09:08:09.50+02')", ChangeKind::Insert),
        ("UPDATE orders SET id = 2, note = NULL", ChangeKind::Update),
        ("DELETE FROM orders", ChangeKind::Delete),
        ("TRUNCATE orders, other", ChangeKind::Truncate),
    ];
    let mut found = Vec::new();
    for (sql, kind) in writes {
        let written = tokio::time::Instant::now();
        admin.run(sql).await;
        let batch = next(&mut changes).await;
        assert!(written.elapsed() < Duration::from_secs(1), "{:?}", written.elapsed());
        assert_eq!(batch.changes.iter().map(|change| change.kind).collect::<Vec<_>>(), [kind], "{batch:?}");
        changes.advance(batch.advance_to.unwrap()).await.unwrap();
        found.extend(batch.changes);
    }
    assert_eq!(*found[0].table, TableName::new(Some("public"), "orders"));
    assert_eq!(found[0].value("note"), Some("it's [new]: '"));
    assert_eq!(found[0].value("at"), Some("2024-05-06T07:08:09.5+00:00"));
    assert_eq!((found[1].value("id"), found[1].value("note")), (Some("2"), None));
    assert_eq!(found[1].old_key[0].value.as_deref(), Some("1"));
    assert_eq!(ids(&found[2..3]), ["2"]);
    assert!(found.is_sorted_by_key(|change| change.lsn));
}

#[tokio::test]
async fn a_reader_that_dies_before_it_advances_repeats_the_changes_and_loses_none() {
    let (server, mut changes) = server_with_orders().await;
    let admin = server.admin().await;
    admin.run("INSERT INTO orders VALUES (1); INSERT INTO orders VALUES (2)").await;
    let first = next(&mut changes).await;
    drop(changes);
    admin.run("INSERT INTO orders VALUES (3)").await;
    // The server notices that the reader is gone, and lets the next one have the slot.
    let mut changes = open(&server, orders()).await;
    let again = next(&mut changes).await;
    assert_eq!(again.changes[..2], first.changes[..], "the same changes with the same positions");
    assert_eq!(ids(&again.changes), ["1", "2", "3"]);
    changes.advance(again.advance_to.unwrap()).await.unwrap();
    drop(changes);
    admin.run("INSERT INTO orders VALUES (4)").await;
    let mut changes = open(&server, orders()).await;
    assert_eq!(ids(&next(&mut changes).await.changes), ["4"]);
}

#[tokio::test]
async fn a_call_that_is_dropped_at_any_moment_loses_nothing() {
    let (server, mut changes) = server_with_orders().await;
    server.admin().await.run("INSERT INTO orders SELECT n FROM generate_series(1, 2000) n").await;
    let mut found = Vec::new();
    for patience_us in (0..).map(|turn| turn * 500) {
        let patience = Duration::from_micros(patience_us);
        let Ok(batch) = tokio::time::timeout(patience, changes.next()).await else { continue };
        let batch = batch.unwrap();
        found.extend(ids(&batch.changes).iter().map(|id| id.parse::<u32>().unwrap()));
        if let Some(lsn) = batch.advance_to {
            changes.advance(lsn).await.unwrap();
            break;
        }
    }
    // Changes of the unfinished transaction repeat, from its beginning.
    let end: Vec<u32> = found.split_off(found.len().saturating_sub(2000));
    assert_eq!(end, (1..=2000).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_large_transaction_comes_in_batches_and_is_acknowledged_at_its_end() {
    let (server, _) = server_with_orders().await;
    let mut changes = open(&server, SlotOptions { batch_changes: 700, ..orders() }).await;
    server.admin().await.run("INSERT INTO orders SELECT n FROM generate_series(1, 5000) n").await;
    let mut found = Vec::new();
    let end = loop {
        let batch = next(&mut changes).await;
        assert!(batch.changes.len() <= 700);
        found.extend(ids(&batch.changes).iter().map(|id| id.parse::<u32>().unwrap()));
        if let Some(lsn) = batch.advance_to {
            break lsn;
        }
    };
    assert_eq!(found, (1..=5000).collect::<Vec<_>>());
    let error = changes.next().await.unwrap_err();
    assert!(matches!(error, SourceError::NotAdvanced { .. }), "{error}");
    changes.advance(end).await.unwrap();
    server.admin().await.run("INSERT INTO orders VALUES (5001)").await;
    assert_eq!(ids(&next(&mut changes).await.changes), ["5001"]);
}

#[tokio::test]
async fn bytes_of_kept_log_grow_while_nobody_reads_and_end_with_the_slot() {
    let (server, mut changes) = server_with_orders().await;
    let admin = server.admin().await;
    let before = changes.retained_wal_bytes().await.unwrap();
    admin.run("INSERT INTO orders SELECT n, repeat('x', 1000) FROM generate_series(1, 5000) n").await;
    let after = changes.retained_wal_bytes().await.unwrap();
    assert!(after > before + 5_000_000, "{before} -> {after}");
    assert_eq!(
        server.database().await.retained_wal_bytes("shop").await.unwrap() / 1_000_000,
        after / 1_000_000
    );
    changes.drop_slot().await.unwrap();
    let mut database = server.database().await;
    let error = database.retained_wal_bytes("shop").await.unwrap_err();
    assert!(matches!(error, SourceError::Changes { .. }), "{error}");
    database.drop_slot("shop").await.unwrap();
}

#[tokio::test]
async fn writes_to_other_tables_do_not_keep_log() {
    let (server, mut changes) = server_with_orders().await;
    let admin = server.admin().await;
    admin.run("CREATE TABLE other (id int8, note text)").await;
    admin.run("INSERT INTO other SELECT n, repeat('x', 1000) FROM generate_series(1, 5000) n").await;
    let row = "SELECT (pg_current_wal_lsn() - confirmed_flush_lsn)::int8 FROM pg_replication_slots";
    let reader = async { changes.next().await };
    let released = eventually("the slot lets go", async || {
        let behind: i64 = admin.query_one(row, &[]).await.unwrap().get(0);
        (behind < 1_000_000).then_some(())
    });
    tokio::select! {
        found = reader => panic!("changes of no table of ours: {found:?}"),
        () = released => {}
    }
}

#[tokio::test]
async fn servers_and_tables_that_are_not_set_up_are_refused_with_the_remedy() {
    let server = Postgres::start_with(&["wal_level=replica"]).await;
    server.admin().await.run("CREATE TABLE orders (id int8 PRIMARY KEY)").await;
    let error = server.database().await.changes(orders()).await.unwrap_err();
    assert!(error.to_string().contains("set wal_level = logical"), "{error}");
    drop(server);

    let server = Postgres::start().await;
    let admin = server.admin().await;
    admin.run("CREATE TABLE orders (id int8, raw bytea)").await;
    let error = server.database().await.changes(orders()).await.unwrap_err();
    assert!(matches!(&error, SourceError::BinaryColumn { column, .. } if column == "raw"), "{error}");
    admin.run("ALTER TABLE orders DROP raw").await;
    let error = server.database().await.changes(orders()).await.unwrap_err();
    assert!(error.to_string().contains("REPLICA IDENTITY FULL"), "{error}");
    admin.run("ALTER TABLE orders REPLICA IDENTITY FULL").await;
    let error = server
        .database()
        .await
        .changes(SlotOptions { slot: "a'b".to_owned(), ..orders() })
        .await
        .unwrap_err();
    assert!(matches!(error, SourceError::Changes { .. }), "{error}");
    server.database().await.changes(orders()).await.unwrap();
}

#[tokio::test]
async fn readers_that_are_killed_at_twenty_moments_lose_nothing_and_repeat_the_same_changes() {
    let (server, changes) = server_with_orders().await;
    drop(changes);
    let admin = server.admin().await;
    let mut found = HashSet::new();
    let mut seen = HashMap::new();
    for turn in 0..20_u64 {
        let ids = format!("generate_series({}, {})", turn * 200 + 1, (turn + 1) * 200);
        admin.run(&format!("INSERT INTO orders SELECT n FROM {ids} n")).await;
        let options = SlotOptions { batch_changes: 150, ..orders() };
        // The slot of a killed reader is free once the server has noticed.
        let mut changes = eventually("the slot is free", async || {
            server.database().await.changes(options.clone()).await.ok()
        })
        .await;
        let read = async {
            loop {
                let Ok(batch) = changes.next().await else { return };
                for change in &batch.changes {
                    let id: u64 = change.value("id").unwrap().parse().unwrap();
                    assert_eq!(
                        *seen.entry(id).or_insert(change.lsn),
                        change.lsn,
                        "a repeated change is the same"
                    );
                    found.insert(id);
                }
                if let Some(lsn) = batch.advance_to {
                    let _ = changes.advance(lsn).await;
                }
            }
        };
        let patience = if turn == 19 { Duration::from_secs(3) } else { Duration::from_millis(turn * 3) };
        let _ = tokio::time::timeout(patience, read).await;
    }
    assert_eq!(found, (1..=4000).collect::<HashSet<_>>());
}
