//! Long tables and logs are read whole, and the speed is printed: 200,000 rows. `SPEED_ROWS=1000000 cargo test --release -p portrait-connect --test databases speed
//! -- --nocapture --test-threads=1` measures a million.

use mysql_async::prelude::Queryable;
use portrait_connect::databases::{
    BinlogOptions, ChangedTable, Database, SlotOptions, TableName, TableOptions,
};
use portrait_connect::testing::{MariaDb, Postgres};

fn row_count() -> u32 {
    std::env::var("SPEED_ROWS").map_or(200_000, |rows| rows.parse().expect("SPEED_ROWS is a number"))
}

/// Reads all rows, and prints rows a second.
async fn measure(what: &str, database: Database, updated_at: Option<&str>) {
    let options = TableOptions::new(TableName::new(None, "orders"), updated_at, "id");
    let mut pages = database.pages(options, None).await.unwrap();
    let (start, mut rows) = (tokio::time::Instant::now(), 0);
    loop {
        let page = pages.next().await.unwrap();
        if page.is_empty() {
            break;
        }
        rows += page.len();
    }
    let a_second = f64::from(row_count()) / start.elapsed().as_secs_f64();
    println!("{what}: {rows} rows, {a_second:.0} rows/s");
    assert_eq!(rows, row_count() as usize);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_table_of_postgres_is_read_whole_in_every_order() {
    let server = Postgres::start().await;
    let admin = server.admin().await;
    admin
        .run(
            &"CREATE TABLE orders (id int8 PRIMARY KEY, user_id text, item text, price numeric(10,2), quantity int, paid bool, \
             created timestamp, updated_at timestamptz NOT NULL); \
             INSERT INTO orders SELECT n, 'user-' || n % 50000, 'item-' || n % 9000, n % 1000 / 7.0, n % 5, n % 2 = 0, \
             timestamp '2024-01-01' + n * interval '1 s', timestamptz '2024-01-01' + n / 50 * interval '1 s' \
             FROM generate_series(1, ROWS) n; \
             CREATE INDEX by_time ON orders (updated_at, id); ANALYZE orders"
                .replace("ROWS", &row_count().to_string()),
        )
        .await;
    measure("PostgreSQL by (updated_at, id)", server.database().await, Some("updated_at")).await;
    measure("PostgreSQL by id", server.database().await, None).await;
    admin.run("UPDATE orders SET updated_at = now()").await;
    admin.run("VACUUM ANALYZE orders").await;
    measure("PostgreSQL, one time for all", server.database().await, Some("updated_at")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_table_of_mariadb_is_read_whole_in_every_order() {
    let server = MariaDb::start().await;
    let mut admin = server.admin().await;
    for sql in [
        "CREATE TABLE orders (id BIGINT PRIMARY KEY, user_id VARCHAR(40), item VARCHAR(40), price DECIMAL(10,2), quantity INT, \
         paid BOOLEAN, created DATETIME, updated_at TIMESTAMP(6) NOT NULL, KEY by_time (updated_at, id))",
        "INSERT INTO orders SELECT seq, CONCAT('user-', seq % 50000), CONCAT('item-', seq % 9000), seq % 1000 / 7.0, seq % 5, \
         seq % 2 = 0, TIMESTAMP'2024-01-01 00:00:00' + INTERVAL seq SECOND, \
         TIMESTAMP'2024-01-01 00:00:00' + INTERVAL seq DIV 50 SECOND FROM seq_1_to_ROWS",
        "ANALYZE TABLE orders",
    ] {
        admin.query_drop(sql.replace("ROWS", &row_count().to_string())).await.unwrap();
    }
    measure("MariaDB by (updated_at, id)", server.database().await, Some("updated_at")).await;
    measure("MariaDB by id", server.database().await, None).await;
    admin.query_drop("UPDATE orders SET updated_at = NOW(6)").await.unwrap();
    admin.query_drop("ANALYZE TABLE orders").await.unwrap();
    measure("MariaDB, one time for all", server.database().await, Some("updated_at")).await;
}

fn orders() -> Vec<ChangedTable> {
    vec![ChangedTable { name: TableName::new(None, "orders"), columns: None }]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_of_a_long_log_is_read() {
    let server = Postgres::start().await;
    let admin = server.admin().await;
    admin.run("CREATE TABLE orders (id int8 PRIMARY KEY, item text, price numeric, at timestamptz)").await;
    let mut changes = server.database().await.changes(SlotOptions::new("shop", orders())).await.unwrap();
    for batch in 0..20 {
        let ids = format!("generate_series({}, {})", batch * 10_000 + 1, (batch + 1) * 10_000);
        admin.run(&format!("INSERT INTO orders SELECT n, 'item-' || n, n / 7.0, now() FROM {ids} n")).await;
    }
    let (start, mut count) = (tokio::time::Instant::now(), 0);
    while count < 200_000 {
        let batch = changes.next().await.unwrap();
        count += batch.changes.len();
        if let Some(lsn) = batch.advance_to {
            changes.advance(lsn).await.unwrap();
        }
    }
    let a_second = 200_000.0 / start.elapsed().as_secs_f64();
    println!("PostgreSQL's slot: {a_second:.0} changes/s");

    let settings = ["--log-bin=bin", "--server-id=1", "--binlog-format=ROW", "--binlog-row-metadata=FULL"];
    let server = MariaDb::start_with(&settings.map(str::to_owned)).await;
    let mut admin = server.admin().await;
    let table =
        "CREATE TABLE orders (id BIGINT PRIMARY KEY, item VARCHAR(40), price DECIMAL(12,4), at TIMESTAMP(6))";
    admin.query_drop(table).await.unwrap();
    let mut changes = server.database().await.binlog(BinlogOptions::new(7001, orders()), None).await.unwrap();
    let insert =
        "INSERT INTO orders SELECT seq, CONCAT('item-', seq), seq / 7.0, NOW(6) FROM seq_1_to_200000";
    admin.query_drop(insert).await.unwrap();
    let (start, mut count) = (tokio::time::Instant::now(), 0);
    while count < 200_000 {
        count += changes.next().await.unwrap().changes.len();
    }
    let of_binlog = 200_000.0 / start.elapsed().as_secs_f64();
    println!("MariaDB's binary log: {of_binlog:.0} changes/s");
}
