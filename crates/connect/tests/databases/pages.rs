//! Pages and their positions.

use crate::{keys, read_all};
use mysql_async::prelude::Queryable;
use portrait_connect::databases::{Database, SourceError, TableName, TableOptions, TablePosition};
use portrait_connect::testing::{MariaDb, Postgres};

/// 30 rows, of which each ten share their time, with keys against the order of time.
const ROWS: &str = "INSERT INTO orders (id, updated_at) VALUES ";

fn rows_sql() -> String {
    let rows: Vec<String> =
        (0..30).map(|n| format!("({}, '2024-05-06 07:08:{:02}.000001')", 100 - n, n / 10)).collect();
    format!("{ROWS}{}", rows.join(", "))
}

/// Keys in the order of (time, key).
fn expected_keys() -> Vec<String> {
    let mut rows: Vec<(i32, i32)> = (0..30).map(|n| (n / 10, 100 - n)).collect();
    rows.sort_unstable();
    rows.iter().map(|(_, key)| key.to_string()).collect()
}

fn orders(updated_at: Option<&str>, page_rows: usize) -> TableOptions {
    TableOptions { page_rows, ..TableOptions::new(TableName::new(None, "orders"), updated_at, "id") }
}

/// Reads one page a connection and resumes from the position, which goes through JSON as in a store.
async fn read_by_restarts<F: Future<Output = Database>>(
    connect: impl Fn() -> F,
    options: &TableOptions,
) -> Vec<String> {
    let (mut stored, mut found) = (None::<String>, Vec::new());
    loop {
        let position: Option<TablePosition> =
            stored.as_deref().map(|json| serde_json::from_str(json).unwrap());
        let mut pages = connect().await.pages(options.clone(), position).await.unwrap();
        let page = pages.next().await.unwrap();
        if page.is_empty() {
            return found;
        }
        assert!(page.len() <= options.page_rows);
        found.extend(page.iter().map(|row| row.key.to_string()));
        stored = Some(serde_json::to_string(&pages.position()).unwrap());
    }
}

#[tokio::test]
async fn pages_of_postgres_resume_from_a_position_and_keep_rows_of_equal_times() {
    let server = Postgres::start().await;
    let admin = server.admin().await;
    admin.run("CREATE TABLE orders (id int8 PRIMARY KEY, updated_at timestamptz NOT NULL)").await;
    admin.run(&rows_sql()).await;
    for page_rows in [1, 3, 10, 29, 30, 31] {
        let options = orders(Some("updated_at"), page_rows);
        let found = read_by_restarts(|| server.database(), &options).await;
        assert_eq!(found, expected_keys(), "pages of {page_rows} rows");
    }
    let mut by_key: Vec<String> = expected_keys();
    by_key.sort_by_key(|key| key.parse::<i32>().unwrap());
    assert_eq!(read_by_restarts(|| server.database(), &orders(None, 7)).await, by_key);
}

#[tokio::test]
async fn pages_of_mariadb_resume_from_a_position_and_keep_rows_of_equal_times() {
    let server = MariaDb::start().await;
    let mut admin = server.admin().await;
    admin
        .query_drop("CREATE TABLE orders (id BIGINT UNSIGNED PRIMARY KEY, updated_at DATETIME(6) NOT NULL)")
        .await
        .unwrap();
    admin.query_drop(rows_sql()).await.unwrap();
    for page_rows in [1, 3, 10, 29, 30, 31] {
        let options = orders(Some("updated_at"), page_rows);
        let found = read_by_restarts(|| server.database(), &options).await;
        assert_eq!(found, expected_keys(), "pages of {page_rows} rows");
    }
    assert_eq!(read_by_restarts(|| server.database(), &orders(None, 7)).await.len(), 30);
}

