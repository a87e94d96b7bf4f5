//! Tables of databases: `portrait import` reads them into profiles, once in each version of a row, and follows them.

use super::reimport::partitions;
use portrait_connect::testing::{MariaDb, PASSWORD, Postgres};
use portrait_tests::{Server, census, connect, portrait_command, wait_until};
use std::path::Path;
use std::process::{Child, Output, Stdio};

const MAPPING: &str = r#"
name = "orders"
[fields]
user = "customer"
item = "sku"
price = "price"
order = "receipt"
order_line = "line"
time = "placed_at"
action = { value = "purchase" }
"#;

/// Import of the table `orders` as a person would run it.
struct TableImport {
    arguments: Vec<String>,
    folder: tempfile::TempDir,
}

impl TableImport {
    fn of(url: &str, server: &Server) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let file = |name: &str| folder.path().join(name).display().to_string();
        std::fs::write(file("map.toml"), MAPPING).expect("written");
        std::fs::write(file("password"), PASSWORD).expect("written");
        let (map, password) = (file("map.toml"), file("password"));
        let arguments = [
            "import",
            url,
            "--table",
            "orders",
            "--updated-at",
            "updated_at",
            "--map",
            &map,
            "--password-file",
            &password,
            "--to",
            server.grpc_url(),
        ];
        Self { arguments: arguments.map(str::to_owned).into(), folder }
    }

    fn run(&self, more: &[&str]) -> Output {
        portrait_command().args(&self.arguments).args(more).output().expect("the binary under test is built")
    }

    fn follow(&self) -> Follower {
        let mut command = portrait_command();
        command.args(&self.arguments).arg("--follow").stdout(Stdio::null()).stderr(Stdio::null());
        Follower(command.spawn().expect("the binary under test is built"))
    }
}

/// Running import, which ends with its value.
struct Follower(Child);

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(data: &Path) -> Server {
    Server::start(data, &["--set", "model.automatic=false", "--set", "store.dedup_window=1s"])
}

async fn applied(server: &Server) -> u64 {
    let channel = connect(server.grpc_url()).await;
    portrait_client::wait_until_applied(channel.clone()).await.expect("applied");
    census(channel).await.values().map(|(applied, _)| applied).sum()
}

fn text(output: &Output) -> String {
    [&output.stdout[..], &output.stderr[..]].map(String::from_utf8_lossy).concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_a_table_become_events_once_in_each_version_and_new_ones_follow() {
    let database = Postgres::start().await;
    let admin = database.admin().await;
    admin
        .run(
            "CREATE TABLE orders (id int8 PRIMARY KEY, customer text, sku text, price numeric(10,2), receipt text, line int, \
             placed_at timestamptz, updated_at timestamptz NOT NULL); \
             INSERT INTO orders SELECT n, 'user-' || n % 50, 'sku-' || n % 90, n / 7.0, 'r' || n, 0, \
             timestamptz '2026-01-01' + n * interval '1 min', timestamptz '2026-02-01' + n * interval '1 s' \
             FROM generate_series(1, 12000) n; \
             UPDATE orders SET customer = NULL WHERE id = 7",
        )
        .await;
    let data = tempfile::tempdir().expect("a folder");
    let server = start(data.path());
    let import =
        TableImport::of(&format!("postgres://portrait@127.0.0.1:{}/postgres", database.port()), &server);
    let output = import.run(&[]);
    // Row 7 has no customer.
    assert_eq!(output.status.code(), Some(3), "{}", text(&output));
    assert!(
        text(&output).contains("MISSING_FIELD") || text(&output).contains("EMPTY_ID"),
        "{}",
        text(&output)
    );
    assert!(!text(&output).contains(PASSWORD), "{}", text(&output));
    assert_eq!(applied(&server).await, 11_999);
    // Again, and after a change of some rows: only their new versions are new.
    import.run(&[]);
    assert_eq!(applied(&server).await, 11_999);
    admin.run("UPDATE orders SET price = 1, updated_at = timestamptz '2026-03-01' WHERE id <= 5").await;
    import.run(&[]);
    assert_eq!(applied(&server).await, 12_004);
    let sourced =
        async || partitions(&server).await.iter().map(|partition| partition.sourced_total).sum::<u64>();
    assert_eq!(sourced().await, 12_004);

    let follower = import.follow();
    admin
        .run(
            "INSERT INTO orders VALUES (20000, 'late', 'sku', 1, 'r', 0, now(), now()), (20001, 'late', 'sku', 1, 'r', 1, now(), now())",
        )
        .await;
    wait_until("new rows are in", async || sourced().await == 12_006).await;
    // A kill between a row and the next look loses and repeats nothing.
    drop(follower);
    admin.run("INSERT INTO orders VALUES (20002, 'later', 'sku', 1, 'r2', 0, now(), now())").await;
    let _follower = import.follow();
    wait_until("the row of the time between is in", async || sourced().await == 12_007).await;
    assert_eq!(applied(&server).await, 12_007);
    drop(import.folder);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_mariadb_is_imported_and_a_wrong_address_says_what_to_do() {
    use mysql_async::prelude::Queryable;

    let database = MariaDb::start().await;
    let mut admin = database.admin().await;
    for sql in [
        "CREATE TABLE orders (id BIGINT PRIMARY KEY, customer VARCHAR(40), sku VARCHAR(40), price DECIMAL(10,2), receipt VARCHAR(40), \
         line INT, placed_at DATETIME, updated_at TIMESTAMP(6) NOT NULL, KEY by_time (updated_at, id))",
        "INSERT INTO orders SELECT seq, CONCAT('user-', seq % 50), CONCAT('sku-', seq % 90), seq / 7.0, CONCAT('r', seq), 0, \
         TIMESTAMP'2026-01-01 00:00:00' + INTERVAL seq MINUTE, TIMESTAMP'2026-02-01 00:00:00' + INTERVAL seq SECOND \
         FROM seq_1_to_9000",
    ] {
        admin.query_drop(sql).await.expect("a table");
    }
    let data = tempfile::tempdir().expect("a folder");
    let server = start(data.path());
    let url = format!("mariadb://portrait@127.0.0.1:{}/shop", database.port());
    let output = TableImport::of(&url, &server).run(&[]);
    assert!(output.status.success(), "{}", text(&output));
    assert_eq!(applied(&server).await, 9000);
    for (url, more, expected) in [
        (&*url, vec!["--allow", "db.example.com"], "127.0.0.1"),
        ("mariadb://portrait:secret-word@127.0.0.1/shop", vec![], "--password-file"),
        ("mariadb://portrait@169.254.169.254/shop", vec![], "link-local"),
        (&*url, vec!["--dry-run"], "export some rows"),
    ] {
        let output = TableImport::of(url, &server).run(&more);
        let text = text(&output);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(
            text.contains(expected) && !text.contains("secret-word"),
            "{expected:?} is missing in {text}"
        );
    }
}
