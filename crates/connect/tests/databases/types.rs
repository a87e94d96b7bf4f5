//! Spelling of the types of both engines.

use crate::read_all;
use mysql_async::prelude::Queryable;
use portrait_connect::databases::{SourceError, TableName, TableOptions};
use portrait_connect::testing::{MariaDb, Postgres};

fn options() -> TableOptions {
    let time_zone = "Europe/Berlin".to_owned();
    TableOptions { time_zone, ..TableOptions::new(TableName::new(None, "things"), None, "id") }
}

#[tokio::test]
async fn types_of_postgres_come_in_one_spelling_and_nulls_as_none() {
    let server = Postgres::start().await;
    let admin = server.admin().await;
    admin.run("CREATE TYPE mood AS ENUM ('glad'); CREATE DOMAIN price AS numeric(12, 4)").await;
    let columns = [
        ("i", "int4", "-7", "-7"),
        ("n", "numeric(10,2)", "1.50", "1.5"),
        ("n2", "price", "12", "12"),
        ("n3", "numeric", "'1e3'", "1000"),
        ("f", "float8", "1e20", "100000000000000000000"),
        ("f4", "float4", "0.1", "0.1"),
        ("b", "bool", "true", "true"),
        ("b2", "bool", "false", "false"),
        ("c", "char(5)", "'ab'", "ab"),
        ("t", "text", "E'it''s\\n'", "it's\n"),
        ("d", "date", "'2024-05-06'", "2024-05-06"),
        ("z", "timestamptz", "'2024-05-06 09:08:09.120+02'", "2024-05-06T07:08:09.12+00:00"),
        ("l", "timestamp", "'2024-05-06 07:08:09'", "2024-05-06T07:08:09+02:00"),
        ("far", "timestamptz", "'infinity'", "infinity"),
        ("u", "uuid", "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        ("j", "jsonb", "'{\"a\":1}'", "{\"a\": 1}"),
        ("a", "text[]", "'{x,\"y z\"}'", "{x,\"y z\"}"),
        ("m", "mood", "'glad'", "glad"),
        ("v", "bit(3)", "B'101'", "101"),
        ("iv", "interval", "'1 day 2 hours'", "1 day 02:00:00"),
    ];
    let declared: Vec<String> = columns.iter().map(|(name, kind, ..)| format!("{name} {kind}")).collect();
    let values: Vec<&str> = columns.iter().map(|(_, _, value, _)| *value).collect();
    admin.run("ALTER DATABASE postgres SET DateStyle = 'German'").await;
    admin.run(&format!("CREATE TABLE things (id int PRIMARY KEY, {})", declared.join(", "))).await;
    admin
        .run(&format!(
            "INSERT INTO things VALUES (1, {}); INSERT INTO things (id) VALUES (2)",
            values.join(", ")
        ))
        .await;
    let rows = read_all(server.database().await, options(), None).await.unwrap();
    for (name, kind, _, expected) in columns {
        assert_eq!(rows[0].value(name), Some(expected), "{kind}");
    }
    assert!(rows[1].values[1..].iter().all(Option::is_none), "{:?}", rows[1]);
}

#[tokio::test]
async fn types_of_mariadb_come_in_one_spelling_and_nulls_as_none() {
    let server = MariaDb::start().await;
    let mut admin = server.admin().await;
    let columns = [
        ("i", "INT", "-7", "-7"),
        ("big", "BIGINT UNSIGNED", "18446744073709551615", "18446744073709551615"),
        ("n", "DECIMAL(10,2)", "1.50", "1.5"),
        ("f", "DOUBLE", "1e20", "100000000000000000000"),
        ("f4", "FLOAT", "16777215", "16777215"),
        ("f5", "FLOAT", "0.1", "0.1"),
        ("b", "BOOLEAN", "TRUE", "true"),
        ("b2", "BIT(1)", "b'0'", "false"),
        ("v", "BIT(10)", "b'1000000001'", "513"),
        ("c", "CHAR(5)", "'ab'", "ab"),
        ("t", "TEXT CHARACTER SET latin1", "'Müller'", "Müller"),
        ("d", "DATE", "'2024-05-06'", "2024-05-06"),
        ("z", "TIMESTAMP(6) NULL", "'2024-05-06 07:08:09.120'", "2024-05-06T07:08:09.12+00:00"),
        ("l", "DATETIME(3)", "'2024-05-06 07:08:09.5'", "2024-05-06T07:08:09.5+02:00"),
        ("h", "TIME", "'-30:01:02'", "-30:01:02"),
        ("y", "YEAR", "2024", "2024"),
        ("e", "ENUM('glad')", "'glad'", "glad"),
        ("s", "SET('a','b')", "'a,b'", "a,b"),
        ("j", "JSON", "'{\"a\": 1}'", "{\"a\": 1}"),
        ("u", "UUID", "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
    ];
    let declared: Vec<String> = columns.iter().map(|(name, kind, ..)| format!("{name} {kind}")).collect();
    let values: Vec<&str> = columns.iter().map(|(_, _, value, _)| *value).collect();
    for sql in [
        "SET time_zone = '+00:00'".to_owned(),
        format!("CREATE TABLE things (id INT PRIMARY KEY, {}) CHARACTER SET utf8mb4", declared.join(", ")),
        format!("INSERT INTO things VALUES (1, {})", values.join(", ")),
        "INSERT INTO things (id) VALUES (2)".to_owned(),
    ] {
        admin.query_drop(sql).await.unwrap();
    }
    let rows = read_all(server.database().await, options(), None).await.unwrap();
    for (name, kind, _, expected) in columns {
        assert_eq!(rows[0].value(name), Some(expected), "{kind}");
    }
    assert!(rows[1].values[1..].iter().all(Option::is_none), "{:?}", rows[1]);

    admin.query_drop("ALTER TABLE things ADD raw VARBINARY(9)").await.unwrap();
    let error = read_all(server.database().await, options(), None).await.unwrap_err();
    assert!(matches!(&error, SourceError::BinaryColumn { column, .. } if column == "raw"), "{error}");
}