#[tokio::test]
async fn odd_names_are_quoted_and_unknown_ones_are_refused_with_those_that_exist() {
    let server = Postgres::start().await;
    let admin = server.admin().await;
    admin.run(r#"CREATE SCHEMA "Sh.op"; CREATE TABLE "Sh.op"."or""der's; --" ("a ""b" int PRIMARY KEY, "c:d" text)"#).await;
    admin.run(r#"INSERT INTO "Sh.op"."or""der's; --" VALUES (1, 'x')"#).await;
    let name = TableName::new(Some("Sh.op"), "or\"der's; --");
    let options = TableOptions::new(name, None, "a \"b");
    let rows = read_all(server.database().await, options.clone(), None).await.unwrap();
    assert_eq!((keys(&rows), rows[0].value("c:d")), (vec!["1"], Some("x")));

    let unknown = TableOptions { key: "a".to_owned(), ..options.clone() };
    let error = read_all(server.database().await, unknown, None).await.unwrap_err();
    assert!(error.to_string().ends_with("it has a \"b, c:d"), "{error}");
    let absent = TableOptions { table: TableName::new(None, "x\" OR 1=1"), ..options };
    let error = read_all(server.database().await, absent, None).await.unwrap_err();
    assert!(matches!(error, SourceError::UnknownTable { .. }), "{error}");
}

#[tokio::test]
async fn odd_names_of_mariadb_are_quoted() {
    let server = MariaDb::start().await;
    let mut admin = server.admin().await;
    admin.query_drop("CREATE TABLE `or``der s; --` (`a ``b` INT PRIMARY KEY, `c:d` TEXT)").await.unwrap();
    admin.query_drop("INSERT INTO `or``der s; --` VALUES (1, 'x')").await.unwrap();
    let options = TableOptions::new(TableName::new(None, "or`der s; --"), None, "a `b");
    let rows = read_all(server.database().await, options, None).await.unwrap();
    assert_eq!((keys(&rows), rows[0].value("c:d")), (vec!["1"], Some("x")));
}

#[tokio::test]
async fn keys_of_every_type_are_compared_exactly() {
    let (postgres, mariadb) = (Postgres::start().await, MariaDb::start().await);
    let (admin, mut root) = (postgres.admin().await, mariadb.admin().await);
    let cases = [
        ("DECIMAL(38,2)", ["123456789012345678901234567890.10", "123456789012345678901234567890.20"]),
        ("BIGINT", ["9223372036854775806", "9223372036854775807"]),
        ("VARCHAR(20)", ["A-10", "A-9"]),
        ("CHAR(9)", ["a", "b c"]),
        ("DATE", ["2024-05-06", "2024-05-07"]),
        ("TIMESTAMP(6)", ["2024-05-06 07:08:09.000001", "2024-05-06 07:08:09.000002"]),
    ];
    for (kind, [first, second]) in cases {
        let sql = [
            "DROP TABLE IF EXISTS orders".to_owned(),
            format!("CREATE TABLE orders (id {kind} NOT NULL PRIMARY KEY)"),
            format!("INSERT INTO orders VALUES ('{second}'), ('{first}')"),
        ];
        admin.run(&sql.join("; ")).await;
        for statement in sql {
            root.query_drop(statement).await.unwrap();
        }
        let found = read_by_restarts(|| postgres.database(), &orders(None, 1)).await;
        assert_eq!(found.len(), 2, "{kind} of PostgreSQL: {found:?}");
        assert_eq!(
            read_by_restarts(|| mariadb.database(), &orders(None, 1)).await,
            found,
            "{kind} of MariaDB"
        );
    }
}

#[tokio::test]
async fn columns_that_would_lose_rows_are_refused() {
    let server = Postgres::start().await;
    let admin = server.admin().await;
    admin
        .run(
            "CREATE TABLE orders (id int8 PRIMARY KEY, updated_at timestamptz, grp int NOT NULL, score float8, raw bytea); \
             INSERT INTO orders VALUES (1, now(), 5, 1, NULL), (2, NULL, 5, 2, NULL)",
        )
        .await;
    let refused = async |updated_at, key: &str, columns: &[&str]| {
        let columns = Some(columns.iter().map(|&name| name.to_owned()).collect());
        let options = TableOptions { columns, key: key.to_owned(), ..orders(updated_at, 10) };
        read_all(server.database().await, options, None).await.map(|rows| rows.len())
    };
    assert_eq!(refused(None, "id", &["id"]).await.unwrap(), 2);
    let error = refused(Some("updated_at"), "id", &["id"]).await.unwrap_err();
    assert!(matches!(error, SourceError::NullOrder { .. }), "{error}");
    let error = refused(None, "grp", &["id"]).await.unwrap_err();
    assert!(matches!(error, SourceError::RepeatedKey { .. }), "{error}");
    let error = refused(None, "score", &["id"]).await.unwrap_err();
    assert!(matches!(error, SourceError::OrderColumn { .. }), "{error}");
    let error = refused(None, "id", &["raw"]).await.unwrap_err();
    assert!(error.to_string().contains("column \"raw\" of table orders is of type bytea"), "{error}");
}

#[tokio::test]
async fn a_position_of_another_table_is_refused() {
    let server = Postgres::start().await;
    let admin = server.admin().await;
    admin.run("CREATE TABLE orders (id int8 PRIMARY KEY, updated_at timestamptz NOT NULL)").await;
    admin.run(&rows_sql()).await;
    let mut pages = server.database().await.pages(orders(None, 5), None).await.unwrap();
    pages.next().await.unwrap();
    let position = pages.position().cloned();
    let error = server.database().await.pages(orders(Some("updated_at"), 5), position).await.unwrap_err();
    assert!(matches!(error, SourceError::Position { .. }), "{error}");
}

#[tokio::test]
async fn pages_of_long_texts_end_early_and_lose_nothing() {
    let server = Postgres::start().await;
    let admin = server.admin().await;
    admin.run("CREATE TABLE orders (id int8 PRIMARY KEY, note text)").await;
    admin.run("INSERT INTO orders SELECT n, repeat('x', 3000000) FROM generate_series(1, 40) n").await;
    let mut pages = server.database().await.pages(orders(None, 1_000), None).await.unwrap();
    let mut found = Vec::new();
    loop {
        let page = pages.next().await.unwrap();
        if page.is_empty() {
            break;
        }
        assert!(page.len() <= 12, "{} rows of 3 MB", page.len());
        found.extend(page.iter().map(|row| row.key.parse::<u32>().unwrap()));
    }
    assert_eq!(found, (1..=40).collect::<Vec<_>>());
}
