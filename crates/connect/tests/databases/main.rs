//! Database sources against real servers: each test starts a PostgreSQL or a MariaDB of its own on a free port of loopback.

#![allow(clippy::unwrap_used, reason = "clippy allows it in tests, but not in the functions they share")]

mod binlog;
mod changes;
mod follow;
mod pages;
mod refusals;
mod speed;
mod types;

use portrait_connect::databases::{Database, SourceError, TableOptions, TablePosition, TableRow};

/// Reads a table to its end.
async fn read_all(
    database: Database,
    options: TableOptions,
    position: Option<TablePosition>,
) -> Result<Vec<TableRow>, SourceError> {
    let mut pages = database.pages(options, position).await?;
    let mut all = Vec::new();
    loop {
        let page = pages.next().await?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}

fn keys(rows: &[TableRow]) -> Vec<&str> {
    rows.iter().map(|row| &*row.key).collect()
}
